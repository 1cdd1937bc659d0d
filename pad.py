"""Boxes to draw digits in, with mouse, finger or pen, in a notebook; `pad.js` is its other half.

What was drawn comes as strokes, is painted here, and brought into MNIST's form. What a network
answers is shown beside it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from data import SIDE, flatten
from handwriting import in_mnist_form

PAINTED = 8 * SIDE  # pixels: a box, when it is painted

Box = list[list[list[float]]]


class DrawingPad(anywidget.AnyWidget):
    """Boxes side by side, one for each digit of a context.

    A widget like any other: `pad.observe(function, "strokes")` is told of
    every stroke. It works in JupyterLab, Notebook and VS Code, with touch and
    with the keyboard: Tab goes from box to box, Delete clears one, and
    Control Z takes its last stroke back.

    Args:
        count: Number of boxes.
        strokes: What is drawn in each box at first: a list of strokes, each a
            list of points `[x, y, width]`, in parts of the box's side, from
            its top left corner. By default nothing.

    Raises:
        ValueError: `count` is below 1, or not the number of boxes of strokes.

    Example:

    >>> pad = DrawingPad(count=4)
    >>> pad.answer(lambda images: {"next": predictor.predict_next(images)})
    >>> pad  # the value of a cell: shown

    >>> pad.images.shape  # when something is drawn in each
    (4, 28, 28)
    """

    _esm = Path(__file__).with_name("pad.js")
    count = traitlets.Int(4, read_only=True).tag(sync=True)
    strokes = traitlets.List().tag(sync=True)
    answers = traitlets.List().tag(sync=True)

    def __init__(self, count: int = 4, strokes: Sequence[Box] | None = None):
        if count < 1:
            raise ValueError(f"count is {count}; expected at least 1")
        strokes = [[] for _ in range(count)] if strokes is None else list(strokes)
        if len(strokes) != count:
            raise ValueError(f"strokes are those of {len(strokes)} boxes; expected {count}")
        self._function = lambda images: {}  # until `answer` is called
        super().__init__(strokes=strokes)
        self.set_trait("count", count)

    @property
    def images(self) -> np.ndarray:
        """What is drawn, `uint8 (count, 28, 28)` in MNIST's form.

        Raises:
            ValueError: A box is empty.
        """
        empty = [str(number) for number, box in enumerate(self.strokes, start=1) if not box]
        if empty:
            boxes = f"box {empty[0]} is" if len(empty) == 1 else f"boxes {', '.join(empty)} are"
            raise ValueError(f"{boxes} empty")
        return np.stack([_normalised(_frozen(box)) for box in self.strokes])

    def answer(self, function: Callable[[np.ndarray], dict[str, ArrayLike]]) -> None:
        """Answers whatever is drawn from now on, as soon as no box is empty.

        Args:
            function: Called with `images` after each stroke; returns images
                `(28, 28)` or `(n, 28, 28)` to show, a row for each title.
        """
        self._function = function
        self._show()

    @traitlets.observe("strokes")
    def _show(self, _: object = None) -> None:
        rows = self._function(self.images) if all(self.strokes) else {}
        self.answers = [
            {"title": title, "images": [image.tobytes() for image in _bytes(images)]}
            for title, images in rows.items()
        ]


def _bytes(images: ArrayLike) -> np.ndarray:
    return np.round(255 * flatten(images).reshape(-1, SIDE, SIDE)).astype(np.uint8)


def _frozen(box: Box) -> tuple:
    return tuple(tuple(tuple(point) for point in stroke) for stroke in box)


@lru_cache(maxsize=64)  # a new stroke changes one box
def _normalised(box: tuple) -> np.ndarray:
    """What is drawn in a box, in MNIST's form."""
    picture = Image.new("L", (PAINTED, PAINTED))
    draw = ImageDraw.Draw(picture)
    for stroke in box:
        for (x, y, _), (to_x, to_y, width) in zip(stroke[:1] + stroke, stroke, strict=False):
            radius = PAINTED * width / 2
            ends = [(PAINTED * x, PAINTED * y), (PAINTED * to_x, PAINTED * to_y)]
            draw.line(ends, fill=255, width=max(1, round(2 * radius)))
            for at_x, at_y in ends:
                draw.ellipse((at_x - radius, at_y - radius, at_x + radius, at_y + radius), fill=255)
    return in_mnist_form(np.asarray(picture))
