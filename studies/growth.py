"""Do time and memory grow? Building, training and generating 1,000 to 10,000,000 sequences.

python -m studies.growth

All are streamed in batches of 1,000, each size in a process of its own. The predictor is a tiny
one, `units=(8, 8)`, to keep the largest size to minutes.
"""

import itertools
import json
import sys
import tempfile
import time
from os import PathLike

from data import load_mnist
from preprocessing import DigitSequences
from studies import report

WORKS = ("building", "training", "generating")


def measure(way: str) -> dict:
    import resource  # only here: Windows has none

    work, sequences = way.split()
    stream = DigitSequences(*load_mnist()[0], seed=0)
    if work != "building":
        from model import NextImagePredictor, make_optimizer, summed_squared_error
        from training import resumable_fit

        model = NextImagePredictor(units=(8, 8))
        model.compile(make_optimizer("adam"), summed_squared_error, jit_compile=True)

    def run(steps):
        if work == "training":
            one = {"epochs": 1, "steps_per_epoch": steps, "batch_size": 1_000, "verbose": 0}
            with tempfile.TemporaryDirectory() as folder:
                resumable_fit(model, stream, folder, **one)
            return
        for inputs, _ in itertools.islice(stream.batches(1_000), steps):
            if work == "generating":
                model.generate(inputs, 6)

    run(2)  # compiles, which takes the same seconds for any size
    start = time.perf_counter()
    run(int(sequences.replace(",", "")) // 1_000)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 2**20 if sys.platform == "darwin" else 2**10
    return {"work": work, "sequences": sequences, "seconds": seconds, "peak memory, MB": peak}


def plot(path: str | PathLike) -> None:
    """Draws the saved results."""
    import matplotlib.pyplot as plt  # only here: they would be most of the memory of building
    import pandas as pd

    results = json.loads((report.RESULTS / "growth.json").read_text())
    rows = pd.DataFrame(results["rows"]).set_index("work")
    medians = rows.apply(lambda cells: cells.str.split().str[0].str.replace(",", "").astype(float))
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for ax, column in zip(axes, ("seconds", "peak memory, MB"), strict=True):
        for work in WORKS:
            ax.loglog(medians["sequences"][work], medians[column][work], marker="o", label=work)
        ax.set(xlabel="sequences", ylabel=column)
        ax.legend(frameon=False)
    axes[1].set_ylim(10, 10_000)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    runs = []
    for size in [10**power for power in range(3, 8)]:
        rounds = 1 if size >= 10**6 else 3
        runs += report.in_turns(measure, {f"{work} {size:,}": {} for work in WORKS}, rounds)
    forms = {"seconds": "{:,.3g}", "peak memory, MB": "{:,.0f}"}
    notes = (
        "Medians and ranges of three alternating rounds; a million and more ran once. Chains have "
        "six steps. Memory includes Python, the images and, but for building, Keras."
    )
    report.save("growth", runs, ["sequences", "work"], forms, notes)
