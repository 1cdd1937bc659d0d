"""Boxes to draw digits in, with mouse, finger or pen, in a notebook; `pad.js` is its other half.

The browser sends strokes, and shows what a model answers to their images.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from data import SIDE, check_count, flatten
from handwriting.page import in_mnist_form

PAINTED = 8 * SIDE  # pixels: a box, when it is painted
FILLED = 0.8  # of the box: what the longer side of a drawing is scaled to; the pen stays as it is
THINNEST_PEN = 0.07  # of the box: strokes of a thinner pen would vanish in MNIST's form
LEAST, MOST = [-1, -1, 0.001], [2, 2, 1]  # x, y and width of a point
MOST_BOXES = 100  # at first: nobody fills more


class Strokes(traitlets.TraitType):
    """Refuses wrong values before they are set; `traitlets.validate` does so only later, if they
    come from the browser."""

    def validate(self, pad: "DrawingPad", boxes: Sequence) -> list:
        listed = isinstance(boxes, list | tuple) and boxes
        if not listed or not all(isinstance(box, list | tuple) for box in boxes):
            raise ValueError(f"strokes are {boxes!r:.60}; expected a list of strokes for each box")
        return [[_checked(stroke) for stroke in box] for box in boxes]


class DrawingPad(anywidget.AnyWidget):
    """Boxes side by side, one for each digit of a context.

    A widget like any other: `pad.observe(function, "strokes")` is told of
    every stroke. It works in JupyterLab, Notebook and VS Code, with touch and
    pen. Tab goes from box to box, Delete clears one, Control Z takes its last
    stroke back. The size of a drawing does not matter.

    Args:
        count: Number of boxes at first, 1 to 100; 4 if nothing is drawn. A button
            adds more.
        strokes: What is drawn in each box at first: a list of strokes, each a
            list of points `[x, y, width]`, in parts of the box's side, from
            its top left corner.

    Raises:
        ValueError: `count` or `strokes` are not such, nor `strokes` set later. Those
            set before stay. What is wrong with strokes from the browser is shown.

    Example:

    >>> pad = DrawingPad(count=4)
    >>> pad.answer(lambda images: {"next": predictor.predict_next(images)})
    >>> pad  # the value of a cell: shown
    >>> pad.images.shape  # when something is drawn in each
    (4, 28, 28)
    """

    _esm = Path(__file__).with_name("pad.js")
    strokes = Strokes().tag(sync=True)
    answers = traitlets.List().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)  # a line under the boxes

    def __init__(self, count: int | None = None, strokes: Sequence | None = None):
        if count is not None:
            check_count(count, "count", MOST_BOXES)
        self._function = lambda images: {}  # until `answer` is called
        super().__init__(strokes=[[]] * (count or 4) if strokes is None else strokes)
        if count not in (None, self.count):
            raise ValueError(f"strokes are those of {self.count} boxes; expected {count}")

    def __repr__(self) -> str:
        # All that is left of the boxes where a notebook is not trusted, or its kernel is gone.
        return f"DrawingPad(count={self.count}): trust the notebook and run this cell to draw"

    @property
    def count(self) -> int:
        """Number of boxes."""
        return len(self.strokes)

    @property
    def images(self) -> np.ndarray:
        """What is drawn, `uint8 (count, 28, 28)` in MNIST's form; an error if a box is empty."""
        empty = [str(number) for number, box in enumerate(self.strokes, start=1) if not box]
        if empty:
            raise ValueError(f"nothing is drawn in box {', '.join(empty)}")
        return np.stack([in_mnist_form(_painted(box)) for box in self.strokes])

    def answer(self, function: Callable[[np.ndarray], dict[str, ArrayLike]]) -> None:
        """Answers whatever is drawn from now on, as soon as no box is empty.

        Args:
            function: Called with `images` after each stroke; returns images
                `(28, 28)` or `(n, 28, 28)` to show, a row for each title. An
                error is shown, too. Now it is called at once, and what it
                raises is raised: with what is drawn or, while a box is empty,
                with blank images, as the first answer of a model takes longest.
        """
        self._function = function
        if not all(self.strokes):
            self._answered(np.zeros((self.count, SIDE, SIDE), np.uint8))
        self._show()

    def _answered(self, images: np.ndarray) -> dict:
        answers = self._function(images)
        if not isinstance(answers, dict):
            raise ValueError(f"the function answered {answers!r:.40}; expected images by title")
        return answers

    def set_state(self, sync_data: dict) -> None:
        """Takes what the browser sends; it is called by ipywidgets."""
        try:
            super().set_state(sync_data)
        except Exception as error:
            self.status = f"{type(error).__name__}: {error}"
            self.send_state("strokes")  # or the browser would go on with those it sent
            raise

    @traitlets.observe("strokes")
    def _show(self, change: object = None) -> None:
        answers, status = [], ""
        try:
            if all(self.strokes):
                self.status = "thinking …"
                for title, images in self._answered(self.images).items():
                    pixels = np.round(255 * np.atleast_2d(flatten(images))).astype(np.uint8)
                    answers.append({"title": title, "images": [row.tobytes() for row in pixels]})
        except Exception as error:
            answers, status = [], f"{type(error).__name__}: {error}"
            if change is None:  # from `answer`; after a stroke, other observers are still to hear
                raise
        finally:
            self.answers, self.status = answers, status


def _checked(stroke: ArrayLike) -> list:
    try:
        points = np.asarray(stroke, float)
    except (TypeError, ValueError, OverflowError):
        points = np.empty(0)
    # Not `any(points < LEAST)`: NaN is not less.
    in_range = points.shape[1:] == (3,) and np.all((points >= LEAST) & (points <= MOST))
    if not in_range or not len(points):
        raise ValueError(f"{stroke!r:.60}: expected points [x, y, width] from {LEAST} to {MOST}")
    return points.tolist()


def _painted(box: list) -> np.ndarray:
    """Paints a drawing: whatever its size, it fills as much of the box, with the same pen."""
    points = np.concatenate(box)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    scale = FILLED / max(*(high - low), 0.05)  # what is smaller is a dot, and stays one
    picture = Image.new("L", (PAINTED, PAINTED))
    draw = ImageDraw.Draw(picture)
    for stroke in box:
        at = PAINTED * (0.5 + scale * (np.array(stroke)[:, :2] - (low + high) / 2))
        at = at.round(3).tolist()  # n pairs x, y, whatever the scale was
        for last, (x, y), (*_, width) in zip([at[0], *at], at, stroke, strict=False):
            radius = PAINTED * max(width, THINNEST_PEN) / 2  # of round caps and joints
            draw.line([*last, x, y], fill=255, width=max(1, round(2 * radius)))
            draw.circle((x, y), radius, fill=255)
    return np.asarray(picture)
