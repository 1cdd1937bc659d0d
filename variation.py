"""Other hands, pens, papers and cameras: images changed as those of strangers would be.

MNIST's images were all scaled and centred by one program. A network that saw no others takes
another place, size or pen for another digit; one that saw them changed reads anybody's.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from data import SIDE, flatten

# A table of noise, as finely graded as pixels are: a third of the time that drawing it takes.
NORMAL = ndtri((np.arange(256) + 0.5) / 256).astype(np.float32)

Range = tuple[float, float]


class Variation(NamedTuple):
    """What `DigitSequences` does to the contexts of some of its sequences.

    Each change is drawn for each image on its own, evenly from a range
    `(low, high)`. By default there is none; `ANYBODY` has them all, in ranges
    that are good for training.

    Args:
        share: Share of the sequences that are changed, in [0, 1]. Of these,
            every image of the context is: a network that has one image as it
            was to go by does not learn to read the others.
        each: Share of their images that each of the changes is made to, in
            [0, 1]: below 1, there are images with one change and images with
            many.
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

    Example:

    >>> moved = Variation(shift=(4, 4))  # all of them, by 4 pixels
    >>> test = DigitSequences(x_test, y_test, variation=moved, seed=1)
    """

    share: float = 1.0
    each: float = 1.0
    shift: Range = (0, 0)
    rotation: Range = (0, 0)
    zoom: Range = (1, 1)
    shear: Range = (0, 0)
    thickness: Range = (0, 0)
    blur: Range = (0, 0)
    paper: Range = (0, 0)
    noise: Range = (0, 0)

    def check(self) -> None:
        """Raises a `ValueError` where this cannot be done."""
        for name in ("share", "each"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"variation's {name} is {getattr(self, name)}; expected 0 to 1")
        limits = {"shift": (0, SIDE), "zoom": (0.1, 10), "thickness": (-1, 1)}
        limits |= dict.fromkeys(("blur", "paper", "noise"), (0, 1))
        for name in CHANGES:
            low, high = getattr(self, name)
            least, most = limits.get(name, (-np.inf, np.inf))
            if not least <= low <= high <= most:
                raise ValueError(
                    f"variation's {name} is {(low, high)}; expected (low, high) within "
                    f"{least} to {most}"
                )

    def apply(
        self,
        images: ArrayLike,
        seed: int | np.random.Generator | None = None,
        *,
        first: int = 0,
        total: int | None = None,
    ) -> np.ndarray:
        """Changes images, or whole contexts.

        Args:
            images: `(n, 28, 28)`, or sequences `(n, t, 28, 28)`, or the same
                flattened: integers in [0, 255] or floats in [0, 1]. `share` is
                that of the `n`.
            seed: Integer for reproducible changes, or a generator.
            first: Number of the first of them, if they are only a part of
                those that chance decides on.
            total: How many those are; by default just these.

        Returns:
            `float32 (n, 784)` or `(n, t, 784)` in [0, 1], a new array.

        Raises:
            ValueError: Another shape or range of images, or of a change.

        Example:

        >>> Variation(rotation=(90, 90)).apply(images)  # lie on their left sides
        """
        self.check()
        pixels = flatten(images)
        if pixels.ndim not in (2, 3):
            raise ValueError(
                f"images have shape {np.shape(images)}; expected (n, {SIDE}, {SIDE}) "
                f"or (n, t, {SIDE}, {SIDE})"
            )
        length = 1 if pixels.ndim == 2 else pixels.shape[1]
        total = len(pixels) if total is None else total
        rng = np.random.default_rng(seed)
        hit = np.flatnonzero(rng.random(total) < self.share)
        changed = (hit[:, None] * length + np.arange(length)).ravel()  # numbers of images
        drawn = {}
        for name in CHANGES:
            values = rng.uniform(*getattr(self, name), len(changed))
            values[rng.random(len(changed)) >= self.each] = UNCHANGED[name]
            drawn[name] = values.astype(np.float32)
        direction = rng.uniform(0, 2 * np.pi, len(changed)).astype(np.float32)
        grains = np.zeros((len(changed), SIDE**2), np.uint8)
        if self.noise != (0, 0):
            grains = rng.integers(256, size=(len(changed), SIDE**2), dtype=np.uint8)

        shape, pixels = pixels.shape, pixels.reshape(-1, SIDE, SIDE)
        ours = (changed >= first * length) & (changed < first * length + len(pixels))
        where = changed[ours] - first * length
        drawn = {name: values[ours, None, None] for name, values in drawn.items()}
        direction, grains = direction[ours, None, None], grains[ours]
        # In blocks that stay in the cache from one step to the next.
        for begin in range(0, len(where), 128):
            block = slice(begin, begin + 128)
            own = {name: values[block] for name, values in drawn.items()}
            images = pixels[where[block]]
            _change(images, own, direction[block], grains[block])
            pixels[where[block]] = images
        return pixels.reshape(shape)


CHANGES = Variation._fields[2:]
UNCHANGED = {name: low for name, (low, _) in zip(CHANGES, Variation()[2:], strict=True)}

# What a predictor is trained on that is to read strangers' digits.
ANYBODY = Variation(
    share=0.5,
    each=0.5,
    shift=(0, 8),
    rotation=(-45, 45),
    zoom=(0.5, 1.6),
    shear=(-0.3, 0.3),
    thickness=(-1, 1),
    blur=(0, 1),
    paper=(0, 0.25),
    noise=(0, 0.25),
)


def _change(
    images: np.ndarray, drawn: dict[str, np.ndarray], direction: np.ndarray, grains: np.ndarray
) -> None:
    """Changes images `(n, 28, 28)` in place, by amounts `(n, 1, 1)`."""

    def hit(*names: str) -> np.ndarray:
        return np.flatnonzero(np.any([drawn[name] != UNCHANGED[name] for name in names], axis=0))

    rows = hit("thickness")
    images[rows] = _thickened(images[rows], drawn["thickness"][rows])
    way = ("shift", "rotation", "zoom", "shear")
    rows = hit(*way)
    images[rows] = _warped(images[rows], direction[rows], *(drawn[name][rows] for name in way))
    rows = hit("blur")
    images[rows] += drawn["blur"][rows] * (_blurred(images[rows]) - images[rows])
    images += drawn["paper"] * (1 - images)
    rows = hit("noise")
    noise = NORMAL[grains[rows]].reshape(-1, SIDE, SIDE)
    images[rows] = (images[rows] + drawn["noise"][rows] * noise).clip(0, 1)


def _thickened(images: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    most = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    most = np.maximum(np.maximum(most[:, :, :-2], most[:, :, 1:-1]), most[:, :, 2:])  # of 3 x 3
    least = np.minimum(padded[:, :-1], padded[:, 1:])
    least = np.minimum(least[:, :, :-1], least[:, :, 1:])[:, :-1, :-1]  # of 2 x 2
    extreme = np.where(thickness > 0, most, least)
    return images + np.abs(thickness) * (extreme - images)


def _blurred(images: np.ndarray) -> np.ndarray:
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    across = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    return (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 16


def _warped(
    images: np.ndarray,
    direction: np.ndarray,
    shift: np.ndarray,
    rotation: np.ndarray,
    zoom: np.ndarray,
    shear: np.ndarray,
) -> np.ndarray:
    """Shears, turns, enlarges and moves images, in this order, about their middle.

    Each pixel of the answer is looked up where it came from, between four
    pixels of the image; outside there is black. `scipy.ndimage.affine_transform`
    does the same one image at a time, in three times the time.
    """
    middle = np.float32((SIDE - 1) / 2)
    at = np.arange(SIDE, dtype=np.float32) - middle
    right = at - shift * np.cos(direction)  # (n, 1, 28)
    up = -at[:, None] - shift * np.sin(direction)  # (n, 28, 1)
    cos, sin = (f(np.radians(rotation)) / zoom for f in (np.cos, np.sin))
    rows = sin * right - cos * up  # downward, (n, 28, 28)
    columns = (cos * right + sin * up) + shear * rows

    # A black frame, one pixel before and two after, where all that is outside looks.
    side = SIDE + 3
    framed = np.zeros((len(images), side, side), np.float32)
    framed[:, 1 : SIDE + 1, 1 : SIDE + 1] = images
    framed = framed.ravel()
    for place in (rows, columns):
        place += middle + 1
        np.maximum(place, 0, out=place)
        np.minimum(place, SIDE + 1, out=place)
    first, left = rows.astype(np.int32), columns.astype(np.int32)
    rows -= first
    columns -= left
    first *= side
    first += left
    first += np.arange(len(images), dtype=np.int32)[:, None, None] * side**2
    # Between the left and the right one above, then below, then between these.
    above, below = (framed.take(first + down) for down in (0, side))
    for pixels, down in ((above, 0), (below, side)):
        beside = framed.take(first + (down + 1))
        beside -= pixels
        beside *= columns
        pixels += beside
    below -= above
    below *= rows
    above += below
    return above
