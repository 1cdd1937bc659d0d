"""Is it a lucky seed? Training as in main.ipynb, and on writers, from three seeds each.

KERAS_BACKEND=jax python -m studies.seeds
"""

import itertools
import time

from data import load_mnist, load_writers
from evaluation import evaluate, evaluate_chains
from preprocessing import Corruption, DigitSequences
from studies import report
from studies.release import by_writers
from studies.writers import train_on_writers
from training import train_predictor

SEEDS, STEPS = range(3), 1_200
FORMS = {"ratio to floor": "{:.4f}", "accuracy": "{:.2%}"}
SECONDS = {"seconds": "{:.0f}"}


def run(optimizer: str, seed: int) -> dict:
    train, test = load_mnist()
    sequences = DigitSequences(*train, corruption=Corruption(0.3), seed=seed)
    start = time.perf_counter()
    model = train_predictor(sequences, STEPS, optimizer, seed=seed)
    measured = scores(model, DigitSequences(*test, seed=1), start)
    chains = evaluate_chains(model, DigitSequences(*test, seed=1))
    return {"optimizer": optimizer, "chain accuracy": chains["chain_accuracy"]} | measured


def run_on_writers(seed: int) -> dict:
    """The network of models/writer.keras, on what people wrote whom it has not met."""
    start = time.perf_counter()
    model = train_on_writers(*by_writers(), seed=seed)
    test = DigitSequences(*load_mnist()[1], pairing=load_writers()[1], seed=1)
    return {"trained on": "writers"} | scores(model, test, start)


def scores(model, test: DigitSequences, start: float) -> dict:
    seconds, score = time.perf_counter() - start, evaluate(model, test)
    return dict(zip(FORMS, (score["ratio"], score["accuracy"]), strict=True)) | {"seconds": seconds}


if __name__ == "__main__":
    runs = [run(*each) for each in itertools.product(("sgd", "rmsprop", "adam"), SEEDS)]
    notes = (
        f"Medians and ranges of {len(SEEDS)} seeds. {STEPS:,} batches of 256 sequences, one image "
        "corrupted in three tenths of them; seconds include compilation."
    )
    report.save("seeds", runs, ["optimizer"], FORMS | {"chain accuracy": "{:.1%}"} | SECONDS, notes)
    notes = (
        f"Medians and ranges of {len(SEEDS)} seeds. Four images by one writer each, of the test "
        "images; the floor is the mean image of all people. Seconds include compilation."
    )
    runs = [run_on_writers(seed) for seed in SEEDS]
    report.save("seeds_writers", runs, ["trained on"], FORMS | SECONDS, notes)
