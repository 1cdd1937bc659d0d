"""What the studies share: work in other processes, medians with ranges, saved tables."""

import datetime
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "studies" / "results"
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())


def in_processes(work: Callable, settings: Sequence, at_once=1, **environment: str) -> list:
    """Calls a function with each setting, in so many other processes, with these variables. Of
    several processes at once, each has one core (on Linux)."""
    at_once = min(at_once, len(CORES))
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in CORES:
        cores.put({core} if at_once > 1 else CORES)
    with (
        patch.dict(os.environ, environment),
        ProcessPoolExecutor(at_once, context, initializer=_pin, initargs=(cores,)) as pool,
    ):
        return list(pool.map(work, settings))


def _pin(cores: multiprocessing.Queue) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores.get())


def spread(values: Iterable[float | None], form: str = "{}") -> str:
    """Median and range, such as `3 (2 to 5)`; `None` or infinite is a run that never got there."""
    ordered = sorted(float("inf") if value is None else value for value in values)
    low, middle, high = (
        "never" if value == float("inf") else form.format(value)
        for value in (ordered[0], statistics.median(ordered), ordered[-1])
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def machine() -> dict:
    """What a reader has to know to compare figures, or to measure them again."""
    import keras  # only here: it would be most of the memory of a process that does without

    def git(*arguments: str) -> str:
        # Without --git-dir, git would also find a repository that the project merely lies in.
        command = ["git", "--git-dir=.git", *arguments]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return found.stdout.strip()

    commit = shutil.which("git") and git("rev-parse", "--short", "HEAD")
    if commit and git("status", "--porcelain", "-uno", "--", "*.py"):
        commit += " and changes"
    packages = filter(find_spec, ("numpy", "keras", "tensorflow", "jax", "torch"))
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit or "unknown",
        "cpu": f"{len(CORES)} of {os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "backend": keras.backend.backend(),
    }


def save(name: str, runs: list[dict], by: Sequence[str], forms: dict, notes: str) -> None:
    """Prints and saves in `results/` a table of runs: what some columns name, and medians and
    ranges of others, in these forms, or what a function makes of all values, such as `sum`."""
    groups = {}
    for run in runs:
        groups.setdefault(tuple(run[column] for column in by), []).append(run)
    rows = []
    for names, group in groups.items():
        row = dict(zip(by, names, strict=True))
        for column, form in forms.items():
            values = [run[column] for run in group if column in run]
            row[column] = form(values) if callable(form) else spread(values, form) if values else ""
        rows.append(row)
    about = machine()
    script = name.partition("_")[0]  # plateau.py also saves plateau_causes
    options = [Path(argument).name for argument in sys.argv[1:]]
    command = " ".join([f"KERAS_BACKEND={about['backend']} python -m studies.{script}", *options])
    origin = f"`{command}` on " + ", ".join(f"{key} {value}" for key, value in about.items())
    lines = [rows[0], ["---"] * len(rows[0]), *(row.values() for row in rows)]
    table = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    text = f"{table}\n\n{notes}\n\n{origin}\n"
    print(text, flush=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    results = {"machine": about, "command": command, "rows": rows, "runs": runs}
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
