"""Does it have to be an LSTM? The networks of networks.py, trained and measured in the same way.

Each is trained on the same number of sequences of two kinds: corrupted as in main.ipynb, and
augmented as well. For each kind it has the learning rate that is best on validation writers.

python -m studies.architectures

Speed is measured on all cores, one network after the other, on JAX and on TensorFlow; each network
keeps the faster one. What a network learns does not depend on its speed, so these runs have one
core each.
"""

import functools
import itertools
import statistics
import time

import keras

from augmentation import AUGMENTATION, Augmentation
from data import load_mnist, validation_images
from evaluation import evaluate, evaluate_chains
from model import adapt, make_optimizer, summed_squared_error
from preprocessing import Corruption, DigitSequences, digit_windows
from studies import report
from studies.networks import NETWORKS

BATCH, STEPS, TRIAL_STEPS, SEEDS = 256, 500, 150, 3
BACKENDS = ("jax", "tensorflow")
RATES = [1e-3 * 2**power for power in range(6)]
KINDS = {"plain": {}, "augmented": {"augmentation": AUGMENTATION}}
FORMS = {
    "ratio to floor": "{:.4f}",
    "accuracy": "{:.2%}",
    "chain accuracy": "{:.1%}",
    "accuracy, one image of four corrupted": "{:.2%}",
    "accuracy, all moved by 4 pixels": "{:.2%}",
}


@functools.cache
def sequences(split: str, seed: int = 1, **changes) -> DigitSequences:
    """Sequences with 0 following 9, of training, validation or test images."""
    (images, labels), test = load_mnist()
    rows = validation_images() == (split == "validation")
    images, labels = test if split == "test" else (images[rows], labels[rows])
    return DigitSequences(images, labels, digit_windows(wrap=True), seed=seed, **changes)


def fitted(name: str, kind: str, rate: float, steps: int, seed: int) -> keras.Model:
    train = sequences("train", seed, corruption=Corruption(0.3), **KINDS[kind])
    # Not `train_predictor`, which compiles by XLA: on TensorFlow, convolutions take many times as
    # long with it on CPUs.
    keras.utils.set_random_seed(seed)
    model = NETWORKS[name](4)
    adapt(model, train.mean_target())
    model.compile(make_optimizer("adam", steps, rate), loss=summed_squared_error)
    model.fit(train.batches(BATCH), steps_per_epoch=steps, shuffle=False, verbose=0)
    return model


def speeds(way: str, rounds: int = 3, steps: int = 20) -> dict[str, float]:
    """Sequences a second in training, on all cores: the median of rounds in turns."""
    models = {name: fitted(name, "plain", RATES[0], 2, seed=0) for name in NETWORKS}
    train = sequences("train", seed=0, corruption=Corruption(0.3))
    seconds = {name: [] for name in NETWORKS}
    for _ in range(rounds):
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(train.batches(BATCH), steps_per_epoch=steps, shuffle=False, verbose=0)
            seconds[name].append(time.perf_counter() - start)
    return {name: BATCH * steps / statistics.median(times) for name, times in seconds.items()}


def trial(setting: tuple) -> float:
    """The error on validation writers after a short run, for the choice of the learning rate."""
    name, kind, rate = setting
    model = fitted(name, kind, rate, TRIAL_STEPS, seed=100)
    return evaluate(model, sequences("validation", **KINDS[kind]), 2_000)["mse"]


def run(setting: tuple) -> dict:
    """Trains a network and measures it on test images."""
    *how, seed = setting
    model, test = fitted(*how, STEPS, seed), sequences("test")
    corrupted = sequences("test", corruption=Corruption(1.0))
    moved = sequences("test", augmentation=Augmentation(shift=(4, 4)))
    score, chains = evaluate(model, test), evaluate_chains(model, test)
    measured = [score["ratio"], score["accuracy"], chains["chain_accuracy"]]
    measured += [evaluate(model, spoiled)["accuracy"] for spoiled in (corrupted, moved)]
    return dict(zip(FORMS, measured, strict=True))


def on_their_backends(work, settings: list[tuple], backends: dict[str, str]) -> list:
    """Calls a function with each setting, whose first part is a network's name."""
    found = {}
    for backend in BACKENDS:
        own = [setting for setting in settings if backends[setting[0]] == backend]
        done = report.in_processes(work, own, len(report.CORES), KERAS_BACKEND=backend)
        found |= dict(zip(own, done, strict=True))
    return [found[setting] for setting in settings]


def main() -> None:
    found = report.in_turns(speeds, {name: {"KERAS_BACKEND": name} for name in BACKENDS}, 1)
    faster = {name: max(found, key=lambda speed, name=name: speed[name]) for name in NETWORKS}
    backends = {name: faster[name]["way"] for name in NETWORKS}
    trials = list(itertools.product(NETWORKS, KINDS, RATES))
    errors = dict(zip(trials, on_their_backends(trial, trials, backends), strict=True))
    best = {
        (name, kind): min(RATES, key=lambda rate, name=name, kind=kind: errors[name, kind, rate])
        for name, kind in itertools.product(NETWORKS, KINDS)
    }
    rows, settings = [], []
    for name, kind, seed in itertools.product(NETWORKS, KINDS, range(SEEDS)):
        row = {"network": name, "trained on": kind}
        row["parameters"] = f"{NETWORKS[name](4).count_params():,}"
        row |= {"sequences a second": f"{faster[name][name]:,.0f}", "rate": f"{best[name, kind]:g}"}
        rows.append(row)
        settings.append((name, kind, best[name, kind], seed))
    found = on_their_backends(run, settings, backends)
    runs = [row | measured for row, measured in zip(rows, found, strict=True)]
    notes = (
        f"Each was trained on {STEPS} batches of {BATCH} sequences, with Adam, on JAX or "
        f"TensorFlow, whichever is faster for it. Of {len(RATES)} learning rates, it has the one "
        f"with the smallest error on validation writers after {TRIAL_STEPS} batches of its kind. "
        "Medians and ranges of three seeds. Chains have six steps."
    )
    # Not over architectures.json, which the notebook reads: it is of an earlier version.
    report.save("architectures_kinds", runs, list(rows[0]), FORMS, notes)


if __name__ == "__main__":
    main()
