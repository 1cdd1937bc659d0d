"""Is it a lucky seed? Training as main.ipynb does, three times with each optimizer.

KERAS_BACKEND=jax python -m studies.seeds
"""

import itertools

from data import load_mnist
from evaluation import evaluate, evaluate_chains
from preprocessing import Corruption, DigitSequences
from studies import report
from studies.writers import by_writers
from training import train_predictor

FORMS = {"ratio to floor": "{:.4f}", "accuracy": "{:.2%}", "chain accuracy": "{:.1%}"}


def run(optimizer: str, seed: int) -> dict:
    images, labels, _ = by_writers()
    train = DigitSequences(images, labels, corruption=Corruption(0.3), seed=seed)
    test = DigitSequences(*load_mnist()[1], seed=1)
    model = train_predictor(train, 1_200, optimizer, seed=seed)
    score, chains = evaluate(model, test), evaluate_chains(model, test)
    measured = score["ratio"], score["accuracy"], chains["chain_accuracy"]
    return {"optimizer": optimizer} | dict(zip(FORMS, measured, strict=True))


if __name__ == "__main__":
    runs = [run(*each) for each in itertools.product(("sgd", "rmsprop", "adam"), range(3))]
    notes = (
        "Medians and ranges of 3 seeds. 1,200 batches of 256 sequences, one image corrupted in "
        "three tenths of them."
    )
    report.save("seeds", runs, ["optimizer"], FORMS, notes)
