"""Trains the default predictor with each optimizer from several seeds: do they all learn to count?

python benchmarks/optimizers.py [--quick] [--seeds 5]
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import report

from data import load_mnist
from evaluation import evaluate, evaluate_chains
from model import NextImagePredictor, make_optimizer
from preprocessing import DigitSequences
from quiet import keras

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one seed and a tenth of the steps")
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--steps", type=int, default=1_408, help="batches of 256, as in main.ipynb")
arguments = parser.parse_args()
seeds, steps = arguments.seeds, arguments.steps
if arguments.quick:
    seeds, steps = 1, steps // 10

(x_train, y_train), (x_test, y_test) = load_mnist()
test = DigitSequences(x_test, y_test, seed=1)

rows = []
for name in ("sgd", "rmsprop", "adam"):
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        train = DigitSequences(x_train, y_train, seed=seed)
        model = NextImagePredictor()
        model.adapt(train.mean_target())
        model.compile(optimizer=make_optimizer(name, steps=steps))
        start = time.perf_counter()
        model.fit(train.batches(256), steps_per_epoch=steps, shuffle=False, verbose=0)
        seconds = time.perf_counter() - start
        scores, chains = evaluate(model, test), evaluate_chains(model, test)
        rows.append(
            {
                "optimizer": name,
                "seed": seed,
                "error": f"{scores['mse']:.5f}",
                "ratio to floor": f"{scores['ratio']:.5f}",
                "right digits": f"{scores['right']:.2%}",
                "whole chains": f"{chains['chains']:.1%}",
                "seconds": round(seconds),
            }
        )
        print(rows[-1], flush=True)

report.save("optimizers", "Three optimizers, several seeds", rows)
