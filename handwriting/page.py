"""From paper to images: the digits of a photo, scan or screenshot, each in MNIST's form.

Ink is what differs from the paper. What is connected with the page's border is left out, unless
it looks like the other digits. Connected ink is a stroke, strokes that are close to each other are
a digit, and each digit is scaled and centred as the makers of MNIST did with theirs.
"""

import io
import itertools
import os
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from skimage.measure import block_reduce
from skimage.morphology import reconstruction, skeletonize

from data import BOX, SIDE, check_count, white_level

Picture = str | os.PathLike | bytes | BinaryIO | Image.Image | ArrayLike

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "HEIF")  # of files that are opened
MOST_PIXELS = 50_000_000  # in a picture: more is a mistake, or made to fill the memory
MOST_DIGITS = 1_000  # on a page: more is print, or noise
LONGEST_SIDE = 1_000  # pixels, of a page that is searched: larger ones are reduced
RULE = 10  # pixels of a page that is searched: printed lines are thinner
FAINTEST = 0.05  # of the paper's brightness: what differs less is no ink
LOWEST = 0.3  # times the common size: a small 0
THICKEST = 2.5  # times the common width of strokes: no eraser beside the digits
LONGEST_STROKE = 3.6  # times the common size, of one digit; longer ones are several
THINNEST_STROKE = 1.6  # pixels, in MNIST's form: those of a thin pencil would vanish
TRY = "try more light, a darker pen, or a picture of the digits only, with paper around them"


def load_picture(picture: Picture) -> np.ndarray:
    """Reads a picture as an array, upright.

    Args:
        picture: A PNG, JPEG, WebP, BMP, TIFF or GIF (HEIF where a plugin of
            Pillow reads it): its path, its bytes, or an open file; or a
            Pillow image; or an array `(h, w)` or `(h, w, 1 to 4)`: integers
            in [0, 255], booleans, or floats in [0, 1]. Where an alpha channel
            is transparent, the picture is white. In grey files of 16 bits or
            more, the lightest pixel counts as white: few use all bits.

    Returns:
        `uint8 (h, w, 3)`, turned as its EXIF orientation says.

    Raises:
        ValueError: Not a picture, or one of more than 50 million pixels.
        FileNotFoundError: There is no such file.
    """
    if isinstance(picture, bytes | bytearray):
        return load_picture(io.BytesIO(picture))
    if isinstance(picture, str | os.PathLike) or hasattr(picture, "read"):
        if not hasattr(picture, "read") and not os.path.isfile(picture):  # a pipe would wait
            raise FileNotFoundError(f"{picture} is not a file")
        readable = set(FORMATS) & set(Image.registered_extensions().values())
        try:
            with Image.open(picture, formats=sorted(readable)) as opened:
                _check_size(opened.height, opened.width)
                opened.load()
                return load_picture(opened)
        except Exception as error:  # Pillow's readers raise many kinds
            name = picture if isinstance(picture, str | os.PathLike) else "the file"
            raise ValueError(f"{name}: not a picture that can be read: {error}") from error
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(_as_bytes(picture))
    _check_size(picture.height, picture.width)
    try:
        picture = ImageOps.exif_transpose(picture)
    except Exception as error:  # Pillow has opened a file, and reads it only now
        raise ValueError(f"not a picture that can be read: {error}") from error
    if picture.mode[0] in "IF":  # 16 bits and more, which Pillow would cut off
        values = np.asarray(picture, float)
        picture = Image.fromarray(_as_bytes(values / np.clip(values.max(), 1, 1e300)))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))


def _check_size(height: int, width: int) -> None:
    if not 0 < height * width <= MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels; 1 to {MOST_PIXELS:,} are read")


def _as_bytes(picture: ArrayLike) -> np.ndarray:
    """An array of any kind that pictures come in, as `uint8 (h, w)` or `(h, w, 2 to 4)`."""
    picture = np.asarray(picture)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    channels = picture.shape[2] if picture.ndim == 3 else 1
    if picture.ndim not in (2, 3) or not picture.size or channels > 4:
        raise ValueError(
            f"the picture has shape {picture.shape}; expected (h, w) or (h, w, 1 to 4)"
        )
    _check_size(*picture.shape[:2])
    white = white_level(picture)
    if picture.dtype == np.uint8:
        return picture
    levels = np.multiply(picture, 255 / white, dtype=np.float32)
    return np.round(levels, out=levels).astype(np.uint8)


def normalise(picture: Picture) -> np.ndarray:
    """Brings one digit, of any size and colour, into MNIST's form.

    The longer side of the ink's box becomes 20 pixels, and its centre of mass
    comes to the middle of 28 x 28 (LeCun, Cortes and Burges, 1998). Strokes are
    white on black, and at least so wide that they are seen.

    Args:
        picture: One digit, dark or light, as for `load_picture`.

    Returns:
        `uint8 (28, 28)`: 0 is paper, 255 ink.

    Raises:
        ValueError: Not a picture, too large, or without ink.
    """
    page = _reduced(load_picture(picture), LONGEST_SIDE)
    level, window = _level(page, widest=0.7)
    within, ink = (_filled(level, window, cut) - level for cut in (False, True))
    if 2 * within[_is_ink(within)].sum() > ink[_is_ink(ink)].sum():
        ink = within  # what touches the border is an edge of the paper, and no digit cut off
    labels, _ = ndimage.label(_is_ink(ink), np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    own = np.append(False, areas > 0.01 * max(areas, default=0))[labels]  # others are specks
    return in_mnist_form(np.where(own, ink, 0))


def find_digits(picture: Picture) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, str]]]:
    """Finds all digits of a photo, scan or screenshot, line by line.

    The digits may be of any colour, dark on light or light on dark, on paper
    with lines, squares or shadows on it; but digits may be lost that touch a dark
    line which ends before the edge of the picture. Every sign at least a third as high
    as the digits is taken for one: a letter, or a plus. (`plot_page` shows the place
    of each: `images[[0, 2]]` leaves out the second.) Digits that touch are parted
    where one stroke joins them. Dots of a dithered page are read as strokes.

    Args:
        picture: A page, as for `load_picture`.

    Returns:
        The images in reading order, `uint8 (k, 28, 28)` in MNIST's form: a
        context for `predict_next`. A box for each, `int (k, 4)`: its first row
        and column, and those after its last, in pixels of
        `load_picture(picture)`. And a list of what was left out, without
        specks: the box of each, and the reason.

    Raises:
        ValueError: As for `load_picture`; or more than 1,000 digits, or noise.

    Example:

    >>> page = load_picture("page.jpg")
    >>> images, boxes, left_out = find_digits(page)
    >>> plot_page(page, boxes, left_out)
    """
    page = load_picture(picture)
    searched = _reduced(page, LONGEST_SIDE)
    if 4 * max(page.shape[:2]) < LONGEST_SIDE:  # as small as a row of MNIST's images
        size = [4 * side for side in page.shape[1::-1]]
        searched = np.asarray(Image.fromarray(page).resize(size, Image.Resampling.BICUBIC))
    digits, left_out = _digits(searched)
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{len(digits)} digits found; at most {MOST_DIGITS:,} are read")
    scale = np.tile(np.divide(page.shape[:2], searched.shape[:2]), 2)
    images = np.array([in_mnist_form(ink) for _, ink in digits], np.uint8)
    boxes = np.round([box * scale for box, _ in digits]).astype(int)
    left_out = [(np.round(box * scale).astype(int), reason) for box, reason in left_out]
    return images.reshape(-1, SIDE, SIDE), boxes.reshape(-1, 4), left_out


def read_page(picture: Picture, count: int | None = None) -> np.ndarray:
    """Reads all digits of a page: the images of `find_digits`, or an error if there are none.

    Args:
        picture: A page, as for `load_picture`.
        count: How many digits there are; by default any number.

    Returns:
        `uint8 (k, 28, 28)` in reading order: a context for `predict_next`.

    Raises:
        ValueError: As for `find_digits`; or there are no digits, or not `count`.

    Example:

    >>> model.generate(read_page("page.jpg", count=4), steps=6).shape
    (6, 28, 28)
    """
    if count is not None:
        check_count(count, "count")
    images, boxes, _ = find_digits(picture)
    found = len(images)
    if not found or count not in (None, found):
        expected = "" if count is None else f" where {count} were expected"
        hint = (
            f"the first are at {boxes[:20].tolist()} (top, left, bottom, right)" if found else TRY
        )
        raise ValueError(
            f"{found or 'no'} digits found{expected}; {hint}; for a picture of one digit, use "
            "`normalise`; to see the page: plot_page(load_picture(page), *find_digits(page)[1:])"
        )
    return images


def _reduced(page: np.ndarray, longest: int) -> np.ndarray:
    """A smaller page, if it is very large."""
    picture = Image.fromarray(page)
    picture.thumbnail((longest, longest), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(picture)


def _level(page: np.ndarray, widest: float) -> tuple[np.ndarray, int]:
    """How much lighter each pixel of `uint8 (h, w, 3)` is than the paper, in parts of its
    brightness (ink is dark, whatever its colour); and the widest stroke in pixels.

    `widest` is the same in parts of the shorter side: what is wider is paper.
    (Serra, 1982: closing.)
    """
    small = np.log(_reduced(page, 250) / 255 + 0.1)
    dark, light = (
        np.array([_islands(colour, widest) for colour in np.moveaxis(each, -1, 0)])
        for each in (small, -small)
    )
    sign = 1 if dark.sum() > light.sum() else -1
    page = page[..., sign * dark >= sign * light]  # not red, of red ink on azure
    page = sign * ndimage.gaussian_filter(page / np.float32(255), (0.7, 0.7, 0))
    window = max(3, int(widest * min(page.shape[:2])) | 1)
    # Strokes are narrower than the window, so closing fills them and leaves the paper's shades.
    paper = ndimage.grey_closing(page, (window, window, 1), mode="nearest")
    level = ((page - paper) / (np.abs(paper) + np.float32(0.1))).min(axis=-1)
    return level, window


def _islands(grey: np.ndarray, widest: float) -> float:
    """How much dark islands stand out."""
    window = max(3, int(widest * min(grey.shape)) | 1)
    # Paper in the loop of a light 8 is a dark island as well. But it is gone where the light ones
    # are filled, while dark ink stays.
    grey = -_filled(-grey, window, True)
    # The strongest islands count: the paper between rules is a weak one, but there is much of it.
    return np.sum((_filled(grey, window, True) - grey) ** 12)


def _filled(grey: np.ndarray, window: int, cut: bool) -> np.ndarray:
    """Raises dark islands, up to `window` wide, to the level of what surrounds them: the
    difference is ink. `cut` says whether it may touch the border; otherwise what touches it is a
    printed line, the table below the page, or a shadow. (Vincent, 1993: morphological grayscale
    reconstruction.)
    """
    border = np.ones(grey.shape, bool)
    border[1:-1, 1:-1] = False
    marker = ndimage.grey_closing(grey, (window, window), mode="nearest")
    least = np.median(grey[border]) if cut else -np.inf
    marker[border] = np.maximum(grey[border], least)
    return reconstruction(marker, grey, "erosion")


def _is_ink(ink: np.ndarray, weakest: float = 1 / 3) -> np.ndarray:
    """Which pixels are ink: half as strong as the strokes at their darkest, or connected with such
    pixels and not below `weakest`. (Canny, 1986: hysteresis.)"""
    size = int(np.clip(min(ink.shape) // 16, 4, 24))
    darkest = block_reduce(ink, size, np.max)
    strength = np.median(darkest[darkest >= 0.5 * darkest.max()])
    if strength <= FAINTEST:
        return np.zeros(ink.shape, bool)
    return apply_hysteresis_threshold(ink, weakest * strength, strength / 2)


def _digits(page: np.ndarray) -> tuple[list[tuple], list[tuple]]:
    """The digits of a page, in reading order, each with its box and its ink in it; and what else
    is there, each with its box and why it is left out."""
    level, window = _level(page, widest=0.2)
    level = _without_rules(level)
    ink = _filled(level, window, cut=False) - level
    # Lower than for one digit: in places, thin strokes are faint, and their parts would be digits.
    labels, count = ndimage.label(_is_ink(ink, weakest=1 / 4), np.ones((3, 3)))
    if count > 10 * MOST_DIGITS:
        raise ValueError(f"{count:,} strokes found: this is noise, or print, and no page of digits")
    places = ndimage.find_objects(labels)
    boxes = np.reshape([[r.start, c.start, r.stop, c.stop] for r, c in places], (-1, 4)).astype(int)
    sizes, areas = (boxes[:, 2:] - boxes[:, :2]).max(axis=1), np.bincount(labels.ravel())[1:]
    long = sizes > 0.7 * max(ink.shape)
    left_out = [(box, "too long: a grid, or an edge") for box in boxes[long]]
    if long.all():
        return [], left_out
    labels[np.append(False, long)[labels]] = 0
    areas[long] = 0
    # The size of digits: half of all ink is in strokes up to this height. So specks hardly count.
    heights = boxes[:, 2] - boxes[:, 0]
    order = np.argsort(heights)
    total = np.cumsum(areas[order])
    size = float(heights[order][np.searchsorted(total, total[-1] / 2)])
    found = []
    for box, parts in _joined(labels, boxes, size):
        top, left, bottom, right = box
        height = (bottom - top) / size
        if height > LOWEST:
            own = np.isin(labels[top:bottom, left:right], parts)
            found += _parted(box, np.where(own, ink[top:bottom, left:right], 0), size)
        elif height > 0.1:  # lower ones are specks
            left_out.append((box, "too low for a digit"))
    found += _at_border(-level, labels > 0, found)
    widths = [_width(ink > 0) for _, ink in found]
    kept = np.array(widths) <= THICKEST * np.median(widths)
    left_out += [(found[at][0], "too thick") for at in np.flatnonzero(~kept)]
    found = [found[at] for at in np.flatnonzero(kept)]
    order = _reading_order(np.array([box for box, _ in found]), size)
    return [found[at] for at in order], left_out


def _without_rules(level: np.ndarray) -> np.ndarray:
    """Takes away printed lines, straight or bent, that go from border to border: they would connect
    digits with it. What is darker than its line stays."""
    level, ink = level.copy(), _is_ink(-level, weakest=1 / 4)
    away = np.arange(-(RULE // 2), RULE // 2 + 1)[:, None]
    for own, values in ((ink, level), (ink.T, level.T)):  # across the page, and down
        columns = np.arange(own.shape[1])
        thin = own & ~ndimage.grey_opening(own, (RULE, 1))  # without strokes that cross a line
        starts = ndimage.find_objects(ndimage.label(thin[:, 0])[0])
        middle = np.array([(rows.start + rows.stop - 1) / 2 for (rows,) in starts])
        bands = []
        for column in columns:  # what begins at the border is followed, also where it bends
            bands.append((middle.round().astype(int) + away).clip(0, len(own) - 1))
            near = thin[bands[-1], column]
            middle = middle + 0.1 * (near * away).sum(axis=0) / near.sum(axis=0).clip(1)
        for band in np.transpose(bands, (2, 1, 0)):  # of one line, around its middle
            line = thin[band, columns]
            if own[band, columns].any(axis=0).mean() > 0.95 and line.any():
                pixels = band[line], np.nonzero(line)[1]
                values[pixels] = (values[pixels] - np.median(values[pixels])).clip(max=0)
    return level


def _at_border(ink: np.ndarray, known: np.ndarray, found: list[tuple]) -> list[tuple]:
    """What else is ink if it may touch the border, does so, and looks like the digits found: as
    high, long, dark and thick. A rule, a shadow or the table below the page does not."""

    def looks(ink: np.ndarray) -> tuple[float, ...]:
        return len(ink), max(ink.shape), ink[ink > 0].mean(), _width(ink > 0)

    usual = np.median([looks(ink) for _, ink in found], axis=0)
    labels, _ = ndimage.label(_is_ink(ink, weakest=1 / 4) & ~known, np.ones((3, 3)))
    more = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        (top, bottom), (left, right) = ((each.start, each.stop) for each in place)
        own = np.where(labels[place] == number, ink[place], 0)
        touches = not (top and left) or bottom == len(ink) or right == len(ink[0])
        if touches and np.abs(np.log(looks(own) / usual)).max() < np.log(1.4):
            more.append((np.array([top, left, bottom, right]), own))
    return more


def _joined(labels: np.ndarray, boxes: np.ndarray, size: float) -> list[tuple]:
    """Joins what is lower than 0.7 of a digit with what is close above or below it, the nearest
    first (a 2 in two parts, the bar of a 5; side by side, digits are as close as strokes): boxes
    and labels of each digit."""
    # Each pixel belongs to the nearest stroke, and where two such regions meet is the gap.
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    region = labels[tuple(nearest)]
    pairs = []
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        gap = distance[a] + distance[b]
        meet = (region[a] != region[b]) & (gap < 0.2 * size)
        pairs.append(np.stack([gap[meet], region[a][meet], region[b][meet]], axis=1))
    digits = {part: (boxes[part - 1], [part]) for part in np.unique(labels[labels > 0])}
    for _, one, other in sorted(map(tuple, np.concatenate(pairs))):
        (a, parts), (b, more) = digits[one], digits[other]
        both = np.append(np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:]))
        height, width = np.minimum(a[2:] - a[:2], b[2:] - b[:2])
        common = (a + b - both)[3] - (a + b - both)[1]  # columns
        if parts is not more and height < 0.7 * size and common > 0.4 * width:
            joined = both, parts + more
            digits |= dict.fromkeys(joined[1], joined)
    return list({id(digit): digit for digit in digits.values()}.values())


def _parted(box: np.ndarray, ink: np.ndarray, size: float) -> list[tuple]:
    """Cuts what is wider than a digit, of longer strokes than one has, where there is least ink:
    into as many parts as there may be, if each cut goes through one stroke only."""
    width = ink.shape[1]
    if width < size or skeletonize(ink > 0).sum() < LONGEST_STROKE * size:
        return [(box, ink)]
    columns = np.pad(ink > 0, ((1, 0), (0, 0)))
    for count in range(round(2 * width / size), 1, -1):  # digits are half as wide as high, or wider
        cuts = []
        for each in np.arange(1, count) * width / count:
            near = np.arange(int(each - 0.3 * width / count), int(each + 0.3 * width / count) + 1)
            cuts.append(near[np.argmin(columns[:, near].sum(axis=0))])
        strokes = (columns[1:, cuts] > columns[:-1, cuts]).sum(axis=0)
        if strokes.max() <= 1:
            break
    else:
        cuts = []
    return [
        (np.add(box, (0, left, 0, right - width)), ink[:, left:right])
        for left, right in itertools.pairwise([0, *cuts, width])
        if ink[:, left:right].any()
    ]


def _reading_order(boxes: np.ndarray, size: float) -> np.ndarray:
    """Line by line, each from the left, also if lines run askew."""
    rows, columns = (boxes[:, :2] + boxes[:, 2:]).T / 2
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
    return order[np.lexsort((columns[order], line))]


def _width(own: np.ndarray) -> float:
    """The pen's: pixels of a stroke are on average a quarter of its width away from its edge."""
    return 4 * ndimage.distance_transform_edt(np.pad(own, 1)).sum() / own.sum() - 1


def in_mnist_form(ink: ArrayLike) -> np.ndarray:
    """Brings the ink of one digit, of any size, into MNIST's form; see `normalise`.

    Args:
        ink: `(h, w)`: 0 where there is none, and higher the stronger it is.

    Returns:
        `uint8 (28, 28)`; a `ValueError` if there is no ink, or infinite ink, or NaN.
    """
    ink = np.asarray(ink, np.float32)
    if ink.ndim != 2 or not np.isfinite(ink).all():
        raise ValueError(f"ink has shape {ink.shape}; expected (h, w) of finite numbers")
    if not np.any(ink > 0):
        raise ValueError(f"no ink found: nothing stands out from the paper; {TRY}")
    ink = _reduced(ink, LONGEST_SIDE)
    own = ink > 0.3 * np.percentile(ink[ink > 0], 90)
    (box,) = ndimage.find_objects(own.astype(int))
    ink, own = ink[box].clip(0), own[box]
    ink = (ink / np.percentile(ink[own], 75)).clip(0, 1)
    # The middle of each stroke is drawn again, so wide at least: broken strokes close, too.
    radius = THINNEST_STROKE / 2 * max(own.shape) / BOX
    grown = 1 + int(np.ceil(radius))
    away = ndimage.distance_transform_edt(~skeletonize(np.pad(own, grown)))
    ink = np.maximum(np.pad(ink, grown), (radius + 0.5 - away).clip(0, 1))
    (box,) = ndimage.find_objects((ink > 0.5).astype(int))
    ink = Image.fromarray(ink[box].astype(np.float32))
    smooth = Image.Resampling.BOX if max(ink.size) > BOX else Image.Resampling.BICUBIC
    small = np.asarray(ImageOps.contain(ink, (BOX, BOX), smooth)).clip(0, 1)
    image = np.zeros((SIDE, SIDE), np.uint8)
    corner = np.round(np.subtract(SIDE / 2, ndimage.center_of_mass(small))).astype(int)
    top, left = corner.clip(0, np.subtract(SIDE, small.shape))
    place = image[top : top + small.shape[0], left : left + small.shape[1]]
    place[:] = np.round(255 * small / small.max())
    return image
