"""Tables of results: printed, and saved as Markdown and JSON with date, commit and machine."""

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import numpy as np

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def machine() -> dict:
    """What a reader has to know to compare figures, or to measure them again."""

    def git(*arguments: str) -> str:
        # Without --git-dir, git would also find a repository that the project merely lies in.
        command = ["git", "--git-dir=.git", *arguments]
        return subprocess.check_output(
            command, cwd=ROOT, stderr=subprocess.DEVNULL, text=True
        ).strip()

    try:
        commit = git("rev-parse", "--short", "HEAD")
        if git("status", "--porcelain", "-uno", "--", "*.py"):
            commit += " and changes"
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {}
    for package in ("numpy", "keras", "tensorflow", "jax", "torch", "pandas"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "cpu": f"{cores} of {os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        **versions,
        "backend": keras.backend.backend(),
    }


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table; in a notebook, `Markdown(table(rows))` shows it.

    Args:
        rows: At least one dict of cells by column, all with the same keys.

    Returns:
        The table, with thousands separators in numbers; strings stay as they are.
    """
    cells = [
        [f"{cell:,.10g}" if isinstance(cell, int | float) else str(cell) for cell in row.values()]
        for row in rows
    ]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def within(values: Iterable[float | None], form: str = "{}", never: str = "never") -> str:
    """Median and range over a few seeds; `None` or infinite where a run never got there."""
    ordered = sorted(np.inf if value is None else value for value in values)
    low, middle, high = (
        never if value == np.inf else form.format(value)
        for value in (ordered[0], statistics.median(ordered), ordered[-1])
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def save(
    name: str,
    title: str,
    rows: list[dict],
    notes: str = "",
    quick: bool = False,
    module: str | None = None,
) -> None:
    """Prints a table and, unless it is from a quick look, writes it to `results/`."""
    about = machine()
    command = f"KERAS_BACKEND={about['backend']} python -m benchmarks.{module or name}"
    machine_line = f"`{command}` on " + ", ".join(f"{key} {value}" for key, value in about.items())
    text = "\n\n".join(filter(None, [f"# {title}", table(rows), notes, machine_line]))
    print(text, flush=True)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")
        results = {"machine": about, "command": command, "rows": rows}
        (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
