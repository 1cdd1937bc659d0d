"""The reader: a digit classifier, trained once and shipped, that reads what an image shows.

It has seen the training images of MNIST only, and averages of them, because a
predictor's answers are averages. `python classifier.py` trains it again and
writes `models/digit_classifier.keras`.
"""

import functools
import itertools
from pathlib import Path

import keras
import numpy as np

from data import SIDE, flatten, load_mnist
from model import without_optimizer

SHIPPED = Path(__file__).parent / "models" / "digit_classifier.keras"


@functools.cache
def digit_classifier() -> keras.Model:
    """The shipped digit classifier.

    Returns:
        A `keras.Sequential` from `float32 (n, 28, 28)` in [0, 1] to the
        probabilities of the digits, `float32 (n, 10)`.

    Example:

    >>> digit_classifier().predict(images).argmax(axis=-1)  # images: (n, 28, 28) in [0, 1]
    """
    return keras.saving.load_model(SHIPPED)


def read_digits(images: np.ndarray) -> np.ndarray:
    """Reads the digit that each image shows, with the shipped classifier.

    Args:
        images: `(..., 28, 28)`, `uint8` or float in [0, 1].

    Returns:
        Digits, `int (...)`.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.

    Example:

    >>> (read_digits(x_test) == y_test).mean()
    0.9945
    """
    return digit_probabilities(images).argmax(axis=-1)


def digit_probabilities(images: np.ndarray) -> np.ndarray:
    """The shipped classifier's probability of each digit, for each image.

    The largest tells a guess from an answer: a prediction that mixes two
    digits, or none, gets less than one that shows a digit plainly.

    Args:
        images: `(..., 28, 28)`, `uint8` or float in [0, 1].

    Returns:
        `float32 (..., 10)`, summing to 1.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.

    Example:

    >>> digit_probabilities(model.predict_next(images)).max(axis=-1)  # confidence, (n,)
    """
    flat = flatten(images)
    pixels = flat.reshape(-1, SIDE, SIDE)
    probabilities = digit_classifier().predict(pixels, batch_size=1_000, verbose=0)
    return probabilities.reshape(*flat.shape[:-1], 10)


def build_classifier() -> keras.Model:
    """A small convolutional network, untrained: what `digit_classifier` was before its training.

    Returns:
        A `keras.Sequential` as `digit_classifier` describes it.
    """
    layers = keras.layers
    seeds = itertools.count()  # of its own: the judge must not depend on what ran before it

    def weights() -> dict:
        return {
            "kernel_initializer": keras.initializers.GlorotUniform(seed=next(seeds)),
            "use_bias": False,
        }

    blocks = []
    for filters in (24, 48):
        blocks += [
            layers.Conv2D(filters, 5, **weights()),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE)),
            layers.Reshape((SIDE, SIDE, 1)),
            *blocks,
            layers.Flatten(),
            layers.Dropout(0.5, seed=next(seeds)),
            layers.Dense(64, **weights()),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.2, seed=next(seeds)),
            layers.Dense(10, activation="softmax", **weights()),
        ],
        name="digit_classifier",
    )


def train_classifier(
    classifier: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int = 5
) -> None:
    """Trains on images, and on averages of images of the same digit.

    A classifier that knows sharp digits only can read every average as a 1.

    Args:
        classifier: From `build_classifier`.
        images: `uint8 (n, 28, 28)`.
        labels: The digit of each image, integers `(n,)`.
        epochs: How often to show every image.

    Example:

    >>> classifier = build_classifier()
    >>> train_classifier(classifier, x_train, y_train)
    """
    batch_size = 128
    steps, soft = len(images) // batch_size, batch_size // 4
    rng = np.random.default_rng(0)
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
    classifier.fit(batches(), steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=2)


if __name__ == "__main__":
    trained = build_classifier()
    (images, labels), (test_images, test_labels) = load_mnist()
    train_classifier(trained, images, labels)
    without_optimizer(trained).save(SHIPPED)
    right = (read_digits(test_images) == test_labels).mean()
    print(f"Wrote {SHIPPED.name}, which reads {right:.2%} of the test images correctly.")
