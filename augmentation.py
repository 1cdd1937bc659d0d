"""Augmentation: images changed as other hands, pens, papers and cameras would change them.

MNIST's images were all scaled and centred by one program. A network that saw no
others takes another place, size or pen for another digit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from data import SIDE, check_number, flatten

Range = tuple[float, float]
BINOMIAL = np.outer([1, 2, 1], [1, 2, 1])[None] / 16
LIMITS = {
    "shift": (0, SIDE),
    "rotation": (-360, 360),
    "zoom": (0.1, 10),
    "shear": (-10, 10),
    "thickness": (-1, 1),
    "blur": (0, 1),
    "paper": (0, 1),
    "noise": (0, 1),
}


@dataclass(frozen=True)
class Augmentation:
    """Changes images, or whole contexts, at random.

    The amount of each change is drawn for each image, evenly from a range
    `(low, high)`. By default nothing changes; `AUGMENTATION` has ranges that are
    good for training.

    Args:
        rate: Share of the images or contexts that are changed, in [0, 1]. Of a
            context, all images are: a network that has one image as it was to
            go by does not learn to read the others.
        alike: All images of a context are changed by the same amounts, as if
            somebody else had written it.
        change_rate: Share of those images that each of the changes is made to,
            in [0, 1]: below 1, some images have one change and some have many.
        shift: How far the digit is moved, in pixels, in any direction.
        rotation: How far it is turned, in degrees, counter-clockwise.
        zoom: By what it is enlarged.
        shear: How far its top leans, in pixels to the right for each pixel up.
        thickness: 1: dilated by 3 x 3 pixels; -1: eroded by 2 x 2; between, a
            mixture with the image as it was.
        blur: 1: averaged with its neighbours, by binomial weights; below, a
            mixture.
        paper: The grey of the paper, 0 for black; ink stays white.
        noise: The standard deviation of normal noise on each pixel, whose
            values are then cut to [0, 1].

    Raises:
        ValueError: A rate outside of [0, 1], or a range outside of its `LIMITS`.

    Example:

    >>> moved = Augmentation(shift=(4, 4))  # all of them, by 4 pixels
    >>> moved(x_test[:100], seed=0).shape
    (100, 784)
    >>> test = DigitSequences(x_test, y_test, augmentation=moved, seed=1)
    """

    rate: float = 1.0
    alike: bool = False
    change_rate: float = 1.0
    shift: Range = (0, 0)
    rotation: Range = (0, 0)
    zoom: Range = (1, 1)
    shear: Range = (0, 0)
    thickness: Range = (0, 0)
    blur: Range = (0, 0)
    paper: Range = (0, 0)
    noise: Range = (0, 0)

    def __post_init__(self):
        for name in ("rate", "change_rate"):
            check_number(getattr(self, name), name, 0, 1)
        for name, (least, most) in LIMITS.items():
            given = getattr(self, name)
            if np.shape(given) != (2,) or not least <= given[0] <= given[1] <= most:
                wanted = f"a range (low, high) from {least} to {most}"
                raise ValueError(f"{name} is {given!r}; expected {wanted}")
            object.__setattr__(self, name, tuple(given))  # a list may change later

    def __call__(
        self, images: ArrayLike, seed: int | np.random.Generator | None = None
    ) -> np.ndarray:
        """Changes images, or the images of contexts.

        Args:
            images: `(n, 28, 28)`, or contexts `(n, t, 28, 28)`, or the same
                flattened: integers in [0, 255] or floats in [0, 1].
            seed: Integer for reproducible changes, or a generator.

        Returns:
            `float32 (n, 784)` or `(n, t, 784)` in [0, 1], a new array.

        Raises:
            ValueError: Another shape, dtype or range.
        """
        pixels = flatten(images)
        if pixels.ndim not in (2, 3):
            raise ValueError(
                f"images have shape {np.shape(images)}; expected (n, {SIDE}, {SIDE}) "
                f"or (n, t, {SIDE}, {SIDE})"
            )
        rng = np.random.default_rng(seed)
        rows = rng.random(len(pixels)) < self.rate
        changed = pixels[rows].reshape(-1, SIDE, SIDE)  # (k, 28, 28)
        times = pixels.shape[1] if self.alike and pixels.ndim == 3 else 1

        def drawn(low: float, high: float, no_change: float) -> np.ndarray:
            amount = rng.uniform(low, high, len(changed) // times)
            amount[rng.random(len(amount)) >= self.change_rate] = no_change
            return np.repeat(amount.astype(np.float32), times)[:, None, None]

        amounts = {name: drawn(*getattr(self, name), name == "zoom") for name in LIMITS}
        direction = rng.uniform(0, 2 * np.pi, len(changed) // times).astype(np.float32)
        direction = np.repeat(direction, times)[:, None, None]
        thick = ndimage.grey_dilation(changed, (1, 3, 3))
        thin = ndimage.grey_erosion(changed, (1, 2, 2))
        extreme = np.where(amounts["thickness"] > 0, thick, thin)
        changed = changed + np.abs(amounts["thickness"]) * (extreme - changed)
        changed = _warped(changed, amounts, direction)
        blurred = ndimage.convolve(changed, BINOMIAL, mode="constant")
        changed += amounts["blur"] * (blurred - changed)
        changed += amounts["paper"] * (1 - changed)
        if np.any(amounts["noise"]):
            changed += amounts["noise"] * rng.standard_normal(changed.shape, np.float32)
        pixels[rows] = changed.clip(0, 1).reshape(-1, *pixels.shape[1:])
        return pixels


# For training a predictor that is to read strangers' digits.
AUGMENTATION = Augmentation(
    rate=0.5,
    change_rate=0.5,
    shift=(0, 8),
    rotation=(-45, 45),
    zoom=(0.5, 1.6),
    shear=(-0.3, 0.3),
    thickness=(-1, 1),
    blur=(0, 1),
    paper=(0, 0.25),
    noise=(0, 0.25),
)


def _warped(
    images: np.ndarray, amounts: dict[str, np.ndarray], direction: np.ndarray
) -> np.ndarray:
    """Shears, turns, enlarges and moves images, in this order, about their middle."""
    middle = np.float32((SIDE - 1) / 2)
    at = np.arange(SIDE, dtype=np.float32) - middle
    # Where each pixel of the answer came from: moved back, turned back, and so on.
    right = at - amounts["shift"] * np.cos(direction)  # (k, 1, 28)
    up = -at[:, None] - amounts["shift"] * np.sin(direction)  # (k, 28, 1)
    angle = np.radians(amounts["rotation"])
    cos, sin = np.cos(angle) / amounts["zoom"], np.sin(angle) / amounts["zoom"]
    rows = sin * right - cos * up  # downward, (k, 28, 28)
    columns = cos * right + sin * up + amounts["shear"] * rows

    # Bilinear, between the four pixels around that place, in a black frame.
    # `scipy.ndimage.map_coordinates` does the same in four times the time.
    side = SIDE + 3
    framed = np.pad(images, ((0, 0), (1, 2), (1, 2))).ravel()
    rows, columns = ((place + (middle + 1)).clip(0, SIDE + 1) for place in (rows, columns))
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    rows -= top
    columns -= left
    corner = (np.arange(len(images), dtype=np.int32)[:, None, None] * side + top) * side + left
    upper, lower = (
        (1 - columns) * framed[corner + below] + columns * framed[corner + below + 1]
        for below in (0, side)
    )
    return upper + rows * (lower - upper)
