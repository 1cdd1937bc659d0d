"""Training as in main.ipynb, with each optimizer from three seeds: do they all learn to count?

KERAS_BACKEND=jax python -m benchmarks.training [--quick]
"""

import time

from benchmarks import report
from benchmarks.timing import command_line, spread
from data import load_mnist
from evaluation import evaluate, evaluate_chains
from model import train_predictor
from preprocessing import Damage, DigitSequences

quick = command_line(__doc__, "one seed, and a tenth of the steps").quick
seeds, steps = (1, 120) if quick else (3, 1_200)
OPTIMIZERS = {"SGD": "sgd", "RMSprop": "rmsprop", "Adam": "adam"}
(x_train, y_train), (x_test, y_test) = load_mnist()
test = DigitSequences(x_test, y_test, seed=1)


def train(optimizer: str, seed: int) -> dict:
    sequences = DigitSequences(x_train, y_train, damage=Damage(0.3), seed=seed)
    start = time.perf_counter()
    model = train_predictor(sequences, steps, optimizer, seed=seed)
    seconds = time.perf_counter() - start
    return evaluate(model, test) | evaluate_chains(model, test) | {"seconds": seconds}


rows = []
for name, optimizer in OPTIMIZERS.items():
    runs = [train(optimizer, seed) for seed in range(seeds)]
    row = {"optimizer": name}
    for column, (key, form) in {
        "ratio to floor": ("ratio", "{:.4f}"),
        "right digits": ("right", "{:.2%}"),
        "whole chains": ("chains", "{:.1%}"),
        "seconds": ("seconds", "{:.0f}"),
    }.items():
        row |= spread(column, [run[key] for run in runs], form)
    rows.append(row)
    print(row, flush=True)
notes = (
    f"Medians over {len(runs)} seeds. {steps:,} batches of 256 sequences, three in ten of them "
    "damaged; seconds include compilation."
)
report.save("training", "Training, from several seeds", rows, notes, quick)
