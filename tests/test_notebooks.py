import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ["main.ipynb", *sorted(f"studies/{path.name}" for path in ROOT.glob("studies/*.ipynb"))]
# Small sizes: they show that every cell runs, not that the results are good.
SMALL = {
    "epochs": 2,
    "steps_per_epoch": 3,
    "batch_size": 32,
    "test_sequences": 120,
    "test_chains": 20,
    "retrain_steps": 3,
    "steps": 4,
    "any_steps": 3,
    "seeds": 1,
    "corrupted_sequences": 60,
    "chain_length": 110,
    "chains": 60,
    "neighbours": 10,
    "draws": 2,
    "chain_sets": 1,
    "decoder_epochs": 1,
}
LARGEST = {  # cells, words of prose, bytes
    "main.ipynb": (50, 1_000, 1_000_000),
    "studies/architectures.ipynb": (25, 1_200, 2_000_000),
}
MODELS = {  # bytes; a sampler holds a copy of a predictor's LSTM
    "digit_classifier.keras": 400_000,
    "next_image.keras": 3_000_000,
    "endless.keras": 3_000_000,
    "style.keras": 3_000_000,
    "sampler.keras": 8_000_000,
    "style_sampler.keras": 8_000_000,
}
PICTURES = {path.name for path in (ROOT / "imgs").iterdir()}


def code_of(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def drawn_by(name: str) -> set[str]:
    """Names of the pictures of `imgs/` that a notebook saves, those of its loops among them."""
    source = "".join(cell.source for cell in code_of(ROOT / name))
    pattern = "|".join(re.findall(r"\{folder\}/([\w{}]+\.\w+)", source))
    for variable, values in {
        "name": "(sgd|rmsprop|adam)",
        "window": r"\d",
        "number": r"\d",
    }.items():
        pattern = pattern.replace(f"{{{variable}}}", values)
    return {picture for picture in PICTURES if re.fullmatch(pattern, picture)}


def shipped() -> dict[Path, bytes]:
    paths = [*ROOT.glob("models/*"), *ROOT.glob("imgs/*")]
    return {path: path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_from_top_to_bottom_and_writes_nothing_that_ships(name, tmp_path, monkeypatch):
    from studies import release  # only here: the other tests do without Keras

    if name == "main.ipynb":  # no red boxes, even where nothing is left out of the outputs
        monkeypatch.setattr(release, "without_chatter", str)
    (parameters,) = (cell.source for cell in code_of(ROOT / name) if cell.metadata.get("tags"))
    sizes = {size: SMALL[size] for size in re.findall(r"^(\w+) = [\d_]+", parameters, re.MULTILINE)}
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
    cells, words, size = LARGEST.get(name, (25, 1_000, 2_000_000))
    assert len(notebook.cells) <= cells and path.stat().st_size <= size
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert len(" ".join(prose).split()) <= words
    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    assert [tag for cell in code for tag in cell.metadata.get("tags", [])] == ["parameters"]
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"\.save\(|\bexec\(|sys\.path", source)
    assert set(re.findall(r"imgs/[\w.]*", source)) <= {"imgs/photo.jpg"}  # which it reads
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.get("name") == "stderr" or o.output_type == "error"]
    # When a cell ran, for how long, and the state of widgets differ in every run.
    for part in (notebook, *notebook.cells):
        assert not {"papermill", "execution", "widgets"} & set(part.metadata)


def test_what_ships_is_small_and_made_by_something():
    # The others: by growth.py, by tests/test_browser.py, and a photo that stays as it is.
    drawn = set().union(*map(drawn_by, NOTEBOOKS), {"growth.png", "pad.png", "photo.jpg"})
    assert drawn == PICTURES and len(PICTURES) <= 35
    assert {f"{name}{n}.png" for name in ("sgd", "rmsprop", "adam") for n in range(6)} < PICTURES
    assert {path.name for path in (ROOT / "models").iterdir()} == MODELS.keys()
    assert all((ROOT / "models" / name).stat().st_size < MODELS[name] for name in MODELS)
