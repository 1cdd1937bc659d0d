"""What of a picture is ink: from a photo, scan or screenshot to how strongly each pixel is inked.

The paper is estimated and taken away, with its shadows and printed lines. Ink may be dark on light
or light on dark, and of any colour.
"""

import os

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu
from skimage.morphology import reconstruction

Picture = str | os.PathLike | Image.Image | ArrayLike

MOST_PIXELS = 50_000_000  # in a file: more is a mistake, or made to fill the memory
TILES = 250  # along the longer side, of which the paper is estimated
FAINTEST = 0.05  # of the paper's brightness: what differs less is no ink
SHADE = 0.15  # the most that is left of a shadow's edge
ASKEW = 12  # degrees: as far as printed lines may be
THICKEST = 5  # pixels: a printed line


def load_picture(picture: Picture) -> np.ndarray:
    """Reads a picture as an array, upright.

    Args:
        picture: A path to a PNG, JPEG or any file that Pillow reads, a Pillow
            image, or an array `(h, w)` or `(h, w, 1 to 4)`: integers in
            [0, 255], booleans, or floats in [0, 1]. Where an alpha channel is
            transparent, the picture is white.

    Returns:
        `uint8 (h, w, 3)`, turned as its EXIF orientation says.

    Raises:
        ValueError: Not a picture, or one of more than 50 million pixels.
        FileNotFoundError: There is no such file.

    Example:

    >>> load_picture(np.zeros((100, 400))).shape
    (100, 400, 3)
    """
    if isinstance(picture, str | os.PathLike):
        try:
            with Image.open(picture) as opened:
                return load_picture(opened)
        except FileNotFoundError:
            raise
        except Image.DecompressionBombError as error:
            raise ValueError(f"{picture}: {error}") from error
        except (OSError, SyntaxError) as error:  # not a picture, or broken off
            raise ValueError(f"{picture}: not a picture that can be read: {error}") from error
    if not isinstance(picture, Image.Image):
        return load_picture(Image.fromarray(_as_bytes(picture)))
    if picture.width * picture.height > MOST_PIXELS:
        raise ValueError(
            f"the picture has {picture.width} x {picture.height} pixels; "
            f"at most {MOST_PIXELS:,} are read"
        )
    picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] in "IF":  # 16 bits and more, which Pillow would cut off
        values = np.asarray(picture, float)
        picture = Image.fromarray((255 * values / max(values.max(), 1)).astype(np.uint8))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))


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
    if picture.dtype.kind not in "biuf":
        raise ValueError(f"the picture is {picture.dtype}; expected integers, booleans or floats")
    white = 255 if picture.dtype.kind in "iu" else 1
    if not (picture.min() >= 0 and picture.max() <= white):  # fails on NaN, too
        raise ValueError(
            f"a {picture.dtype} picture ranges from {picture.min()} to {picture.max()}; "
            f"expected values in [0, {white}] without NaN"
        )
    return np.round(picture * (255 / white)).astype(np.uint8)


def ink_of(page: np.ndarray, widest: float = 0.2) -> np.ndarray:
    """How far each pixel is from the paper around it.

    Args:
        page: `uint8 (h, w, 3)`, from `load_picture`.
        widest: The widest stroke, in parts of the page's shorter side. What is
            wider is taken for paper.

    Returns:
        `float32 (h, w)`, in parts of the paper's brightness, so that ink in
        the shadow counts as much: near 0 for paper, higher for ink.

    Reference:
        Serra, 1982: Image analysis and mathematical morphology (closing,
        opening). Vincent, 1993: Morphological grayscale reconstruction.
    """
    page = page / np.float32(255)
    step = -(-max(page.shape[:2]) // TILES)
    tiles = _tiles(page, step, step)
    # Strokes are narrower than the window: closing it fills dark ones, opening it takes light ones
    # away, and what is left is paper with its shadows. A narrow table around the page, too, is
    # filled, as if there were paper outside of the picture.
    window = max(3, int(widest * min(tiles.shape[:2])) | 1)
    light = _is_light(tiles, window)
    filtered = ndimage.grey_opening if light else ndimage.grey_closing
    outside = tiles.min() if light else tiles.max()
    paper = filtered(tiles, (window, window, 1), mode="constant", cval=outside)
    paper = _enlarged(ndimage.gaussian_filter(paper, (1, 1, 0)), step, page.shape)
    difference = (page - paper) / (paper + np.float32(0.1))
    ink = (difference if light else -difference).max(axis=-1)
    # Along a shadow's edge some of it is left, wider than strokes: a median has only that.
    step *= 2
    left = ndimage.median_filter(_tiles(ink, step, step), 7, mode="nearest").clip(-SHADE, SHADE)
    return ink - _enlarged(left, step, page.shape)


def _tiles(page: np.ndarray, down: int, across: int) -> np.ndarray:
    """Means over rectangles of `down` by `across` pixels."""
    (h, w), more = page.shape[:2], page.shape[2:]
    page = np.pad(page, ((0, -h % down), (0, -w % across), *((0, 0) for _ in more)), mode="edge")
    return page.reshape(len(page) // down, down, -1, across, *more).mean(axis=(1, 3))


def _enlarged(tiles: np.ndarray, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Tiles back at the size of the page, with smooth steps between them."""
    factors = (step, step, *(1 for _ in tiles.shape[2:]))
    page = ndimage.zoom(tiles, factors, order=1, mode="nearest", grid_mode=True)
    return page[: shape[0], : shape[1]]


def _is_light(tiles: np.ndarray, widest: int) -> bool:
    """Is the ink lighter than the paper?"""
    grey = np.log(tiles.mean(axis=-1) + 0.1)
    widths = [3]
    while widths[-1] < widest:
        widths.append(min(2 * widths[-1] - 1, widest))
    closed, opened = (
        [filtered(grey, width, mode="nearest") for width in widths]
        for filtered in (ndimage.grey_closing, ndimage.grey_opening)
    )

    def energies(dark: np.ndarray, light: np.ndarray) -> tuple[float, float]:
        return np.sum((dark - grey) ** 3), np.sum((grey - light) ** 3)

    # Strokes are thinner than what they enclose, which is among the wide at most; noise and grain
    # are as often light as dark. A width counts the more, the more is as thin as that, but not by
    # much: strokes of a pencil are nothing beside the edge of a table.
    dark, light = np.transpose([energies(*both) for both in zip(closed, opened, strict=True)])
    weights = ((dark + light) / (np.max(dark + light) + 1e-9)) ** (1 / 4)
    thin = np.sum(weights * (light - dark) / (light + dark + 1e-9))
    # And ink is islands, paper the sea around them: what is connected with where no ink can be. It
    # counts for less, as paper in a loop is an island, too.
    dark, light = energies(
        reconstruction(closed[-1], grey, "erosion"), reconstruction(opened[-1], grey, "dilation")
    )
    return bool(thin + 0.5 * (light - dark) / (light + dark + 1e-9) > 0)


def strength_of(ink: np.ndarray) -> float:
    """How strongly strokes are inked, at their darkest: near 0 on an empty page."""
    size = int(np.clip(min(ink.shape) // 16, 4, 24))
    h, w = (side // size * size for side in ink.shape)
    if not h * w:
        return float(ink.max())
    darkest = ink[:h, :w].reshape(h // size, size, -1, size).max(axis=(1, 3))
    darkest = darkest[darkest > -0.5].clip(0)  # without a table that was taken away
    if not len(darkest):
        return 0.0
    least = threshold_otsu(darkest) + np.ptp(darkest) / 256  # the end of a bin, not its middle
    return float(np.median(darkest[darkest >= min(least, darkest.max())]))


def noise_of(ink: np.ndarray) -> float:
    """The standard deviation of the noise on the paper, which is most of the page."""
    paper = ink[ink > -0.5]  # without a table that was taken away
    return 1.4826 * float(np.median(np.abs(paper - np.median(paper)))) if len(paper) else 0.0


def is_ink(ink: np.ndarray) -> np.ndarray:
    """Which pixels are ink: strong ones, and weaker ones that are connected with them.

    Args:
        ink: `(h, w)`, from `ink_of`.

    Returns:
        `bool (h, w)`; all `False` on an empty page.
    """
    strength, noise = strength_of(ink), noise_of(ink)
    if strength < max(FAINTEST, 6 * noise):
        return np.zeros(ink.shape, bool)
    return apply_hysteresis_threshold(ink, max(0.2 * strength, 3 * noise), 0.5 * strength)


def without_table(ink: np.ndarray) -> np.ndarray:
    """Takes away what the page lies on.

    Args:
        ink: `(h, w)`, from `ink_of`, for which a table is ink: it differs from
            the paper.

    Returns:
        The same, but -1 in areas, not strokes, that lie along the picture's
        border.
    """
    wide = 2 * THICKEST + 1 + max(ink.shape) // 100
    area = ndimage.minimum_filter(ink, wide) > 0.4 * strength_of(ink)
    labels, count = ndimage.label(area)
    if not count:
        return ink
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    share = np.max([np.bincount(side, minlength=count + 1) / len(side) for side in sides], axis=0)
    table = np.isin(labels, 1 + np.flatnonzero(share[1:] > 0.2))
    # The window's width again, and half as much for the blurred edge.
    table = ndimage.maximum_filter(table, wide + wide // 2)
    return np.where(table, -1, ink)


def without_lines(ink: np.ndarray) -> np.ndarray:
    """Takes away lines or squares that are printed on the paper, up to 12 degrees askew.

    Args:
        ink: `(h, w)`, from `ink_of`.

    Returns:
        The same, where a line was less by what the line had. A stroke across
        it stays if it is darker.
    """
    if min(ink.shape) < 20:
        return ink
    for _ in range(2):  # along the page, then across
        ink = _without_rows(ink).T
    return ink


def _without_rows(ink: np.ndarray) -> np.ndarray:
    least = max(FAINTEST, 3 * noise_of(ink))
    slope = _slope_of_lines(ink.clip(0, least))  # a dark stroke counts as much as a faint line

    # Sheared by the slope, lines are rows that are inked nearly all along, as no stroke is: over a
    # stretch longer than strokes, a low percentile is the line's ink.
    h, w = ink.shape
    more = int(np.ceil(abs(slope) * w / 2))  # rows above and below, where corners go
    there, back = (np.array([[1, sign * slope], [0, 1]]) for sign in (1, -1))
    offset = np.array([slope * w / 2 + more, 0])
    shape = h + 2 * more, w
    level = ndimage.affine_transform(ink, there, -offset, shape, order=1, mode="nearest")
    step = max(1, w // 100)
    short = ndimage.maximum_filter1d(_tiles(level, 1, step), 3, axis=0)
    stretch = int(min(max(h, w) / 2, 0.75 * w) / step) | 1
    line = ndimage.percentile_filter(short, 20, (1, stretch))
    half = stretch // 2  # to the edges as it is in the last stretch that is whole
    line = np.pad(line[:, half : line.shape[1] - half], ((0, 0), (half, half)), mode="edge")
    line -= ndimage.grey_opening(line, (2 * THICKEST + 1, 1), mode="nearest")
    line[line < 0.5 * least] = 0
    line[(ndimage.maximum_filter1d(line, 5, axis=0) > 0).mean(axis=1) < 0.5] = 0
    if not line.any():
        return ink
    # A row of digits' bars is no line: lines are fainter than strokes, or many.
    lines = ndimage.label((line > 0).mean(axis=1) > 0.3)[1]
    if np.median(line[line > 0]) > 0.7 * strength_of(ink) and lines < 5:
        return ink
    line = np.repeat(line, step, axis=1)[:, :w]
    line = ndimage.affine_transform(line, back, offset, ink.shape, order=1)
    return np.maximum(ink - 1.4 * line, np.minimum(ink, 0))


def _slope_of_lines(ink: np.ndarray) -> float:
    """The slope along which sums of ink differ most sharply from their neighbours."""
    step = -(-max(ink.shape) // 400)
    small = _tiles(ink, step, step)
    rows, columns = np.indices(small.shape)

    def sharpness(degrees: float) -> float:
        row = np.round(rows - np.tan(np.radians(degrees)) * columns).astype(int)
        row = (row - row.min()).ravel()
        counts = np.bincount(row)
        profile = np.bincount(row, small.ravel()) / counts
        return np.sum((profile - ndimage.uniform_filter1d(profile, 7)) ** 2 * counts)

    coarse = max(np.arange(-ASKEW, ASKEW + 0.1, 0.5), key=sharpness)
    fine = max(coarse + np.arange(-0.4, 0.41, 0.1), key=sharpness)  # a pixel at the page's end
    return float(np.tan(np.radians(fine)))
