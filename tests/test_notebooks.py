import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ["main.ipynb", *sorted(f"studies/{path.name}" for path in ROOT.glob("studies/*.ipynb"))]
# Small sizes: they show that every cell runs, not that the results are good.
SMALL = {"epochs": 2, "steps_per_epoch": 3, "retrain_steps": 3, "steps": 4, "any_steps": 3}
SMALL |= {"batch_size": 32, "seeds": 1, "draws": 2, "chain_sets": 1}
SMALL |= {"test_sequences": 60, "corrupted_sequences": 60, "test_chains": 20}
SMALL |= {"chains": 20, "chain_length": 110, "scanned": 20}
SMALL |= {"weights": [1, 2], "lengths": [4, 9], "settings": [[1, 1], [1.25, 1.03]]}
MODELS = {"digit_classifier", "next_image", "endless", "writer", "sampler", "writer_sampler"}
PICTURES = {path.name for path in (ROOT / "imgs").iterdir()}


def code_of(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def drawn_by(name: str) -> set[str]:
    """Names of the pictures of `imgs/` that a notebook saves, those of its loops among them."""
    source = "".join(cell.source for cell in code_of(ROOT / name))
    pattern = "|".join(re.findall(r"\{folder\}/([\w{}]+\.\w+)", source))
    pattern = re.sub(r"\{\w+\}", r"\\d", pattern.replace("{name}", "(sgd|rmsprop|adam)"))
    return {picture for picture in PICTURES if re.fullmatch(pattern, picture)}


def shipped() -> dict[Path, bytes]:
    paths = [*ROOT.glob("models/*"), *ROOT.glob("imgs/*")]
    return {path: path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_from_top_to_bottom_and_writes_nothing_that_ships(name, tmp_path, monkeypatch):
    from studies import release  # only here: the other tests do without Keras

    monkeypatch.setenv("KERAS_MAX_EPOCHS", "2")  # what has a number of its own stops, too
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:Limiting epochs")
    if name == "main.ipynb":  # no red boxes, even where nothing is left out of the outputs
        monkeypatch.setattr(release, "without_chatter", str)
    (parameters,) = (cell.source for cell in code_of(ROOT / name) if cell.metadata.get("tags"))
    sizes = {size: SMALL[size] for size in re.findall(r"^(\w+) = [\d(]", parameters, re.MULTILINE)}
    before, written, folder = shipped(), tmp_path / "executed.ipynb", tmp_path / "pictures"
    folder.mkdir()
    release.execute(ROOT / name, written, sizes | {"folder": str(folder)})
    outputs = [output for cell in code_of(written) for output in cell.outputs]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert {path.name for path in folder.iterdir()} == drawn_by(name)
    assert shipped() == before


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_is_committed_as_a_full_run_left_it(name):
    path, notebook, code = ROOT / name, nbformat.read(ROOT / name, 4), code_of(ROOT / name)
    assert len(notebook.cells) <= (50 if name == "main.ipynb" else 25)
    assert path.stat().st_size <= 1_000_000
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert len(" ".join(prose).split()) <= 1_000
    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    assert [tag for cell in code for tag in cell.metadata.get("tags", [])] == ["parameters"]
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"\.save\(|\bexec\(|sys\.path|imgs/", source)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.get("name") == "stderr" or o.output_type == "error"]
    # When a cell ran, for how long, and the state of widgets differ in every run.
    for part in (notebook, *notebook.cells):
        assert not {"papermill", "execution", "widgets"} & set(part.metadata)


def test_what_ships_is_small_and_made_by_something():
    drawn = set().union(*map(drawn_by, NOTEBOOKS), {"pad.png"})  # by tests/test_browser.py
    assert drawn == PICTURES and len(PICTURES) <= 35
    assert {f"{name}{n}.png" for name in ("sgd", "rmsprop", "adam") for n in range(6)} < PICTURES
    assert {"formula_sample_1.png", "formula_sample_2.png"} < PICTURES
    models = list((ROOT / "models").iterdir())
    assert {path.stem for path in models} == MODELS
    assert sum(path.stat().st_size for path in models) < 24_000_000
