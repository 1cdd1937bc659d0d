"""How long does a predictor give every sequence the same blurred answer? The grid.

Three optimizers, five recipes and two sizes of batch, three seeds each, on fresh
sequences: steps, sequences and seconds until half and until 99 % of the answers
show the right digit. What causes it is for `benchmarks.plateau_causes`.

KERAS_BACKEND=jax python -m benchmarks.plateau [--quick]

Every run has one core to itself, and there are as many at a time as cores.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import keras
import numpy as np

from benchmarks import report
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
LONGEST = {32: 10_000, 256: 4_000}  # steps, by the size of the batch
SEEDS = (0, 1, 2)


class Plateau(keras.callbacks.Callback):
    """Notes at which step and second half, and 99 %, of the answers are right; then stops."""

    def __init__(self, inputs: np.ndarray, digits: np.ndarray, every: int):
        super().__init__()
        self.inputs, self.digits, self.every = inputs, digits, every
        self.found = {"steps": 0, "seconds": 0.0, "right": 0.0}

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        found = self.found
        found["steps"] += self.every
        found["seconds"] += time.perf_counter() - self.begun  # without the measuring
        answers = self.model.predict_on_batch(self.inputs)
        found["right"] = float((read_digits(answers) == self.digits).mean())
        for share in (0.5, 0.99):
            if found["right"] >= share:
                found.setdefault(share, (found["steps"], found["seconds"]))
        self.model.stop_training = 0.99 in found


def new_model(optimizer: str, recipe: str, seed: int, mean_target: np.ndarray):
    """A compiled predictor of a recipe. A name alone is Keras' default optimizer of that name."""
    tuned, start, summed = RECIPES[recipe]
    keras.utils.set_random_seed(seed)
    model = NextImagePredictor()
    if start:
        model.adapt(mean_target)
    loss = summed_squared_error if summed else "mse"
    model.compile(make_optimizer(optimizer) if tuned else optimizer, loss=loss, metrics=[])
    return model


def time_on_plateau(model, sequences: DigitSequences, batch_size: int, longest: int) -> dict:
    """Trains until 99 % of 600 test sequences are answered right, but `longest` steps at most."""
    inputs, _, digits = DigitSequences(*load_mnist()[1], seed=1).sample(600)
    stream, found = sequences.batches(batch_size), None
    # A look every ten steps at first, every fifty later.
    for every, until in ((10, 200), (50, longest)):
        plateau = Plateau(inputs, digits[:, -1], every)
        plateau.found = found or plateau.found
        if 0.99 not in plateau.found:
            epochs = (until - plateau.found["steps"]) // every
            arguments = {"epochs": epochs, "shuffle": False, "verbose": 0}
            model.fit(stream, steps_per_epoch=every, callbacks=[plateau], **arguments)
        found = plateau.found
    return found


def run(setting: tuple) -> dict:
    optimizer, recipe, batch_size, seed, longest = setting
    sequences = DigitSequences(*load_mnist()[0], seed=seed)
    model = new_model(optimizer, recipe, seed, sequences.mean_target())
    return time_on_plateau(model, sequences, batch_size, longest)


def pin(cores: multiprocessing.Queue) -> None:
    if hasattr(os, "sched_setaffinity"):  # on Linux
        os.sched_setaffinity(0, {cores.get()})


def in_parallel(work, settings: list) -> list:
    """Does some work for each setting, in processes that have one core each."""
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in range(os.cpu_count()):
        cores.put(core)
    pool = {"max_workers": os.cpu_count(), "mp_context": context}
    with ProcessPoolExecutor(**pool, initializer=pin, initargs=(cores,)) as processes:
        return list(processes.map(work, settings))


if __name__ == "__main__":
    import sys

    sets = [s.split(",") for s in sys.argv[1:]]
    sets = [(a, b, int(c), int(d), int(e)) for a, b, c, d, e in sets]
    t = time.time()
    for s, r in zip(sets, in_parallel(run, sets)):
        print(s, r, flush=True)
    print(time.time() - t)
