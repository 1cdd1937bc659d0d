"""Trains the predictor with each optimizer from several seeds: do they all learn to count?

python -m benchmarks.optimizers [--quick] [--seeds 5]
"""

import argparse

from benchmarks import report
from benchmarks.training import train_and_measure

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one seed and a tenth of the steps")
parser.add_argument("--seeds", type=int, default=5)
arguments = parser.parse_args()
seeds, steps = (1, 187) if arguments.quick else (arguments.seeds, 1_875)

rows = []
for optimizer in ("sgd", "rmsprop", "adam"):
    for seed in range(seeds):
        measured = train_and_measure(optimizer, seed, steps)
        rows.append({"optimizer": optimizer, "seed": seed, **measured})
        print(rows[-1], flush=True)

report.save("optimizers", "Three optimizers, several seeds", rows, quick=arguments.quick)
