"""The hand: how slanted, heavy and wide a digit is written, and which images are alike in that.

Measured from the moments of the image and standardised within each digit, so
that a 1 is narrow only if it is narrow for a 1. Images of different digits with
the same three numbers look as if one person had written them.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from data import SIDE, flatten

STYLE = ("slant", "ink", "aspect")


def style_features(images: ArrayLike, labels: ArrayLike | None = None) -> np.ndarray:
    """Measures slant, ink and aspect ratio of images.

    Slant is the shear that sets the digit upright, in pixels to the right for
    each pixel up; ink is the mean of all pixels; aspect is width over height,
    as standard deviations of the ink's place, after the slant is taken out.

    Args:
        images: `(n, 28, 28)` or flattened `(n, 784)`: integers in [0, 255] or
            floats in [0, 1].
        labels: The digit of each image, integers `(n,)`: standardise the
            features to mean 0 and deviation 1 within each digit.

    Returns:
        `float64 (n, 3)`, in the order of `STYLE`. Finite for every image: an
        empty one has slant 0, ink 0 and aspect 1.

    Raises:
        ValueError: Another shape or dtype, NaN, values out of range, or a
            number of labels that differs from that of the images.

    Example:

    >>> style_features(x_test, y_test).std(axis=0)
    array([1., 1., 1.])

    Reference:
        Hu, 1962: Visual pattern recognition by moment invariants.
    """
    pixels = flatten(images)
    if pixels.ndim != 2:
        raise ValueError(f"images have shape {np.shape(images)}; expected (n, {SIDE}, {SIDE})")
    # Upward and to the right, from the middle: the sums then stay small and exact enough.
    up, right = (SIDE - 1) / 2 - np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    right = -right
    powers = np.stack([np.ones_like(up), right, up, right**2, right * up, up**2], axis=1)
    mass, *moments = (pixels.astype(np.float64) @ powers).T  # each (n,)
    x, y, xx, xy, yy = moments / np.maximum(mass, 1e-9)
    # Half a pixel's variance, so that a single dot, or nothing at all, has a slant and an aspect.
    xx, xy, yy = xx - x * x + 0.5, xy - x * y, yy - y * y + 0.5
    slant = xy / yy
    width = np.maximum(xx - slant * xy, 1e-9)
    features = np.stack([slant, mass / SIDE**2, np.sqrt(width / yy)], axis=1)
    if labels is None:
        return features
    labels = np.asarray(labels)
    if labels.shape != features.shape[:1]:
        raise ValueError(f"labels have shape {labels.shape}; expected ({len(features)},)")
    for digit in np.unique(labels):
        own = features[labels == digit]
        # A digit whose images are all alike has no deviation to divide by.
        features[labels == digit] = (own - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-9)
    return features


def nearest_in_style(
    features: np.ndarray, labels: np.ndarray, neighbours: int, styles: ArrayLike | None = None
) -> np.ndarray:
    """Finds the images of each digit that are nearest to given styles.

    Args:
        features: `(n, 3)`, from `style_features` with labels.
        labels: The digit of each image, integers `(n,)` in 0 to 9.
        neighbours: How many to find; at most as many as each digit has images.
        styles: `(m, 3)`; by default the features of the images themselves.

    Returns:
        Indices of images, `int32 (m, 10, neighbours)`, nearest first. Those of
        a digit without an image are zero.

    Example:

    >>> slanted = nearest_in_style(features, labels, 1, [[2, 0, 0]])[0, :, 0]  # one of each digit
    """
    styles = features if styles is None else np.asarray(styles, float)
    nearest = np.zeros((len(styles), 10, neighbours), np.int32)
    for digit in np.unique(labels):
        own = np.flatnonzero(labels == digit)
        nearest[:, digit] = own[cKDTree(features[own]).query(styles, range(1, neighbours + 1))[1]]
    return nearest
