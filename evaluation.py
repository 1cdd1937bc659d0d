"""How good is a predictor: its error beside the best possible one, and its accuracy.

Sequences are drawn independently. No predictor that has seen only the training
images can beat the mean training image of the right digit, except by chance, or
by what test images have in common: its error is the floor. The digit
classifier says which digit an answer shows.
"""

import functools

import keras
import numpy as np

from classifier import read_digits
from data import SIDE, load_mnist
from model import check_length, check_predictions, feed_back, generate
from preprocessing import DigitSequences, follow_windows


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


def _errors(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.square(images - targets).mean(axis=(1, 2))  # (n,)


def evaluate(model: keras.Model, test: DigitSequences, n: int = 6_000) -> dict:
    """Measures single predictions.

    Args:
        model: A trained predictor, ours or any other Keras model that maps
            `(n, t, 784)` to `(n, 28, 28)`.
        test: Sequences of test images.
        n: How many of them to draw.

    Returns:
        `"mse"`: mean squared error per pixel, of answers cut off at 0 and 1;
        `"floor"`: that of the mean image of the right digit on the same
        targets; `"ratio"`: the first over the second; `"accuracy"`: share of
        answers that show the right digit, in [0, 1]; `"windows"`: the same
        four for each window drawn, `{(0, 1, 2, 3, 4): {...}, ...}`.

    Raises:
        ValueError: `n` is not an integer of at least 1, or the model reads
            contexts of another length, or predicts another shape, or NaN.

    Example:

    >>> evaluate(model, test)["accuracy"]
    0.9998
    """
    (inputs, targets), (digits, _) = test.sample(n), test.draw(n)
    check_length(model, inputs.shape[1])
    predictions = check_predictions(model.predict(inputs, batch_size=1_000, verbose=0), n)
    errors, floors = _errors(predictions, targets), _errors(digit_means()[digits[:, -1]], targets)
    correct = read_digits(predictions) == digits[:, -1]

    def summary(rows) -> dict:
        mse, floor = float(errors[rows].mean()), float(floors[rows].mean())
        accuracy = float(correct[rows].mean())
        return {"mse": mse, "floor": floor, "ratio": mse / floor, "accuracy": accuracy}

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
        test: Sequences of test images. Chains start from contexts whose windows
            can be followed for `steps`.
        steps: Images to generate in each chain.
        n: Chains to draw.
        **arguments: For a sampler's `generate`, such as `seed`.

    Returns:
        `"step_accuracy"`: share of chains that show the right digit at each
        step, `float (steps,)`; `"chain_accuracy"`: share of those that do at
        every step; `"errors"`: expected squared error per pixel at each step,
        against a random training image of the right digit, `float (steps,)`.

    Raises:
        ValueError: `steps` or `n` is not an integer of at least 1, the model
            predicts another shape, or NaN, or the table of windows cannot be
            followed for so long, or has the same context with two successors.

    Example:

    >>> evaluate_chains(model, test, steps=6)["chain_accuracy"]
    0.999
    """
    chains = follow_windows(test.windows, steps)  # (m, t + steps)
    length = test.windows.shape[1] - 1
    starts = chains[:, : length + 1]
    sequences = test.with_windows(starts)
    (inputs, _), (digits, _) = sequences.sample(n), sequences.draw(n)
    rows = (digits[:, None] == starts).all(axis=2).argmax(axis=1)  # of the chains, (n,)
    if arguments.get("seed") is not None:  # one stream of noise for all steps
        arguments["seed"] = np.random.default_rng(arguments["seed"])
    means, variances = _digit_statistics()
    go_on = getattr(model, "generate", functools.partial(generate, model))

    def predict(context: np.ndarray) -> np.ndarray:
        return go_on(context.reshape(n, -1, SIDE, SIDE), 1, **arguments)[:, 0]  # (n, 28, 28)

    correct, errors = np.empty((n, steps), bool), np.empty(steps)
    for step, images in enumerate(feed_back(model, predict, inputs, steps)):
        digits = chains[rows, length + step]
        correct[:, step] = read_digits(images) == digits
        errors[step] = (_errors(images, means[digits]) + variances[digits]).mean()
    return {
        "step_accuracy": correct.mean(axis=0),
        "chain_accuracy": float(correct.all(axis=1).mean()),
        "errors": errors,
    }
