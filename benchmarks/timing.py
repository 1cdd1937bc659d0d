"""Ways that take turns, for the benchmarks beside this file: here, or each in a process of its own.

Without Keras: it would be most of the memory of a process that does without.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection


def command_line(doc: str, quick: str, ways: Collection[str] = ()) -> argparse.Namespace:
    """What a benchmark was called with; `way` if it is to measure one, in this process."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--quick", action="store_true", help=quick)
    if ways:
        parser.add_argument("--way", choices=ways, help="measure only this, in this process")
    return parser.parse_args()


def timed(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds that each way takes, in rounds in which they take turns."""

    def seconds(way: str) -> float:
        start = time.perf_counter()
        ways[way]()
        return time.perf_counter() - start

    return _in_turns(seconds, ways, rounds)


def apart(
    module: str, ways: Collection[str], rounds: int, backends: dict[str, str] | None = None
) -> dict[str, list[dict]]:
    """What `--way` of a module prints for each way, as JSON, each time in a process of its own."""

    def measured(way: str) -> dict:
        command = [sys.executable, "-m", f"benchmarks.{module}", "--way", way, *sys.argv[1:]]
        environment = {**os.environ, **({"KERAS_BACKEND": backends[way]} if backends else {})}
        out = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        return json.loads(out.splitlines()[-1])

    return _in_turns(measured, ways, rounds)


def _in_turns(measure: Callable[[str], object], ways: Collection[str], rounds: int) -> dict:
    # What slows the machine down for a while slows all of them.
    found = [{way: measure(way) for way in ways} for _ in range(rounds)]
    return {way: [results[way] for results in found] for way in ways}


def peak_memory() -> float:
    """The largest memory that this process has had, in MB. Not on Windows."""
    import resource  # only here: Windows has none

    unit = 2**20 if sys.platform == "darwin" else 2**10

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def spread(name: str, values: list[float], form: str) -> dict[str, str]:
    """Two columns of a table: the median, and the range."""
    middle, least, most = map(form.format, (statistics.median(values), min(values), max(values)))
    return {name: middle, f"{name}, range": least if least == most else f"{least} to {most}"}
