"""How good is a predictor: its error beside the best possible one, and its accuracy.

Sequences are drawn independently. No predictor that has seen only the training
images can beat the mean training image of the right digit, except by chance, or
by what test images have in common: its error is the floor. The digit
classifier says which digit an answer shows.
"""

import functools
import math

import keras
import numpy as np

from classifier import read_digits
from data import PIXELS, SIDE, load_mnist
from model import check_length, check_predictions, feed_back, generate
from preprocessing import DigitSequences, Windows, follow_windows


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
    return np.square(images - targets).mean(axis=(-2, -1))  # (...,)


def posterior(test: DigitSequences, digits: np.ndarray) -> np.ndarray:
    """The exact probabilities of the next digit in the world of sequences, checked.

    Args:
        test: Sequences of a table of windows, or of another world.
        digits: Those of contexts, `int (n, t)`.

    Returns:
        `float (n, t, 10)`: after each digit.

    Raises:
        ValueError: The world answers with another shape, with negative numbers,
            or with numbers that do not sum to 1.
    """
    chances = np.asarray(test.world.posterior(digits))
    if chances.shape != (*digits.shape, 10):
        raise ValueError(
            f"the world's posterior has shape {chances.shape} for digits {digits.shape}; "
            f"expected {(*digits.shape, 10)}"
        )
    if not (chances >= 0).all() or not np.allclose(chances.sum(axis=-1), 1):
        raise ValueError("the world's posterior is negative or does not sum to 1")
    return chances


def belief(images: np.ndarray) -> np.ndarray:
    """How much of each digit is in an answer: least squares of it onto the ten digit means.

    The best answer is the mixture of the digit means by the posterior. So what is
    found in the answers of a network can be laid beside the exact posterior.

    Args:
        images: Answers `(..., 28, 28)` in [0, 1].

    Returns:
        `float (..., 10)`, in the best case probabilities; of sharp images,
        `classifier.read_digits` reads more.

    Example:

    >>> belief(model.predict_next(images)).round(1)
    array([0. , 0. , 0. , 0. , 0.5, 0. , 0.5, 0. , 0. , 0. ])
    """
    images = np.asarray(images)
    return images.reshape(*images.shape[:-2], PIXELS) @ _from_pixels()


@functools.cache
def _from_pixels() -> np.ndarray:
    return np.linalg.pinv(digit_means().reshape(10, PIXELS).astype(float))  # (784, 10)


def evaluate(model: keras.Model, test: DigitSequences, n: int = 6_000) -> dict:
    """Measures single predictions, beside the best that is possible.

    Args:
        model: A trained predictor, ours or any other Keras model that maps
            `(n, t, 784)` to targets as `test` has them: `(n, 28, 28)` or, after
            each image, `(n, t, 28, 28)`.
        test: Sequences of test images.
        n: How many of them to draw.

    Returns:
        `"mse"`: mean squared error per pixel, of answers cut off at 0 and 1;
        `"floor"`: that of the best possible answer on the same targets, the
        digit means mixed by the exact posterior; `"ratio"`: the first over the
        second; `"plateau"`: the error of one image for all, the mean target;
        `"skill"`: 0 at the plateau, 1 at the floor (the skill score of weather
        forecasts), NaN where the two are the same; `"accuracy"`: share of
        answers in which the digit that came is the strongest, by `belief`;
        `"best_accuracy"`: that of always naming the most probable digit. With
        answers after each image, these are over all of them, and `"after"` has
        the same after each number of images, `{1: {...}, ...}`. Of a table,
        `"windows"` has error, floor, ratio and accuracy of each window,
        `{(0, 1, 2, 3, 4): {...}, ...}`.

    Raises:
        ValueError: `n` is not an integer of at least 1, or the model reads
            contexts of another length, or predicts another shape, or NaN.

    Example:

    >>> evaluate(model, test)["accuracy"]
    0.9998

    Reference:
        Murphy, 1988: Skill scores based on the mean square error.
    """
    (inputs, targets), (digits, _) = test.sample(n), test.draw(n)
    check_length(model, test.length)
    predictions = model.predict(inputs, batch_size=1_000, verbose=0)
    predictions = check_predictions(predictions, targets.shape)
    chances, shown = posterior(test, digits[:, :-1]), digits[:, 1:]
    if not test.after_each:
        predictions, targets = predictions[:, None], targets[:, None]  # (n, 1, 28, 28)
        chances, shown = chances[:, -1:], shown[:, -1:]
    means = digit_means()
    errors, correct = _errors(predictions, targets), belief(predictions).argmax(axis=-1) == shown
    floors = _errors(np.tensordot(chances, means, 1), targets)
    shares = np.eye(10)[shown].mean(axis=0)  # of the digits, in each place
    plateaus = _errors(np.tensordot(shares, means, 1), targets)

    def summary(rows, places=slice(None)) -> dict:
        mse, floor = float(errors[rows, places].mean()), float(floors[rows, places].mean())
        accuracy = float(correct[rows, places].mean())
        return {"mse": mse, "floor": floor, "ratio": mse / floor, "accuracy": accuracy}

    def whole(places) -> dict:
        found = summary(slice(None), places)
        plateau = float(plateaus[:, places].mean())
        gain = plateau - found["floor"]
        # Where nobody can know more than how frequent each digit is, nobody has skill.
        skill = (plateau - found["mse"]) / gain if gain > 0.001 * plateau else math.nan
        best = float(chances[:, places].max(axis=-1).mean())
        return found | {"plateau": plateau, "skill": skill, "best_accuracy": best}

    score = whole(slice(None))
    if test.after_each:
        score["after"] = {place + 1: whole(place) for place in range(test.length)}
    if isinstance(test.world, Windows):
        score["windows"] = {
            tuple(window.tolist()): summary((digits == window).all(axis=1))
            for window in np.unique(digits, axis=0)
        }
    return score


def evaluate_chains(
    model: keras.Model, test: DigitSequences, steps: int = 6, n: int = 1_000, **arguments
) -> dict:
    """Measures chains that a model generates from its own answers.

    Args:
        model: A trained predictor, as for `evaluate`, or a sampler.
        test: Sequences of test images. Chains start from contexts that settle
            what comes next: of a table, those that can be followed for `steps`.
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
    if isinstance(test.world, Windows):
        chains = follow_windows(test.world.table, steps)  # (m, t + steps)
        starts = chains[:, : test.length + 1]
        test = test.with_world(starts)
        (inputs, _), (digits, _) = test.sample(n), test.draw(n)
        chains = chains[(digits[:, None] == starts).all(axis=2).argmax(axis=1)]  # (n, t + steps)
    else:
        (inputs, _), (digits, _) = test.sample(n), test.draw(n)
        settled, chains = np.ones(n, bool), digits[:, :-1]
        for _ in range(steps):
            chances = posterior(test, chains)[:, -1]
            settled &= chances.max(axis=1) > 1 - 1e-9
            chains = np.column_stack([chains, chances.argmax(axis=1)])
        if not settled.any():
            raise ValueError(f"none of {n} contexts settles what comes next")
        inputs, chains, n = inputs[settled], chains[settled], int(settled.sum())
    if arguments.get("seed") is not None:  # one stream of noise for all steps
        arguments["seed"] = np.random.default_rng(arguments["seed"])
    means, variances = _digit_statistics()
    go_on = getattr(model, "generate", functools.partial(generate, model))

    def predict(context: np.ndarray) -> np.ndarray:
        return go_on(context.reshape(n, -1, SIDE, SIDE), 1, **arguments)[:, 0]  # (n, 28, 28)

    correct, errors = np.empty((n, steps), bool), np.empty(steps)
    for step, images in enumerate(feed_back(model, predict, inputs, steps)):
        digits = chains[:, test.length + step]
        correct[:, step] = read_digits(images) == digits
        errors[step] = (_errors(images, means[digits]) + variances[digits]).mean()
    return {
        "step_accuracy": correct.mean(axis=0),
        "chain_accuracy": float(correct.all(axis=1).mean()),
        "errors": errors,
    }
