"""Tables of results: printed, and saved as Markdown and JSON with machine, versions and date."""

import datetime
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> dict:
    """What a reader has to know to compare figures."""
    versions = {}
    for package in ("numpy", "keras", "tensorflow", "jax", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        **versions,
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
    }


def table(rows: list[dict]) -> str:
    """Rows with the same keys as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(map(str, row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(name: str, title: str, rows: list[dict], notes: str = "") -> None:
    """Prints a table and writes it to `results/<name>.md` and `results/<name>.json`."""
    about = machine()
    command = "python " + " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    text = "\n\n".join(
        filter(
            None,
            [
                f"# {title}",
                table(rows),
                notes,
                f"`{command}` on " + ", ".join(f"{k} {v}" for k, v in about.items()),
            ],
        )
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n")
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"machine": about, "command": command, "rows": rows}, indent=1) + "\n"
    )
    print(text, flush=True)
