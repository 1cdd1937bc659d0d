"""Is it a lucky seed? Training as in main.ipynb, with each optimizer from three seeds.

KERAS_BACKEND=jax python -m studies.seeds
"""

import itertools

from data import load_mnist, validation_images
from evaluation import evaluate, evaluate_chains
from preprocessing import Corruption, DigitSequences
from studies import report
from training import train_predictor

FORMS = {"ratio to floor": "{:.4f}", "accuracy": "{:.2%}", "chain accuracy": "{:.1%}"}


def run(optimizer: str, seed: int, steps: int) -> dict:
    (images, labels), test = load_mnist()
    rows = ~validation_images()
    sequences = DigitSequences(images[rows], labels[rows], corruption=Corruption(0.3), seed=seed)
    test = DigitSequences(*test, seed=1)
    model = train_predictor(sequences, steps, optimizer, seed=seed)
    score, chains = evaluate(model, test), evaluate_chains(model, test)
    measured = score["ratio"], score["accuracy"], chains["chain_accuracy"]
    return {"optimizer": optimizer} | dict(zip(FORMS, measured, strict=True))


if __name__ == "__main__":
    seeds, steps = 3, 1_200
    settings = itertools.product(("sgd", "rmsprop", "adam"), range(seeds))
    runs = [run(optimizer, seed, steps) for optimizer, seed in settings]
    notes = (
        f"Medians and ranges of {seeds} seeds. {steps:,} batches of 256 sequences, one image "
        "corrupted in three tenths of them."
    )
    report.save("seeds", runs, ["optimizer"], FORMS, notes)
