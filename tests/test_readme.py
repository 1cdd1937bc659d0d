"""What the README files say holds: figures are those of the files they name, and code runs.

A comment directly above a table or paragraph names where its figures are from, as in
`<!-- source: main.ipynb -->`. A table needs one, or `<!-- no figures -->`.
"""

import ast
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
PAGES = ("README.md", "studies/README.md")

# 0.50, 11,914, -0.039, 3e-4 and the 99.9 of 99.9%, but not the 0 of sgd0 or the 7 of 3.11.7.
FIGURE = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?")
CORE = [
    "data",
    "preprocessing",
    "augmentation",
    "model",
    "training",
    "classifier",
    "evaluation",
    "plotting",
]


def figures(text: str) -> list[str]:
    text = re.sub(r"\]\([^)]*\)|\x1b\[[\d;]*m", "", text)  # targets of links, colours of a terminal
    return [figure.lstrip("+").replace(",", "") for figure in FIGURE.findall(text)]


def committed(page: Path, source: Path) -> str:
    """A source as committed, if the page is: who runs a notebook gets other times."""
    git = ["git", "-C", str(ROOT)]
    if (
        shutil.which("git")
        and not subprocess.run([*git, "diff", "--quiet", "HEAD", page]).returncode
    ):
        shown = [*git, "show", f"HEAD:{source.relative_to(ROOT)}"]
        found = subprocess.run(shown, capture_output=True, text=True)
        if not found.returncode:
            return found.stdout
    return source.read_text()


def lines_of(text: str, source: str) -> list[str]:
    """The lines of a source's text and tables."""
    if not source.endswith(".ipynb"):
        return text.splitlines()
    lines = []
    for cell in nbformat.reads(text, 4).cells:
        for output in cell.get("outputs", ()):
            lines += output.get("text", "").splitlines()
            data = output.get("data", {})
            lines += data.get("text/plain", "").splitlines()
            # A row of a table on one line: a wide one is wrapped as plain text.
            for row in re.findall(r"<tr.*?</tr>", data.get("text/html", ""), re.S):
                lines.append(re.sub(r"<.*?>", " ", row).replace("\n", " "))
    return lines


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_is_that_of_its_source(page):
    page = ROOT / page
    blocks = page.read_text().split("\n\n")
    problems = []
    for block in blocks:
        comment, _, rest = block.partition("\n")
        if block.startswith("|"):
            problems.append(f"no source for {block[:60]}")
        if not comment.startswith("<!-- source: "):
            continue
        sources = re.split(r",\s*", comment.removeprefix("<!-- source: ").removesuffix(" -->"))
        rows = [
            Counter(figures(line))
            for source in sources
            for line in lines_of(committed(page, page.parent / source), source)
        ]
        everything = Counter(dict.fromkeys((figure for row in rows for figure in row), 99))
        one_table = rest.startswith("|") and len(sources) == 1
        for line in rest.splitlines()[2 if rest.startswith("|") else 0 :]:
            stated = Counter(figures(line))
            # A table's row has its figures from one row of its source, if that is one file.
            if not any(stated <= row for row in (rows if one_table else [everything])):
                problems.append(f"{', '.join(sources)} lacks the figures of {line[:100]}")
    assert not problems, "\n".join(["", *problems])


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target


def test_every_table_of_results_says_at_which_commit_it_was_made():
    tables = list((ROOT / "studies" / "results").glob("*.md"))
    assert tables
    for table in tables:
        machine = json.loads(table.with_suffix(".json").read_text())["machine"]
        assert re.fullmatch("[0-9a-f]{7,40}( and changes)?", machine["commit"]), table


def imports(path: Path) -> set[str]:
    """What a file imports, in its functions, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found


def test_a_core_file_imports_only_those_above_it_in_the_readme():
    listed = re.findall(r"^\| `(\w+)\.py` ", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert listed == CORE
    for place, name in enumerate(CORE):
        later = {*CORE[place:], "handwriting", "sampling", "studies"}
        assert not imports(ROOT / f"{name}.py") & later, name
    for name in CORE[:3]:
        assert not imports(ROOT / f"{name}.py") & {"keras", "tensorflow"} or name == "data"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_code_runs_from_top_to_bottom(page, tmp_path):
    # As one script whose lines are those of the page, so that an error says where it is.
    script, python = [], False
    for line in (ROOT / page).read_text().splitlines():
        python = line != "```" and (python or line == "```python")
        script.append(line if python and line != "```python" else "")
    script = "\n".join(script)
    # Small sizes: they show that the code runs, not that the results are good.
    script = re.sub(r"\b(steps|steps_per_epoch)=\d{2,}(_\d+)?", r"\1=3", script)
    script = re.sub(r"\bepochs=\d+", "epochs=1", script)
    for folder in ("models", "imgs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    run = subprocess.run(
        [sys.executable, "-c", "import sys; exec(compile(sys.stdin.read(), 'page', 'exec'))"],
        input=script,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_a_wheel_is_refused_with_a_sentence(tmp_path):
    shutil.copytree(ROOT, tmp_path / "copy", ignore=shutil.ignore_patterns(".*", "runs", "*.npz"))
    run = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(tmp_path), "./copy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode and "pip install -e ." in run.stdout + run.stderr
    assert not list(tmp_path.glob("*.whl"))
