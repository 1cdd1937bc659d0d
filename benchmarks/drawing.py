"""How long does it take to draw sequences: as arrays, as indices, and as shards of large batches?

python -m benchmarks.drawing [--quick]
"""

import argparse
import statistics
import time

from benchmarks import report
from data import load_mnist
from preprocessing import Damage, DigitSequences

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one run instead of the median of eleven")
quick = parser.parse_args().quick

(images, labels), _ = load_mnist()


def milliseconds(action) -> str:
    times = []
    for _ in range(1 if quick else 11):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return f"{statistics.median(times) * 1e3:.1f} ms"


def sequences(settings: dict) -> DigitSequences:
    return DigitSequences(images, labels, seed=0, **settings)


rows = []
for name, settings in {
    "default": {},
    "one hand": {"pairing": "style"},
    "damage 0.3": {"damage": Damage(0.3)},
}.items():
    drawn = sequences(settings)
    draws = {
        "30,000 as arrays": lambda drawn=drawn: drawn.sample(30_000),
        "200,000 as indices": lambda drawn=drawn: drawn.draw(200_000),
    }
    # `next` waits for the thread that draws: nothing else is going on here.
    for shards in (1, 8, 64):
        stream = drawn.batches(2_048 * shards, shard=(0, shards))
        draws[f"2,048, one of {shards} shards"] = lambda stream=stream: next(stream)
    row = {"sequences": name, "once": milliseconds(lambda settings=settings: sequences(settings))}
    rows.append(row | {what: milliseconds(draw) for what, draw in draws.items()})

report.save("drawing", "Drawing sequences", rows, "Medians of eleven runs.", quick=quick)
