"""Does it have to be an LSTM? The networks of networks.py, trained and measured in the same way.

Each is trained on the same number of sequences of two kinds: corrupted as in main.ipynb, and
augmented as well. For each kind it has the learning rate that is best on validation writers.

python -m studies.architectures   # one to two hours

Each run has one core, on TensorFlow if the network convolves images, else on JAX: on CPUs, what is
faster for it.
"""

import functools
import itertools
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
RATES = [1e-3 * 2**power for power in range(6)]
KINDS = {"plain": {}, "augmented": {"augmentation": AUGMENTATION}}
CONVOLVE_IMAGES = "encoder + LSTM", "ConvLSTM"
FORMS = {
    "seconds": "{:.0f}",
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


def trial(setting: tuple) -> float:
    """The error on validation writers after a short run, for the choice of the learning rate."""
    name, kind, rate = setting
    model = fitted(name, kind, rate, TRIAL_STEPS, seed=100)
    return evaluate(model, sequences("validation", **KINDS[kind]), 2_000)["mse"]


def run(setting: tuple) -> dict:
    """Trains a network, in seconds of one core, and measures it on test images."""
    name, kind, rate, seed = setting
    start = time.process_time()
    model, test = fitted(name, kind, rate, STEPS, seed), sequences("test")
    seconds = time.process_time() - start
    corrupted = sequences("test", corruption=Corruption(1.0))
    moved = sequences("test", augmentation=Augmentation(shift=(4, 4)))
    score, chains = evaluate(model, test), evaluate_chains(model, test)
    measured = [seconds, score["ratio"], score["accuracy"], chains["chain_accuracy"]]
    measured += [evaluate(model, spoiled)["accuracy"] for spoiled in (corrupted, moved)]
    return dict(zip(FORMS, measured, strict=True))


def on_their_backends(function, settings: list[tuple]) -> dict:
    """What a function says of each setting, whose first part is a network's name."""
    found, backends = {}, {True: "tensorflow", False: "jax"}
    for convolves, backend in backends.items():
        own = [setting for setting in settings if (setting[0] in CONVOLVE_IMAGES) == convolves]
        done = report.in_processes(function, own, len(report.CORES), KERAS_BACKEND=backend)
        found |= dict(zip(own, done, strict=True))
    return found


def main() -> None:
    both = list(itertools.product(NETWORKS, KINDS))
    errors = on_their_backends(trial, [(*each, rate) for each in both for rate in RATES])
    best = {each: min(RATES, key=lambda rate, each=each: errors[(*each, rate)]) for each in both}
    settings = [(*each, best[each], seed) for each in both for seed in range(SEEDS)]
    measured = on_their_backends(run, settings)
    runs = [
        {
            "network": name,
            "trained on": kind,
            "parameters": f"{NETWORKS[name](4).count_params():,}",
            "rate": f"{rate:g}",
        }
        | measured[name, kind, rate, seed]
        for name, kind, rate, seed in settings
    ]
    notes = (
        f"Each was trained on {STEPS} batches of {BATCH} sequences, with Adam; seconds are "
        f"those of one core. Of {len(RATES)} learning rates, it has the one with the smallest "
        f"error on validation writers after {TRIAL_STEPS} batches of its kind. Medians and ranges "
        "of three seeds. Chains have six steps."
    )
    by = ["network", "trained on", "parameters", "rate"]
    report.save("architectures", runs, by, FORMS, notes)


if __name__ == "__main__":
    main()
