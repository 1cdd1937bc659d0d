"""Strangers' digits: how right are answers if all four images are changed, before and after?

KERAS_BACKEND=jax python -m benchmarks.variation [--quick]
"""

import time

import numpy as np

from benchmarks import report
from benchmarks.timing import command_line
from classifier import read_digits
from data import load_mnist
from evaluation import evaluate
from model import train_predictor
from preprocessing import Damage, DigitSequences
from variation import ANYBODY, Variation

quick = command_line(__doc__, "a tenth of the steps").quick
steps = 300 if quick else 3_000
CHANGES = {
    "none": Variation(),
    "moved by 4 pixels": Variation(shift=(4, 4)),
    "moved by 6 pixels": Variation(shift=(6, 6)),
    "turned by up to 30°": Variation(rotation=(-30, 30)),
    "turned by up to 45°": Variation(rotation=(-45, 45)),
    "scaled by 0.6": Variation(zoom=(0.6, 0.6)),
    "scaled by 0.7": Variation(zoom=(0.7, 0.7)),
    "scaled by 1.35": Variation(zoom=(1.35, 1.35)),
    "scaled by 1.5": Variation(zoom=(1.5, 1.5)),
    "dilated by 3 x 3": Variation(thickness=(1, 1)),
    "eroded by 2 x 2": Variation(thickness=(-1, -1)),
    "noise of 0.2": Variation(noise=(0.2, 0.2)),
    "grey paper, 0.2": Variation(paper=(0.2, 0.2)),
    "all at once": Variation(
        shift=(0, 4), rotation=(-20, 20), zoom=(0.7, 1.35), noise=(0.08, 0.08)
    ),
}
(x_train, y_train), (x_test, y_test) = load_mnist()


def train(variation: Variation | None):
    train = DigitSequences(x_train, y_train, damage=Damage(0.3), variation=variation, seed=0)
    start = time.perf_counter()
    model = train_predictor(train, steps)
    print(f"{time.perf_counter() - start:.0f} s for {steps:,} steps", flush=True)
    return model


def right(model, change: Variation) -> float:
    test = DigitSequences(x_test, y_test, variation=change, seed=1)
    inputs, _, digits = test.sample(1_200)
    return float(np.mean(read_digits(model.predict_next(inputs)) == digits[:, -1]))


models = {"without variation": train(None), "with `ANYBODY`": train(ANYBODY)}
rows = [
    {"all four images": name}
    | {way: f"{right(model, change):.2%}" for way, model in models.items()}
    for name, change in CHANGES.items()
]
ratios = {
    way: evaluate(model, DigitSequences(x_test, y_test, seed=1))["ratio"]
    for way, model in models.items()
}
notes = (
    f"Right digits of 1,200 test sequences. {steps:,} steps of 256, three in ten sequences "
    "damaged; with variation, half of the context's images are changed. Ratio to the floor, no "
    "change: " + ", ".join(f"{ratio:.4f} {way}" for way, ratio in ratios.items()) + "."
)
report.save("variation", "Strangers' digits", rows, notes, quick)
