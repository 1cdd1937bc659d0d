"""The pad in a real browser: Chromium opens JupyterLab and Notebook, draws, and looks.

PAD_PICTURE=imgs/pad.png .venv/bin/python -m pytest tests/test_browser.py  # writes README's picture
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

pytest.importorskip("selenium", reason="Selenium is not installed")
from selenium import webdriver
from selenium.common import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.common.utils import free_port
from selenium.webdriver.support.ui import WebDriverWait

from classifier import read_digits

ROOT = Path(__file__).parent.parent
DRAWINGS = json.loads((ROOT / "datasets" / "drawings.json").read_text())
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
missing = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no chromium, or no chromedriver")
pytestmark = [pytest.mark.slow, missing]
CELL = f"""
import time, keras, numpy as np
import model, sampling.sampler
from handwriting.pad import DrawingPad

predictor, style, sampler = [
    keras.saving.load_model(f"{ROOT}/models/{{name}}.keras")
    for name in ("next_image", "style", "style_sampler")
]

def continued(images):
    np.save("drawn.npy", images)
    chains = {{"everybody": predictor.generate(images, 6), "your style": style.generate(images, 6)}}
    return chains | {{"draws": sampler.sample(images, n=6, seed=0)}}

def slow(images):
    time.sleep(0.5)
    if len(single.strokes[0]) > 1:
        raise ValueError("too many strokes")
    return {{"as it was read": images}}

four, single = DrawingPad(), DrawingPad(count=1)
four.answer(continued)
single.answer(slow)
display(four, single)
"""


@pytest.fixture(scope="module", params=["lab", "notebook"])
def browser(request, tmp_path_factory):
    """Chromium, on a notebook that shows a pad of four boxes and one of a single box."""
    folder, port = tmp_path_factory.mktemp("jupyter"), free_port()
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells, metadata = [nbformat.v4.new_code_cell(CELL)], {"kernelspec": python}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "pad.ipynb")
    exposed = [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
    command = [sys.executable, "-m", "jupyter", request.param, "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--IdentityProvider.token=", *exposed]
    own = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "PYTHONPATH": str(ROOT)}
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1100,900"):
        options.add_argument(f"--{argument}")
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(folder / "jupyter.log", "w"))
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        server = subprocess.Popen(command, cwd=folder, env=os.environ | own, **streams)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        stack.callback(browser.quit)
        browser.folder = folder
        page = {"lab": "lab/tree", "notebook": "notebooks"}[request.param]

        def opened():
            with contextlib.suppress(WebDriverException):  # nobody answers yet
                browser.get(f"http://127.0.0.1:{port}/{page}/pad.ipynb")
                return True

        wait(opened)
        ready = "const shown = window.jupyterapp?.shell.currentWidget;"
        ready += "return !!shown?.context?.isReady && !!shown.sessionContext.session?.kernel"
        wait(lambda: browser.execute_script(ready))
        browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait(lambda: len(browser.find_elements("css selector", ".pad")) == 2)
        yield browser


def wait(condition):
    return WebDriverWait(None, 120, 0.05).until(lambda _: condition())


class Pad:
    """What a person sees and does, on a pad that is empty at first."""

    def __init__(self, browser, number):
        self.browser, self.root = browser, browser.find_elements("css selector", ".pad")[number]
        self.boxes = self.root.find_elements("css selector", "svg")
        self.undo, clear = self.root.find_elements("css selector", "button")
        browser.execute_script("arguments[0].scrollIntoView()", self.root)
        clear.click()
        wait(lambda: not any(self.strokes()) and not len(self.answers()) and not self.status())

    def draw(self, box, strokes, kind="mouse"):
        side = self.boxes[box].size["width"]
        for stroke in strokes:
            actions = ActionBuilder(self.browser, mouse=PointerInput(kind, kind), duration=5)
            for at, (x, y, _) in enumerate(stroke):
                place = round((x - 0.5) * side), round((y - 0.5) * side)
                actions.pointer_action.move_to(self.boxes[box], *place)
                if at == 0:
                    actions.pointer_action.pointer_down()
            actions.pointer_action.pointer_up()
            actions.perform()

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def strokes(self):
        """Number of strokes in each box, as a screen reader says it."""
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
    return Pad(browser, 0)


def test_four_digits_arrive_in_python_and_are_continued(browser, pad, tmp_path):
    for box, digit in enumerate("0123"):
        assert len(pad.answers()) == 0
        pad.draw(box, DRAWINGS[digit])
    wait(lambda: len(pad.answers()) == 18)
    assert read_digits(np.load(browser.folder / "drawn.npy")).tolist() == [0, 1, 2, 3]
    assert read_digits(pad.answers()[:12]).tolist() == 2 * [4, 5, 6, 7, 8, 9]
    assert np.mean(read_digits(pad.answers()[12:]) == 4) > 0.7
    images = pad.root.find_elements("css selector", "canvas")
    assert len({image.location["x"] for image in images[::6]}) == 1  # rows are aligned
    assert pad.root.screenshot(os.environ.get("PAD_PICTURE", str(tmp_path / "pad.png")))
    took = []
    for at in range(5):
        began, before = time.perf_counter(), pad.answers()
        pad.draw(0, [[[0.3 + 0.1 * at, 0.95, 0.08], [0.35 + 0.1 * at, 0.95, 0.08]]])
        wait(lambda before=before: not np.array_equal(pad.answers(), before))
        took.append(time.perf_counter() - began)
    assert np.median(took) < 3  # seconds; this machine may be busy


def test_it_says_that_it_thinks_and_what_went_wrong(browser, pad):
    single = Pad(browser, 1)
    single.draw(0, DRAWINGS["7"])
    wait(lambda: single.status() == "thinking …")
    wait(lambda: len(single.answers()) == 1 and not single.status())
    assert not any(pad.strokes()) and len(pad.answers()) == 0  # nor do two pads mind each other
    single.draw(0, DRAWINGS["1"])
    wait(lambda: single.status() == "ValueError: too many strokes")
    assert len(single.answers()) == 0


def test_every_pointer_draws_and_a_stroke_stays_in_its_box(browser, pad):
    for kind in ("mouse", "touch", "pen"):
        pad.draw(1, DRAWINGS["1"], kind)
    pad.draw(0, [[[0.5, 0.2, 0.08], [1.6, 0.5, 0.08], [0.5, 0.8, 0.08]]])  # goes on outside
    ActionChains(browser).double_click(pad.boxes[2]).perform()
    wait(lambda: pad.strokes() == [1, 3, 2, 0])
    assert browser.execute_script("return String(window.getSelection())") == ""


def test_undo_takes_back_the_last_stroke_wherever_it_was(pad):
    for box, digit in ((1, "1"), (0, "5"), (1, "7")):  # 5 has two strokes
        pad.draw(box, DRAWINGS[digit])
    for left in ([2, 2], [2, 1], [1, 1], [0, 1], [0, 0], [0, 0]):
        wait(lambda left=left: pad.strokes()[:2] == left)
        pad.undo.click()


def test_keys_act_on_boxes_and_never_on_the_cell(browser, pad):
    pad.draw(0, DRAWINGS["5"])
    pad.draw(1, DRAWINGS["1"])
    pad.press("d", "d", "x", "m", "y")  # Jupyter's keys: delete, cut, make it Markdown, and code
    wait(lambda: pad.strokes() == [2, 1, 0, 0])
    pad.undo.click()
    pad.press("d", "d", "x", "m", "y")
    wait(lambda: pad.strokes() == [2, 0, 0, 0])
    pad.boxes[0].send_keys(Keys.CONTROL + "z")
    pad.draw(1, DRAWINGS["1"])
    wait(lambda: pad.strokes() == [1, 1, 0, 0])
    pad.boxes[0].send_keys(Keys.TAB)
    assert browser.switch_to.active_element == pad.boxes[1]
    pad.press(Keys.DELETE)
    wait(lambda: pad.strokes() == [1, 0, 0, 0])


def test_strokes_are_seen_in_the_dark(browser, pad):
    def brightness(what):
        script = f"return getComputedStyle(arguments[0]).{what}.match(/\\d+/g)"
        return np.mean([int(part) for part in browser.execute_script(script, pad.boxes[0])[:3]])

    change = "return jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]})"
    for theme, sign in (("JupyterLab Dark", -1), ("JupyterLab Light", 1)):
        browser.execute_script(change, theme)
        wait(lambda s=sign: s * (brightness("backgroundColor") - brightness("color")) > 100)
