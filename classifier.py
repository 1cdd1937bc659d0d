"""The digit classifier: reads which digit an image shows, so that answers can be scored.

It ships in `models/`. It was trained on MNIST's training images, on averages of
them, because a predictor's answers are averages, and on digits by other people,
from many countries, because not everybody writes a 1 or a 7 as Americans do.
"""

import functools
from pathlib import Path

import keras
import numpy as np

from data import SIDE, flatten, load_mnist

SHIPPED = Path(__file__).parent / "models" / "digit_classifier.keras"


@functools.cache
def _features_and_probabilities() -> keras.Model:
    classifier = keras.saving.load_model(SHIPPED)
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


@functools.cache
def _features_of_digits() -> tuple[np.ndarray, np.ndarray]:
    """Means `(10, 64)` and inverse covariances `(10, 64, 64)` of the features of each digit."""
    images, labels = (each[:10_000] for each in load_mnist()[0])  # more change little
    features = classify(images)[0]
    of_digit = [features[labels == digit] for digit in range(10)]
    # Most features vary less than this within a digit; without it, those would decide alone.
    covariances = [np.cov(each, rowvar=False) + 0.1 * np.eye(64) for each in of_digit]
    return np.stack([each.mean(axis=0) for each in of_digit]), np.linalg.inv(covariances)


def distance_to_digits(images: np.ndarray) -> np.ndarray:
    """How little each image looks like a digit, as the classifier sees it.

    The classifier takes a letter for some digit, too, and is often sure. This says
    how far the features of an image are from the mean of those of training images
    of the nearest digit, measured by how much these vary: the squared Mahalanobis
    distance. The first call takes some seconds.

    Args:
        images: As for `classify`.

    Returns:
        `float64 (...)`: of MNIST's test images, 14 in the median, and up to 64 for
        99 in 100. A bar passes for a 1, a ring for a 0.

    Example:

    >>> distance_to_digits(read_page("page.jpg")).argmax()  # what looks least like a digit

    Reference:
        Lee, Lee, Lee and Shin, 2018: A simple unified framework for detecting
        out-of-distribution samples and adversarial attacks. (There, all classes
        share one covariance.)
    """
    means, inverses = _features_of_digits()
    away = classify(images)[0][..., None, :] - means  # (..., 10, 64)
    return np.einsum("...di,dij,...dj->...d", away, inverses, away).min(axis=-1)
