"""How good is it: errors beside the best possible one, and a classifier that reads the answers.

Sequences are drawn independently, so no predictor that has seen only the
training images can beat the mean training image of the right digit: the floor.
Whether an answer shows the right digit is for a `DigitClassifier` to say, which
has seen training images only, and averages of them, because answers are soft.
"""

import functools
import os
import tempfile
from pathlib import Path

import numpy as np

from data import load_mnist
from model import NextImagePredictor
from preprocessing import SIDE, DigitSequences, flatten
from quiet import keras

CACHE = Path(__file__).parent / ".cache"


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
    errors = np.square(targets - _mean_images()[digits]).mean(axis=(1, 2))
    return {
        "overall": float(errors.mean()),
        "per_digit": {int(d): float(errors[digits == d].mean()) for d in np.unique(digits)},
    }


@functools.cache
def _mean_images() -> np.ndarray:
    """Mean training image of each digit, `float32 (10, 28, 28)` in [0, 1]."""
    (images, labels), _ = load_mnist()
    means = np.stack([images[labels == digit].mean(axis=0) for digit in range(10)])
    return (means / 255).astype(np.float32)


@functools.cache
def _variances() -> np.ndarray:
    """Mean squared distance per pixel of each digit's training images from their mean, `(10,)`."""
    (images, labels), _ = load_mnist()
    return np.array([(images[labels == d] / 255).var(axis=0).mean() for d in range(10)])


@keras.saving.register_keras_serializable(package="next_image")
class DigitClassifier(keras.Sequential):
    """A small convolutional network that reads a digit, sharp or soft.

    `digit_classifier()` answers with a trained one.

    Example:

    >>> digit_classifier().predict(images).argmax(axis=-1)  # images: (n, 28, 28) in [0, 1]
    """

    def __init__(self, name: str | None = None):
        layers = keras.layers
        blocks = []
        for filters in (24, 48):
            blocks += [
                layers.Conv2D(filters, 5, use_bias=False),
                layers.MaxPooling2D(),
                layers.BatchNormalization(),
                layers.ReLU(),
            ]
        super().__init__(
            [
                keras.Input((SIDE, SIDE)),
                layers.Reshape((SIDE, SIDE, 1)),
                *blocks,
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(64, use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(name="features"),
                layers.Dropout(0.2),
                layers.Dense(10, activation="softmax"),
            ],
            name=name,
        )

    def get_config(self) -> dict:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "DigitClassifier":
        return cls(**config)


@functools.cache
def digit_classifier() -> DigitClassifier:
    """The trained digit classifier: from the cache folder, else trained now and kept there.

    Training takes about a minute and sees the training images only.

    Returns:
        A `DigitClassifier`, which reads `float32 (n, 28, 28)` in [0, 1].
    """
    classifier = DigitClassifier()
    weights = CACHE / "digit_classifier.weights.h5"
    if weights.exists():
        classifier.load_weights(weights)
        return classifier
    print("Training the digit classifier, once (about a minute) …", flush=True)
    (images, labels), _ = load_mnist()
    train_classifier(classifier, images, labels)
    CACHE.mkdir(exist_ok=True)
    # Renamed into place when whole: an interrupted or parallel run never leaves half a file.
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        classifier.save_weights(Path(folder) / weights.name)
        os.replace(Path(folder) / weights.name, weights)
    return classifier


def train_classifier(
    classifier: DigitClassifier,
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int = 5,
    batch_size: int = 128,
    seed: int = 0,
) -> None:
    """Trains a digit classifier on images, and on averages of images of the same digit.

    Predictions are averages. A classifier that knows sharp digits only can
    read every average as a 1.

    Args:
        classifier: To be trained in place.
        images: `uint8 (n, 28, 28)`.
        labels: `uint8 (n,)`.
        epochs: Passes over the images.
        batch_size: Images in a batch; a quarter of them are averages.
        seed: For order, averages and initial dropout.
    """
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    steps = len(images) // batch_size
    soft = batch_size // 4
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]

    def batches():
        for _ in range(epochs):
            for chosen in rng.permutation(len(images))[: steps * batch_size].reshape(steps, -1):
                batch = images[chosen] / np.float32(255)
                count = 2 ** rng.integers(1, 6)
                for i, digit in enumerate(labels[chosen[:soft]]):
                    batch[i] = images[rng.choice(of_digit[digit], count)].mean(axis=0) / 255
                yield batch, labels[chosen]

    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps)
    classifier.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    classifier.fit(batches(), steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0)


def read_digits(images: np.ndarray) -> np.ndarray:
    """Reads the digit that each image shows, with the trained classifier.

    Args:
        images: `(..., 28, 28)`, `uint8` or float in [0, 1].

    Returns:
        Digits, `int (...)`.
    """
    return digit_probabilities(images).argmax(axis=-1)


def digit_probabilities(images: np.ndarray) -> np.ndarray:
    """The trained classifier's probability of each digit, for each image.

    The largest tells a guess from an answer: a prediction that mixes two
    digits, or none, gets less than one that shows a digit plainly.

    Args:
        images: `(..., 28, 28)`, `uint8` or float in [0, 1].

    Returns:
        `float32 (..., 10)`, summing to 1.

    Example:

    >>> digit_probabilities(model.predict_next(images)).max(axis=-1)  # confidence, (n,)
    """
    flat = flatten(images)
    classifier = digit_classifier()
    probabilities = classifier.predict(flat.reshape(-1, SIDE, SIDE), batch_size=1_000, verbose=0)
    return probabilities.reshape(*flat.shape[:-1], 10)


def evaluate(model: NextImagePredictor, test: DigitSequences, n: int = 6_000) -> dict:
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

    Example:

    >>> evaluate(model, test)["right"]
    0.9998
    """
    inputs, targets, digits = test.sample(n)
    predictions = model.predict(inputs, batch_size=1_000, verbose=0)
    errors = np.square(predictions - targets).mean(axis=(1, 2))
    right = read_digits(predictions) == digits[:, -1]

    def summary(rows) -> dict:
        mse = float(errors[rows].mean())
        floor = mean_image_floor(targets[rows], digits[rows, -1])["overall"]
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
    model: NextImagePredictor, test: DigitSequences, steps: int = 6, n: int = 1_000
) -> dict:
    """Measures chains that the predictor generates from its own predictions.

    Args:
        model: A trained predictor.
        test: Sequences of test images. Chains start from real images, at those
            of its windows from where the table can be followed for `steps`.
        steps: Images to generate in each chain.
        n: Chains to draw.

    Returns:
        `"steps"`: share of chains showing the right digit at each step,
        `float (steps,)`; `"chains"`: share of chains right at every step;
        `"errors"`: expected squared error per pixel at each step, against a
        random image of the right digit, `float (steps,)`.

    Raises:
        ValueError: The table of windows cannot be followed for so long, or has
            the same context with two successors.

    Example:

    >>> evaluate_chains(model, test, steps=6)["chains"]
    0.999
    """
    expected = follow_windows(test.windows, steps)  # (m, t + steps)
    length = test.windows.shape[1] - 1
    starts = DigitSequences(
        test.images, test.labels, expected[:, : length + 1], pairing=test.pairing, seed=test.seed
    )
    context, _, digits = starts.sample(n)
    rows = (digits[:, None] == expected[None, :, : length + 1]).all(axis=2).argmax(axis=1)
    right, errors = np.empty((n, steps), bool), np.empty(steps)
    # In blocks of steps, each from the last images of the one before: a thousand chains of a
    # thousand images would not fit into memory at once.
    for start in range(0, steps, 100):
        block = slice(start, min(start + 100, steps))
        wanted = expected[rows, length:][:, block]
        images = model.generate(context, wanted.shape[1])
        right[:, block] = read_digits(images) == wanted
        for step, (drawn, digit) in enumerate(zip(images.swapaxes(0, 1), wanted.T, strict=True)):
            excess = np.square(drawn - _mean_images()[digit]).mean(axis=(1, 2))
            errors[start + step] = (excess + _variances()[digit]).mean()
        context = np.concatenate([context.reshape(n, length, SIDE, SIDE), images], axis=1)
        context = context[:, -length:]
    return {
        "steps": right.mean(axis=0),
        "chains": float(right.all(axis=1).mean()),
        "errors": errors,
    }


def follow_windows(windows: np.ndarray, steps: int) -> np.ndarray:
    """The digits of all chains that follow a table of windows, one chain a row.

    Args:
        windows: `int (m, t + 1)`, the successor of each context last.
        steps: Digits to append to the context.

    Returns:
        `int (k, t + steps)`, for the contexts that can be followed so far.

    Raises:
        ValueError: No context can, or one has two successors.

    Example:

    >>> follow_windows(digit_windows(length=4), steps=6)
    array([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
    """
    rows = {tuple(row) for row in windows.tolist()}
    following = {row[:-1]: row[-1] for row in rows}
    if len(following) < len(rows):
        raise ValueError(
            "some context in the windows has two successors; no chain is the right one"
        )
    chains = []
    for context in sorted(following):
        chain = list(context)
        while len(chain) < len(context) + steps and tuple(chain[-len(context) :]) in following:
            chain.append(following[tuple(chain[-len(context) :])])
        if len(chain) == len(context) + steps:
            chains.append(chain)
    if not chains:
        raise ValueError(f"no context in the windows can be followed for {steps} steps")
    return np.array(chains)
