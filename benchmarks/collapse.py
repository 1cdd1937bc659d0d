"""Why predictions collapse to one blurred digit, and what ends it: the grid.

Three optimizers, with and without the mean-image start and the pixel-summed
loss, on the same sequences from the same seed, on fixed and on fresh data.

python -m benchmarks.collapse [--quick]
"""

import argparse
import itertools
import json
import time

import numpy as np

from benchmarks import report
from data import load_mnist
from evaluation import digit_classifier, mean_image_floor, read_digits
from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences
from quiet import keras

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a tenth of the data, two epochs")
quick = parser.parse_args().quick
sequences, epochs = (3_072, 2) if quick else (30_720, 8)
BATCH = 256

RECIPES = {  # name: (mean-image start, pixel-summed loss, the library's optimizer settings)
    "as everyone writes it": (False, False, False),
    "tuned optimizer": (False, False, True),
    "+ mean-image start": (True, False, True),
    "+ pixel-summed loss": (False, True, True),
    "both": (True, True, True),
}

(x_train, y_train), (x_test, y_test) = load_mnist()
train = DigitSequences(x_train, y_train, seed=0)
inputs, targets, digits = DigitSequences(x_test, y_test, seed=1).sample(1_200)
floor = mean_image_floor(targets, digits[:, -1])["overall"]
examples = [int(np.argmax(digits[:, 0] == start)) for start in range(6)]
fixed = train.sample(sequences)[:2]
probe_batches = list(itertools.islice(train.batches(BATCH), 10 if quick else 100))
classes = np.stack([targets[digits[:, -1] == d].mean(axis=0) for d in range(4, 10)])
digit_classifier()


class Learning(keras.callbacks.Callback):
    """After each epoch: error, and share of right digits; and the seconds, without measuring."""

    def on_train_begin(self, logs=None):
        self.errors, self.right, self.seconds, self.spent = [], [], [], 0.0
        self.measure()

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.spent += time.perf_counter() - self.start
        self.measure()

    def measure(self):
        self.predictions = self.model.predict_next(inputs)
        self.errors.append(float(np.square(self.predictions - targets).mean()))
        self.right.append(float((read_digits(self.predictions) == digits[:, -1]).mean()))
        self.seconds.append(self.spent)


def new_model(optimizer, start, summed, tuned, steps):
    keras.utils.set_random_seed(0)
    model = NextImagePredictor()
    if start:
        model.adapt(train.mean_target())
    # `optimizer` alone is Keras' default for that name: SGD 0.01, RMSprop and Adam 1e-3.
    model.compile(
        optimizer=make_optimizer(optimizer, steps=steps) if tuned else optimizer,
        loss=summed_squared_error if summed else "mse",
    )
    return model


def gradient_at_lstm(model, summed):
    """Mean gradient norm at the LSTM layers' weights over the first 100 steps.

    The change that one step of plain SGD makes is the gradient times the
    learning rate, whatever the backend.
    """
    rate = 1.0 if summed else 784.0  # the same size of step for both, for the same rounding
    probe = NextImagePredictor(dropout=0.0)
    probe.compile(keras.optimizers.SGD(rate), loss=summed_squared_error if summed else "mse")
    norms = []
    for batch in probe_batches:
        before = model.get_weights()
        probe.set_weights(before)
        probe.train_on_batch(*batch)
        changes = [(b - a) / rate for a, b in zip(before, probe.get_weights(), strict=True)]
        norms.append(np.sqrt(sum(np.square(change).sum() for change in changes[:6])))
        model.train_on_batch(*batch)
    return float(np.mean(norms))


rows, curves, pictures = [], {}, {}
for data in ("fixed", "fresh"):
    for recipe, (start, summed, tuned) in RECIPES.items():
        if data == "fresh" and recipe not in ("as everyone writes it", "both"):
            continue
        for optimizer in ("sgd", "rmsprop", "adam"):
            steps = epochs * sequences // BATCH
            norm = gradient_at_lstm(new_model(optimizer, start, summed, tuned, steps), summed)
            model = new_model(optimizer, start, summed, tuned, steps)
            learning = Learning()
            arguments = {"epochs": epochs, "verbose": 0, "callbacks": [learning]}
            if data == "fixed":
                model.fit(*fixed, batch_size=BATCH, **arguments)
            else:
                stream = train.batches(BATCH)
                model.fit(stream, steps_per_epoch=sequences // BATCH, shuffle=False, **arguments)
            reached = next((e for e, right in enumerate(learning.right) if right >= 0.99), None)
            spread = learning.predictions.var(axis=0).mean() / classes.var(axis=0).mean()
            key = f"{optimizer}, {recipe}, {data}"
            curves[key] = learning.errors
            pictures[key] = np.rint(learning.predictions[examples] * 255).astype(np.uint8)
            rows.append(
                {
                    "optimizer": optimizer,
                    "recipe": recipe,
                    "data": data,
                    "error": f"{learning.errors[-1]:.5f}",
                    "ratio to floor": f"{learning.errors[-1] / floor:.4f}",
                    "right digits": f"{learning.right[-1]:.1%}",
                    "spread": f"{spread:.3f}",
                    "gradient at LSTM": f"{norm:.2g}",
                    "epochs to 99 %": "never" if reached is None else reached,
                    "seconds to 99 %": (
                        "never" if reached is None else round(learning.seconds[reached])
                    ),
                }
            )
            print(rows[-1], flush=True)

report.save(
    "collapse",
    "The collapse, and what ends it",
    rows,
    f"{epochs} epochs of {sequences:,} sequences, batches of {BATCH}; measured on 1,200 test "
    f"sequences, whose floor is {floor:.5f}. *Spread* is the variance of the predictions across "
    "inputs, over that of the six mean digits: 0 for a collapsed predictor, 1 for one that answers "
    "with the right mean. *Gradient at LSTM* is the norm over both LSTM layers, averaged over the "
    f"first {len(probe_batches)} steps. *As everyone writes it* uses Keras' default optimizers; "
    "the other recipes use those of `make_optimizer`.",
    quick,
)
if not quick:
    np.savez_compressed(report.RESULTS / "collapse.npz", **pictures)
    (report.RESULTS / "collapse_curves.json").write_text(json.dumps(curves) + "\n")
