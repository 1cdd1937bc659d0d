"""The digit classifier: reads which digit an image shows, so that answers can be scored.

It ships in `models/`. It was trained on MNIST's training images, on averages of
them, because a predictor's answers are averages, and on digits by other people,
from many countries, because not everybody writes a 1 or a 7 as Americans do.
"""

import functools

import keras
import numpy as np

from data import SIDE, flatten
from model import load, make_optimizer


@functools.cache
def _features_and_probabilities() -> keras.Model:
    classifier = load("digit_classifier")
    *_, hidden, _, last = classifier.layers  # between the two is dropout
    return keras.Model(classifier.inputs, [hidden.output, last.output])


def classify(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the shipped classifier sees in images, in its last hidden layer and at its end.

    Args:
        images: `(..., 28, 28)`, or the same flattened, `uint8` or float in
            [0, 1].

    Returns:
        Features `float32 (..., 64)`, and probabilities of the digits
        `float32 (..., 10)`, summing to 1. The largest is lower where an image
        mixes two digits.

    Raises:
        ValueError: No image, another shape or dtype, NaN, or values out of range.

    Example:

    >>> features, probabilities = classify(x_test)
    """
    pixels = flatten(images)
    if not pixels.size:
        raise ValueError(f"images have shape {np.shape(images)}; expected at least one")
    images, network = pixels.reshape(-1, SIDE, SIDE), _features_and_probabilities()
    # Not `predict`, which takes longer on TensorFlow to begin than to read a few images.
    parts = [network.predict_on_batch(images[k : k + 1_000]) for k in range(0, len(images), 1_000)]
    answers = (np.concatenate(part) for part in zip(*parts, strict=True))
    return tuple(answer.reshape(*pixels.shape[:-1], -1) for answer in answers)


def read_digits(images: np.ndarray) -> np.ndarray:
    """Reads the digit that each image shows, with the shipped classifier.

    Args:
        images: As for `classify`.

    Returns:
        Digits, `int (...)`.

    Example:

    >>> (read_digits(x_test) == y_test).mean()
    0.994
    """
    return classify(images)[1].argmax(axis=-1)


def train_classifier(
    images: np.ndarray, labels: np.ndarray, others: tuple[np.ndarray, np.ndarray], epochs: int = 15
) -> keras.Model:
    """Trains a small convolutional network to read digits, sharp ones and averages.

    One that knows sharp digits only may read every average as a 1. So each batch
    of 128 images has averages of training images of one digit in a quarter of
    its places, and others in another. Sets Keras' global seeds.

    Args:
        images: `uint8 (n, 28, 28)`.
        labels: The digit of each image, integers `(n,)` in 0 to 9.
        others: Images and labels of the same form that are not averaged, such
            as those of `studies.release.other_digits`.
        epochs: Passes over `images`.

    Returns:
        A model from images `(n, 28, 28)` in [0, 1] to probabilities `(n, 10)`.

    Example:

    >>> classifier = train_classifier(x_train, y_train, others=(x_more, y_more))
    """
    keras.utils.set_random_seed(0)
    layers = keras.layers
    classifier = keras.Sequential(
        [
            keras.Input((SIDE, SIDE)),
            layers.Reshape((SIDE, SIDE, 1)),
            layers.Conv2D(24, 5, use_bias=False),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(48, 5, use_bias=False),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(64, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax", use_bias=False),
        ],
        name="digit_classifier",
    )

    size = 128
    steps = len(images) // size
    rng = np.random.default_rng(0)
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]

    def batches():
        for _ in range(epochs):
            for chosen in rng.permutation(len(images))[: steps * size].reshape(steps, -1):
                batch, digits = images[chosen] / np.float32(255), labels[chosen]
                count = 2 ** rng.integers(1, 6)
                for i, digit in enumerate(digits[: size // 4]):
                    batch[i] = images[rng.choice(of_digit[digit], count)].mean(axis=0) / 255
                some = rng.integers(len(others[0]), size=size // 4)
                batch[-len(some) :] = others[0][some] / np.float32(255)
                digits[-len(some) :] = others[1][some]
                yield batch, digits

    optimizer = make_optimizer("adam", epochs * steps, learning_rate=3e-3)
    classifier.compile(optimizer, "sparse_categorical_crossentropy")
    classifier.fit(batches(), steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=2)
    return classifier
