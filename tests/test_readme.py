"""What README.md says holds: its figures are those of the files it names, and its code runs.

A comment directly above a table, paragraph, list or fenced block names where its figures are from:
`<!-- source: main.ipynb -->`, or several, with commas. A table needs one, or `<!-- no figures -->`.
"""

import ast
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from benchmarks import report

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "benchmarks/README.md")

# 0.50, 11,914, -0.039, 3e-4 and the 99.9 of 99.9%, but not the 0 of sgd0 or the 7 of 3.11.7.
FIGURE = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?")
BLOCK = re.compile(
    r"(?:^<!-- (source: .+|no figures) -->\n\n?)?"
    r"(^```.*\n(?:.*\n)*?```$"  # a fenced block
    r"|(?:^\|.*\n?)+"  # a table
    r"|(?:^(?!```|\||<!--).+\n?)+"  # a paragraph, list or heading
    r"|^<!-- source.*$)",  # a comment that no block follows
    re.MULTILINE,
)

# Small sizes: they show that the code runs, not that the results are good.
SMALL = {"steps_per_epoch=125": "steps_per_epoch=2", "epochs=16": "epochs=1", "1_200": "3"}


def figures(text: str) -> list[str]:
    text = re.sub(r"\]\([^)]*\)|\x1b\[[\d;]*m", "", text)  # targets of links, colours of a terminal
    return [figure.lstrip("+").replace(",", "") for figure in FIGURE.findall(text)]


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    name = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    return subprocess.run(["git", *name, *arguments], cwd=folder, capture_output=True, text=True)


def text_of(source: str, page: str, root: Path) -> str:
    """A source as it was committed, where the page is: who runs a notebook gets other times."""
    if shutil.which("git") and git(root, "diff", "--quiet", "HEAD", "--", page).returncode == 0:
        shown = git(root, "show", f"HEAD:./{source}")
        if shown.returncode == 0:
            return shown.stdout
    return (root / source).read_text()


def said_by(source: str, page: str, root: Path) -> list[str]:
    """The rows of a source's tables and the lines of its text."""
    text = text_of(source, page, root)
    if source.endswith(".json"):
        return [" | ".join(map(str, row.values())) for row in json.loads(text)["rows"]]
    if source.endswith(".ipynb"):
        outputs = [out for cell in nbformat.reads(text, 4).cells for out in cell.get("outputs", ())]
        said = [{"text/plain": out.get("text", ""), **out.get("data", {})} for out in outputs]
        kinds = ("text/plain", "text/markdown")
        text = "\n".join(out[kind] for out in said for kind in kinds if kind in out)
    return text.splitlines()


def drifted(page: str, root: Path) -> list[str]:
    """Where a page has other figures than its sources, or does not name them.

    A row of a table must have its figures from one row or line of a source; other blocks may have
    them from anywhere in it.
    """
    text = (root / page).read_text()
    problems = []
    for block in BLOCK.finditer(text):
        comment, lines = block[1], block[2].splitlines()
        table = lines[0].startswith("|")
        first = text.count("\n", 0, block.start(2)) + 1
        if lines[0].startswith("<!--") or (comment and lines[0].startswith("#")):
            problems.append(f"{page}:{first}: a comment must stand directly above what it is about")
        elif comment is None and table:
            problems.append(
                f"{page}:{first}: above this table, write <!-- source: ... --> or "
                "<!-- no figures -->"
            )
        if table and len(set(lines)) < len(lines):
            problems.append(f"{page}:{first}: this table has a row twice")
        if comment in (None, "no figures"):
            continue
        sources = re.split(r",\s*", comment.removeprefix("source: "))
        missing = [source for source in sources if not (root / source).is_file()]
        if missing:
            problems.append(f"{page}:{first}: there is no {', '.join(missing)}")
            continue
        rows = [
            Counter(figures(line)) for source in sources for line in said_by(source, page, root)
        ]
        if not table:
            rows = [Counter({figure: math.inf for row in rows for figure in row})]
        for number, line in enumerate(lines[2:] if table else lines, first + 2 * table):
            stated = figures(line)
            lefts = [Counter(stated) - row for row in rows]
            left = min(lefts, key=Counter.total, default=Counter(stated))
            if left:
                nearest = f" in the row nearest to {', '.join(stated)}" if table else ""
                lacks = f"{', '.join(sources)} lacks {', '.join(left.elements())}"
                problems.append(f"{page}:{number}: {lacks}{nearest}")
    return problems


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_is_that_of_its_source(page):
    problems = drifted(page, ROOT)
    assert not problems, "\n".join(["", *problems])


SPEED = """# Speed

| way | sequences | seconds | from, to | times faster |
| --- | --- | --- | --- | --- |
| plain | 1000 | 12.50 | 11.9, 13.2 | 1.0 |
| ours | 1000 | 2.50 | 2.4, 2.6 | 5.0 |

A batch takes 1.84 ms.
"""
PAGE = """# A page of 2

<!-- source: speed.md -->
| way, 99% right | sequences | seconds | times faster |
|---|---|---|---|
| plain, [see](v/7) | 1,000 | 12.50 | 1.0 |
| ours | 1,000 | 2.50 | 5.0 |

<!-- source: study.ipynb, speed.json -->
| way | right | drift |
|---|---|---|
| sgd0 | 100.00% | -0.039 |
| both | 98 | 3e-4 |

<!-- no figures -->
| context | next |
|---|---|
| 1 2 | 3 |

<!-- source: speed.md -->
A batch takes 1.84 ms, and
1,000 sequences 2.50 s.

<!-- source: study.ipynb -->
```
right 97.5%,

drift +0.0000%
```

No source, and 42 of anything.
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "speed.md").write_text(SPEED)
    (tmp_path / "speed.json").write_text(
        '{"rows": [{"way": "both", "right": 98, "drift": "3e-4"}]}'
    )
    new = nbformat.v4
    table = "| optimizer | right | drift |\n|---|---|---|\n| sgd0 | 100.00% | -0.039 |"
    outputs = [
        new.new_output("stream", text="\x1b[1mright 97.5%\ndrift 0.0000%\n"),
        new.new_output("display_data", {"text/markdown": table, "text/plain": "<Markdown>"}),
    ]
    cells = [new.new_markdown_cell("It was 97.4%."), new.new_code_cell("97.3", outputs=outputs)]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "study.ipynb")
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("12.50 |", "12.51 |", "6: speed.md lacks 12.51 in the row nearest to 1000, 12.51, 1.0"),
        ("| 2.50 |", "| 2.5 |", "7: speed.md lacks 2.5 in the row nearest to 1000, 2.5, 5.0"),
        ("5.0 |", "1.0 |", "7: speed.md lacks 2.50 in the row nearest to 1000, 2.50, 1.0"),
        ("| ours |", "| ours, 256 |", "7: speed.md lacks 256 in the row nearest to 256, 1000"),
        ("| ours |", "| 2.50 |", "7: speed.md lacks 2.50 in the row nearest to 2.50, 1000"),
        ("-0.039", "0.039", "12: study.ipynb, speed.json lacks 0.039 in the row"),
        ("3e-4", "3e-5", "13: study.ipynb, speed.json lacks 3e-5 in the row"),
        ("study.ipynb, speed.json", "study.ipynb", "13: study.ipynb lacks 98, 3e-4 in the row"),
        ("1.84 ms", "1.85 ms", "21: speed.md lacks 1.85"),
        ("97.5%", "97.4%", "26: study.ipynb lacks 97.4"),
        ("97.5%", "97.3%", "26: study.ipynb lacks 97.3"),
        ("+0.0000%", "0.0001%", "28: study.ipynb lacks 0.0001"),
        ("study.ipynb, speed.json", "study.ipynb, gone.json", "10: there is no gone.json"),
        ("<!-- no figures -->\n", "", "15: above this table, write"),
        ("plain, [see](v/7) | 1,000 | 12.50 | 1.0", "ours | 1,000 | 2.50 | 5.0", "4: this table"),
        ("<!-- source: speed.md -->\n| way", "| way", "3: above this table, write"),
        ("<!-- source: speed.md -->\nA", "<!-- sources: speed.md -->\nA", "20: a comment must"),
        ("A batch", "## Speed\n\nA batch", "21: a comment must"),
    ],
)
def test_a_figure_that_drifts_is_found(folder, old, new, problem):
    (folder / "page.md").write_text(PAGE)
    assert drifted("page.md", folder) == []
    assert old in PAGE
    (folder / "page.md").write_text(PAGE.replace(old, new, 1))
    (found,) = drifted("page.md", folder)
    assert found.startswith(f"page.md:{problem}")


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_who_runs_a_notebook_anew_is_not_told_that_the_page_has_drifted(folder):
    (folder / "page.md").write_text(PAGE)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    (folder / "speed.md").write_text(SPEED.replace("12.50", "14.00"))
    assert drifted("page.md", folder) == []
    git(folder, "commit", "--quiet", "--all", "--message=second")
    assert drifted("page.md", folder)


def test_every_table_of_results_says_at_which_commit_it_was_made():
    tables = list((ROOT / "benchmarks" / "results").glob("*.md"))
    assert tables
    machines = {t.stem: json.loads(t.with_suffix(".json").read_text())["machine"] for t in tables}
    commit = re.compile("[0-9a-f]{7,40}( and changes)?")
    assert not [name for name, of in machines.items() if not commit.fullmatch(of.get("commit", ""))]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_result_tells_its_commit_and_whether_the_code_has_changed_since(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    assert report.machine()["commit"] == "unknown"
    for name in ("model.py", "README.md"):
        (tmp_path / name).write_text("")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "model.py", "README.md")
    git(tmp_path, "commit", "--quiet", "--message=first")
    (tmp_path / "README.md").write_text("changed")
    (tmp_path / "new.py").write_text("")
    assert re.fullmatch("[0-9a-f]{7,40}", report.machine()["commit"])
    (tmp_path / "model.py").write_text("changed")
    assert re.fullmatch("[0-9a-f]{7,40} and changes", report.machine()["commit"])


def test_imports_run_one_way_as_the_readme_says():
    line = re.search(
        r"^Data flows one way, (.+) → `main.ipynb`.*", (ROOT / "README.md").read_text(), re.M
    )
    order = re.findall(r"`(\w+)`", line[1])
    aside = re.search(r"`(resume)` needs only `data` and `(\w+)`", line[0])
    order.insert(order.index(aside[2]) + 1, aside[1])
    modules = {path.stem for path in ROOT.glob("*.py")}
    assert modules == set(order)
    for place, name in enumerate(order):
        imported = set()
        for node in ast.walk(ast.parse((ROOT / f"{name}.py").read_text())):  # in functions, too
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
        assert imported & modules <= set(order[:place])


@pytest.mark.parametrize("page", PAGES)
def test_the_code_runs_from_top_to_bottom(page, tmp_path):
    # As one script whose lines are those of the page, so that an error says where it is.
    script, python = [], False
    for line in (ROOT / page).read_text().splitlines():
        python = line != "```" and (python or line == "```python")
        script.append(line if python and line != "```python" else "")
    script = "\n".join(script)
    for size, small in SMALL.items():
        script = script.replace(size, small)
    for folder in ("models", "imgs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; exec(compile(sys.stdin.read(), sys.argv[1], 'exec'))",
            page,
        ],
        input=script,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
