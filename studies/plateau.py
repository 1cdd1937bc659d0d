"""How long does a predictor give every sequence the same blurred answer, and why?

Three optimizers, five recipes and two sizes of batch, three seeds each, on fresh sequences: how
long until half and until 99 % of the answers show the right digit. And causes, each of which states
a prediction that could have failed.

KERAS_BACKEND=jax python -m studies.plateau
"""

import itertools
import math
import time

import keras
import numpy as np

from classifier import read_digits
from data import PIXELS, load_mnist
from model import NextImagePredictor, make_optimizer, start_at_mean
from preprocessing import DigitSequences
from studies import report

RECIPES = {  # name: (the library's optimizer settings, mean-image start, pixel-summed loss)
    "plain Keras": (False, False, False),
    "tuned optimizer": (True, False, False),
    "tuned + start": (True, True, False),
    "tuned + sum": (True, False, True),
    "tuned + both": (True, True, True),
}
MOST_STEPS = {32: 12_000, 256: 3_000}  # by the size of the batch
TIMES = ("steps to 50 %", "seconds to 50 %", "steps to 99 %", "seconds to 99 %")
FORMS = dict.fromkeys(TIMES, "{:,.0f}") | {"accuracy at the end": "{:.1%}"}


class Watch(keras.callbacks.Callback):
    """Looks at the answers to 600 test sequences after each epoch; stops at an accuracy."""

    def __init__(self, test: DigitSequences, enough: float = math.inf):
        super().__init__()
        self.inputs, self.digits = test.sample(600)[0], test.draw(600)[0][:, -1]
        self.enough = enough
        self.looks, self.steps, self.seconds = [], 0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.perf_counter() - self.begun  # without the looks
        self.steps += self.params["steps"]
        answers = np.asarray(self.model.predict_on_batch(self.inputs))
        accuracy = float((read_digits(answers) == self.digits).mean())
        look = {"steps": self.steps, "seconds": self.seconds, "accuracy": accuracy}
        self.looks.append(look)
        self.model.stop_training = accuracy >= self.enough

    def first(self, accuracy: float) -> dict:
        """The first look at which so many answers were right; empty if there was none."""
        return next((look for look in self.looks if look["accuracy"] >= accuracy), {})


def new_model(optimizer, seed: int, mean=None, weight=1.0) -> NextImagePredictor:
    keras.utils.set_random_seed(seed)
    model = NextImagePredictor()
    if mean is not None:
        start_at_mean(model, mean)
    model.compile(optimizer, loss="mse", loss_weights=weight)
    return model


def train(model: keras.Model, sequences: DigitSequences, batch: int, most: int) -> Watch:
    """Trains until 99 % of the answers are right, but `most` steps at most."""
    watch = Watch(DigitSequences(*load_mnist()[1], seed=1), enough=0.99)
    # A look every ten steps at first, every fifty later.
    for every, until in ((10, 200), (50, most)):
        epochs = (until - watch.steps) // every
        if epochs and not watch.first(0.99):
            data = sequences.dataset(batch, every, start=watch.steps)
            model.fit(data, epochs=epochs, callbacks=[watch], verbose=0)
    return watch


def run(setting: tuple) -> dict:
    optimizer, recipe, batch, seed = setting
    tuned, start, summed = RECIPES[recipe]
    sequences = DigitSequences(*load_mnist()[0], seed=seed)
    model = new_model(
        make_optimizer(optimizer) if tuned else optimizer,  # a name alone: Keras' default
        seed,
        sequences.mean_target() if start else None,
        float(PIXELS) if summed else 1.0,
    )
    watch = train(model, sequences, batch, MOST_STEPS[batch])
    looks = watch.first(0.5), watch.first(0.99)
    found = [look.get(what) for look in looks for what in ("steps", "seconds")]
    named = {"optimizer": optimizer, "recipe": recipe, "batch": batch, "longest": MOST_STEPS[batch]}
    return named | dict(zip(FORMS, [*found, watch.looks[-1]["accuracy"]], strict=True))


def experiments(seed: int) -> dict:
    """What the grid does not say, in batches of 32 under the averaged loss."""
    sequences = DigitSequences(*load_mnist()[0], seed=seed)
    most, mean = MOST_STEPS[256], sequences.mean_target()
    inputs, targets = DigitSequences(*load_mnist()[1], seed=1).sample(600)
    sgd, rmsprop, adam = keras.optimizers.SGD, keras.optimizers.RMSprop, keras.optimizers.Adam

    def half(model: keras.Model) -> float:
        """Steps until half of the answers are right; infinite if that takes more than `most`."""
        return train(model, sequences, 32, most).first(0.5).get("steps", math.inf)

    def error(model: keras.Model, steps: int) -> float:
        """Error after some steps, over that of the mean image."""
        model.fit(sequences.dataset(32, steps), verbose=0)
        answers = model.predict_on_batch(inputs)
        return float(np.square(targets - answers).mean() / np.square(targets - mean).mean())

    plain, old = new_model("adam", seed), new_model("adam", seed, mean)
    at_300 = error(plain, 300)
    old.set_weights(plain.get_weights()[:6] + old.get_weights()[6:])
    forgetful = half(new_model(adam(1e-3, beta_2=0.9), seed))
    return {
        "error after 300 steps": at_300,
        "steps, old LSTM over new": half(old) / half(new_model("adam", seed, mean)),
        "steps with 1e-14": half(new_model(rmsprop(1e-3, epsilon=1e-14), seed, mean)),
        "steps with 1e-7": half(new_model(rmsprop(1e-3, epsilon=1e-7), seed, mean)),
        "steps at 0.9 over 0.999": forgetful / half(new_model("adam", seed)),
        "error at Keras' rate": error(new_model(sgd(0.01), seed), most),
        "error at 784 times the rate": error(new_model(sgd(7.84), seed), most),
    }


def main() -> None:
    settings = list(itertools.product(("sgd", "rmsprop", "adam"), RECIPES, MOST_STEPS, range(3)))
    at_once = len(report.CORES)
    runs = report.in_processes(run, settings, at_once=at_once)
    notes = (
        "Medians and ranges of three seeds; *never*: not before the run ended. A look every ten "
        "steps up to 200, then every fifty; a run ends when 99 % of 600 test sequences are "
        f"answered right, or after {MOST_STEPS[32]:,} steps of 32 or {MOST_STEPS[256]:,} of 256. "
        "Seconds are those of one core, compiling included. *Plain Keras* is the averaged loss and "
        "Keras' default optimizer of that name; *tuned* is `make_optimizer` without a schedule, "
        "for RMSprop Keras' own settings; *start* is `start_at_mean`; *sum* is "
        "`loss_weights=784.0`."
    )
    report.save("plateau", runs, ["optimizer", "recipe", "batch"], FORMS, notes)

    most = MOST_STEPS[256]
    found = report.in_processes(experiments, range(3), at_once=at_once)
    half = dict(zip(settings, (run["steps to 50 %"] or math.inf for run in runs), strict=True))
    for seed, values in enumerate(found):
        rates = itertools.product(("plain Keras", "tuned optimizer"), MOST_STEPS)
        slow, slow_256, fast, fast_256 = (
            half["adam", recipe, batch, seed] for recipe, batch in rates
        )
        values["steps at 256 over 32"] = slow_256 / slow
        values["steps at 4e-3 over 1e-3, 32"] = fast / slow
        values["steps at 4e-3 over 1e-3, 256"] = fast_256 / slow_256
    predictions = [  # what is predicted, what is measured, the lowest and the highest value
        ("Adam's plateau is a number of steps, not of sequences: batches of 256 take between half "
         "and twice the steps of 32, not an eighth", "steps at 256 over 32", 1 / 2, 2),
        ("Adam, at four times the rate, takes less than half the steps, in batches of 32",
         "steps at 4e-3 over 1e-3, 32", 0, 1 / 2),
        ("and in batches of 256", "steps at 4e-3 over 1e-3, 256", 0, 1 / 2),
        ("Without the start, after 300 steps, the answer is one image for all, as good as that "
         "can be", "error after 300 steps", 0.98, 1.02),
        ("The way there wears out the LSTM: that of step 300, under a new dense layer that starts "
         "at the mean, takes at least twice the steps of a new one",
         "steps, old LSTM over new", 2, math.inf),
        ("RMSprop's gradients are too small beside its epsilon: with the start and 1e-14 it takes "
         "less than 1,000 steps", "steps with 1e-14", 0, 1_000),
        (f"and with the start and Keras' 1e-7 more than {most:,}",
         "steps with 1e-7", most, math.inf),
        ("Adam remembers for a thousand steps how large the first gradients were: with a memory "
         "of ten (beta_2 of 0.9) it takes less than two thirds of the steps",
         "steps at 0.9 over 0.999", 0, 2 / 3),
        (f"At Keras' rate, {most:,} steps do not take SGD to the mean image",
         "error at Keras' rate", 1.02, math.inf),
        ("What it lacks is the size of its steps: at 784 times the rate, as the sum would give it, "
         "it gets there",
         "error at 784 times the rate", 0, 1.02),
    ]  # fmt: skip
    rows = []
    for prediction, what, low, high in predictions:
        values = [each[what] for each in found]
        held = "yes" if all(low < value <= high for value in values) else "no"
        measured = f"{what}: {report.spread(values, '{:.3g}')}"
        rows.append({"prediction": prediction, "measured": measured, "held": held})
    notes = (
        "Medians and ranges of three seeds; *held* means for each of them. Steps are those until "
        f"half of the answers are right, looked for up to {most:,}; errors are over that of the "
        "mean image. The first three lines are read off the grid. The others are in batches of 32, "
        "under the averaged loss and Keras' default optimizers, unless something else is said."
    )
    report.save("plateau_causes", rows, list(rows[0]), {}, notes)


if __name__ == "__main__":
    main()
