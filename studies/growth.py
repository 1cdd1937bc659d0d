"""Do time and memory grow? Training on 10,000 to 10,000,000 sequences.

python -m studies.growth

All are streamed in batches of 1,000, each number of them in a process of its own. The predictor is
a tiny one, `units=(8, 8)`, to keep the largest number to minutes.
"""

import sys
import tempfile
import time

from data import load_mnist
from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences
from studies import report
from training import resumable_fit


def measure(sequences: str) -> dict:
    import resource  # only here: Windows has none

    stream = DigitSequences(*load_mnist()[0], seed=0)
    model = NextImagePredictor(units=(8, 8))
    model.compile(make_optimizer("adam"), summed_squared_error, jit_compile=True)

    def train(steps):
        one = {"epochs": 1, "steps_per_epoch": steps, "batch_size": 1_000, "verbose": 0}
        with tempfile.TemporaryDirectory() as folder:
            resumable_fit(model, stream, folder, **one)

    train(2)  # compiles, which takes the same seconds for any number
    start = time.perf_counter()
    train(int(sequences.replace(",", "")) // 1_000)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 2**20 if sys.platform == "darwin" else 2**10
    return {"sequences": sequences, "seconds": seconds, "peak memory, MB": peak}


if __name__ == "__main__":
    runs = []
    for number in [10**power for power in range(4, 8)]:
        runs += report.in_turns(measure, {f"{number:,}": {}}, rounds=1 if number >= 10**6 else 3)
    forms = {"seconds": "{:,.3g}", "peak memory, MB": "{:,.0f}"}
    notes = "Medians and ranges of three runs; a million and more ran once. Memory includes Keras."
    report.save("growth", runs, ["sequences"], forms, notes)
