"""Do time and memory grow? Building, training and generating 1,000 to 10,000,000 sequences.

python -m studies.growth

All are streamed in batches of 1,000, each size in a process of its own. The predictor is a tiny
one, `units=(8, 8)`, to keep the largest size to minutes.
"""

import itertools
import sys
import tempfile
import time

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
