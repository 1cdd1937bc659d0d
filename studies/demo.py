"""Writes demo.html: the pad and two predictors in one page, which needs no server and no network.

python -m studies.demo   # from models/endless.keras and models/writer.keras
"""

import base64
import json

import numpy as np

from data import BOX, SIDE
from handwriting.pad import FILLED, PAINTED, THINNEST_PEN
from model import load
from studies.report import ROOT

SETTINGS = {
    "SIDE": SIDE,
    "PAINTED": PAINTED,
    "FILLED": FILLED,
    "BOX": BOX,
    "THINNEST": THINNEST_PEN,
}
NETWORKS = {"everybody": "endless", "your hand": "writer"}  # the title of a row, and its model
SOURCES = "studies/demo.html", "handwriting/pad.js", "studies/demo.js"


def page() -> str:
    """The whole page: the pad's own code, that of the page, and the data that they need."""
    networks = []
    for title, name in NETWORKS.items():
        weights = load(name).get_weights()
        halves = np.concatenate([each.ravel() for each in weights]).astype("<f2")
        if not np.isfinite(halves).all():
            raise ValueError(f"the weights of {name} do not fit into 16 bits")
        shapes, text = [each.shape for each in weights], base64.b64encode(halves.tobytes()).decode()
        networks.append({"title": title, "shapes": shapes, "weights": text})
    people = json.loads((ROOT / "datasets" / "hands.json").read_text()).values()
    data = {
        "settings": SETTINGS | {"COUNT": 4, "STEPS": 6},
        "networks": networks,
        "hands": [[drawings[digit] for digit in "0123"] for drawings in people],
    }
    html, pad, script = [(ROOT / path).read_text(encoding="utf-8") for path in SOURCES]
    html = html.replace("SCRIPT\n", f"{pad}\n{script}")
    return html.replace("DATA", json.dumps(data, separators=(",", ":")))


if __name__ == "__main__":
    path = ROOT / "demo.html"
    path.write_text(page(), encoding="utf-8")
    print(f"Wrote {path.name}, {path.stat().st_size / 1e6:.2f} MB.")
