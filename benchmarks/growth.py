"""Building, training and generating at 1,000 to 10,000,000 sequences: time and peak memory.

python -m benchmarks.growth [--quick]

All are streamed in batches of 1,000, each size in a process of its own. The
predictor is a tiny one, `units=(8, 8)`, to keep the largest size to minutes.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

WORKS = ("building", "training", "generating")
BATCH = 1_000

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="up to 10,000 sequences only")
parser.add_argument("--largest", type=int, default=10**7, help="stop at so many")
parser.add_argument("--work", choices=WORKS, help="do this work, in this process")
parser.add_argument("--sequences", type=int, default=1_000)
arguments = parser.parse_args()


def measure(work: str, n: int) -> dict:
    from data import load_mnist
    from preprocessing import DigitSequences

    (images, labels), _ = load_mnist()
    sequences = DigitSequences(images, labels, seed=0)
    stream = sequences.batches(BATCH)
    if work != "building":
        from model import NextImagePredictor
        from train import train

        def train_for(steps):
            with tempfile.TemporaryDirectory() as folder:
                one = {"epochs": 1, "steps_per_epoch": steps, "batch_size": BATCH, "verbose": 0}
                train(model, sequences, folder, **one)

        model = NextImagePredictor(units=(8, 8))
        model.compile()
        # Compiles, which takes the same seconds for any size.
        train_for(2)
        model.generate(next(stream)[0], 6)
    start = time.perf_counter()
    if work == "training":
        train_for(n // BATCH)
    else:
        for _ in range(n // BATCH):
            inputs, _ = next(stream)
            if work == "generating":
                model.generate(inputs, 6)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak": peak}


if arguments.work:
    print(json.dumps(measure(arguments.work, arguments.sequences)))
    sys.exit()

rows = []
largest = 10_000 if arguments.quick else arguments.largest
for n in (10**power for power in range(3, 8) if 10**power <= largest):
    row = {"sequences": n}
    runs = {work: [] for work in WORKS}
    for _ in range(1 if arguments.quick or n >= 10**6 else 3):
        for work in WORKS:
            command = [sys.executable, "-m", "benchmarks.growth", "--work", work]
            command += ["--sequences", str(n)]
            out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            runs[work].append(json.loads(out.splitlines()[-1]))
    for work in WORKS:
        seconds = [run["seconds"] for run in runs[work]]
        row[f"{work}, seconds"] = float(f"{statistics.median(seconds):.3g}")
        row[f"{work}, from, to"] = f"{min(seconds):.3g}, {max(seconds):.3g}"
        row[f"{work}, MB"] = round(statistics.median(run["peak"] for run in runs[work]))
    rows.append(row)
# Only now: a new process on Linux starts with the peak memory of the one that started it, and this
# brings Keras.
from benchmarks import report  # noqa: E402

notes = (
    "Medians of three alternating runs, but for a million and more, which ran once. Six-step "
    "chains are generated. Peak memory includes Python, the images and, but for building, Keras."
)
report.save("growth", "Growth", rows, notes, arguments.quick)
