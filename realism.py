"""Do draws pass for real: crowds of drawn images beside crowds of images that people wrote.

A draw cannot be compared to the image that really came next: it is another one,
and should be. So many draws are compared to many real images, in what the digit
classifier sees in them, in how much they vary, and in how sharp they are.
"""

import functools

import keras
import numpy as np
import scipy.linalg
import scipy.spatial

from classifier import digit_classifier, read_digits
from data import SIDE, flatten, load_mnist
from model import check_count
from preprocessing import DigitSequences


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
        `"frechet"`: `frechet_distance` to the real next images; `"precision"`
        and `"recall"` beside those; `"right"`: share that shows the right
        digit; `"diversity"`, between one draw and the
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
            **precision_and_recall(crowd, real),
            "right": (read_digits(crowd) == digits[:, -1]).mean(),
            "diversity": diversity(crowd, other, real, digits[:, -1]),
            "sharpness": sharpness(crowd, real),
        }
        for crowd, other in zip(crowds, np.roll(crowds, -1, axis=0), strict=True)
    ]
    means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
    nearest, of_real = (
        float(nearest_training_images(images)[0].mean())
        for images in (draws.reshape(-1, SIDE, SIDE), real)
    )
    return means | {"nearest": nearest, "nearest_ratio": nearest / of_real}


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


def precision_and_recall(images: np.ndarray, real: np.ndarray, neighbours: int = 3) -> dict:
    """How many images look like real ones, and how many real ones are like one of the images.

    Around each image of a crowd lies a ball, in the 64 features of
    `frechet_distance`, that reaches to one of its nearest neighbours in its own
    crowd. Compare to what other real images get, not to 1.

    Args:
        images: `(n, 28, 28)`, `uint8` or float in [0, 1].
        real: `(m, 28, 28)`, the same.
        neighbours: To which one: 3 is the third nearest.

    Returns:
        `"precision"`: share of the images that lie in the ball of a real one,
        and `"recall"`: share of the real ones that lie in the ball of an image.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range, or no
            more images than neighbours.

    Example:

    >>> precision_and_recall(x_train[:3_000], x_test[:3_000])["precision"]
    0.9

    Reference:
        Kynkäänniemi et al., 2019: Improved precision and recall metric for
        assessing generative models.
    """
    first, second = _features(images), _features(real)
    if not 1 <= neighbours < min(len(first), len(second)):
        raise ValueError(
            f"neighbours is {neighbours}; expected 1 to {min(len(first), len(second)) - 1}"
        )

    distances = scipy.spatial.distance.cdist  # n x m numbers: 300 MB for 6,000 and 6,000 images

    def covered(points, crowd):
        # The nearest of all is the image itself.
        radii = np.partition(distances(crowd, crowd), neighbours, axis=1)[:, neighbours]
        return float((distances(points, crowd) <= radii).any(axis=1).mean())

    return {"precision": covered(first, second), "recall": covered(second, first)}


def two_sample_accuracy(
    images: np.ndarray, real: np.ndarray, seeds: int = 3, epochs: int = 5
) -> dict:
    """How well a network tells images from real ones that it has not seen.

    A small convolutional network is trained on the first half of both crowds
    and asked about the second. All pixels are rounded to 256 levels of grey, as
    real ones are: else it would only have to look for fractions. For images
    that nobody can tell, it is right half of the time. Sets Keras' global seeds.

    Args:
        images: `(n, 28, 28)`, `uint8` or float in [0, 1], in random order.
        real: `(n, 28, 28)`, the same; real images of the same digits.
        seeds: Networks to train, each from other weights.
        epochs: How often each sees its half.

    Returns:
        `"accuracy"`: of the network that turned out best, in [0, 1], so with
        more seeds a little higher; `"accuracies"`: of all, `float (seeds,)`;
        `"error"`: the standard error of one of them, from the
        number of images it was asked about.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range, unequal
            numbers, or `seeds` or `epochs` below 1.

    Example:

    >>> two_sample_accuracy(x_train[:4_000], x_test[:4_000])["accuracy"]
    0.51

    Reference:
        Lopez-Paz and Oquab, 2017: Revisiting classifier two-sample tests.
    """
    check_count(seeds, "seeds")
    check_count(epochs, "epochs")
    crowds = [each.reshape(-1, SIDE, SIDE, 1) / np.float32(255) for each in _levels(images, real)]
    half = len(crowds[0]) // 2
    parts = slice(half), slice(half, 2 * half)
    seen, asked = (np.concatenate([crowd[part] for crowd in crowds]) for part in parts)
    is_real = np.repeat([0, 1], half)
    accuracies = []
    for seed in range(seeds):
        judge = _new_judge(seed)
        order = np.random.default_rng(seed).permutation(2 * half)
        judge.fit(seen[order], is_real[order], batch_size=64, epochs=epochs, verbose=0)
        answers = judge.predict(asked, batch_size=1_000, verbose=0)[:, 0] > 0.5
        accuracies.append(float((answers == is_real).mean()))
    best = max(accuracies)
    return {
        "accuracy": best,
        "accuracies": np.array(accuracies),
        "error": float(np.sqrt(best * (1 - best) / (2 * half))),
    }


def pixel_accuracy(images: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Where images give themselves away: how well each pixel alone tells them from real ones.

    The first half of both crowds says, for each pixel and each of 256 levels of grey,
    which crowd has it more often; the second half is told by that. What takes more
    than one pixel to see, `two_sample_accuracy` finds.

    Args:
        images: `(n, 28, 28)`, `uint8` or float in [0, 1], in random order.
        real: `(n, 28, 28)`, the same; real images of the same digits.

    Returns:
        The share that is told correctly by each pixel, `float (28, 28)`: near
        0.5 where it gives nothing away.

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range, or
            unequal numbers.

    Example:

    >>> pixel_accuracy(x_train[:4_000], x_test[:4_000]).max()
    0.53
    """
    crowds = _levels(images, real)
    half, places = len(crowds[0]) // 2, 256 * np.arange(SIDE * SIDE)
    often = [
        np.bincount((places + crowd[:half]).ravel(), minlength=256 * SIDE * SIDE)
        for crowd in crowds
    ]
    told = often[0] > often[1]  # of which levels to say that they are not real
    right = [
        (told[places + crowd[half:]] == truth).mean(axis=0)
        for crowd, truth in zip(crowds, (True, False), strict=True)
    ]
    return np.mean(right, axis=0).reshape(SIDE, SIDE)


def _levels(images: np.ndarray, real: np.ndarray) -> list[np.ndarray]:
    """Both crowds in levels of grey, `int (n, 784)`; raises where their numbers differ."""
    crowds = [np.round(255 * flatten(each).reshape(-1, SIDE * SIDE)) for each in (images, real)]
    if len(crowds[0]) != len(crowds[1]) or len(crowds[0]) < 2:
        raise ValueError(
            f"got {len(crowds[0])} images and {len(crowds[1])} real ones; "
            "expected equal numbers of at least 2"
        )
    return [crowd.astype(int) for crowd in crowds]


def _new_judge(seed: int) -> keras.Model:
    """A small convolutional network, untrained, to tell drawn images from real ones."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    judge = keras.Sequential([keras.Input((SIDE, SIDE, 1))])
    for filters in (32, 64):
        judge.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        judge.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        judge.add(layers.MaxPooling2D())
    judge.add(layers.Flatten())
    judge.add(layers.Dense(64, "relu"))
    judge.add(layers.Dense(1, "sigmoid"))
    judge.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    return judge


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
