import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nbformat
import pytest

from notebooks.execute import execute, without_chatter

ROOT = Path(__file__).parent.parent

# Small sizes: they show that every cell runs, not that the results are good. The longest first.
SMALL = {
    "notebooks/sharp.ipynb": {
        "read_sequences": 1_000,
        "epochs": 2,
        "hand_epochs": 1,
        "adapt_sequences": 600,
        "test_sequences": 120,
        "test_draws": 2,
        "test_chains": 20,
        "weights": [1, 2],
    },
    "main.ipynb": {
        "epochs": 2,
        "steps_per_epoch": 3,
        "batch_size": 32,
        "test_sequences": 120,
        "test_chains": 20,
        "anybody_steps": 3,
    },
    "notebooks/plateau.ipynb": {"steps": 4},
    "notebooks/chains.ipynb": {
        "steps": 3,
        "endless_steps": 3,
        "seeds": 1,
        "test_sequences": 120,
        "damaged_sequences": 60,
        "chain_length": 110,
        "chains": 10,
    },
    "notebooks/one_hand.ipynb": {
        "steps": 3,
        "test_sequences": 120,
        "chains": 60,
        "baseline_sequences": 600,
    },
    "notebooks/your_hand.ipynb": {
        "steps": 3,
        "timed_steps": 2,
        "test_sequences": 120,
        "pages": 18,
    },
    "notebooks/writers.ipynb": {"steps": 3, "test_sequences": 120, "baseline_sequences": 6_000},
    "notebooks/architectures.ipynb": {
        "steps": 3,
        "any_steps": 3,
        "test_sequences": 120,
        "chains": 10,
    },
    "notebooks/real_or_drawn.ipynb": {
        "test_sequences": 120,
        "answers": 4,
        "judges": 1,
        "longer": 1,
        "decoder_epochs": 1,
    },
    "notebooks/other_sequences.ipynb": {"steps": 3, "test_sequences": 120, "chains": 10},
}
# The sampler is a copy of the predictor's LSTM, a velocity network and a painter.
LARGEST = {
    "digit_classifier.keras": 400_000,
    "next_image.keras": 3_000_000,
    "endless.keras": 3_000_000,
    "one_hand.keras": 3_000_000,
    "sampler.keras": 8_000_000,
    "hand_sampler.keras": 8_000_000,
}


def small(name, folder):
    """Executes a notebook small, with its pictures and models in a folder of its own."""
    (folder / "imgs").mkdir()
    folders = {"images_folder": str(folder / "imgs"), "models_folder": str(folder / "models")}
    execute(ROOT / name, folder / "executed.ipynb", SMALL[name] | folders)
    return folder


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder of an executed notebook; two run at a time, as compiling keeps one core busy."""
    with pytest.MonkeyPatch.context() as patch:
        # sharp.ipynb would choose JAX, which these tests run without.
        patch.setenv("KERAS_BACKEND", "tensorflow")
        pool = ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn"))
        runs = {
            name: pool.submit(small, name, tmp_path_factory.mktemp("notebook")) for name in SMALL
        }
        yield lambda name: runs[name].result()
        pool.shutdown(cancel_futures=True)  # where a single notebook was asked for


@pytest.mark.parametrize("name", SMALL)
def test_runs_from_top_to_bottom(executed, name):
    notebook = nbformat.read(executed(name) / "executed.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


def test_cells_with_widgets_come_to_an_end(tmp_path):
    """Without what `execute` does about it, one of so many would hang."""
    source = "from ipywidgets import interact\ninteract(lambda n=1: print('x' * 1_000), n=(0, 3));"
    cells = [nbformat.v4.new_code_cell(source) for _ in range(150)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    path = tmp_path / "widgets.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    command = [sys.executable, "-m", "notebooks.execute", str(path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)


def test_only_harmless_messages_are_left_out():
    started = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795645052.485630   25151 port.cc:153] oneDNN custom operations are on.
E0000 00:00:1795645061.428329   25267 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA
WARNING:tensorflow:5 out of the last 52 calls to <function TensorFlowTrainer.make_predict_function>
"""
    said = """\
WARNING:tensorflow:AutoGraph could not transform a function
W0000 00:00:1795645061.428329   25267 a.cc:52] look at this
E0000 00:00:1795645061.428329   25267 b.cc:52] failed
keras/src/trainers/epoch_iterator.py:164: UserWarning: Your input ran out of data
Traceback (most recent call last):
"""
    assert without_chatter(started + said) == said


PICTURES = {path.name for path in (ROOT / "imgs").iterdir()}


def pictures_in(text, pictures=PICTURES):
    """Names of the pictures that a text has by path, `imgs/` or `{images_folder}/`.

    `{images_folder}/{name}.png` may be any of the pictures, those of a loop.
    """
    paths = re.findall(r'[("](?:\.\./)?(?:imgs|\{images_folder\})/([\w{}-]+\.\w+)', text)
    plain = {path for path in paths if "{" not in path}
    loops = [re.sub(r"\{\w+\}", "[a-z0-9]+", path) for path in paths if "{" in path]
    return plain | {name for name in pictures for loop in loops if re.fullmatch(loop, name)}


def shown_by(notebook, pictures=PICTURES):
    """Names of the pictures in its text, and in those of its cells that display as many."""
    shown = set()
    for cell in notebook.cells:
        named = pictures_in(cell.source, pictures)
        kinds = [kind for output in cell.get("outputs", ()) for kind in output.get("data", ())]
        displayed = sum(kind.startswith("image/") for kind in kinds)
        if cell.cell_type == "markdown" or displayed >= max(1, len(named)):
            shown |= named
    return shown


def test_the_notebooks_draw_every_picture(executed):
    drawn = {path.name for name in SMALL for path in (executed(name) / "imgs").glob("*")}
    drawn.add("pad.png")  # by tests/test_browser.py
    assert drawn == PICTURES
    assert {f"{name}{n}.png" for name in ("sgd", "rmsprop", "adam") for n in range(6)} <= drawn


def test_readme_or_a_notebook_shows_every_picture():
    shown = pictures_in((ROOT / "README.md").read_text())
    shown |= pictures_in((ROOT / "benchmarks" / "README.md").read_text())
    assert not sorted(shown - PICTURES)
    for name in SMALL:
        shown |= shown_by(nbformat.read(ROOT / name, as_version=4))
    assert not sorted(PICTURES - shown)


def test_a_picture_that_a_notebook_only_writes_is_not_shown():
    new = nbformat.v4
    picture = new.new_output("display_data", {"image/png": "", "text/plain": "<Figure>"})
    text = new.new_output("stream", text="imgs/printed.png")
    cells = [
        new.new_markdown_cell("![text](../imgs/text.png), and imgs/mentioned.png"),
        new.new_code_cell('Image(filename="imgs/embedded.gif")', outputs=[picture]),
        new.new_code_cell('plot(path=f"{images_folder}/drawn.png")', outputs=[picture]),
        new.new_code_cell('plot(path=f"{images_folder}/written.png")', outputs=[text]),
        new.new_code_cell('plot(path=f"{images_folder}/s{name}.png")', outputs=[picture] * 2),
        new.new_code_cell('plot(path=f"{images_folder}/t{name}.png")', outputs=[picture]),
    ]
    there = {"s0.png", "s1.png", "t0.png", "t1.png"}
    shown = shown_by(new.new_notebook(cells=cells), there)
    assert shown == {"text.png", "embedded.gif", "drawn.png", "s0.png", "s1.png"}
    assert pictures_in("![a](imgs/a.png), imgs/b.png") == {"a.png"}


def test_the_models_that_ship_are_small(executed):
    made = {path.name for name in SMALL for path in (executed(name) / "models").glob("*")}
    made.add("digit_classifier.keras")  # by `python classifier.py`
    assert made == set(LARGEST) == {path.name for path in (ROOT / "models").iterdir()}
    for name, largest in LARGEST.items():
        assert (ROOT / "models" / name).stat().st_size < largest


@pytest.mark.parametrize("path", [ROOT / "main.ipynb", *(ROOT / "notebooks").glob("*.ipynb")])
def test_is_committed_as_a_full_run_left_it(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert len(code) <= 45
    assert path.stat().st_size < 3_000_000
    assert not [cell for cell in code if "injected-parameters" in cell.metadata.get("tags", ())]
    assert not [cell for cell in code if "sys.path" in cell.source]  # the project is installed
    # When a cell ran, for how long, and the state of widgets differ in every run.
    left_out = {"papermill", "execution", "widgets"}
    assert not [part for part in (notebook, *notebook.cells) if left_out & set(part.metadata)]
