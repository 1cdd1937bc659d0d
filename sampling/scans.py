"""Scans: MNIST's digits in black and white, as they were before they got their greys.

NIST scanned its forms in black and white. MNIST's makers cut out each digit, scaled
it to a box of 20 x 20 pixels, which made the greys, and put the box where the
digit's centre of mass is in the middle of 28 x 28 pixels. `shrink` does the same.
`undo` goes back: it finds the scan from which an image of MNIST was made, to a few
pixels.

Reference:
    Yadav and Bottou, 2019: Cold case: the lost MNIST digits. (Their program is at
    github.com/facebookresearch/qmnist, in `xnist.lsh`.)
"""

import functools

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import toeplitz
from scipy.special import expit

from data import BOX, SIDE, flatten

LARGEST_SCAN = 80  # longer side of a scan: MNIST has hardly any that are larger
SIZES = range(22, LARGEST_SCAN + 1)


@functools.cache
def scaling(size: int) -> np.ndarray:
    """How much each pixel of a scan adds to each pixel of the box, along one side: `(20, size)`.

    In the makers' program, a pixel of the scan is a square with a side of 0.99,
    unless all of it lies in one pixel of the box. So whites differ, from 250 to 255.
    """
    single = np.float32  # as in their program: it decides which whites are 254 or 255
    step, weights = single(BOX) / single(size), np.zeros((BOX, size), single)
    for pixel in range(size):
        start = single(BOX / 2) + step * single(pixel - size / 2)
        end = start + single(0.99) * step
        first, last = int(start), int(end)
        if first == last:
            weights[first, pixel] = step
        else:
            weights[[first, last], pixel] = first + 1 - start, end - last
    weights.flags.writeable = False  # the same array for all who ask
    return weights


def shrink(scans: ArrayLike, sizes: ArrayLike) -> np.ndarray:
    """Makes MNIST's images of scans.

    Args:
        scans: `(n, h, w)`, 1 for ink and 0 for paper, each in the upper left corner.
        sizes: Their longer sides, integers `(n,)` from 22 to 80, at most h and w.

    Returns:
        `float32 (n, 28, 28)` in [0, 1].

    Raises:
        ValueError: Other shapes or sizes.

    Example:

    >>> scans, sizes, _ = undo(x_train[:100])
    >>> np.abs(255 * shrink(scans, sizes) - x_train[:100]).mean()
    0.06
    """
    scans, sizes = np.asarray(scans), np.asarray(sizes)
    fit = scans.ndim == 3 and scans.shape[:1] == sizes.shape and sizes.dtype.kind in "iu"
    if not fit or not np.isin(sizes, SIZES).all() or (sizes > min(scans.shape[1:])).any():
        raise ValueError(
            f"scans have shape {scans.shape}, and sizes {sizes.shape}; expected (n, h, w) and "
            f"(n,) integers from {SIZES[0]} to {SIZES[-1]}, at most h and w"
        )
    images = np.zeros((len(scans), SIDE, SIDE), np.float32)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        boxes = _shrunk(scans[rows, :size, :size], int(size))
        for row, box in zip(rows, boxes, strict=True):
            top, left = _corner(box)
            images[row, top : top + BOX, left : left + BOX] = box
    return images


def undo(images: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the scans from which images of MNIST were made. A thousand take a minute or less.

    Each size is tried. For the two that come nearest, ink and paper are found by
    mean-field annealing: pixels begin grey and become black or white, as the
    image asks for and as their neighbours are.

    Args:
        images: `(n, 28, 28)`, integers in [0, 255] or floats in [0, 1], of MNIST:
            what it finds for others means nothing.

    Returns:
        Scans `bool (n, 80, 80)`, as for `shrink`; their sizes `int32 (n,)`; and the
        rows and columns where their boxes begin in the images, `int32 (n, 2)`.

    Raises:
        ValueError: Values out of range, or a blank image.
    """
    images = flatten(images).reshape(-1, SIDE, SIDE)
    if not images.any(axis=(1, 2)).all():
        raise ValueError(f"image {images.any(axis=(1, 2)).argmin()} is blank")
    scans = np.zeros((len(images), LARGEST_SCAN, LARGEST_SCAN), bool)
    sizes = np.zeros(len(images), "int32")
    corners = np.zeros((len(images), 2), "int32")
    for start in range(0, len(images), 50):  # more at once do not fit into a core's cache
        rows = slice(start, start + 50)
        boxes, corners[rows] = zip(*map(_boxed, images[rows]), strict=True)
        boxes = np.stack(boxes)
        errors = np.stack([_annealed(boxes, size, 8, 0.003)[1] for size in SIZES])
        best = np.full(len(boxes), np.inf)
        for row, size in np.ndindex(len(boxes), 2):
            size = SIZES[np.argsort(errors[:, row])[size]]
            found, error = _annealed(boxes[[row]], size, 60, 0.001)
            if error < best[row]:
                best[row], sizes[start + row] = error[0], size
                scans[start + row] = np.pad(found[0], (0, LARGEST_SCAN - size))
    return scans, sizes, corners


def _boxed(image):
    """The box of an image, and its upper left corner."""
    sides = []
    for axis in (1, 0):
        inked = np.flatnonzero(image.any(axis=axis))
        # The shorter side of a digit is in the middle of its box.
        start = inked[0] - max(BOX - 1 - inked[-1] + inked[0], 0) // 2
        sides.append(int(np.clip(start, 0, SIDE - BOX)))
    top, left = sides
    return image[top : top + BOX, left : left + BOX], sides


def _annealed(boxes, size, steps, coldest):
    """Scans of one size, and how far what is made of them is from the boxes."""
    weights = scaling(size)
    square, total = ((weights**power).sum(axis=0) for power in (2, 1))
    square = np.outer(square, square)  # what a pixel alone would explain
    wanted = boxes * min(1, weights.sum(axis=1).max() ** 2)
    near = toeplitz([1, 0.5] + [0] * (size - 2)).astype(np.float32)  # a pixel and its neighbours
    field = 8 * (weights.T @ wanted @ weights / np.outer(total, total) - 0.5)
    for temperature in np.geomspace(0.05, coldest, steps, dtype=np.float32):
        ink = expit(field)
        lacks = weights.T @ (wanted - weights @ ink @ weights.T) @ weights
        around = near @ ink @ near - ink
        asked = (2 * lacks + square * (2 * ink - 1)) / temperature + 2 * around - 3
        field += (asked - field) / 2
    scans = field > 0
    return scans, np.square(_shrunk(scans, size) - boxes).mean(axis=(1, 2))


def _shrunk(scans, size):
    """Boxes of scans of one size, in the makers' levels of grey."""
    weights = scaling(size)
    boxes = weights @ scans.astype(np.float32) @ weights.T
    levels = 255 * (boxes / np.maximum(boxes.max(axis=(1, 2), keepdims=True), 1e-6))
    levels = np.where(levels < 128, np.ceil(levels), np.floor(levels))  # to the middle
    return levels / np.float32(255)


def _corner(box):
    """Where the box lies in the image: its centre of mass goes to the middle."""
    ink, places = max(box.sum(), 1e-6), np.arange(BOX)
    return [
        int(np.clip(np.floor((SIDE + 1) / 2 - each @ places / ink), 0, SIDE - BOX))
        for each in (box.sum(axis=1), box.sum(axis=0))
    ]
