"""Tables of results: printed, and saved as Markdown and JSON with machine, versions and date."""

import datetime
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from quiet import keras

RESULTS = Path(__file__).parent / "results"


def machine() -> dict:
    """What a reader has to know to compare figures."""
    versions = {}
    for package in ("numpy", "keras", "tensorflow", "jax", "torch", "pandas"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        **versions,
        "backend": keras.backend.backend(),
    }


def table(rows: list[dict]) -> str:
    """Rows with the same keys as a Markdown table."""
    cells = [
        [f"{cell:,.10g}" if isinstance(cell, int | float) else str(cell) for cell in row.values()]
        for row in rows
    ]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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
        (RESULTS / f"{name}.md").write_text(text + "\n")
        results = {"machine": about, "command": command, "rows": rows}
        (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
