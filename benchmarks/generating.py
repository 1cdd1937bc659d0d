"""Generating chains of six steps: one `predict` call for each step, against `generate`.

python -m benchmarks.generating [--quick]
"""

import argparse
import statistics
import time

import numpy as np

from benchmarks import report
from data import load_mnist
from model import keras
from preprocessing import DigitSequences

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="three rounds instead of eleven")
quick = parser.parse_args().quick

predictor = keras.saving.load_model("models/next_image.keras")
_, (images, labels) = load_mnist()
test = DigitSequences(images, labels, windows=[[0, 1, 2, 3, 4]], seed=0)


def step_by_step(context):
    chain = []
    for _ in range(6):
        chain.append(predictor.predict(context, verbose=0))
        context = np.concatenate([context[:, 1:], chain[-1].reshape(-1, 1, 784)], axis=1)
    return np.stack(chain, axis=1)


def at_once(context):
    return predictor.generate(context, steps=6)


ways = {"`predict` for each step": step_by_step, "`generate`": at_once}
rows = []
for count in (1, 1_000):
    context = test.sample(count)[0]
    np.testing.assert_allclose(at_once(context), step_by_step(context), atol=1e-5)  # and compiles
    seconds = {way: [] for way in ways}
    for _ in range(3 if quick else 11):
        for way, chains in ways.items():
            start = time.perf_counter()
            chains(context)
            seconds[way].append(time.perf_counter() - start)
    slow = statistics.median(seconds["`predict` for each step"])
    for way, times in seconds.items():
        rows.append(
            {
                "chains": count,
                "way": way,
                "milliseconds": f"{statistics.median(times) * 1e3:.1f}",
                "from, to": f"{min(times) * 1e3:.1f}, {max(times) * 1e3:.1f}",
                "times faster": f"{slow / statistics.median(times):.1f}",
            }
        )
notes = f"Medians of {len(times)} alternating rounds."
name = f"generating_{keras.backend.backend()}"
report.save(name, "Generating six-step chains", rows, notes, quick, module="generating")
