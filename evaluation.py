"""How good is it: errors beside the best possible one, and right digits, read by a classifier.

Sequences are drawn independently, so no predictor that has seen only the
training images can beat, but by chance, the mean training image of the right
digit: the floor. Whether an answer shows the right digit is for the digit
classifier to say. Floor and classifier are made from the shipped MNIST,
whatever is evaluated. For a sampler, which draws single images, `realism`
compares many of them to many real ones.
"""

import functools

import numpy as np
import scipy.linalg

from classifier import digit_classifier, read_digits
from data import SIDE, flatten, load_mnist
from preprocessing import DigitSequences
from quiet import keras
from style import STYLE, style_features


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
    errors = np.square(targets - _digit_statistics()[0][digits]).mean(axis=(1, 2))
    return {
        "overall": float(errors.mean()),
        "per_digit": {int(d): float(errors[digits == d].mean()) for d in np.unique(digits)},
    }


@functools.cache
def _digit_statistics() -> tuple[np.ndarray, np.ndarray]:
    """For each digit its mean training image, `float32 (10, 28, 28)` in [0, 1], and the mean
    squared distance per pixel of its training images from that, `(10,)`."""
    (images, labels), _ = load_mnist()
    of_digit = [images[labels == digit] / np.float32(255) for digit in range(10)]
    means = np.stack([images.mean(axis=0) for images in of_digit])
    return means, np.array([images.var(axis=0).mean() for images in of_digit])


def evaluate(model: keras.Model, test: DigitSequences, n: int = 6_000) -> dict:
    """Measures single predictions.

    Args:
        model: A trained predictor.
        test: Sequences of test images.
        n: How many of them to draw.

    Returns:
        `"mse"`: mean squared error per pixel; `"floor"`: that of the mean
        image of the right digit on the same targets; `"ratio"`: the first over
        the second; `"right"`: share of predictions that show the right digit,
        in [0, 1]; `"windows"`: mse, floor, ratio and right for each window,
        `{(0, 1, 2, 3, 4): {...}, ...}`.

    Raises:
        ValueError: `n` is below 1.

    Example:

    >>> evaluate(model, test)["right"]
    0.9998
    """
    inputs, targets, digits = test.sample(n)
    predictions = model.predict(inputs, batch_size=1_000, verbose=0)
    errors = np.square(predictions - targets).mean(axis=(1, 2))
    floors = np.square(_digit_statistics()[0][digits[:, -1]] - targets).mean(axis=(1, 2))
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
        model: A trained predictor or sampler.
        test: Sequences of test images. Chains start from real images, at those
            of its windows from where the table can be followed for `steps`.
        steps: Images to generate in each chain.
        n: Chains to draw.
        **arguments: For `model.generate`, such as a sampler's `seed`.

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
        images = model.generate(context, wanted.shape[1], **arguments)
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


def _chain_starts(test: DigitSequences, steps: int, n: int) -> tuple[DigitSequences, np.ndarray]:
    """Sequences from where chains of `steps` can start, and the digits `(n, steps)` to expect."""
    chains = follow_windows(test.windows, steps)  # (m, t + steps)
    length = test.windows.shape[1] - 1
    starts = DigitSequences(
        test.images,
        test.labels,
        chains[:, : length + 1],
        pairing=test.pairing,
        neighbours=test.neighbours,
        damage=test.damage,
        seed=test.seed,
    )
    digits, _ = starts.draw(n)
    rows = (digits[:, None] == chains[None, :, : length + 1]).all(axis=2).argmax(axis=1)
    return starts, chains[rows, length:]


def style_agreement(
    model: keras.Model, test: DigitSequences, steps: int = 1, n: int = 6_000, **arguments
) -> dict:
    """Measures whether a model writes on in the hand that it has read.

    Args:
        model: A trained predictor or sampler.
        test: Sequences of test images, with `pairing="style"`.
        steps: Images to generate from each context; 1 for single predictions.
        n: Sequences to draw.
        **arguments: For `model.generate`, such as a sampler's `seed`.

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
    written = model.generate(starts.sample(n)[0], steps, **arguments)
    agreement = np.empty((3, steps))
    for step in range(steps):
        features = style_features(written[:, step])
        of_digit = [expected[:, step] == digit for digit in np.unique(expected[:, step])]
        for feature in range(3):
            agreement[feature, step] = np.mean(
                [np.corrcoef(features[d, feature], read[d, feature])[0, 1] for d in of_digit]
            )
    return dict(zip(STYLE, agreement, strict=True))


def realism(draws: np.ndarray, test: DigitSequences) -> dict:
    """Measures how close answers come to what people write, one by one and as a crowd.

    Everything is averaged over `k` crowds, one of each input's first draws, one
    of the second ones and so on. From one crowd of 3,000 to the next, the
    Fréchet distance varies by a tenth, and `"right"` by a tenth of a percent or two.

    Args:
        draws: `(n, k, 28, 28)` in [0, 1]: `k` answers to each of the inputs of
            `test.sample(n)`.
        test: Sequences of test images.

    Returns:
        `"frechet"`: `frechet_distance` to the real next images; `"right"`:
        share that shows the right digit; `"diversity"`, between one draw and the
        next (0 if `k` is 1), and `"sharpness"`: 1 for real images; `"nearest"`:
        mean distance to the nearest training image, and `"nearest_ratio"`: the
        same over that of the real next images, near 0 for copies, and near 1
        for images as new as those.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.

    Example:

    >>> inputs, targets, digits = test.sample(3_000)
    >>> realism(sampler.sample(inputs, n=8, seed=0), test)["right"]
    0.99
    """
    _, real, digits = test.sample(len(draws))
    crowds = np.swapaxes(draws, 0, 1)  # (k, n, 28, 28)
    scores = [
        {
            "frechet": frechet_distance(crowd, real),
            "right": (read_digits(crowd) == digits[:, -1]).mean(),
            "diversity": diversity(crowd, other, real, digits[:, -1]),
            "sharpness": sharpness(crowd, real),
            "nearest": nearest_training_images(crowd)[0].mean(),
        }
        for crowd, other in zip(crowds, np.roll(crowds, -1, axis=0), strict=True)
    ]
    means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
    means["nearest_ratio"] = means["nearest"] / float(nearest_training_images(real)[0].mean())
    return means


def frechet_distance(images: np.ndarray, real: np.ndarray) -> float:
    """How far a crowd of images is from a crowd of real ones.

    Both are described by mean and covariance of the 64 features that the
    digit classifier sees in them, in its last hidden layer. The fewer images,
    the larger the distance, even between real ones: compare values from equal
    numbers only, such as 3,000, and not to those of another classifier.

    Args:
        images: `(n, 28, 28)`, `uint8` or float in [0, 1].
        real: `(m, 28, 28)`, the same.

    Returns:
        The distance, 0 for the same distribution of features.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.

    Reference:
        Heusel et al., 2017: GANs trained by a two time-scale update rule
        converge to a local Nash equilibrium.
    """
    first, second = _features(images), _features(real)
    # Few images, or a feature that never varies, would make them singular, and the root inexact.
    tiny = 1e-6 * np.eye(first.shape[1])
    covariances = [np.cov(features, rowvar=False) + tiny for features in (first, second)]
    # The root of a product of covariances is real but for rounding.
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    difference = first.mean(axis=0) - second.mean(axis=0)
    return float(difference @ difference + np.trace(covariances[0] + covariances[1] - 2 * root))


def _features(images: np.ndarray) -> np.ndarray:
    """What the classifier's last hidden layer sees in images, `float64 (n, 64)`."""
    pixels = flatten(images).reshape(-1, SIDE, SIDE)
    return _feature_extractor().predict(pixels, batch_size=1_000, verbose=0).astype(np.float64)


@functools.cache
def _feature_extractor() -> keras.Model:
    return keras.Sequential([keras.Input((SIDE, SIDE)), *digit_classifier().layers[:-2]])


def diversity(first: np.ndarray, second: np.ndarray, real: np.ndarray, digits: np.ndarray) -> float:
    """How different two draws for the same input are, over two real images of the same digit.

    Args:
        first: `(n, 28, 28)`, `uint8` or float in [0, 1].
        second: The same, other draws.
        real: `(n, 28, 28)`, the same: real images of the digits that were to be drawn.
        digits: Those digits, integers `(n,)`.

    Returns:
        The ratio of mean Euclidean distances, averaged over the digits: 0 for
        draws that are all alike, 1 for those as varied as real images.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.
    """
    first, second, real = flatten(first), flatten(second), flatten(real)
    ratios = []
    for digit in np.unique(digits):
        own = digits == digit
        drawn = np.linalg.norm(first[own] - second[own], axis=1).mean()
        strangers = np.linalg.norm(real[own] - np.roll(real[own], 1, axis=0), axis=1).mean()
        ratios.append(drawn / strangers)
    return float(np.mean(ratios))


def sharpness(images: np.ndarray, real: np.ndarray) -> float:
    """How steep the edges of images are, over those of real images.

    Args:
        images: `(n, 28, 28)`, `uint8` or float in [0, 1].
        real: `(m, 28, 28)`, the same.

    Returns:
        The ratio of mean absolute differences between neighbouring pixels.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.
    """

    def steepness(images):
        pixels = flatten(images).reshape(-1, SIDE, SIDE)
        return sum(np.abs(np.diff(pixels, axis=axis)).mean() for axis in (1, 2))

    return float(steepness(images) / steepness(real))


def nearest_training_images(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the training image that is nearest to each image.

    Args:
        images: `(n, 28, 28)`, `uint8` or float in [0, 1].

    Returns:
        Euclidean distances `float32 (n,)`, 0 for a copy, and the indices of the
        training images, `int (n,)`.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.
    """
    pixels = flatten(images)
    training = flatten(load_mnist()[0][0])
    lengths = np.square(training).sum(axis=1)
    indices = np.empty(len(pixels), int)
    for start in range(0, len(pixels), 500):  # distances of all at once would need gigabytes
        block = pixels[start : start + 500]
        indices[start : start + 500] = (lengths - 2 * block @ training.T).argmin(axis=1)
    return np.linalg.norm(pixels - training[indices], axis=1), indices


def follow_windows(windows: np.ndarray, steps: int) -> np.ndarray:
    """The digits of all chains that follow a table of windows, one chain a row.

    Args:
        windows: `int (m, t + 1)`, the successor of each context last.
        steps: Digits to append to the context.

    Returns:
        `int (k, t + steps)`, for the contexts that can be followed so far.

    Raises:
        ValueError: No context can, one has two successors, or `steps` is below 1.

    Example:

    >>> follow_windows(digit_windows(length=4), steps=6)
    array([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected at least 1")
    rows = {tuple(row) for row in windows.tolist()}
    successors = {row[:-1]: row[-1] for row in rows}
    if len(successors) < len(rows):
        raise ValueError(
            "some context in the windows has two successors; no chain is the right one"
        )
    chains = []
    for context in sorted(successors):
        chain = list(context)
        for _ in range(steps):
            successor = successors.get(tuple(chain[-len(context) :]))
            if successor is None:
                break
            chain.append(successor)
        else:
            chains.append(chain)
    if not chains:
        raise ValueError(f"no context in the windows can be followed for {steps} steps")
    return np.array(chains)
