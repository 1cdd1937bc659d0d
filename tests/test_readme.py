"""What the README files say holds: figures are those of the files they name, and code runs.

A comment directly above a table names the file that its figures are from, as in
`<!-- source: main.ipynb -->`, or says `<!-- no figures -->` or that each row links its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "studies" / "README.md"]


def figures(text: str) -> Counter:
    """Numbers such as 0.50, 11,914 and the 99.9 of 99.9%, but not the 0 of sgd0 or of a link."""
    numbers = re.findall(r"(?<![\w.])-?\d+(?:[.,]\d+)*", re.sub(r"\]\(.*?\)", "", text))
    return Counter(number.replace(",", "") for number in numbers)


def lines_of(source: Path) -> list[str]:
    """The lines of a table, or of what a notebook's cells wrote, in which a table is text, too."""
    if source.suffix != ".ipynb":
        return source.read_text().splitlines()
    outputs = [o for cell in nbformat.read(source, 4).cells for o in cell.get("outputs", ())]
    texts = [o.get("text", o.get("data", {}).get("text/plain", "")) for o in outputs]
    return "\n".join(texts).splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_a_table_is_that_of_its_source(page):
    tables = re.findall(r"(?:<!-- (.*) -->\n)?((?:\|.*\n)+)", page.read_text())
    assert tables
    for comment, table in tables:
        assert comment, f"no source for {table[:60]}"
        for line in table.splitlines()[2:]:
            text = line if "links" in comment else comment
            sources = re.findall(r"[\w/]+\.(?:md|ipynb)", text)
            rows = [figures(row) for source in sources for row in lines_of(page.parent / source)]
            if text is line:  # what a notebook answers may be from several of its rows
                rows = [sum(rows, Counter())]
            assert any(figures(line) <= row for row in [*rows, Counter()]), f"{text} lacks {line}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_every_table_of_results_says_at_which_commit_it_was_made():
    tables = list((ROOT / "studies" / "results").glob("*.md"))
    assert tables
    for table in tables:
        machine = json.loads(table.with_suffix(".json").read_text())["machine"]
        assert re.fullmatch("[0-9a-f]{7,40}( and changes)?", machine["commit"]), table


def test_a_core_file_imports_only_those_above_it_in_the_readme():
    core = re.findall(r"^\| `(\w+)\.py` ", PAGES[0].read_text(), re.MULTILINE)
    assert {*core, "setup"} == {path.stem for path in ROOT.glob("*.py")}
    for place, name in enumerate(core):
        code = (ROOT / f"{name}.py").read_text()
        imported = set(re.findall(r"^ *(?:from|import) (\w+)", code, re.MULTILINE))
        assert not imported & {*core[place:], "handwriting", "sampling", "studies"}, name
        if place < 4:  # they need only NumPy and SciPy, until `dataset` is called
            imported = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))
            assert imported <= {*sys.stdlib_module_names, "numpy", "scipy", *core}, name


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_code_runs_from_top_to_bottom(page, tmp_path):
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S))
    # Small sizes: they show that the code runs, not that the results are good.
    code = re.sub(r"\b(steps|steps_per_epoch)=\d{2,}(_\d+)?", r"\1=3", code)
    code = re.sub(r"\bepochs=\d+", "epochs=1", code)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


@pytest.mark.slow
def test_a_wheel_is_refused_with_a_sentence(tmp_path):
    shutil.copytree(ROOT, tmp_path / "copy", ignore=shutil.ignore_patterns(".*", "runs", "*.npz"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "./copy"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode and "pip install -e ." in run.stdout + run.stderr
    assert not list(tmp_path.glob("*.whl"))
