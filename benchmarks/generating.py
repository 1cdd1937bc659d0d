"""Generating chains of six steps: `generate`, beside loops over the ways to call a Keras model.

python -m benchmarks.generating [--quick]
"""

import statistics
from functools import partial

import keras
import numpy as np

from benchmarks import report
from benchmarks.timing import command_line, spread, timed
from data import load_mnist
from model import generate, make_optimizer, summed_squared_error
from preprocessing import DigitSequences

quick = command_line(__doc__, "three rounds instead of eleven").quick
predictor = keras.saving.load_model("models/next_image.keras")
predictor.compile(make_optimizer("adam"), summed_squared_error, jit_compile=True)  # as trained
_, (images, labels) = load_mnist()
test = DigitSequences(images, labels, windows=[[0, 1, 2, 3, 4]], seed=0)


def loop(answer, context):
    chain = []
    for _ in range(6):
        chain.append(np.asarray(answer(context)))
        context = np.concatenate([context[:, 1:], chain[-1].reshape(-1, 1, 784)], axis=1)
    return np.stack(chain, axis=1)


rows = []
for count in (1, 1_000):
    context = test.sample(count)[0]
    ways = {
        "`predict`": partial(loop, partial(predictor.predict, verbose=0), context),
        "`model(x)`": partial(loop, predictor, context),
        "`predict_on_batch`": partial(loop, predictor.predict_on_batch, context),
        "ours, `generate`": partial(generate, predictor, context, steps=6),
    }
    for chains in ways.values():  # compiles, too
        np.testing.assert_allclose(chains(), ways["`predict_on_batch`"](), atol=1e-5)
    seconds = timed(ways, rounds=3 if quick else 11)
    bare = statistics.median(seconds["`predict_on_batch`"])
    for way, times in seconds.items():
        milliseconds = spread("milliseconds", [1_000 * value for value in times], "{:,.1f}")
        ratio = f"{statistics.median(times) / bare:.2f}"
        rows.append(
            {"chains": count, "way": way, **milliseconds, "times `predict_on_batch`": ratio}
        )
notes = f"Medians of {len(times)} alternating rounds. All but ours are bare loops over a call."
name = f"generating_{keras.backend.backend()}"
report.save(name, "Generating six-step chains", rows, notes, quick, module="generating")
