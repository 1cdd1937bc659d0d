"""Does it read pages? Drawn ones by kind, or those of folders with `labels.csv` (file, digits).

A column `label` in place of `digits` says that each picture has one digit.

python -m studies.pages [--folder FOLDER ...]
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from classifier import read_digits
from data import load_mnist
from handwriting.page import normalise, read_page
from model import load
from studies import report

INKS, PAPERS = ("dark", "light"), ("plain", "ruled", "squared", "shadow", "noise")


def drawn(images, labels, ink: str, paper: str, seed: int) -> tuple[np.ndarray, str]:
    """A page of images, redrawn with one pen, and its digits, with `|` between lines."""
    rng = np.random.default_rng(seed)
    page, text = np.zeros((900, 1_200)), []  # 1 is ink
    high = 900 * np.exp(rng.uniform(*np.log([1 / 30, 1 / 3])))
    pen, pitch = rng.uniform(0.05, 0.12) * high, 1.5 * high
    for line in range(rng.integers(1, min(6, 900 // pitch) + 1)):
        chosen = rng.integers(len(images), size=rng.integers(1, min(12, 1_200 // pitch) + 1))
        text.append("".join(map(str, labels[chosen])))
        for at, image in enumerate(images[chosen]):
            side = round(1.4 * high)  # of an image, whose digit is 20 pixels of 28 high
            large = np.asarray(Image.fromarray(image).resize((side, side)))
            parts, _ = ndimage.label(large > 100, np.ones((3, 3)))  # some images have dirt
            digit = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
            strokes = ndimage.distance_transform_edt(~skeletonize(digit))
            top, left = int(line * pitch), int(at * pitch)
            page[top : top + side, left : left + side] = (pen / 2 + 0.5 - strokes).clip(0, 1)
    rows, columns = np.indices(page.shape)
    rules = (paper in PAPERS[1:3]) * (rows % 45 < 2) + (paper == "squared") * (columns % 45 < 2)
    page = np.maximum(page, 0.25 * rules.clip(0, 1))
    page = rng.uniform(0.7, 0.95) - rng.uniform(0.4, 0.6) * page
    page = 1 - page if ink == "light" else page
    if paper == "shadow":
        page *= 0.5 + 0.5 / (1 + np.exp((columns + rows - rng.uniform(400, 1_700)) / 60))
    page += rng.normal(0, 0.04 if paper == "noise" else 0.01, page.shape)
    return (255 * page.clip(0, 1)).astype(np.uint8), "|".join(text)


def distance(read: str, right: str) -> int:
    """How many digits to insert, leave out or exchange."""
    row = list(range(len(right) + 1))
    for above, digit in enumerate(read):
        corner, row[0] = row[0], above + 1
        for at, other in enumerate(right, start=1):
            corner, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, corner + (digit != other))
    return row[-1]


def continued(images, text: str, model: keras.Model) -> dict:
    """Fours of ascending digits in a line, and those after which the model shows the next one."""
    fours = [at for at in range(len(text) - 3) if text[at : at + 4] in "012345678"]
    right = 0
    if len(images) == len(text.replace("|", "")):
        for at in fours:
            first = at - text[:at].count("|")
            answer = read_digits(model.predict_next(images[first : first + 4]))
            right += int(answer == int(text[at + 3]) + 1)
    return {"fours": len(fours), "continued": right}


def run(kind: str, picture, text: str, read: Callable = read_page, model=None) -> dict:
    start, right = time.perf_counter(), text.replace("|", "")
    try:
        images = read(picture)
    except ValueError:
        images = np.zeros((0, 28, 28), np.uint8)
    seconds = time.perf_counter() - start
    digits = "".join(map(str, read_digits(images))) if len(images) else ""
    counts = {"pages": 1, "right number": int(len(images) == len(right))}
    counts |= {"all right": int(digits == right), "digits": len(right)}
    counts["lost or wrong"] = distance(digits, right)
    if model:  # drawn digits are random, and hardly ever ascend
        counts |= continued(images, text, model)
    return {"kind": kind, **counts, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, nargs="+")
    folders = parser.parse_args().folder
    predictor, runs = load("next_image"), []
    for folder in folders or []:
        labels = pd.read_csv(folder / "labels.csv", dtype=str)
        single = "label" in labels
        read = (lambda picture: normalise(picture)[None]) if single else read_page
        texts = labels["label" if single else "digits"]
        labelled = zip(folder / labels["file"], texts, strict=True)
        runs += [run(folder.name, *page, read, predictor) for page in labelled]
    if not folders:
        seeds, test = range(100, 130), load_mnist()[1]
        runs = [
            run(f"{ink}, {paper}", *drawn(*test, ink, paper, seed))
            for ink, paper, seed in itertools.product(INKS, PAPERS, seeds)
        ]
    notes = (
        "Right number: as many boxes as digits. All right: all of them read rightly, in order. "
        "Lost or wrong: digits to insert, leave out or exchange; so a letter that is taken for a "
        "digit is one."
    )
    if folders:
        notes += (
            " Fours: four ascending digits in a row; continued: those after which the next one is "
            "shown."
        )
    name = "pages_strangers" if folders else "pages"
    forms = dict.fromkeys(list(runs[0])[1:-1], sum) | {"seconds": "{:.2f}"}
    report.save(name, runs, ["kind"], forms, notes)
