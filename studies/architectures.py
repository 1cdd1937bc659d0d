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
from data import PIXELS, load_mnist, validation_images
from evaluation import evaluate, evaluate_chains
from model import make_optimizer, start_at_mean
from preprocessing import Corruption, DigitSequences, digit_windows
from studies import report
from studies.networks import NETWORKS

RATES = [1e-3 * 2**power for power in range(6)]
TRAINED_ON = {"plain": {}, "augmented": {"augmentation": AUGMENTATION}}
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
    train = sequences("train", seed, corruption=Corruption(0.3), **TRAINED_ON[kind])
    # Not `train_predictor`, which compiles by XLA: on TensorFlow, convolutions take many times as
    # long with it on CPUs.
    keras.utils.set_random_seed(seed)
    model = NETWORKS[name](4)
    start_at_mean(model, train.mean_target())
    model.compile(make_optimizer("adam", steps, rate), loss="mse", loss_weights=float(PIXELS))
    model.fit(train.dataset(256, steps), verbose=0)
    return model


def trial(setting: tuple) -> float:
    """The error on validation writers after a short run, for the choice of the learning rate."""
    name, kind, rate = setting
    model = fitted(name, kind, rate, steps=150, seed=100)
    return evaluate(model, sequences("validation", **TRAINED_ON[kind]), 2_000)["mse"]


def run(setting: tuple) -> dict:
    """Trains a network, in seconds of one core, and measures it on test images."""
    name, kind, rate, seed = setting
    start = time.process_time()
    model, test = fitted(name, kind, rate, steps=500, seed=seed), sequences("test")
    seconds = time.process_time() - start
    corrupted = sequences("test", corruption=Corruption(1.0))
    moved = sequences("test", augmentation=Augmentation(shift=(4, 4)))
    score, chains = evaluate(model, test), evaluate_chains(model, test)
    measured = [seconds, score["ratio"], score["accuracy"], chains["chain_accuracy"]]
    measured += [evaluate(model, spoiled)["accuracy"] for spoiled in (corrupted, moved)]
    named = {"network": name, "trained on": kind}
    named |= {"parameters": f"{model.count_params():,}", "rate": f"{rate:g}"}
    return named | dict(zip(FORMS, measured, strict=True))


def on_their_backends(function, settings: list[tuple]) -> dict:
    """What a function says of each setting, whose first part is a network's name."""
    found, backends = {}, {True: "tensorflow", False: "jax"}
    for convolves, backend in backends.items():
        own = [setting for setting in settings if (setting[0] in CONVOLVE_IMAGES) == convolves]
        done = report.in_processes(function, own, len(report.CORES), KERAS_BACKEND=backend)
        found |= dict(zip(own, done, strict=True))
    return found


def main() -> None:
    both = list(itertools.product(NETWORKS, TRAINED_ON))
    errors = on_their_backends(trial, [(*each, rate) for each in both for rate in RATES])
    best = {each: min(RATES, key=lambda rate, each=each: errors[(*each, rate)]) for each in both}
    settings = [(*each, best[each], seed) for each in both for seed in range(3)]
    measured = on_their_backends(run, settings)
    runs = [measured[setting] for setting in settings]
    notes = (
        "Each was trained on 500 batches of 256 sequences, with Adam; seconds are those of one "
        f"core. Of {len(RATES)} learning rates, it has the one with the smallest error on "
        "validation writers after 150 batches of its kind. Medians and ranges of three seeds. "
        "Chains have six steps."
    )
    by = ["network", "trained on", "parameters", "rate"]
    report.save("architectures", runs, by, FORMS, notes)


if __name__ == "__main__":
    main()
