"""Building 33,000 sequences: ours against the row-by-row data-frame recipe. Time and peak memory.

python -m benchmarks.building [--quick]

The recipe keeps images as lists in a pandas frame and, for every window and
every index, selects the images of each digit by label and appends one row.
"""

import argparse
import json
import resource
import sys
import time

import numpy as np

WAYS = ("recipe", "arrays", "indices")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="330 sequences, once")
parser.add_argument("--way", choices=WAYS, help="build one way, in this process")
parser.add_argument("--sequences", type=int, default=33_000)
arguments = parser.parse_args()


def recipe(images, labels, n):
    import pandas

    scaled = (images.reshape(-1, 784) / 255).tolist()
    frame = pandas.DataFrame({"image": scaled, "label": labels})
    rows = pandas.DataFrame(columns=["input", "target"], dtype=object)
    for first in range(6):
        for index in range(n // 6):
            chosen = []
            for digit in range(first, first + 5):
                own = frame[frame["label"] == digit]
                chosen.append(own["image"].iloc[index % len(own)])
            rows.loc[len(rows)] = [chosen[:4], chosen[4]]
    return np.array(rows["input"].tolist()), np.array(rows["target"].tolist())


def build(way: str, images, labels, n: int):
    from preprocessing import DigitSequences

    if way == "recipe":
        return recipe(images, labels, n)
    sequences = DigitSequences(images, labels, seed=0)
    return sequences.sample(n) if way == "arrays" else sequences.draw(n)


def measure(way: str, n: int) -> dict:
    from data import load_mnist

    images, labels = load_mnist()[0]
    build(way, images, labels, 60)  # what is slow only the first time, like imports, is not timed
    start = time.perf_counter()
    built = build(way, images, labels, n)
    seconds = time.perf_counter() - start
    assert len(built[0]) == n
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak": peak}


if arguments.way:
    print(json.dumps(measure(arguments.way, arguments.sequences)))
    sys.exit()

# Only now, to keep them out of the memory that is measured.
import statistics  # noqa: E402
import subprocess  # noqa: E402

n = 330 if arguments.quick else arguments.sequences
results = {way: [] for way in WAYS}
for run in range(1 if arguments.quick else 5):
    for way in WAYS:
        if way == "recipe" and run:
            continue  # minutes long; what varies by milliseconds does not matter there
        command = [sys.executable, "-m", "benchmarks.building"]
        command += ["--way", way, "--sequences", str(n)]
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        results[way].append(json.loads(out))
median = {
    way: {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak")}
    for way, runs in results.items()
}
rows = []
for way, runs in results.items():
    seconds = [run["seconds"] for run in runs]
    rows.append(
        {
            "way": way,
            "sequences": n,
            "seconds": f"{median[way]['seconds']:.4f}",
            "from, to": f"{min(seconds):.4f}, {max(seconds):.4f}",
            "times faster": f"{median['recipe']['seconds'] / median[way]['seconds']:,.0f}",
            "peak memory": f"{median[way]['peak']:.0f} MB",
            "share of memory": f"{median[way]['peak'] / median['recipe']['peak']:.2f}",
        }
    )
# Only now: a new process on Linux starts with the peak memory of the one that started it, and this
# brings Keras.
from benchmarks import report  # noqa: E402

notes = (
    f"Each in a process of its own, medians of {len(results['arrays'])} alternating runs, of one "
    "for the recipe. "
    "Peak memory includes Python, NumPy and the images; of that of arrays, "
    f"{n * 5 * 784 * 4 / 2**20:.0f} MB are the arrays themselves."
)
report.save("building", "Building sequences", rows, notes, arguments.quick)
