"""How good is it: errors beside the best possible one, and right digits, read by a classifier.

Sequences are drawn independently, so no predictor that has seen only the
training images can beat, but by chance, the mean training image of the right
digit: the floor. Whether an answer shows the right digit is for the digit
classifier to say. Floor and classifier are made from the shipped MNIST,
whatever is evaluated.
"""

import functools

import keras
import numpy as np

from classifier import read_digits
from data import SIDE, load_mnist
from model import generate
from preprocessing import DigitSequences, follow_windows
from style import STYLE, style_features


def digit_means() -> np.ndarray:
    """The mean training image of each digit, the best answer to sequences of strangers.

    Returns:
        `float32 (10, 28, 28)` in [0, 1], read-only.

    Example:

    >>> digit_means()[digits[:, -1]].shape  # digits: (n, 5)
    (n, 28, 28)
    """
    return _digit_statistics()[0]


@functools.cache
def _digit_statistics() -> tuple[np.ndarray, np.ndarray]:
    """`digit_means`, and how far each digit's training images are from them: the mean squared
    distance per pixel, `(10,)`."""
    (images, labels), _ = load_mnist()
    of_digit = [images[labels == digit] / np.float32(255) for digit in range(10)]
    means = np.stack([images.mean(axis=0) for images in of_digit])
    means.flags.writeable = False  # all who ask get the same array
    return means, np.array([images.var(axis=0).mean() for images in of_digit])


def mean_image_floor(targets: np.ndarray, digits: np.ndarray) -> dict:
    """The error of answering every sequence with the mean training image of the right digit.

    Args:
        targets: `float32 (n, 28, 28)` in [0, 1].
        digits: The digit of each target, integers `(n,)`.

    Returns:
        `"overall"`: mean squared error per pixel, and `"per_digit"`: the same
        for each digit that occurs, `{digit: error}`.

    Example:

    >>> mean_image_floor(targets, digits[:, -1])["overall"]
    0.0537
    """
    errors = np.square(targets - digit_means()[digits]).mean(axis=(1, 2))
    return {
        "overall": float(errors.mean()),
        "per_digit": {int(d): float(errors[digits == d].mean()) for d in np.unique(digits)},
    }


def evaluate(model: keras.Model, test: DigitSequences, n: int = 6_000) -> dict:
    """Measures single predictions.

    Args:
        model: A trained predictor, ours or any other Keras model that maps
            `(n, t, 784)` to `(n, 28, 28)`.
        test: Sequences of test images.
        n: How many of them to draw.

    Returns:
        `"mse"`: mean squared error per pixel, of answers cut off at black and
        white; `"floor"`: that of the mean image of the right digit on the same
        targets; `"ratio"`: the first over the second; `"right"`: share of
        predictions that show the right digit, in [0, 1]; `"windows"`: mse,
        floor, ratio and right for each window, `{(0, 1, 2, 3, 4): {...}, ...}`.

    Raises:
        ValueError: `n` is below 1.

    Example:

    >>> evaluate(model, test)["right"]
    0.9998
    """
    inputs, targets, digits = test.sample(n)
    predictions = np.clip(model.predict(inputs, batch_size=1_000, verbose=0), 0, 1)
    errors = np.square(predictions - targets).mean(axis=(1, 2))
    floors = np.square(digit_means()[digits[:, -1]] - targets).mean(axis=(1, 2))
    right = read_digits(predictions) == digits[:, -1]

    def summary(rows) -> dict:
        mse, floor = float(errors[rows].mean()), float(floors[rows].mean())
        return {
            "mse": mse,
            "floor": floor,
            "ratio": mse / floor,
            "right": float(right[rows].mean()),
        }

    windows = {
        tuple(window.tolist()): summary((digits == window).all(axis=1))
        for window in np.unique(digits, axis=0)
    }
    return {**summary(slice(None)), "windows": windows}


def evaluate_chains(
    model: keras.Model, test: DigitSequences, steps: int = 6, n: int = 1_000, **arguments
) -> dict:
    """Measures chains that a model generates from its own answers.

    Args:
        model: A trained predictor, as for `evaluate`, or a sampler.
        test: Sequences of test images. Chains start from real images, at those
            of its windows from where the table can be followed for `steps`.
        steps: Images to generate in each chain.
        n: Chains to draw.
        **arguments: For a sampler's `generate`, such as `seed`.

    Returns:
        `"steps"`: share of chains showing the right digit at each step,
        `float (steps,)`; `"chains"`: share of chains right at every step;
        `"errors"`: expected squared error per pixel at each step, against a
        random training image of the right digit, `float (steps,)`.

    Raises:
        ValueError: `steps` or `n` is below 1, or the table of windows cannot be
            followed for so long, or has the same context with two successors.

    Example:

    >>> evaluate_chains(model, test, steps=6)["chains"]
    0.999
    """
    starts, expected = _chain_starts(test, steps, n)
    length = test.windows.shape[1] - 1
    if arguments.get("seed") is not None:  # one stream of noise, from the first block to the last
        arguments["seed"] = np.random.default_rng(arguments["seed"])
    context = starts.sample(n)[0].reshape(n, length, SIDE, SIDE)
    means, variances = _digit_statistics()
    right, errors = np.empty((n, steps), bool), np.empty(steps)
    # In blocks of steps, each from the last images of the one before: a thousand chains of a
    # thousand images would not fit into memory at once.
    for start in range(0, steps, 100):
        wanted = expected[:, start : min(start + 100, steps)]
        images = _generate(model, context, wanted.shape[1], **arguments)
        right[:, start : start + 100] = read_digits(images) == wanted
        for step, (drawn, digit) in enumerate(zip(images.swapaxes(0, 1), wanted.T, strict=True)):
            excess = np.square(drawn - means[digit]).mean(axis=(1, 2))
            errors[start + step] = (excess + variances[digit]).mean()
        context = np.concatenate([context, images[:, -length:]], axis=1)[:, -length:]
    return {
        "steps": right.mean(axis=0),
        "chains": float(right.all(axis=1).mean()),
        "errors": errors,
    }


def _generate(model: keras.Model, images: np.ndarray, steps: int, **arguments) -> np.ndarray:
    """With the model's own way to go on, a sampler's, or as any predictor does."""
    go_on = getattr(model, "generate", functools.partial(generate, model))
    return go_on(images, steps, **arguments)


def _chain_starts(test: DigitSequences, steps: int, n: int) -> tuple[DigitSequences, np.ndarray]:
    """Sequences from where chains of `steps` can start, and the digits `(n, steps)` to expect."""
    chains = follow_windows(test.windows, steps)  # (m, t + steps)
    length = test.windows.shape[1] - 1
    starts = test.with_windows(chains[:, : length + 1])
    digits, _ = starts.draw(n)
    rows = (digits[:, None] == chains[None, :, : length + 1]).all(axis=2).argmax(axis=1)
    return starts, chains[rows, length:]


def style_agreement(
    model: keras.Model, test: DigitSequences, steps: int = 1, n: int = 6_000, **arguments
) -> dict:
    """Measures whether a model writes on in the hand that it has read.

    Args:
        model: A trained predictor, as for `evaluate`, or a sampler.
        test: Sequences of test images, with `pairing="style"`.
        steps: Images to generate from each context; 1 for single predictions.
        n: Sequences to draw.
        **arguments: For a sampler's `generate`, such as `seed`.

    Returns:
        For each feature in `style.STYLE` the correlation between that of the
        generated image and the mean of the four inputs, within each digit and
        averaged over the digits, at each step: `float (steps,)`.

    Raises:
        ValueError: As for `evaluate_chains`.

    Example:

    >>> style_agreement(model, test)["slant"]
    array([0.995])
    """
    starts, expected = _chain_starts(test, steps, n)
    _, indices = starts.draw(n)
    read = style_features(test.images, test.labels)[indices[:, :-1]].mean(axis=1)  # (n, 3)
    written = _generate(model, starts.sample(n)[0], steps, **arguments)
    agreement = np.empty((3, steps))
    for step in range(steps):
        features = style_features(written[:, step])
        of_digit = [expected[:, step] == digit for digit in np.unique(expected[:, step])]
        for feature in range(3):
            agreement[feature, step] = np.mean(
                [np.corrcoef(features[d, feature], read[d, feature])[0, 1] for d in of_digit]
            )
    return dict(zip(STYLE, agreement, strict=True))
