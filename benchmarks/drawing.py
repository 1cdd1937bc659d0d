"""How long does it take to draw sequences, as arrays and as indices?

python -m benchmarks.drawing [--quick]
"""

import argparse
import statistics
import time

from benchmarks import report
from data import load_mnist
from preprocessing import DigitSequences

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one run instead of the median of five")
quick = parser.parse_args().quick

(images, labels), _ = load_mnist()


def seconds(action) -> str:
    times = []
    for _ in range(1 if quick else 5):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return f"{statistics.median(times):.2f} s"


rows = []
for pairing in ("random", "style"):
    sequences = DigitSequences(images, labels, pairing=pairing, seed=0)
    sequences.draw(1)
    rows.append(
        {
            "pairing": pairing,
            "once, for 60,000 images": seconds(
                lambda pairing=pairing: DigitSequences(images, labels, pairing=pairing, seed=0)
            ),
            "30,000 sequences as arrays": seconds(lambda s=sequences: s.sample(30_000)),
            "1,000,000 indices": seconds(lambda s=sequences: s.draw(200_000)),
        }
    )

report.save("drawing", "Drawing sequences", rows, "Median of five runs.", quick=quick)
