"""How long does a predictor give every sequence the same blurred answer? The grid.

Three optimizers, five recipes and two sizes of batch, three seeds each, on fresh
sequences: steps, sequences and seconds until half and until 99 % of the answers
show the right digit. What causes it is for `benchmarks.plateau_causes`.

KERAS_BACKEND=jax python -m benchmarks.plateau [--quick]

Every run has one core to itself (on Linux, under JAX), and there are as many at a time as cores.
"""

import itertools
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import keras
import numpy as np

from benchmarks import report
from benchmarks.timing import command_line
from classifier import read_digits
from data import load_mnist
from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences

RECIPES = {  # name: (the library's optimizer settings, mean-image start, pixel-summed loss)
    "plain Keras": (False, False, False),
    "tuned optimizer": (True, False, False),
    "tuned + start": (True, True, False),
    "tuned + sum": (True, False, True),
    "tuned + both": (True, True, True),
}
OPTIMIZERS = ("sgd", "rmsprop", "adam")
LONGEST = {32: 12_000, 256: 3_000}  # steps, by the size of the batch
SEEDS = (0, 1, 2)


class Plateau(keras.callbacks.Callback):
    """Notes at which step and second half, and 99 %, of the answers are right; then stops."""

    def __init__(self, inputs: np.ndarray, digits: np.ndarray):
        super().__init__()
        self.inputs, self.digits = inputs, digits
        self.found = {"steps": 0, "seconds": 0.0}

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.found["seconds"] += time.perf_counter() - self.begun  # without the measuring
        self.found["steps"] += self.params["steps"]
        answers = self.model.predict_on_batch(self.inputs)
        self.found["right"] = float((read_digits(answers) == self.digits).mean())
        for share in (0.5, 0.99):
            if self.found["right"] >= share:
                self.found.setdefault(share, (self.found["steps"], self.found["seconds"]))
        self.model.stop_training = 0.99 in self.found


def new_model(
    optimizer, seed: int, mean_target: np.ndarray | None = None, loss="mse"
) -> NextImagePredictor:
    """A compiled predictor, which starts at the mean target if it is given."""
    keras.utils.set_random_seed(seed)
    model = NextImagePredictor()
    if mean_target is not None:
        model.adapt(mean_target)
    model.compile(optimizer, loss=loss)
    return model


def time_on_plateau(model, stream: Iterator, longest: int) -> dict:
    """Trains until 99 % of 600 test sequences are answered right, but `longest` steps at most."""
    inputs, _, digits = DigitSequences(*load_mnist()[1], seed=1).sample(600)
    plateau = Plateau(inputs, digits[:, -1])
    # A look every ten steps at first, every fifty later.
    for every, until in ((10, min(200, longest)), (50, longest)):
        epochs = (until - plateau.found["steps"]) // every
        if epochs and 0.99 not in plateau.found:
            arguments = {"epochs": epochs, "callbacks": [plateau], "shuffle": False, "verbose": 0}
            model.fit(stream, steps_per_epoch=every, **arguments)
    return plateau.found


def run(setting: tuple, longest: dict) -> dict:
    optimizer, recipe, batch_size, seed = setting
    tuned, start, summed = RECIPES[recipe]
    sequences = DigitSequences(*load_mnist()[0], seed=seed)
    model = new_model(
        make_optimizer(optimizer) if tuned else optimizer,  # a name alone: Keras' default
        seed,
        sequences.mean_target() if start else None,
        summed_squared_error if summed else "mse",
    )
    return time_on_plateau(model, sequences.batches(batch_size), longest[batch_size])


def pin(cores: multiprocessing.Queue) -> None:
    if hasattr(os, "sched_setaffinity"):  # on Linux
        os.sched_setaffinity(0, {cores.get()})


def in_parallel(work, settings: list) -> list:
    """Does some work for each setting, in processes that have one core each."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in own:
        cores.put(core)
    pool = {"max_workers": len(own), "mp_context": context}
    with ProcessPoolExecutor(**pool, initializer=pin, initargs=(cores,)) as processes:
        return list(processes.map(work, settings))


def within(values: np.ndarray, longest: int) -> str:
    """Median and range over the seeds, of which some may never have got there."""
    if min(values) == np.inf:
        return f"not within {longest:,}"
    return report.within(values, "{:,.0f}", never="more")


def main() -> None:
    quick = command_line(__doc__, "100 steps at most").quick
    longest = {size: 100 for size in LONGEST} if quick else LONGEST
    settings = list(itertools.product(OPTIMIZERS, RECIPES, LONGEST, SEEDS))
    runs = dict(zip(settings, in_parallel(partial(run, longest=longest), settings), strict=True))
    rows, marks = [], []
    for optimizer, recipe, size in itertools.product(OPTIMIZERS, RECIPES, LONGEST):
        found = [runs[optimizer, recipe, size, seed] for seed in SEEDS]
        row = {"optimizer": optimizer, "recipe": recipe, "batch": size}
        for share, name in ((0.5, "50 %"), (0.99, "99 %")):
            steps, seconds = np.transpose([each.get(share, (np.inf, np.inf)) for each in found])
            row[f"steps to {name}"] = within(steps, longest[size])
            row[f"sequences to {name}"] = within(steps * size, longest[size] * size)
            got_there = min(steps) < np.inf
            row[f"seconds to {name}"] = (
                report.within(seconds, "{:,.0f}", never="more") if got_there else ""
            )
        right = statistics.median(each["right"] for each in found)
        rows.append(row | {"right at the end": f"{right:.1%}"})
        half = [each.get(0.5, (None,))[0] for each in found]
        for seed, steps in zip(SEEDS, half, strict=True):
            marks.append(
                {"optimizer": optimizer, "recipe": recipe, "batch": size, "seed": seed}
                | {"half": steps, "longest": longest[size]}
            )
    notes = (
        "Median of three seeds, and range. On fresh sequences, looked at every ten steps up to "
        "200, then every fifty; a run ends when 99 % of 600 test sequences are answered right, or "
        f"after {longest[32]:,} steps of 32 or {longest[256]:,} of 256. Seconds are those of one "
        "core, compiling included. *Plain Keras* is the averaged loss and Keras' default optimizer "
        "of that name; *tuned* is `make_optimizer` without a schedule; *start* is `adapt`; *sum* "
        "is `summed_squared_error`. For RMSprop, the tuned settings are Keras' own."
    )
    report.save("plateau", "The plateau", rows, notes, quick)
    if not quick:
        (report.RESULTS / "plateau_runs.json").write_text(
            json.dumps({"machine": report.machine(), "rows": marks}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
