"""From paper to images: the digits of a photo, scan or screenshot, each in MNIST's form.

Connected ink is a stroke, strokes that belong together are a digit, and each digit is scaled and
centred as the makers of MNIST did with theirs.
"""

from itertools import combinations

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import regionprops

from data import SIDE
from ink import Picture, ink_of, is_ink, load_picture, without_lines, without_table

LARGEST = 1_600  # pixels: the longer side of a page that is searched; larger ones are reduced
BOX = 20  # pixels: the longer side of a digit in MNIST's images
WIDEST = 0.35  # of a picture of one digit alone: its widest stroke
LEAST_STROKE = 1.8  # pixels, in MNIST's form: strokes of a thin pencil would vanish


def normalise(picture: Picture) -> np.ndarray:
    """Brings one digit, of any size and colour, into MNIST's form.

    The longer side of the ink's box becomes 20 pixels, and its centre of mass
    comes to the middle of 28 x 28. Strokes are white on black, and at least so
    wide that they are seen.

    Args:
        picture: One digit, dark on light or light on dark, as for
            `load_picture`.

    Returns:
        `uint8 (28, 28)`: 0 is paper, 255 ink.

    Raises:
        ValueError: Not a picture, too large, or without ink.

    Example:

    >>> normalise("seven.png").shape
    (28, 28)

    Reference:
        LeCun, Cortes and Burges, 1998: The MNIST database of handwritten
        digits.
    """
    ink = ink_of(_reduced(load_picture(picture)), widest=WIDEST)
    return in_mnist_form(np.where(is_ink(ink), ink, 0))


def find_digits(picture: Picture) -> np.ndarray:
    """Finds the digits of a page, in reading order.

    Args:
        picture: A page, as for `load_picture`; `plot_page` shows what was
            found.

    Returns:
        A box for each digit, `int (k, 4)`: its first row and column, and those
        after its last, in pixels of `load_picture(picture)`.

    Raises:
        ValueError: As for `load_picture`.

    Example:

    >>> page = load_picture("page.jpg")
    >>> plot_page(page, find_digits(page))
    """
    page = load_picture(picture)
    reduced = _reduced(page)
    boxes = np.reshape([digit.box for digit in _digits(ink_of(reduced))], (-1, 4))
    return np.round(boxes * np.tile(np.divide(page.shape[:2], reduced.shape[:2]), 2)).astype(int)


def read_page(picture: Picture, count: int | None = None) -> np.ndarray:
    """Reads all digits of a photo, scan or screenshot, line by line.

    The digits may be of any colour, dark on light or light on dark, on paper
    with lines, squares or shadows on it. They must not touch each other.

    Args:
        picture: A page, as for `load_picture`.
        count: How many digits there are; by default any number.

    Returns:
        `uint8 (k, 28, 28)` in MNIST's form, in reading order: a context for
        `predict_next` and `generate`.

    Raises:
        ValueError: As for `load_picture`; or no ink, or not `count` digits.

    Example:

    >>> model.generate(read_page("page.jpg", count=4), steps=6).shape
    (6, 28, 28)
    """
    ink = ink_of(_reduced(load_picture(picture)))
    digits = _digits(ink)
    if not digits or count not in (None, len(digits)):
        found = f"{len(digits)} digits found" if digits else "no ink found"
        expected = "" if count is None else f" where {count} digits were expected"
        raise ValueError(f"{found}{expected}; plot_page(page, find_digits(page)) shows them")
    return np.stack([in_mnist_form(digit.ink(ink)) for digit in digits])


def _reduced(page: np.ndarray) -> np.ndarray:
    """A smaller page, if it is very large."""
    longer = max(page.shape[:2])
    if longer <= LARGEST:
        return page
    size = [max(1, round(side * LARGEST / longer)) for side in page.shape[1::-1]]
    return np.asarray(Image.fromarray(page).resize(size, Image.Resampling.BOX))


class _Digit:
    """Strokes that belong together, as `regionprops` measures them."""

    def __init__(self, strokes: list):
        self.strokes = strokes
        boxes = np.array([stroke.bbox for stroke in strokes])
        self.box = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
        top, left, bottom, right = self.box
        self.height, self.width = bottom - top, right - left
        self.middle = (top + bottom) / 2, (left + right) / 2

    def ink(self, ink: np.ndarray) -> np.ndarray:
        """The page's ink in the digit's box, without that of others."""
        top, left, bottom, right = self.box
        own = np.zeros((self.height, self.width), bool)
        for stroke in self.strokes:
            own[tuple((stroke.coords - [top, left]).T)] = True
        return np.where(own, ink[top:bottom, left:right], 0)


def _digits(ink: np.ndarray) -> list[_Digit]:
    """The digits of a page, in reading order."""
    ink = without_lines(without_table(ink))
    if max(ink.shape) > 300:
        ink = ndimage.gaussian_filter(ink, 0.7)
    strokes = _strokes(ink)
    if not strokes:
        return []
    # The size of digits is that of the stroke with the middle pixel of ink: specks hardly count.
    sizes = np.array(
        [max(_Digit([stroke]).box[2:] - np.array(stroke.bbox[:2])) for stroke in strokes]
    )
    order = np.argsort(sizes)
    areas = np.cumsum([strokes[at].area for at in order])
    size = float(sizes[order][np.searchsorted(areas, areas[-1] / 2)])
    large = (sizes > 0.12 * size) & ([stroke.area > 0.003 * size**2 for stroke in strokes])
    digits = _joined([_Digit([strokes[at]]) for at in np.flatnonzero(large)], size)
    digits = [d for d in digits if d.height > 0.4 * size and max(d.height, d.width) < 2 * size]
    return _in_reading_order(digits, size)


def _strokes(ink: np.ndarray) -> list:
    """Connected ink, but for the edges of pages and shadows."""
    labels = _labels(ink)
    # What touches the border is no stroke but a table, or the edge of a page, and strokes may show
    # only without it. Unless that is all there is: a page that was cut close.
    for _ in range(3):
        outside = ndimage.maximum_filter(ink < -0.5, 5)  # the table, which was taken away
        outside[[0, -1]] = outside[:, [0, -1]] = True
        at_border = np.unique(labels[outside & (labels > 0)])
        if not len(at_border):
            break
        beside = np.isin(labels, at_border)  # and its blurred edge
        beside = ndimage.maximum_filter(beside, 7 + max(ink.shape) // 100)
        without = np.where(beside, -1, ink)
        inside = _labels(without)
        if not inside.any():
            break
        ink, labels = without, inside
    longest = max(ink.shape)
    strokes = regionprops(labels)
    return [s for s in strokes if max(s.image.shape) < longest / 2 or s.extent > 0.2]


def _labels(ink: np.ndarray) -> np.ndarray:
    return ndimage.label(is_ink(ink), np.ones((3, 3)))[0]


def _joined(digits: list[_Digit], size: float) -> list[_Digit]:
    """Puts strokes together that belong to one digit, the nearest first."""
    while len(digits) > 1:
        pairs = list(combinations(digits, 2))
        distances = [_distance(one, other, size) for one, other in pairs]
        nearest = int(np.argmin(distances))
        if distances[nearest] > 1:
            break
        one, other = pairs[nearest]
        digits = [digit for digit in digits if digit not in (one, other)]
        digits.append(_Digit(one.strokes + other.strokes))
    return digits


def _distance(one: _Digit, other: _Digit, size: float) -> float:
    """How far two parts are from each other; at most 1 if they are one digit."""
    a, b = sorted((one, other), key=lambda part: part.height * part.width)
    top, left = np.minimum(a.box[:2], b.box[:2])
    bottom, right = np.maximum(a.box[2:], b.box[2:])
    down, across = (bottom - top) - (a.height + b.height), (right - left) - (a.width + b.width)
    if bottom - top > 1.5 * size or max(down, across) > 0.3 * size:
        return np.inf
    whole = min(a.height, b.height) > 0.75 * size
    if whole and right - left > 1.25 * size:
        return np.inf  # two digits, side by side
    # The one over the other is one digit sooner than the one beside the other.
    over = across < -0.4 * min(a.width, b.width)
    reach = size * (0.25 if over else 0.09 if whole else 0.18)
    return _gap(a, b) / reach


def _gap(a: _Digit, b: _Digit) -> float:
    """The shortest way from the ink of one to that of the other, in pixels."""
    points = [np.concatenate([stroke.coords for stroke in digit.strokes]) for digit in (a, b)]
    points = [all_[:: max(1, len(all_) // 400)] for all_ in points]
    return float(cKDTree(points[1]).query(points[0])[0].min())


def _in_reading_order(digits: list[_Digit], size: float) -> list[_Digit]:
    """Line by line, each from the left, also if lines run askew."""
    if not digits:
        return []
    rows, columns = np.array([digit.middle for digit in digits]).T
    slopes = []
    for row, column in zip(rows, columns, strict=True):
        down, right = rows - row, columns - column
        beside = np.flatnonzero((right > 0.3 * size) & (np.abs(down) < 0.5 * right))
        if len(beside):
            nearest = beside[np.argmin(np.abs(down[beside]) + right[beside])]
            slopes.append(down[nearest] / right[nearest])
    level = rows - (np.median(slopes) if slopes else 0) * columns
    order = np.argsort(level)
    line = np.cumsum(np.diff(level[order], prepend=level[order[0]]) > 0.5 * size)
    return [digits[at] for at in order[np.lexsort((columns[order], line))]]


def in_mnist_form(ink: np.ndarray) -> np.ndarray:
    """Brings the ink of one digit, of any size, into MNIST's form; see `normalise`.

    Args:
        ink: `(h, w)`: 0 where there is none, and higher the stronger it is.

    Returns:
        `uint8 (28, 28)`.

    Raises:
        ValueError: There is no ink.

    Example:

    >>> in_mnist_form(np.eye(300)).shape
    (28, 28)
    """
    if not np.any(ink > 0):
        raise ValueError("no ink found: nothing stands out from the paper")
    own = ink > 0.3 * np.percentile(ink[ink > 0], 90)
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    ink, own = ink[box].clip(0), own[box]
    ink = (ink / np.percentile(ink[own], 75)).clip(0, 1)
    scale = BOX / max(own.shape)
    # The pixels of a stroke are in the mean a quarter of its width away from its edge.
    width = 4 * ndimage.distance_transform_edt(np.pad(own, 1)).sum() / own.sum() - 1
    missing = LEAST_STROKE / scale - width
    if missing > 0:
        grown = 1 + int(np.ceil(missing / 2))
        outside = ndimage.distance_transform_edt(~np.pad(own, grown))
        ink = np.maximum(np.pad(ink, grown), (missing / 2 + 1 - outside).clip(0, 1))
        scale = BOX / max(ink.shape)
    size = [max(1, round(side * scale)) for side in ink.shape[::-1]]
    smooth = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(ink.astype(np.float32)).resize(size, smooth)).clip(0, 1)
    middle = ndimage.center_of_mass(small)
    top, left = (
        int(np.clip(np.round(SIDE / 2 - at), 0, SIDE - side))
        for at, side in zip(middle, small.shape, strict=True)
    )
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + small.shape[0], left : left + small.shape[1]] = np.round(
        255 * small / small.max()
    )
    return image
