"""What does each setting of the predictor buy? One is changed at a time.

python -m benchmarks.settings [--quick]
"""

import argparse

from benchmarks import report
from benchmarks.training import train_and_measure

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
quick = parser.parse_args().quick
steps = 187 if quick else 1_875

SETTINGS = {
    "as in main.ipynb, longer": {},
    "half the steps": {"steps": steps // 2},
    "no damage": {"damage": 0.0},
    "no dropout": {"dropout": 0.0},
    "neither": {"damage": 0.0, "dropout": 0.0},
    "learning rate 1e-3": {"rate": 1e-3},
}

rows = []
for name, changes in SETTINGS.items():
    measured = train_and_measure(**{"steps": steps} | changes)
    rows.append({"setting": name, **measured})
    print(rows[-1], flush=True)

report.save("settings", "The Adam predictor, one setting changed at a time", rows, quick=quick)
