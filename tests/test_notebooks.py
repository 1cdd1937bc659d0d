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


def code_of(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def drawn_by(name: str) -> set[str]:
    source = "".join(cell.source for cell in code_of(ROOT / name))
    return set(re.findall(r"\{folder\}/([\w.]+)", source))


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
    notebook, code = nbformat.read(ROOT / name, 4), code_of(ROOT / name)
    assert [tag for cell in code for tag in cell.metadata.get("tags", [])] == ["parameters"]
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"\.save\(|\bexec\(|sys\.path|imgs/", source)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.get("name") == "stderr" or o.output_type == "error"]
    # When a cell ran, for how long, and the state of widgets differ in every run.
    for part in (notebook, *notebook.cells):
        assert not {"papermill", "execution", "widgets"} & set(part.metadata)


def test_what_ships_is_made_by_something_and_every_picture_is_shown():
    from studies.release import MODELS

    models = {path.name for path in (ROOT / "models").iterdir()}
    assert models == {f"{name}.keras" for name in MODELS}
    pictures = {path.name for path in (ROOT / "imgs").iterdir()}
    assert pictures <= set().union(*map(drawn_by, NOTEBOOKS), {"pad.png"})  # by test_browser.py
    pages = [(ROOT / name).read_text() for name in ("README.md", "studies/README.md", *NOTEBOOKS)]
    assert pictures == set(re.findall(r"\bimgs/([\w.]+)", "".join(pages)))
