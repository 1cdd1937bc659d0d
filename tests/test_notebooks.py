from pathlib import Path

import nbformat
import papermill
import pytest

ROOT = Path(__file__).parent.parent

# Small sizes: they show that every cell runs, not that the results are good.
SMALL = {
    "main.ipynb": {
        "epochs": 2,
        "steps_per_epoch": 3,
        "batch_size": 32,
        "test_sequences": 120,
        "test_chains": 20,
    },
}


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Executes a notebook small, once, with its pictures and models in a folder of its own."""
    done = {}

    def execute(name):
        if name not in done:
            folder = tmp_path_factory.mktemp("notebook")
            papermill.execute_notebook(
                ROOT / name,
                folder / "executed.ipynb",
                parameters=SMALL[name]
                | {"images_folder": str(folder / "imgs"), "models_folder": str(folder / "models")},
                cwd=(ROOT / name).parent,
                progress_bar=False,
            )
            done[name] = folder
        return done[name]

    return execute


@pytest.mark.parametrize("name", SMALL)
def test_runs_from_top_to_bottom(executed, name):
    notebook = nbformat.read(executed(name) / "executed.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


def test_main_draws_every_picture_that_the_readme_shows(executed):
    drawn = {path.name for path in (executed("main.ipynb") / "imgs").iterdir()}
    assert drawn == {path.name for path in (ROOT / "imgs").iterdir()}
    assert {f"{name}{n}.png" for name in ("sgd", "rmsprop", "adam") for n in range(6)} <= drawn
    assert {"formula_sample_1.png", "formula_sample_2.png"} <= drawn
    assert (executed("main.ipynb") / "models" / "next_image.keras").stat().st_size < 3_000_000


@pytest.mark.parametrize("path", [ROOT / "main.ipynb", *(ROOT / "notebooks").glob("*.ipynb")])
def test_is_committed_as_a_full_run_left_it(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert len(code) <= 45
    assert path.stat().st_size < 3_000_000
    assert not [cell for cell in code if "injected-parameters" in cell.metadata.get("tags", ())]
