"""What did each setting of the default predictor buy? One is changed at a time.

python benchmarks/settings.py [--quick]
"""

import argparse

import report
from training import train_and_measure

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
steps = 187 if parser.parse_args().quick else 1_875

SETTINGS = {
    "as it is": {},
    "no damage": {"damage": None},
    "no dropout": {"dropout": 0.0},
    "neither": {"damage": None, "dropout": 0.0},
    "dropout 0.5": {"dropout": 0.5},
    "learning rate 1e-3": {"rate": 1e-3},
    "learning rate 2e-3": {"rate": 2e-3},
    "learning rate 8e-3": {"rate": 8e-3},
    "half the steps": {"steps": steps // 2},
    "LSTMs of 128 and 64": {"units": (128, 64)},
    "LSTMs of 256 and 128": {"units": (256, 128)},
}

rows = []
for name, changes in SETTINGS.items():
    measured = train_and_measure(**{"steps": steps} | changes)
    del measured["predictor"], measured["chains"]
    rows.append({"setting": name, **measured})
    print(rows[-1], flush=True)

report.save("settings", "The default Adam predictor, one setting changed at a time", rows)
