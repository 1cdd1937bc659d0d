"""How long does it take to draw sequences: as arrays, as indices, and as shards of large batches?

python -m benchmarks.drawing [--quick]
"""

import statistics
from functools import partial

from benchmarks import report
from benchmarks.timing import command_line, timed
from data import load_mnist
from preprocessing import Damage, DigitSequences
from variation import ANYBODY

quick = command_line(__doc__, "one run instead of the median of eleven").quick
(images, labels), _ = load_mnist()
rows = []
for name, settings in {
    "default": {},
    "one hand": {"pairing": "style"},
    "damage 0.3": {"damage": Damage(0.3)},
    "anybody's hand": {"variation": ANYBODY},
}.items():
    make = partial(DigitSequences, images, labels, seed=0, **settings)
    drawn = make()
    calls = {
        "once": make,
        "30,000 as arrays": partial(drawn.sample, 30_000),
        "200,000 as indices": partial(drawn.draw, 200_000),
    }
    for shards in (1, 8, 64):
        stream = drawn.batches(2_048 * shards, shard=(0, shards))
        calls[f"2,048, one of {shards} shards"] = partial(next, stream)
    seconds = timed(calls, 1 if quick else 11)
    milliseconds = {
        what: f"{1_000 * statistics.median(times):,.1f} ms" for what, times in seconds.items()
    }
    rows.append({"sequences": name} | milliseconds)

report.save("drawing", "Drawing sequences", rows, "Medians of eleven alternating rounds.", quick)
