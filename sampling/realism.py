"""Realism: how close drawn images are, as a set, to images that people wrote.

A draw cannot be compared with the image that really came next: it is another one,
and should be. So many draws are compared with many real images: in the features
that the digit classifier sees in them, by networks that learn to tell the two sets
apart, and each with the training image that is nearest to it.

All images are `(n, 28, 28)`, or the same flattened, integers in [0, 255], floats in [0, 1] or
booleans; values out of range raise a ValueError.
"""

from collections.abc import Callable

import keras
import numpy as np
import scipy.linalg
from scipy.spatial.distance import cdist

from data import SIDE, flatten, load_mnist
from model import make_optimizer

# Training steps of the network that tells images from real ones, and images in each.
JUDGE_STEPS, JUDGE_BATCH = 2_000, 128


def frechet_distance(features: np.ndarray, real: np.ndarray) -> float:
    """The distance between two sets of images, each described by mean and covariance.

    The fewer images, the larger the distance, even between real ones: compare values
    from equal numbers only, such as 3,000, and from the same classifier.

    Args:
        features: `(n, d)`, such as `classify(images)[0]`.
        real: `(m, d)`, those of real images.

    Returns:
        A number, 0 between equal sets.

    Example:

    >>> frechet_distance(classify(x_train[:1_000])[0], classify(x_test[:1_000])[0])
    1.53

    Reference:
        Heusel et al., 2017: GANs trained by a two time-scale update rule
        converge to a local Nash equilibrium.
    """
    features, real = _checked_features(features, real, least=2)
    # Few images, or a feature that never varies, would make them singular, and the root inexact.
    tiny = 1e-6 * np.eye(features.shape[1])
    covariances = [np.cov(each, rowvar=False) + tiny for each in (features, real)]
    # Of the root of their product, only the trace is needed: the sum of the roots of eigenvalues.
    eigenvalues = scipy.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)
    difference = features.mean(axis=0) - real.mean(axis=0)
    traces = np.trace(sum(covariances)) - 2 * np.sqrt(eigenvalues).sum()
    return max(float(difference @ difference + traces), 0.0)


def precision_and_recall(features: np.ndarray, real: np.ndarray) -> dict:
    """How many images look like real ones, and how many real ones look like one of the images.

    Around the features of each image lies a ball that reaches to its third nearest
    neighbour in its own set. Compare with what other real images get, not with 1.
    All distances are held at once: for sets of some thousand images.

    Args:
        features: `(n, d)`, such as `classify(images)[0]`.
        real: `(m, d)`, those of real images.

    Returns:
        `"precision"`: share of the images that lie in the ball of a real one,
        and `"recall"`: share of the real ones that lie in the ball of an image.

    Example:

    >>> precision_and_recall(classify(drawn)[0], classify(real)[0])["recall"]
    0.88

    Reference:
        Kynkäänniemi et al., 2019: Improved precision and recall metric for
        assessing generative models.
    """
    features, real = _checked_features(features, real, least=4)

    def covered(points, centres):
        radii = np.partition(cdist(centres, centres), 3, axis=1)[:, 3]  # place 0: the image itself
        return float((cdist(points, centres) <= radii).any(axis=1).mean())

    return {"precision": covered(features, real), "recall": covered(real, features)}


def _checked_features(features: np.ndarray, real: np.ndarray, least: int) -> list[np.ndarray]:
    sets = [np.asarray(each, float) for each in (features, real)]
    shapes = [each.shape for each in sets]
    alike = all(len(shape) == 2 and shape[0] >= least for shape in shapes)
    alike = alike and 0 < shapes[0][1] == shapes[1][1]
    if not alike or not all(np.isfinite(each).all() for each in sets):
        raise ValueError(
            f"features have shapes {shapes[0]} and {shapes[1]}; "
            f"expected finite numbers (n, d) and (m, d) of at least {least} images each, "
            "with the same d"
        )
    return sets


def two_sample_accuracy(
    images: np.ndarray, real: np.ndarray, augmentation: Callable | None = None
) -> dict:
    """How well a network tells images from real ones that it has not seen.

    A small convolutional network learns from three quarters of both sets. The epoch
    that is best on an eighth of them is tested on the last eighth. Of images that
    nothing distinguishes, it classifies half correctly, and so it does where there
    are too few to learn from. What it finds is a lower bound: a better network, or
    more images, may find more. Sets Keras' global seed.

    It finds more in greys than an eye does. MNIST's images were scaled down from
    black and white, each by its own factor, and have the greys that this makes. A
    move by half a pixel mixes greys: what is then found is mostly in the shapes.

    Args:
        images: In random order.
        real: As many real images, of the same digits, none of them twice.
        augmentation: Changes both, such as `Augmentation(shift=(0.5, 0.5))`; what
            it learns from, anew in each epoch.

    Returns:
        `"accuracy"`, and `"error"`: its standard error, from the number of images.

    Example:

    >>> two_sample_accuracy(drawn, real)

    Reference:
        Lopez-Paz and Oquab, 2017: Revisiting classifier two-sample tests.
    """
    sets = [flatten(each).reshape(-1, SIDE, SIDE) for each in (images, real)]
    count = len(sets[0])
    if len(sets[1]) != count or count < 8:
        raise ValueError(
            f"got {count} images and {len(sets[1])} real ones; expected equal numbers of at least 8"
        )
    bounds, rng = [3 * count // 4, 7 * count // 8], np.random.default_rng(0)
    parts = zip(*(np.split(each, bounds) for each in sets), strict=True)
    (x, y), *held_out = ((np.concatenate(part), np.repeat([0, 1], len(part[0]))) for part in parts)

    def levels(images):  # whole levels of grey, as real images have them
        images = images if augmentation is None else augmentation(images, rng)
        return np.round(255 * images.reshape(-1, SIDE, SIDE))

    size = min(JUDGE_BATCH, len(x))
    per_epoch = len(x) // size

    def batches():
        while True:
            for rows in rng.permutation(len(x))[: per_epoch * size].reshape(per_epoch, size):
                yield levels(x[rows]), y[rows]

    validation, test = ((levels(images), labels) for images, labels in held_out)
    keras.utils.set_random_seed(0)
    network, epochs = _two_sample_network(), max(JUDGE_STEPS // per_epoch, 1)
    optimizer = make_optimizer("adam", epochs * per_epoch, learning_rate=0.002)
    network.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    best = keras.callbacks.EarlyStopping(patience=epochs, restore_best_weights=True)
    given = {"validation_data": validation, "callbacks": [best], "verbose": 0}
    network.fit(batches(), steps_per_epoch=per_epoch, epochs=epochs, shuffle=False, **given)
    accuracy = network.evaluate(*test, batch_size=1_000, verbose=0)[1]
    return {"accuracy": accuracy, "error": np.sqrt(accuracy * (1 - accuracy) / len(test[1]))}


def _two_sample_network() -> keras.Model:
    layers = keras.layers

    def convolution(filters):
        convolved = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        return convolved, layers.BatchNormalization(momentum=0.9), layers.ReLU()

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE)),
            # Which of 33 greys: black, or one of 32 ranges of eight levels. From the level as one
            # number, networks learn nothing for ten epochs, and then half as much.
            layers.Discretization([*range(1, 256, 8)], output_mode="one_hot"),
            *convolution(32),
            layers.AveragePooling2D(2),
            *convolution(32),
            *convolution(64),
            layers.GlobalAveragePooling2D(),  # what gives draws away may be anywhere
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ]
    )


def nearest_training_images(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training image nearest to each image, of all 60,000: it takes its time.

    Returns:
        Euclidean distances `float32 (n,)`, 0 for a copy, and the indices of the
        training images, `int (n,)`.
    """
    pixels = flatten(images)
    if pixels.ndim != 2:
        raise ValueError(f"images have shape {np.shape(images)}; expected (n, {SIDE}, {SIDE})")
    training = flatten(load_mnist()[0][0])
    lengths = np.square(training).sum(axis=1)
    indices = np.empty(len(pixels), int)
    for start in range(0, len(pixels), 500):  # distances of all at once would need gigabytes
        block = pixels[start : start + 500]
        indices[start : start + 500] = (lengths - 2 * block @ training.T).argmin(axis=1)
    return np.linalg.norm(pixels - training[indices], axis=1), indices
