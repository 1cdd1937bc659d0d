"""Does it have to be an LSTM? The networks of networks.py, trained and measured in the same way.

Each is trained on the same number of sequences, and on as many as it gets through in the same
number of seconds, on two kinds of sequences: corrupted as in main.ipynb, and augmented as well.

python -m studies.architectures [--quick]

Speed is measured on all cores, one network after the other, on JAX and on TensorFlow; each network
keeps the faster one. What a run learns depends on its number of steps alone, so these runs have one
core each.
"""

import functools
import itertools
import statistics
import time
from functools import partial

import keras
import numpy as np

from augmentation import AUGMENTATION, Augmentation
from data import load_mnist
from evaluation import evaluate, evaluate_chains
from model import adapt, make_optimizer, summed_squared_error
from preprocessing import Corruption, DigitSequences, digit_windows
from studies import report
from studies.networks import NETWORKS
from studies.plateau import Watch

BATCH = 256
BACKENDS = ("jax", "tensorflow")
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
SIZES = {"steps": 500, "seconds": 10, "trial": 250, "test": 6_000, "chains": 100, "long": 1_000}
QUICK = {"steps": 20, "seconds": 0.5, "trial": 20, "test": 200, "chains": 10, "long": 20}
FORMS = {
    "error": "{:.5f}",
    "ratio to floor": "{:.4f}",
    "accuracy": "{:.2%}",
    "steps on the plateau": "{:.0f}",
    "chain accuracy, 6 steps": "{:.1%}",
    "chain accuracy, 1,000 steps": "{:.0%}",
    "accuracy, one image of four corrupted": "{:.2%}",
    "accuracy, all moved by 4 pixels": "{:.2%}",
    "accuracy, all moved, trained with augmentation": "{:.2%}",
}


@functools.cache
def sequences(split: str, seed: int = 1, **changes) -> DigitSequences:
    """Sequences of training or test images, with 0 following 9."""
    images, labels = load_mnist()[split == "test"]
    return DigitSequences(images, labels, digit_windows(wrap=True), seed=seed, **changes)


def new_model(name: str, train: DigitSequences, steps: int, rate: float, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = NETWORKS[name](4)
    adapt(model, train.mean_target())
    model.compile(make_optimizer("adam", steps, rate), loss=summed_squared_error)
    return model


def fit(model: keras.Model, train: DigitSequences, steps: int, epochs: int = 1, callbacks=()):
    arguments = {"steps_per_epoch": steps, "epochs": epochs, "callbacks": list(callbacks)}
    return model.fit(train.batches(BATCH), shuffle=False, verbose=0, **arguments)


def speeds(way: str, names: list[str], rounds: int = 5, steps: int = 100) -> dict[str, float]:
    """Sequences a second in training, on all cores: the median of rounds in turns."""
    train = sequences("train", seed=0, corruption=Corruption(0.3))
    models = {name: new_model(name, train, 1_000, RATES[0], seed=0) for name in names}
    seconds = {name: [] for name in names}
    for _ in range(1 + rounds):  # the first compiles
        for name, model in models.items():
            start = time.perf_counter()
            fit(model, train, steps)
            seconds[name].append(time.perf_counter() - start)
    return {name: BATCH * steps / statistics.median(times[1:]) for name, times in seconds.items()}


def trial(setting: tuple, steps: int) -> float:
    """The training loss at the end of a short run, for the choice of the learning rate."""
    name, rate = setting
    train = sequences("train", seed=100, corruption=Corruption(0.3))
    model = new_model(name, train, steps, rate, seed=100)
    return fit(model, train, steps // 10, epochs=10).history["loss"][-1]


def run(setting: tuple, sizes: dict) -> dict:
    """Trains a network from one seed on each kind of sequences, and measures it."""
    name, seed, steps, rate = setting
    every, n = min(10, steps), sizes["test"]
    test, moved = sequences("test"), sequences("test", augmentation=Augmentation(shift=(4, 4)))
    corrupted = sequences("test", corruption=Corruption(1.0))

    def trained(callbacks=(), **changes) -> keras.Model:
        train = sequences("train", seed, **changes)
        model = new_model(name, train, steps, rate, seed)
        fit(model, train, every, steps // every, callbacks)
        return model

    watch = Watch(test)
    model = trained([watch], corruption=Corruption(0.3))
    score = evaluate(model, test, n)
    six = evaluate_chains(model, test, 6, n=min(n, 1_000))
    long = evaluate_chains(model, test, sizes["long"], sizes["chains"])
    measured = [score["mse"], score["ratio"], score["accuracy"], watch.first(0.5).get("steps")]
    measured += [six["chain_accuracy"], long["chain_accuracy"]]
    measured += [evaluate(model, spoiled, n)["accuracy"] for spoiled in (corrupted, moved)]
    model = trained(corruption=Corruption(0.3), augmentation=AUGMENTATION)
    measured.append(evaluate(model, moved, n)["accuracy"])
    marks = set(np.geomspace(1, len(watch.looks), 16).round().astype(int).tolist())
    curve = [(watch.looks[mark - 1]["steps"], watch.looks[mark - 1]["excess"]) for mark in marks]
    return dict(zip(FORMS, measured, strict=True)) | {"curve": sorted(curve)}


def on_their_backends(work, settings: list[tuple], backends: dict[str, str]) -> list:
    """Calls a function with each setting, whose first part is a network's name."""
    found = {}
    for backend in BACKENDS:
        own = [setting for setting in settings if backends[setting[0]] == backend]
        done = report.in_processes(work, own, backend, at_once=len(report.CORES))
        found |= dict(zip(own, done, strict=True))
    return [found[setting] for setting in settings]


def main() -> None:
    quick = report.is_quick(__doc__)
    sizes, names, seeds = SIZES, list(NETWORKS), (0, 1, 2)
    if quick:
        sizes, names, seeds = QUICK, names[:2], (0,)
    found = report.in_turns(partial(speeds, names=names), {name: name for name in BACKENDS}, 1)
    faster = {name: max(found, key=lambda speed, name=name: speed[name]) for name in names}
    backends = {name: faster[name]["way"] for name in names}
    trials = list(itertools.product(names, RATES))
    losses = on_their_backends(partial(trial, steps=sizes["trial"]), trials, backends)
    losses = dict(zip(trials, losses, strict=True))

    same_sequences, same_seconds = f"{sizes['steps'] * BATCH:,} sequences", f"{sizes['seconds']} s"
    rows, settings = [], []
    for budget, name in itertools.product((same_sequences, same_seconds), names):
        speed, steps = faster[name][name], sizes["steps"]
        if budget == same_seconds:
            steps = max(10, int(round(sizes["seconds"] * speed / BATCH, -1)))
        row = {
            "budget": budget,
            "network": name,
            "parameters": f"{NETWORKS[name](4).count_params():,}",
            "sequences a second": f"{speed:,.0f}",
            "rate": min(RATES, key=lambda rate, name=name: losses[name, rate]),
            "batches": f"{steps:,}",
        }
        rows += [row] * len(seeds)
        settings += [(name, seed, steps, row["rate"]) for seed in seeds]
    found = on_their_backends(partial(run, sizes=sizes), settings, backends)
    runs = [row | measured for row, measured in zip(rows, found, strict=True)]
    notes = (
        f"Each was trained on {same_sequences}, or on what it gets through in {same_seconds} on "
        f"all cores, in batches of {BATCH}, with Adam at the best of five learning rates, on JAX "
        "or TensorFlow, whichever is faster for it. Medians and ranges of three seeds."
    )
    report.save("architectures", runs, list(rows[0]), FORMS, notes, quick)


if __name__ == "__main__":
    main()
