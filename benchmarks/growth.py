"""Building, training and generating at 1,000 to 10,000,000 sequences: time and peak memory.

python -m benchmarks.growth [--quick]

All are streamed in batches of 1,000, each size in a process of its own. The
predictor is a tiny one, `units=(8, 8)`, to keep the largest size to minutes.
"""

import itertools
import json
import statistics
import sys
import tempfile
import time

from benchmarks.timing import apart, command_line, peak_memory, spread
from data import load_mnist
from preprocessing import DigitSequences

WORKS = ("building", "training", "generating")
SIZES = [10**power for power in range(3, 8)]
BATCH = 1_000
ways = [f"{work} {n}" for n in SIZES for work in WORKS]
arguments = command_line(__doc__, "up to 10,000 sequences, once", ways)


def measure(work: str, n: int) -> dict:
    sequences = DigitSequences(*load_mnist()[0], seed=0)
    stream = sequences.batches(BATCH)
    if work != "building":
        from model import NextImagePredictor, make_optimizer, summed_squared_error
        from resume import resumable_fit

        model = NextImagePredictor(units=(8, 8))
        model.compile(make_optimizer("adam"), summed_squared_error, jit_compile=True)

    def run(steps):
        if work == "training":
            with tempfile.TemporaryDirectory() as folder:
                one = {"epochs": 1, "steps_per_epoch": steps, "batch_size": BATCH, "verbose": 0}
                resumable_fit(model, sequences, folder, **one)
            return
        for inputs, _ in itertools.islice(stream, steps):
            if work == "generating":
                model.generate(inputs, 6)

    run(2)  # compiles, which takes the same seconds for any size
    start = time.perf_counter()
    run(n // BATCH)
    return {"seconds": time.perf_counter() - start, "peak": peak_memory()}


if arguments.way:
    work, n = arguments.way.split()
    print(json.dumps(measure(work, int(n))))
    sys.exit()

rows = []
for n in SIZES[:2] if arguments.quick else SIZES:
    works = {f"{work} {n}": work for work in WORKS}
    runs = apart("growth", works, 1 if arguments.quick or n >= 10**6 else 3)
    rows.append({"sequences": n})
    for way, work in works.items():
        seconds = [run["seconds"] for run in runs[way]]
        rows[-1] |= spread(f"{work}, seconds", seconds, "{:.3g}")
        # Numbers, to draw: main.ipynb does.
        rows[-1][f"{work}, seconds"] = float(rows[-1][f"{work}, seconds"])
        rows[-1][f"{work}, MB"] = round(statistics.median(run["peak"] for run in runs[way]))

# Only now, since it brings Keras: on Linux a process starts with the peak memory of its parent.
from benchmarks import report  # noqa: E402

notes = (
    "Medians of three alternating runs, but for a million and more, which ran once. Six-step "
    "chains are generated. Peak memory includes Python, the images and, but for building, Keras."
)
report.save("growth", "Growth", rows, notes, arguments.quick)
