"""How long does it take to draw sequences: as arrays, as indices, and as shards of large batches?

python -m benchmarks.drawing [--quick]
"""

import statistics
from functools import partial

from benchmarks import report
from benchmarks.timing import command_line, timed
from data import load_mnist
from preprocessing import Damage, DigitSequences

quick = command_line(__doc__, "one run instead of the median of eleven").quick
(images, labels), _ = load_mnist()
rows = []
for name, settings in {
    "default": {},
    "one hand": {"pairing": "style"},
    "damage 0.3": {"damage": Damage(0.3)},
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
    row = {"sequences": name}
    for what, call in calls.items():
        # Not in turns: nothing else goes on here, so that `next` waits for the thread that draws.
        seconds = timed({what: call}, 1 if quick else 11)[what]
        row[what] = f"{1_000 * statistics.median(seconds):,.1f} ms"
    rows.append(row)

report.save("drawing", "Drawing sequences", rows, "Medians of eleven runs.", quick)
