"""Is it a lucky seed? Training as main.ipynb does, and as for whose_hand.ipynb, three times each.

KERAS_BACKEND=jax python -m studies.seeds
"""

import itertools

import numpy as np

from data import load_mnist, load_writers
from evaluation import digit_means, evaluate, evaluate_chains
from preprocessing import Corruption, DigitSequences, digit_windows
from studies import report
from studies.writers import LinearModel, by_writers, train_on_writers
from training import train_predictor

SEEDS, STEPS = 3, 1_200
FORMS = {"ratio to floor": "{:.4f}", "accuracy": "{:.2%}", "chain accuracy": "{:.1%}"}
HAND_FORMS = dict.fromkeys(("linear", "one hand", "both"), "{:.3f}")

IMAGES, LABELS, WRITERS = by_writers()
TEST = load_mnist()[1]


def run(optimizer: str, seed: int) -> dict:
    given = {"corruption": Corruption(0.3), "seed": seed}
    sequences = DigitSequences(IMAGES, LABELS, **given)
    test = DigitSequences(*TEST, seed=1)
    model = train_predictor(sequences, STEPS, optimizer, seed=seed)
    score, chains = evaluate(model, test), evaluate_chains(model, test)
    measured = score["ratio"], score["accuracy"], chains["chain_accuracy"]
    return {"optimizer": optimizer} | dict(zip(FORMS, measured, strict=True))


def of_a_hand(seed: int) -> list[dict]:
    """Errors over the floor on sequences by one test writer each, by the number of images."""
    _, pairing = load_writers()
    given = IMAGES, LABELS, WRITERS
    linear, network = LinearModel(*given), train_on_writers(*given, seed=seed)
    runs = []
    for length in (4, 9, 19, 39):
        windows = digit_windows(length, wrap=length > 4)
        test = DigitSequences(*TEST, windows, pairing=pairing, seed=1)
        inputs, targets, digits = test.sample(6_000)
        answers = linear.predict(inputs, digits), network.predict(inputs, verbose=0)
        answers = *answers, np.mean(answers, axis=0)
        floor = np.square(digit_means()[digits[:, -1]] - targets).mean()
        ratios = [float(np.square(images - targets).mean() / floor) for images in answers]
        runs.append({"images": length} | dict(zip(HAND_FORMS, ratios, strict=True)))
    return runs


if __name__ == "__main__":
    runs = [run(*each) for each in itertools.product(("sgd", "rmsprop", "adam"), range(SEEDS))]
    spread = f"Medians and ranges of {SEEDS} seeds."
    notes = f"{STEPS:,} batches of 256 sequences, one image corrupted in three tenths of them."
    report.save("seeds", runs, ["optimizer"], FORMS, f"{spread} {notes}")
    runs = [row for seed in range(SEEDS) for row in of_a_hand(seed)]
    report.save("seeds_writers", runs, ["images"], HAND_FORMS, f"{spread} Errors over the floor.")
