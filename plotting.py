"""Every figure: rows of digits, learning curves and animations, from plain arrays.

Ink is drawn dark on white, real images in grey frames and generated ones in
blue. Each function returns the figure, draws on a given axis where that makes
sense, and saves when given a path. A figure that is the value of a notebook
cell is shown once; in a script, save it. Images are checked by
`data.flatten`, which raises a `ValueError` for a wrong shape or range.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from data import SIDE, flatten

REAL, GENERATED, FOUND = "0.7", "tab:blue", "tab:orange"
PITCH = SIDE + 4  # pixels from one image to the next
INCHES = 0.85  # for each image

PathLike = str | os.PathLike


def plot_sequence(
    inputs: ArrayLike,
    target: ArrayLike,
    digits: Sequence[int] | None = None,
    *,
    ax: Axes | None = None,
    path: PathLike | None = None,
) -> Figure:
    """Draws one sequence like a formula, 0 1 2 3 → 4.

    Args:
        inputs: The context, `(t, 28, 28)` or flattened `(t, 784)`.
        target: The image that comes next, `(28, 28)`.
        digits: What the images show, `(t + 1,)`; written above them.
        ax: Axis to draw on; by default a figure of its own.
        path: File to save the figure to.

    Returns:
        The figure.

    Example:

    >>> plot_sequence(inputs[0], targets[0], digits[0], path="sequence.png")
    """
    inputs = _images(inputs)
    titles = [""] * (len(inputs) + 1) if digits is None else digits
    ax = ax or _new_axis(len(inputs) + 2)
    _draw(ax, [*inputs, None, *_images(target)], [*titles[:-1], "", titles[-1]])
    return _finish(ax.figure, path)


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
    inputs = flatten(inputs)
    n, length = inputs.shape[:2]
    count = len(predictions)
    axes = _new_axes((length + count + 2) * INCHES, n * (INCHES + 0.2), rows=n)
    titles = [""] * (length + 1) + [*predictions, "real"]
    for row, ax in enumerate(axes):
        answers = [image for every in predictions.values() for image in _images(every[row])]
        images = [*_images(inputs[row]), None, *answers, *_images(targets[row])]
        _draw(ax, images, titles, generated=range(length + 1, length + 1 + count))
        titles = ()  # once is enough
    for ax, title in zip(axes, rows, strict=False):
        ax.text(-6, SIDE / 2, title, ha="right", va="center", fontsize=10)
    return _finish(axes[0].figure, path)


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
    inputs, generated = _images(inputs), _images(generated)
    images = [*inputs, *generated]
    ax = ax or _new_axis(min(columns, len(images)), -(-len(images) // columns))
    _draw(ax, images, generated=range(len(inputs), len(images)), columns=columns)
    return _finish(ax.figure, path)


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
        real: Numbers of the rows whose images are real, not generated.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    images = flatten(images).reshape(*np.shape(images)[:2], SIDE, SIDE)
    height, width = images.shape[:2]
    ax = _new_axis(width, height)
    generated = [place for place in range(height * width) if place // width not in real]
    _draw(ax, images.reshape(-1, SIDE, SIDE), columns, generated, width)
    for row, title in enumerate(rows):
        ax.text(-6, row * PITCH + SIDE / 2, title, ha="right", va="center", fontsize=10)
    return _finish(ax.figure, path)


def plot_page(
    page: np.ndarray,
    boxes: ArrayLike,
    *,
    ax: Axes | None = None,
    path: PathLike | None = None,
) -> Figure:
    """Draws a page with a box and a number around each digit that was found.

    Args:
        page: `uint8 (h, w, 3)`, from `load_picture`.
        boxes: `int (k, 4)`, from `find_digits`.
        ax: Axis to draw on; by default a figure of its own.
        path: File to save the figure to.

    Returns:
        The figure.

    Example:

    >>> page = load_picture("page.jpg")
    >>> plot_page(page, find_digits(page))
    """
    height, width = page.shape[:2]
    inches = 9 / max(height, width)
    ax = ax or _new_axes(width * inches, height * inches + 0.3)[0]
    ax.imshow(page)
    ax.axis("off")
    for number, (top, left, bottom, right) in enumerate(np.reshape(boxes, (-1, 4)), start=1):
        corner = left - 0.5, top - 0.5  # of pixels, whose middle is a whole number
        size = right - left, bottom - top
        ax.add_patch(Rectangle(corner, *size, fill=False, color=FOUND, linewidth=2))
        ax.annotate(
            str(number), corner, (0, 3), textcoords="offset points", color=FOUND, weight="bold"
        )
    return _finish(ax.figure, path)


def plot_history(
    curves: dict[str, Sequence[float]],
    floor: float,
    plateau: float,
    *,
    ax: Axes | None = None,
    path: PathLike | None = None,
) -> Figure:
    """Draws learning curves between the best possible error and that of one image for all.

    Args:
        curves: Mean squared error after each epoch, by name.
        floor: The error of the mean image of the right digit.
        plateau: The error of one and the same mean image for every input.
        ax: Axis to draw on; by default a figure of its own.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    ax = ax or _new_axes(7, 4)[0]
    for name, errors in curves.items():
        ax.plot(range(1, len(errors) + 1), errors, marker=".", label=name)
    for error, name in (
        (plateau, "plateau: one image for all"),
        (floor, "floor: mean image of the right digit"),
    ):
        ax.axhline(error, color="0.4", linestyle="--", linewidth=1)
        ax.annotate(
            name, (1, error), (0, -3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="top", fontsize=9, color="0.4",
        )  # fmt: skip
    ax.margins(y=0.12)
    ax.set_xlabel("epoch")
    ax.set_ylabel("mean squared error on test images")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return _finish(ax.figure, path)


def plot_plateau(runs: Sequence[dict], *, path: PathLike | None = None) -> Figure:
    """Draws how many steps each recipe spends on the plateau, one mark for each seed.

    Args:
        runs: One dict for each run: its `"optimizer"`, `"recipe"` and size of
            `"batch"`; at which step `"half"` of the answers were right (`None`:
            at none), and how many steps were the `"longest"` it was given.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    optimizers = list(dict.fromkeys(run["optimizer"] for run in runs))
    recipes = list(dict.fromkeys(run["recipe"] for run in runs))
    sizes = list(dict.fromkeys(run["batch"] for run in runs))
    figure, axes = plt.subplots(
        1, len(optimizers), figsize=(9.5, 3.8), sharex=True, sharey=True, squeeze=False
    )
    plt.close(figure)
    for ax, optimizer in zip(axes[0], optimizers, strict=True):
        for run in runs:
            if run["optimizer"] != optimizer:
                continue
            size, left = sizes.index(run["batch"]), run["half"] is not None
            height = recipes.index(run["recipe"]) + 0.3 * (size - (len(sizes) - 1) / 2)
            ax.plot(
                run["half"] if left else run["longest"], height, marker="o" if left else ">",
                color=f"C{size}", fillstyle="full" if left else "none", markersize=7, alpha=0.8,
            )  # fmt: skip
        ax.set(title=optimizer, xscale="log")
        ax.set_yticks(range(len(recipes)), recipes)
        ax.grid(axis="x", color="0.9")
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].invert_yaxis()
    marks = [
        Line2D([], [], color=f"C{size}", marker="o", linestyle="", label=f"batches of {batch}")
        for size, batch in enumerate(sizes)
    ]
    stopped = {"color": "0.3", "marker": ">", "fillstyle": "none", "linestyle": ""}
    marks.append(Line2D([], [], **stopped, label="stopped before that"))
    figure.supxlabel("steps until half of the answers are right", y=0.1, fontsize=10)
    figure.legend(handles=marks, loc="lower center", ncols=len(marks), frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return _finish(figure, path)


def plot_guidance(
    weights: Sequence[float],
    frechet: Sequence[float],
    right: Sequence[float],
    real: float,
    *,
    path: PathLike | None = None,
) -> Figure:
    """Draws what guidance buys and costs: right digits and Fréchet distance against its weight.

    Args:
        weights: The weights.
        frechet: Fréchet distance at each.
        right: Share of right digits at each, in [0, 1].
        real: Fréchet distance of real images.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    ax = _new_axes(7, 4)[0]
    ax.plot(weights, frechet, marker="o", color=GENERATED)
    ax.axhline(real, color=GENERATED, linestyle="--", linewidth=1)
    ax.annotate(
        "real images", (1, real), (0, 3), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="bottom", fontsize=9, color=GENERATED,
    )  # fmt: skip
    ax.set_ylim(bottom=0)
    ax.set_xlabel("guidance")
    ax.set_ylabel("Fréchet distance", color=GENERATED)
    ax.spines["top"].set_visible(False)
    share = ax.twinx()
    share.plot(weights, np.multiply(right, 100), marker="s", color="tab:orange")
    share.set_ylabel("right digits, %", color="tab:orange")
    share.spines["top"].set_visible(False)
    return _finish(ax.figure, path)


def plot_giveaways(maps: dict[str, ArrayLike], *, path: PathLike | None = None) -> Figure:
    """Draws which pixels give images away, as maps side by side.

    Args:
        maps: For each crowd of images, by its name, how many each pixel tells
            from real ones, `(28, 28)`, 0.5 for none, from `pixel_accuracy`.
        path: File to save the figure to.

    Returns:
        The figure.

    Example:

    >>> plot_giveaways({"drawn": pixel_accuracy(draws, real)})
    """
    figure, axes = plt.subplots(1, len(maps), figsize=(2.6 * len(maps) + 1, 2.8), squeeze=False)
    plt.close(figure)
    for ax, (name, shares) in zip(axes[0], maps.items(), strict=True):
        picture = ax.imshow(np.asarray(shares), vmin=0.5, vmax=1, cmap="magma_r")
        ax.set_title(name, fontsize=11)
        ax.set_xticks([])
        ax.set_yticks([])
    figure.colorbar(
        picture, ax=axes[0].tolist(), format="{x:.0%}", label="told by this pixel alone"
    )
    return _finish(figure, path)


def plot_right(
    amounts: Sequence[float],
    right: dict[str, Sequence[float]],
    label: str,
    *,
    path: PathLike | None = None,
) -> Figure:
    """Draws shares of right digits against the amount of something, one curve for each predictor.

    Args:
        amounts: The amounts.
        right: Shares at each, in [0, 1], by the predictor's name.
        label: What the amount is of, with its unit.
        path: File to save the figure to.

    Returns:
        The figure.

    Example:

    >>> plot_right([0, 4], {"plain": [1, 0.4], "varied": [1, 0.99]}, "moved, pixels")
    """
    ax = _new_axes(7, 4)[0]
    for (name, shares), marker in zip(right.items(), itertools.cycle("osD^v")):
        ax.plot(amounts, np.multiply(shares, 100), marker=marker, label=name)
    ax.set_ylim(0, 103)
    ax.set_xlabel(label)
    ax.set_ylabel("right digits, %")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower left")
    return _finish(ax.figure, path)


def plot_excess(curves: dict[str, ArrayLike], *, path: PathLike | None = None) -> Figure:
    """Draws errors above the floor against seconds of training, one curve for each network.

    Args:
        curves: Pairs of seconds and error, `(k, 2)`, by the network's name.
        path: File to save the figure to.

    Returns:
        The figure.

    Example:

    >>> plot_excess({"LSTM": [(1, 1e-2), (10, 1e-5)], "linear": [(1, 1e-2), (10, 1e-4)]})
    """
    ax = _new_axes(8.5, 4.5)[0]
    # Best first, so that the legend reads like a table of results.
    ordered = sorted(curves.items(), key=lambda named: named[1][-1][1])  # by the last error
    for number, (name, curve) in enumerate(ordered):
        seconds, errors = np.transpose(curve)
        style = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--"}
        ax.loglog(seconds, errors, marker="osD^v"[number % 5], markersize=4, label=name, **style)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("seconds of training")
    ax.set_ylabel("mean squared error above the floor")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.figure.tight_layout()
    return _finish(ax.figure, path)


def plot_growth(
    sequences: Sequence[int],
    seconds: dict[str, Sequence[float]],
    megabytes: dict[str, Sequence[float]],
    *,
    path: PathLike | None = None,
) -> Figure:
    """Draws time and memory against the number of sequences, on logarithmic axes.

    Args:
        sequences: Numbers of sequences.
        seconds: What each kind of work takes at each number, by its name.
        megabytes: Its peak memory, by the same names.
        path: File to save the figure to.

    Returns:
        The figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    plt.close(figure)
    for ax, curves, what in ((left, seconds, "seconds"), (right, megabytes, "peak memory, MB")):
        for number, (name, values) in enumerate(curves.items()):
            # Thinner from one to the next: of curves that coincide, each can be seen.
            style = {"markersize": 10 - 3 * number, "linewidth": 4.5 - 1.5 * number}
            ax.loglog(sequences, values, marker="o", label=name, **style)
        ax.set_xlabel("sequences")
        ax.set_ylabel(what)
        ax.spines[["top", "right"]].set_visible(False)
    right.set_ylim(10, 10_000)
    left.legend(frameon=False)
    return _finish(figure, path)


def animate_chain(
    inputs: ArrayLike,
    generated: ArrayLike,
    path: PathLike,
    *,
    columns: int = 10,
    seconds: float = 0.6,
) -> Figure:
    """Saves a chain as an animated GIF in which one image after the other appears.

    Args:
        inputs: The context, `(t, 28, 28)` or flattened `(t, 784)`.
        generated: `(steps, 28, 28)`.
        path: The `.gif` file to write.
        columns: Images in a row; longer chains go on in the next one.
        seconds: Time between two images.

    Returns:
        The figure, as it looks in the last frame.
    """
    inputs, generated = _images(inputs), _images(generated)
    figure = plot_chain(inputs, generated, columns=columns)
    figure.subplots_adjust(0, 0, 1, 1)
    (ax,) = figure.axes

    def show(step):
        for place, (image, frame) in enumerate(zip(ax.images, ax.patches, strict=True)):
            image.set_visible(place < len(inputs) + step)
            frame.set_visible(place < len(inputs) + step)

    # The last frame comes three times: a pause before the GIF starts again.
    frames = [*range(len(generated) + 1)] + [len(generated)] * 2
    _save_animation(figure, show, frames, path, seconds)
    return figure


def animate_row(
    films: ArrayLike, path: PathLike, *, titles: Sequence[str] = (), seconds: float = 0.15
) -> Figure:
    """Saves films of generated images, side by side, as an animated GIF.

    Args:
        films: `(n, frames, 28, 28)`.
        path: The `.gif` file to write.
        titles: `n` titles, or none.
        seconds: Time between two frames.

    Returns:
        The figure, as it looks in the last frame.
    """
    films = flatten(films).reshape(*np.shape(films)[:2], SIDE, SIDE)
    figure = plot_grid(films[None, :, -1], columns=titles)
    (ax,) = figure.axes

    def show(frame):
        for image, film in zip(ax.images, films, strict=True):
            image.set_data(film[frame])

    # The last frame comes ten times: a pause before the GIF starts again.
    frames = [*range(films.shape[1])] + [films.shape[1] - 1] * 9
    _save_animation(figure, show, frames, path, seconds)
    return figure


def _save_animation(figure: Figure, show, frames, path: PathLike, seconds: float) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    FuncAnimation(figure, show, frames, init_func=lambda: None).save(
        path, PillowWriter(fps=1 / seconds), dpi=80
    )


def _images(images: ArrayLike) -> np.ndarray:
    images = flatten(images)
    if images.ndim > 2:
        raise ValueError(f"got {images.shape[:-1]} images; expected one sequence, not a batch")
    return images.reshape(-1, SIDE, SIDE)


def _new_axes(width: float, height: float, rows: int = 1) -> np.ndarray:
    figure, axes = plt.subplots(rows, figsize=(width, height), squeeze=False)
    plt.close(figure)  # else a notebook would show it twice: when drawn, and as the cell's value
    return axes[:, 0]


def _new_axis(width: int, height: int = 1) -> Axes:
    return _new_axes(width * INCHES, height * INCHES + 0.3)[0]


def _draw(ax: Axes, images, titles=(), generated=(), columns: int | None = None) -> None:
    """Draws images in rows of `columns`; None is an arrow, those in `generated` get blue frames."""
    columns = columns or len(images)
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        x, y = column * PITCH, row * PITCH
        if image is None:
            ax.text(x + SIDE / 2, y + SIDE / 2, "→", ha="center", va="center", fontsize=22)
            continue
        box = (x, x + SIDE, y + SIDE, y)
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, extent=box, interpolation="nearest")
        color = GENERATED if place in generated else REAL
        width = 1.8 if place in generated else 0.8
        ax.add_patch(
            plt.Rectangle((x, y), SIDE, SIDE, fill=False, edgecolor=color, linewidth=width)
        )
    for place, title in enumerate(titles):
        x, y = place % columns * PITCH + SIDE / 2, place // columns * PITCH - 3
        ax.text(x, y, title, ha="center", va="bottom", fontsize=9)
    ax.set_xlim(-2, min(len(images), columns) * PITCH - 2)
    ax.set_ylim(-(-len(images) // columns) * PITCH - 2, -2)
    ax.set_aspect("equal")
    ax.axis("off")


def _finish(figure: Figure, path: PathLike | None) -> Figure:
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120, bbox_inches="tight", facecolor="white")
    return figure
