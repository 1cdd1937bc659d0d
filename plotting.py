"""The figures: rows of digits, pages and an animation, from plain arrays.

Ink is drawn dark on white, real images in grey frames and generated ones in
blue. Each function returns the figure, which a notebook cell shows as its value,
and saves it when given a path, whose folder it makes. All raise a `ValueError`
for images of a wrong shape or range, or too many for one figure.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import ArtistAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from data import PIXELS, SIDE, check_count, check_number, flatten

REAL, GENERATED, FOUND = "0.7", "tab:blue", "tab:orange"
PITCH = SIDE + 4  # pixels from one image to the next
INCHES = 0.85  # for each image
LARGEST_FIGURE = 1_000  # square inches: some thousand images

PathLike = str | os.PathLike


def plot_sequence(
    inputs: ArrayLike,
    target: ArrayLike,
    digits: Sequence[int] | None = None,
    *,
    path: PathLike | None = None,
) -> Figure:
    """Draws one sequence like a formula, 0 1 2 3 → 4.

    Args:
        inputs: The context, `(t, 28, 28)` or flattened `(t, 784)`.
        target: The image that comes next, `(28, 28)`.
        digits: What the images show, `(t + 1,)`; written above them.
        path: File to save the figure to.

    Returns:
        The figure.

    Example:

    >>> plot_sequence(inputs[0], targets[0], digits[0], path="sequence.png")
    """
    inputs, target = _images(inputs), _images(target)
    titles = [""] * (len(inputs) + 1) if digits is None else list(digits)
    if len(titles) != len(inputs) + 1 or len(target) != 1:
        raise ValueError(
            f"got {len(titles)} digits and {len(target)} targets; expected {len(inputs) + 1} and 1"
        )
    columns = [*titles[:-1], "", titles[-1]]
    return _draw([*inputs, None, *target], len(columns), columns=columns, path=path)


def plot_predictions(
    inputs: ArrayLike,
    predictions: ArrayLike | dict[str, ArrayLike],
    targets: ArrayLike,
    *,
    rows: Sequence[str] = (),
    path: PathLike | None = None,
) -> Figure:
    """Draws predictions beside the real next images, one sequence a row.

    Args:
        inputs: Contexts, `(n, t, 28, 28)` or flattened `(n, t, 784)`.
        predictions: `(n, 28, 28)`, or several such by title, to be compared.
        targets: `(n, 28, 28)`.
        rows: `n` titles, or none.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    if not isinstance(predictions, dict):
        predictions = {"generated": predictions}
    inputs, targets = flatten(inputs), flatten(targets)
    answers = {title: flatten(images) for title, images in predictions.items()}
    n, shapes = len(inputs), {each.shape for each in (targets, *answers.values())}
    if inputs.ndim != 3 or not n or shapes != {(n, PIXELS)}:
        raise ValueError(
            f"contexts, flattened, are {inputs.shape}, and predictions and targets {shapes}; "
            f"expected (n, t, {PIXELS}) and (n, {PIXELS})"
        )
    columns, images = [""] * (inputs.shape[1] + 1) + [*answers, "real"], []
    for context, *shown in zip(inputs, *answers.values(), targets, strict=True):
        images += [*_images(context), None, *_images(shown)]
    width, first = len(columns), inputs.shape[1] + 1
    generated = [place for place in range(n * width) if first <= place % width < width - 1]
    return _draw(images, width, generated, rows=rows, columns=columns, path=path)


def plot_chain(
    inputs: ArrayLike,
    generated: ArrayLike,
    *,
    columns: int = 10,
    ax: Axes | None = None,
    path: PathLike | None = None,
) -> Figure:
    """Draws a chain: the real context, then what was generated from it.

    Args:
        inputs: The context, `(t, 28, 28)` or flattened `(t, 784)`.
        generated: `(steps, 28, 28)`.
        columns: Images in a row; longer chains go on in the next one.
        ax: Axis to draw on; by default a figure of its own.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    columns = check_count(columns, "columns")
    inputs, generated = _images(inputs), _images(generated)
    images = [*inputs, *generated]
    width, generated = min(columns, len(images)), range(len(inputs), len(images))
    return _draw(images, width, generated, ax=ax, path=path)


def plot_grid(
    images: ArrayLike,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    real: Sequence[int] = (),
    path: PathLike | None = None,
) -> Figure:
    """Draws generated images in rows and columns, each with its title.

    Args:
        images: `(r, c, 28, 28)`.
        rows: `r` titles, or none.
        columns: `c` titles, or none.
        real: Numbers of the rows, from 0, whose images are real, not generated.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    images = flatten(images)
    if images.ndim != 3 or not images.size:
        raise ValueError(f"images, flattened, are {images.shape}; expected (r, c, {PIXELS})")
    height, width = images.shape[:2]
    if any(isinstance(row, bool | np.bool_) or row not in range(height) for row in real):
        raise ValueError(f"real is {real!r:.60}; expected numbers of rows, 0 to {height - 1}")
    generated = [place for place in range(height * width) if place // width not in real]
    images = images.reshape(-1, SIDE, SIDE)
    return _draw(images, width, generated, rows=rows, columns=columns, path=path)


def plot_page(
    page: np.ndarray,
    boxes: ArrayLike,
    left_out: Sequence[tuple[ArrayLike, str]] = (),
    *,
    path: PathLike | None = None,
) -> Figure:
    """Draws a page: a box around each digit, and in grey what was left out, and why.

    The box of `images[0]` says [0]: this is its place, not what was read.

    Args:
        page: `uint8 (h, w, 3)`, from `load_picture`.
        boxes: `int (k, 4)`, from `find_digits`.
        left_out: Boxes and reasons, from `find_digits`.
        path: File to save the figure to.

    Returns:
        The figure.

    Example:

    >>> page = load_picture("page.jpg")
    >>> images, boxes, left_out = find_digits(page)
    >>> plot_page(page, boxes, left_out)
    """
    page = np.asarray(page)
    if page.dtype != np.uint8 or page.shape[2:] != (3,):
        raise ValueError(f"page is {page.dtype} {page.shape}; expected uint8 (h, w, 3)")
    height, width = page.shape[:2]
    inches = 9 / max(height, width)
    ax = _new_axis(width * inches, height * inches + 0.3)
    step = -(-max(height, width) // 3_000)  # a figure shows no more pixels
    ax.imshow(page[::step, ::step], extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    ax.axis("off")
    if left_out:  # above the page, as such boxes are small and often beside a digit
        reasons = "; ".join(sorted({reason for _, reason in left_out}))
        ax.set_title(f"grey is left out: {reasons}", color="0.5", fontsize=10)
    marked = [(box, f"[{place}]", FOUND) for place, box in enumerate(boxes)]
    marked += [(box, "", "0.5") for box, _ in left_out]
    for (top, left, bottom, right), name, color in marked:
        corner = left - 0.5, top - 0.5  # of pixels, whose middle is a whole number
        size = right - left, bottom - top
        ax.add_patch(Rectangle(corner, *size, fill=False, color=color, linewidth=2))
        ax.annotate(
            name, corner, (0, 3), textcoords="offset points", color=color, fontsize=8, weight="bold"
        )
    return _finish(ax.figure, path)


def animate_chain(
    inputs: ArrayLike, generated: ArrayLike, path: PathLike, *, seconds: float = 0.6
) -> Figure:
    """Saves a chain as an animated GIF in which one image after the other appears.

    Args:
        inputs: The context, `(t, 28, 28)` or flattened `(t, 784)`.
        generated: `(steps, 28, 28)`; with the context, at most 100 images.
        path: The `.gif` file to write.
        seconds: Time between two images, 0.01 to 60.

    Returns:
        The figure, as it looks in the last frame.
    """
    check_number(seconds, "seconds", 0.01, 60)
    if Path(path).suffix.lower() != ".gif":
        raise ValueError(f"{path}: expected a .gif file")
    inputs, generated = _images(inputs), _images(generated)
    if len(inputs) + len(generated) > 100:
        raise ValueError(f"got {len(inputs) + len(generated):,} images; expected at most 100")
    figure = plot_chain(inputs, generated)
    figure.subplots_adjust(0, 0, 1, 1)
    (ax,) = figure.axes
    # The last frame comes three times: a pause before the GIF starts again.
    counts = [*range(len(inputs), len(ax.images) + 1)] + [len(ax.images)] * 2
    frames = [[*ax.images[:count], *ax.patches[:count]] for count in counts]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    ArtistAnimation(figure, frames).save(path, PillowWriter(fps=1 / seconds), dpi=80)
    return figure


def _images(images: ArrayLike) -> np.ndarray:
    images = flatten(images)
    if images.ndim > 2:
        raise ValueError(f"got {images.shape[:-1]} images; expected one sequence, not a batch")
    return images.reshape(-1, SIDE, SIDE)


def _new_axis(width: float, height: float) -> Axes:
    if width * height > LARGEST_FIGURE:
        raise ValueError(f"{width:,.0f} x {height:,.0f} inches: too many images for one figure")
    figure, ax = plt.subplots(figsize=(width, height))
    plt.close(figure)  # else a notebook would show it twice: when drawn, and as the cell's value
    return ax


def _draw(images, width: int, generated=(), *, rows=(), columns=(), ax=None, path=None) -> Figure:
    """Draws images in rows of `width`; None is an arrow, those in `generated` get blue frames."""
    if not len(images):
        raise ValueError("got no images")
    height = -(-len(images) // width)
    for titles, count in ((rows, height), (columns, width)):
        if len(titles) not in (0, count):
            raise ValueError(f"got {len(titles)} titles; expected {count}, or none")
    ax = ax or _new_axis(width * INCHES, height * INCHES + 0.3)
    for place, image in enumerate(images):
        y, x = (PITCH * each for each in divmod(place, width))
        if image is None:
            ax.text(x + SIDE / 2, y + SIDE / 2, "→", ha="center", va="center", fontsize=22)
            continue
        box = (x, x + SIDE, y + SIDE, y)
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, extent=box, interpolation="nearest")
        color, line = (GENERATED, 1.8) if place in generated else (REAL, 0.8)
        ax.add_patch(Rectangle((x, y), SIDE, SIDE, fill=False, edgecolor=color, linewidth=line))
    for column, title in enumerate(columns):
        ax.text(column * PITCH + SIDE / 2, -3, title, ha="center", va="bottom", fontsize=9)
    for row, title in enumerate(rows):
        ax.text(-6, row * PITCH + SIDE / 2, title, ha="right", va="center", fontsize=10)
    ax.set(xlim=(-2, width * PITCH - 2), ylim=(height * PITCH - 2, -2), aspect="equal")
    ax.axis("off")
    return _finish(ax.figure, path)


def _finish(figure: Figure, path: PathLike | None) -> Figure:
    if path is not None:
        if not Path(path).suffix:
            raise ValueError(f"path is {path!r}; expected a file such as 'figure.png'")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120, bbox_inches="tight", facecolor="white")
    return figure
