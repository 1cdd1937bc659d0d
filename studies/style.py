"""The style of a digit: how slanted, heavy and wide it is, and whether a model writes on in it."""

import functools

import keras
import numpy as np
from numpy.typing import ArrayLike

from data import SIDE, flatten
from evaluation import chain_starts
from model import generate
from preprocessing import DigitSequences

STYLE = ("slant", "ink", "aspect")


def style_features(images: ArrayLike, labels: ArrayLike | None = None) -> np.ndarray:
    """Measures slant, ink and aspect ratio of images.

    Slant is the shear that sets the digit upright, in pixels to the right for
    each pixel up; ink is the mean of all pixels; aspect is width over height
    of the upright digit, as standard deviations of the ink's place.

    Args:
        images: `(n, 28, 28)` or flattened `(n, 784)`: integers in [0, 255] or
            floats in [0, 1].
        labels: The digit of each image, integers `(n,)`: standardise within each
            digit, so that a 1 is narrow only if it is narrow for a 1.

    Returns:
        `float64 (n, 3)`, in the order of `STYLE`; of an empty image 0, 0, 1.

    Raises:
        ValueError: Another shape or dtype, NaN, values out of range, or another
            number of labels than of images.

    Example:

    >>> train = DigitSequences(x_train, y_train, pairing=style_features(x_train, y_train))

    Reference:
        Hu, 1962: Visual pattern recognition by moment invariants.
    """
    pixels = flatten(images)
    if pixels.ndim != 2:
        raise ValueError(f"images have shape {np.shape(images)}; expected (n, {SIDE}, {SIDE})")
    # From the middle of the image: the sums then stay small and exact enough.
    down, right = np.mgrid[:SIDE, :SIDE].reshape(2, -1) - (SIDE - 1) / 2
    up = -down
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


def style_agreement(
    model: keras.Model, test: DigitSequences, steps: int = 1, n: int = 6_000, **arguments
) -> dict[str, np.ndarray]:
    """Measures whether a model writes on in the style of its context.

    Args:
        model, test, steps, n, **arguments: As for `evaluate_chains`; the test
            sequences are paired by `style_features`.

    Returns:
        For each feature in `STYLE` the correlation between that of the
        generated image and the mean of its context, within each digit and
        averaged over the digits, at each step: `float (steps,)`.

    Raises:
        ValueError: As for `evaluate_chains`.

    Example:

    >>> style_agreement(model, test)["slant"]
    array([0.995])
    """
    starts, expected = chain_starts(test, steps, n)
    _, indices = starts.draw(n)
    context = style_features(test.images, test.labels)[indices[:, :-1]].mean(axis=1)  # (n, 3)
    go_on = getattr(model, "generate", functools.partial(generate, model))
    generated = go_on(starts.sample(n)[0], steps, **arguments)
    agreement = np.empty((3, steps))
    for step, digits in enumerate(expected.T):
        features = style_features(generated[:, step])
        of_digit = [digits == digit for digit in np.unique(digits)]
        if min(map(np.count_nonzero, of_digit)) < 2:
            raise ValueError(f"n is {n}; expected at least two sequences for each digit")
        for i in range(3):
            pairs = [(features[rows, i], context[rows, i]) for rows in of_digit]
            agreement[i, step] = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
    return dict(zip(STYLE, agreement, strict=True))
