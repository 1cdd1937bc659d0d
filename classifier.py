"""The digit classifier: reads which digit an image shows, so that answers can be scored.

It ships in `models/`. It was trained on MNIST's training images, and on averages
of them, because a predictor's answers are averages.
"""

import functools
from pathlib import Path

import keras
import numpy as np

from data import SIDE, check_count, flatten

SHIPPED = Path(__file__).parent / "models" / "digit_classifier.keras"
BATCH = 128  # images, when it is trained


def digit_classifier() -> keras.Model:
    """The shipped digit classifier.

    Returns:
        A `keras.Sequential` from `float32 (n, 28, 28)` in [0, 1] to the
        probabilities of the digits, `float32 (n, 10)`.

    Example:

    >>> digit_classifier().predict(images).argmax(axis=-1)  # images: (n, 28, 28) in [0, 1]
    """
    return keras.saving.load_model(SHIPPED)


@functools.cache
def _features_and_probabilities() -> keras.Model:
    classifier = digit_classifier()
    *_, hidden, _, last = classifier.layers  # between the two is dropout
    return keras.Model(classifier.inputs, [hidden.output, last.output])


def classify(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the shipped classifier sees in images, in its last hidden layer and at its end.

    Args:
        images: `(..., 28, 28)`, or the same flattened, `uint8` or float in
            [0, 1].

    Returns:
        Features `float32 (..., 64)`, and probabilities of the digits
        `float32 (..., 10)`, summing to 1.

    Raises:
        ValueError: No image, another shape or dtype, NaN, or values out of range.

    Example:

    >>> features, probabilities = classify(x_test)
    """
    pixels = flatten(images)
    if not pixels.size:
        raise ValueError(f"images have shape {np.shape(images)}; expected at least one")
    answers = _features_and_probabilities().predict(
        pixels.reshape(-1, SIDE, SIDE), batch_size=1_000, verbose=0
    )
    return tuple(answer.reshape(*pixels.shape[:-1], -1) for answer in answers)


def digit_probabilities(images: np.ndarray) -> np.ndarray:
    """The shipped classifier's probability of each digit, for each image.

    The largest says how sure it is: of an image that mixes two digits it is
    smaller than of one that shows a digit plainly.

    Args:
        images: As for `classify`.

    Returns:
        `float32 (..., 10)`, summing to 1.

    Example:

    >>> digit_probabilities(model.predict_next(images)).max(axis=-1)  # confidence, (n,)
    """
    return classify(images)[1]


def read_digits(images: np.ndarray) -> np.ndarray:
    """Reads the digit that each image shows, with the shipped classifier.

    Args:
        images: As for `classify`.

    Returns:
        Digits, `int (...)`.

    Example:

    >>> (read_digits(x_test) == y_test).mean()
    0.9935
    """
    return digit_probabilities(images).argmax(axis=-1)


def train_classifier(images: np.ndarray, labels: np.ndarray, epochs: int = 5) -> keras.Model:
    """Trains a small convolutional network on images, and on averages of images of one digit.

    A classifier that knows sharp digits only may read every average as a 1. Sets
    Keras' global seeds.

    Args:
        images: `uint8 (n, 28, 28)`.
        labels: The digit of each image, integers `(n,)`.
        epochs: How often to show every image.

    Returns:
        A compiled `keras.Sequential` as `digit_classifier` describes it.

    Raises:
        ValueError: `epochs` is not an integer of at least 1, or images and
            labels are not as many, or fewer than a batch of 128.

    Example:

    >>> classifier = train_classifier(x_train, y_train)
    """
    check_count(epochs, "epochs")
    images, labels = np.asarray(images), np.asarray(labels)
    known = labels.dtype.kind in "iu" and np.isin(labels, range(10)).all()
    fits = images.shape[1:] == (SIDE, SIDE) and labels.shape == images.shape[:1]
    if images.dtype != np.uint8 or not fits or len(labels) < BATCH:
        raise ValueError(
            f"images are {images.dtype} {images.shape} and labels {labels.shape}; "
            f"expected uint8 (n, {SIDE}, {SIDE}) and (n,), with n at least {BATCH}"
        )
    if not known:
        raise ValueError("labels are not integers in 0 to 9")
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

    steps, soft = len(images) // BATCH, BATCH // 4
    rng = np.random.default_rng(0)
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]

    def batches():
        for _ in range(epochs):
            for chosen in rng.permutation(len(images))[: steps * BATCH].reshape(steps, -1):
                batch = images[chosen] / np.float32(255)
                count = 2 ** rng.integers(1, 6)
                for i, digit in enumerate(labels[chosen[:soft]]):
                    batch[i] = images[rng.choice(of_digit[digit], count)].mean(axis=0) / 255
                yield batch, labels[chosen]

    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps)
    classifier.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    classifier.fit(batches(), steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=2)
    return classifier
