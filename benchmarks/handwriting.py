"""From a page to the next image: how many pages of four digits are read and continued rightly?

python -m benchmarks.handwriting [--quick]
"""

import statistics
import time

import keras
import numpy as np

import model  # noqa: F401  # Keras has to know the class to load one
from benchmarks import report
from benchmarks.pages import KINDS, draw_page
from benchmarks.timing import command_line
from classifier import read_digits
from data import load_mnist
from handwriting import read_page
from preprocessing import DigitSequences

quick = command_line(__doc__, "twenty pages of each kind").quick
pages = 20 if quick else 300
predictor = keras.saving.load_model("models/next_image.keras")
_, (images, labels) = load_mnist()
digits, indices = DigitSequences(images, labels, seed=2).draw(pages)

rows = []
for kind in KINDS:
    rng = np.random.default_rng(0)
    found, chosen, seconds = [], [], []
    for number, (shown, of) in enumerate(zip(digits[:, :4], indices[:, :4], strict=True)):
        page = draw_page(images[of], shown, kind, rng)
        start = time.perf_counter()
        try:
            found.append(read_page(page, count=4))
            chosen.append(number)
        except ValueError as error:
            print(f"{kind}, page {number}: {error}", flush=True)
        seconds.append(time.perf_counter() - start)
    four = np.stack(found)
    read = (read_digits(four.reshape(-1, 28, 28)).reshape(-1, 4) == digits[chosen, :4]).all(axis=1)
    continued = read_digits(predictor.predict_next(four)) == digits[chosen, 4]
    rows.append(
        {
            "pages": kind,
            "four digits found": f"{len(found) / pages:.1%}",
            "all four read": f"{read.sum() / pages:.1%}",
            "continued rightly": f"{continued.sum() / pages:.1%}",
            "milliseconds": f"{1_000 * statistics.median(seconds):.0f}",
        }
    )
    print(rows[-1], flush=True)
notes = (
    f"{pages} pages of each kind, four test digits each, made by `benchmarks.pages`. *All four "
    "read* is the classifier's, one image at a time; *continued rightly* the predictor's, which "
    "sees all four. Pages where another number of digits was found count as wrong. Milliseconds "
    "are the median of `read_page`."
)
report.save("handwriting", "Pages", rows, notes, quick)
