"""Building 33,000 sequences, ours and in the usual ways: time and peak memory.

python -m benchmarks.building [--quick]

The data-frame recipe keeps images as lists in a pandas frame and, for every
window and every index, selects the images of each digit by label and appends one row.
"""

import json
import statistics
import sys
import time

import numpy as np

from benchmarks.timing import apart, command_line, peak_memory, spread


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


def plain_numpy(images, labels, n):
    rng = np.random.default_rng(0)
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
    inputs = np.empty((n, 4, 784), np.float32)
    targets = np.empty((n, 28, 28), np.float32)
    size = n // 6
    for first in range(6):
        rows = slice(first * size, (first + 1) * size)
        for place in range(4):
            chosen = rng.choice(of_digit[first + place], size)
            inputs[rows, place] = images[chosen].reshape(size, 784)
        targets[rows] = images[rng.choice(of_digit[first + 4], size)]
    inputs /= 255
    targets /= 255
    return inputs, targets


def ours(images, labels, n):
    from preprocessing import DigitSequences

    return DigitSequences(images, labels, seed=0).sample(n)


WAYS = {"data-frame recipe": recipe, "NumPy": plain_numpy, "ours, arrays": ours}
arguments = command_line(__doc__, "330 sequences, once", WAYS)
n = 330 if arguments.quick else 33_000

if arguments.way:
    from data import load_mnist

    build = WAYS[arguments.way]
    images, labels = load_mnist()[0]
    build(images, labels, 60)  # what is slow only the first time, like imports, is not timed
    start = time.perf_counter()
    built = build(images, labels, n)
    seconds = time.perf_counter() - start
    assert len(built[0]) == n
    print(json.dumps({"seconds": seconds, "peak": peak_memory()}))
    sys.exit()

slow, *fast = WAYS
runs = apart("building", [slow], 1)  # minutes long: it needs no median
runs |= apart("building", fast, 1 if arguments.quick else 5)

# Only now, since it brings Keras: on Linux a process starts with the peak memory of its parent.
from benchmarks import report  # noqa: E402

rows = []
for way, found in runs.items():
    seconds = [run["seconds"] for run in found]
    faster = runs[slow][0]["seconds"] / statistics.median(seconds)
    peak = statistics.median(run["peak"] for run in found)
    rows.append(
        {
            "way": way,
            **spread("seconds", seconds, "{:.3g}"),
            "times faster": f"{faster:,.0f}",
            "peak memory": f"{peak:,.0f} MB",
        }
    )
notes = (
    f"{n:,} sequences, each time in a process of its own; medians of {len(found)} alternating "
    "runs, but for the recipe, which ran once. Peak memory includes Python, NumPy and the images; "
    f"the arrays themselves are {n * 5 * 784 * 4 / 2**20:.0f} MB of it."
)
report.save("building", "Building sequences", rows, notes, arguments.quick)
