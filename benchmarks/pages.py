"""Pages of handwritten digits as a scanner or a phone would see them, made from MNIST's images.

For the tests and benchmarks of `handwriting`. Digits are enlarged to smooth strokes, written on
paper with a pen, and then tilted, lit, blurred and compressed by chance.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

# What is written on, and how it is seen.
KINDS = ("scan", "photo", "blackboard", "squared", "lined", "pencil")
PENS = ((20, 20, 25), (25, 35, 120), (150, 25, 30), (15, 90, 50), (60, 60, 65))
BOARDS = ((33, 56, 43), (30, 30, 33))
PRINT = ((140, 173, 217), (166, 166, 171), (217, 153, 153))  # of lines and squares
TABLES = ((90, 64, 46), (50, 50, 56), (180, 174, 166))  # on which a page lies


def colour(choices: Sequence[tuple[int, int, int]], rng: np.random.Generator) -> np.ndarray:
    return rng.choice(choices) / 255


def draw_page(
    images: Sequence[np.ndarray],
    digits: Sequence[int],
    kind: str,
    rng: np.random.Generator,
    lines: int = 1,
    height: float | None = None,
) -> np.ndarray:
    """Draws a page.

    Args:
        images: `uint8 (k, 28, 28)`, in reading order.
        digits: What they show: some of the 4s and 5s are drawn in two strokes.
        kind: One of `KINDS`.
        rng: What chance decides.
        lines: On how many lines.
        height: Of a digit, in pixels; by default 50 to 260, by chance.

    Returns:
        `uint8 (h, w, 3)`.
    """
    if height is None:
        height = float(np.exp(rng.uniform(np.log(50), np.log(260))))
    cover = written(images, digits, height, kind == "pencil", rng, lines)
    page = paper(kind, cover.shape, height, rng)
    ink = colour(PENS, rng)
    if kind == "blackboard":
        ink = rng.uniform(0.7, 0.95) * np.array([1, 1, 0.96])
        cover = cover * np.clip(0.85 + 0.25 * rng.normal(size=cover.shape), 0, 1)  # chalk's grain
    if kind == "pencil":
        ink = np.full(3, rng.uniform(0.35, 0.6))
        cover = cover * np.clip(0.85 + 0.3 * rng.normal(size=cover.shape), 0.2, 1)
    page = page + cover[..., None] * (ink - page)
    rows, columns = np.indices(cover.shape)
    for _ in range(rng.integers(6)):  # specks
        row, column = rng.integers(cover.shape)
        radius = height * rng.uniform(0.005, 0.03)
        page[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] *= 0.5
    if kind == "scan":
        page = tilted(page, rng.uniform(-3, 3) * (rng.random() < 0.5))
        return (255 * page).astype(np.uint8)
    if rng.random() < 0.4:
        edge, table = int(0.4 * height), colour(TABLES, rng)
        page = np.stack(
            [np.pad(page[..., i], edge, constant_values=table[i]) for i in range(3)], -1
        )
    return photographed(tilted(page, rng.uniform(-10, 10)), height, rng)


def written(images, digits, height: float, thin: bool, rng, lines: int) -> np.ndarray:
    """Where there is ink, `(h, w)` in [0, 1]: digits in rows, none quite where it should be."""
    columns = -(-len(images) // lines)
    pitch = height * rng.uniform(1.25, 1.8)
    cover = np.zeros(
        (int(height * (3 + 1.7 * (lines - 1))), int(3 * height + pitch * (columns - 1)))
    )
    for number, (image, digit) in enumerate(zip(images, digits, strict=True)):
        apart = digit in (4, 5) and rng.random() < 0.3
        one = enlarged(image, height * rng.uniform(0.85, 1.1), thin, digit if apart else None, rng)
        row, column = divmod(number, columns)
        middle = 1.5 * height + np.array([1.7 * height * row, pitch * column])
        middle += height * rng.normal(size=2) * [0.05, 0.04]
        top, left = np.clip(
            middle - np.divide(one.shape, 2), 0, np.subtract(cover.shape, one.shape)
        )
        place = cover[int(top) :, int(left) :][: one.shape[0], : one.shape[1]]
        np.maximum(place, one, out=place)
    return cover


def enlarged(image, height: float, thin: bool, apart: int | None, rng) -> np.ndarray:
    """One digit with smooth strokes, its longer side `height` pixels; a 4 or 5 perhaps in two."""
    rows, columns = np.flatnonzero(image.max(axis=1) > 40), np.flatnonzero(image.max(axis=0) > 40)
    box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255
    scale = height / max(box.shape)
    smooth = ndimage.zoom(np.pad(box, 2), scale, order=3).clip(0, 1)
    if thin:
        line = skeletonize(ndimage.gaussian_filter(smooth, 0.2 * scale) > 0.4)
        width = max(1.2, height * rng.uniform(0.018, 0.035))
        cover = (width / 2 + 0.5 - ndimage.distance_transform_edt(~line)).clip(0, 1)
    else:
        smooth = ndimage.gaussian_filter(smooth, 0.35 * scale)
        cover = ((smooth - 0.45) * scale * 0.9 + 0.5).clip(0, 1)
    gap = max(2, round(height * rng.uniform(0.03, 0.06)))
    if apart == 5:  # the bar at its top
        inked = np.flatnonzero(cover.max(axis=1) > 0.5)
        at = inked[0] + round(np.ptp(inked) * rng.uniform(0.2, 0.3))
        cover[at : at + gap] = 0
    if apart == 4:  # the stroke on its left
        inked = np.flatnonzero(cover.max(axis=0) > 0.5)
        at = inked[0] + round(np.ptp(inked) * rng.uniform(0.35, 0.5))
        cover[:, at : at + gap] = 0
    return cover


def paper(kind: str, shape: tuple[int, int], height: float, rng) -> np.ndarray:
    """The empty page, `(h, w, 3)`."""
    if kind == "blackboard":  # with what was wiped off
        smear = np.abs(ndimage.gaussian_filter(rng.normal(size=shape), height / 6))
        return (colour(BOARDS, rng) + 0.04 * (smear / smear.std())[..., None]).clip(0, 1)
    page = np.empty((*shape, 3))
    page[:] = rng.uniform(0.85, 1) * np.array([0.97, 0.96, 0.93])
    if kind in ("squared", "lined"):
        apart = height * (rng.uniform(0.35, 0.7) if kind == "squared" else rng.uniform(0.9, 1.6))
        rows, columns = np.indices(shape) + rng.uniform(0, apart, 2)[:, None, None]
        thickness = max(1, 0.015 * height)
        line = rows % apart < thickness
        if kind == "squared":
            line |= columns % apart < thickness
        page[line] *= 0.2 + 0.8 * colour(PRINT, rng)
    return page


def tilted(page: np.ndarray, degrees: float) -> np.ndarray:
    turn = {"order": 1, "reshape": False, "mode": "nearest"}
    channels = [ndimage.rotate(page[..., i], degrees, **turn) for i in range(3)]
    return np.stack(channels, axis=-1).clip(0, 1)


def photographed(page: np.ndarray, height: float, rng) -> np.ndarray:
    """Lit from one side, half of the time with a shadow on it, blurred, noisy and compressed."""
    rows, columns = np.indices(page.shape[:2]) / np.array(page.shape[:2])[:, None, None]

    def slope(middle):
        angle = rng.uniform(0, 2 * np.pi)
        return np.cos(angle) * (rows - middle[0]) + np.sin(angle) * (columns - middle[1])

    light = rng.uniform(0.6, 1) * (1 + rng.uniform(0, 0.7) * slope((0.5, 0.5)))
    if rng.random() < 0.5:  # of a hand, or of the phone
        edge = slope(rng.uniform(0.3, 0.7, 2)) / rng.uniform(0.01, 0.1)
        light = light * (1 - rng.uniform(0.2, 0.5) / (1 + np.exp(-edge)))
    page = page * light[..., None] * rng.uniform([0.93, 0.96, 0.85], 1)
    blur = height * rng.uniform(0.002, 0.012)
    page = ndimage.gaussian_filter(page, (blur, blur, 0))
    page = page + rng.normal(size=page.shape) * rng.uniform(0.005, 0.025)
    file = io.BytesIO()
    picture = Image.fromarray((255 * page.clip(0, 1)).astype(np.uint8))
    picture.save(file, "JPEG", quality=int(rng.integers(40, 92)))
    return np.asarray(Image.open(file))
