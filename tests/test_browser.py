"""The pad in a real browser: Chromium opens JupyterLab and Notebook, draws, and looks.

PAD_PICTURE=imgs/pad.png .venv/bin/python -m pytest tests/test_browser.py  # writes README's picture
"""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from selenium import webdriver
from selenium.common import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.common.utils import free_port
from selenium.webdriver.support.ui import WebDriverWait

from classifier import read_digits
from studies.report import ROOT

DRAWINGS = json.loads((ROOT / "datasets" / "drawings.json").read_text())
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
missing = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no chromium, or no chromedriver")
pytestmark = [pytest.mark.slow, missing]
CELL = """
import time, numpy as np
from handwriting.pad import DrawingPad
from model import generate, load

predictor, writer, sampler = map(load, ("next_image", "writer", "writer_sampler"))

def continued(images):
    if len(pad.strokes[0]) > 1:
        raise ValueError("too many strokes")
    np.save("drawn.npy", images)
    time.sleep(0.5)
    chains = {"everybody": predictor.generate(images, 6)}
    chains["your hand"] = generate(writer, images, 6)
    return chains | {"draws": sampler.generate(images, 6, guidance=2, seed=0)}

pad = DrawingPad()
pad.answer(continued)
pad
"""
RUN = """
const shown = window.jupyterapp?.shell.currentWidget;
const ready = shown?.context?.isReady && shown.sessionContext.session?.kernel;
if (ready) window.jupyterapp.commands.execute("notebook:run-all-cells");
return !!ready;
"""


def wait(condition):
    ignored = [WebDriverException]  # nobody answers yet, or what was there has just been replaced
    return WebDriverWait(None, 120, 0.05, ignored).until(lambda _: condition())


def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1100,900"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Jupyter, with a notebook that shows a pad: its folder and its address."""
    folder, port = tmp_path_factory.mktemp("jupyter"), free_port()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "pad.ipynb")
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--IdentityProvider.token="]
    command += [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
    own = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(command, cwd=folder, env=os.environ | own)
    yield folder, f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="module", params=["lab/tree", "notebooks"])
def browser(request, server):
    """Chromium, on the notebook, in JupyterLab and in Notebook."""
    browser = chromium()
    request.addfinalizer(browser.quit)
    browser.folder, address = server
    wait(lambda: browser.get(f"{address}/{request.param}/pad.ipynb") or True)
    wait(lambda: browser.execute_script(RUN))
    wait(lambda: browser.find_elements("css selector", ".pad-status"))
    return browser


class Pad:
    """What a person sees and does, on a pad that is empty at first."""

    def __init__(self, browser):
        self.browser, self.root = browser, browser.find_element("css selector", ".pad")
        self.boxes = self.root.find_elements("css selector", "svg")
        self.undo, clear, self.more = self.root.find_elements("css selector", "button")
        browser.execute_script("arguments[0].scrollIntoView()", self.root)
        clear.click()
        wait(lambda: self.strokes() == 4 * [0] and not len(self.answers()) and not self.status())

    def draw(self, box, strokes, kind="mouse"):
        for stroke in strokes:
            pen = ActionChains(self.browser, duration=5, devices=[PointerInput(kind, kind)])
            places = (np.array(stroke)[:, :2] - 0.5) * self.boxes[box].size["width"]
            for at, place in enumerate(places.round().astype(int).tolist()):
                pen.move_to_element_with_offset(self.boxes[box], *place)
                if at == 0:
                    pen.click_and_hold()
            pen.release().perform()

    def strokes(self):
        """Number of strokes in each box, as a screen reader says it."""
        self.boxes = self.root.find_elements("css selector", "svg")
        said = [box.get_attribute("aria-label").split()[4] for box in self.boxes]
        return [0 if number == "no" else int(number) for number in said]

    def status(self):
        return self.root.find_element("css selector", ".pad-status").text

    def answers(self):
        """Pixels of the images that are shown, `uint8 (n, 28, 28)`: 255 for ink."""
        script = """return [...arguments[0].querySelectorAll('canvas')].map(canvas =>
            [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data]);"""
        pixels = self.browser.execute_script(script, self.root)
        return 255 - np.reshape(pixels, (-1, 28, 28, 4))[..., 0].astype(np.uint8)


@pytest.fixture
def pad(browser):
    return Pad(browser)


def test_four_digits_arrive_in_python_and_are_continued_and_errors_are_shown(pad, tmp_path):
    for box, digit in enumerate("0123"):
        assert len(pad.answers()) == 0
        pad.draw(box, DRAWINGS[digit])
    wait(lambda: pad.status() == "thinking …")
    wait(lambda: len(pad.answers()) == 18 and not pad.status())
    assert read_digits(np.load(pad.browser.folder / "drawn.npy")).tolist() == [0, 1, 2, 3]
    assert read_digits(pad.answers()[:12]).tolist() == 2 * [4, 5, 6, 7, 8, 9]
    assert np.mean(read_digits(pad.answers()[12:]) == [4, 5, 6, 7, 8, 9]) > 0.7
    images = pad.root.find_elements("css selector", "canvas")
    assert len({image.location["x"] for image in images[::6]}) == 1  # rows are aligned
    pad.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad.root)
    assert pad.root.screenshot(os.environ.get("PAD_PICTURE", str(tmp_path / "pad.png")))
    pad.draw(0, DRAWINGS["1"])
    wait(lambda: pad.status() == "ValueError: too many strokes")
    assert len(pad.answers()) == 0


def test_every_pointer_draws_and_undo_takes_back_the_last_stroke_wherever_it_was(browser, pad):
    for box, digit, kind in ((1, "1", "mouse"), (0, "5", "touch"), (1, "7", "pen")):
        pad.draw(box, DRAWINGS[digit], kind)  # 5 has two strokes
    pad.draw(0, [[[0.5, 0.2, 0.08], [1.6, 0.5, 0.08], [0.5, 0.8, 0.08]]])  # over the next box
    for left in ([3, 2], [2, 2], [2, 1], [1, 1], [0, 1], [0, 0], [0, 0]):
        wait(lambda left=left: pad.strokes() == [*left, 0, 0])
        pad.undo.click()
    ActionChains(browser).double_click(pad.boxes[2]).perform()
    wait(lambda: pad.strokes() == [0, 0, 2, 0])
    assert browser.execute_script("return String(window.getSelection())") == ""
    pad.more.click()
    wait(lambda: pad.strokes() == [0, 0, 2, 0, 0])
    pad.draw(4, DRAWINGS["1"])
    wait(lambda: pad.strokes() == [0, 0, 2, 0, 1])
    Pad(browser).undo.click()  # cleared: the last stroke's box is gone
    pad.draw(0, DRAWINGS["1"])
    wait(lambda: pad.strokes() == [1, 0, 0, 0])


def test_keys_act_on_boxes_and_never_on_the_cell(browser, pad):
    pad.draw(0, DRAWINGS["5"])
    pad.draw(1, DRAWINGS["1"])
    keys = "ddxmy"  # Jupyter's: delete, cut, make it Markdown, and code
    browser.switch_to.active_element.send_keys(keys)
    wait(lambda: pad.strokes() == [2, 1, 0, 0])
    pad.undo.click()
    browser.switch_to.active_element.send_keys(keys)
    wait(lambda: pad.strokes() == [2, 0, 0, 0])
    pad.boxes[0].send_keys(Keys.CONTROL + "z")
    pad.draw(1, DRAWINGS["1"])
    wait(lambda: pad.strokes() == [1, 1, 0, 0])
    pad.boxes[0].send_keys(Keys.TAB)
    assert browser.switch_to.active_element == pad.boxes[1]
    pad.boxes[1].send_keys(Keys.DELETE)
    wait(lambda: pad.strokes() == [1, 0, 0, 0])


def test_strokes_are_seen_in_the_dark(browser, pad):
    def brightness(what):
        return sum(map(int, re.findall(r"\d+", pad.boxes[0].value_of_css_property(what))[:3]))

    command = "jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]})"
    for theme, sign in (("JupyterLab Dark", -1), ("JupyterLab Light", 1)):
        browser.execute_script(command, theme)
        wait(lambda s=sign: s * (brightness("background-color") - brightness("color")) > 300)
