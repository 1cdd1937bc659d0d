"""The digits: MNIST's images and labels, read from the shipped file and checked."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

SIDE = 28  # images are SIDE x SIDE pixels
PIXELS = SIDE * SIDE
BOX = 20  # pixels: the longer side of a digit in MNIST's images
DATASETS = Path(__file__).parent / "datasets"
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"

Split = tuple[np.ndarray, np.ndarray]


def load_mnist() -> tuple[Split, Split]:
    """Loads MNIST, in the form of `keras.datasets.mnist.load_data`, without a network.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `uint8 (n, 28, 28)`,
        0 black and 255 white, and labels `uint8 (n,)`, 0 to 9.

    Raises:
        ValueError: The shipped file has been changed.

    Example:

    >>> (x_train, y_train), (x_test, y_test) = load_mnist()
    >>> x_train.shape, x_test.shape
    ((60000, 28, 28), (10000, 28, 28))

    Reference:
        LeCun, Bottou, Bengio and Haffner, 1998: Gradient-based learning
        applied to document recognition.
    """
    path = DATASETS / "mnist.npz"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != MNIST_SHA256:
        raise ValueError(f"{path}: SHA-256 is {found}, expected {MNIST_SHA256}")
    with np.load(path) as arrays:
        return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def load_writers() -> tuple[np.ndarray, np.ndarray]:
    """Loads who wrote each image of MNIST.

    539 people wrote the training images, 297 others the test images. They have
    numbers, no names: those of forms that they filled in for NIST about 1990.

    Returns:
        `uint16 (60000,)` and `uint16 (10000,)`: numbers of the writers of
        training and test images, in the order of `load_mnist`.

    Example:

    >>> (x_train, y_train), _ = load_mnist()
    >>> writers, _ = load_writers()
    >>> one_hand = DigitSequences(x_train, y_train, writers=writers)

    Reference:
        Yadav and Bottou, 2019: Cold case: the lost MNIST digits.
    """
    with np.load(DATASETS / "mnist_writers.npz") as arrays:
        return arrays["train"], arrays["test"]


def validation_images() -> np.ndarray:
    """Which training images are for validation: those of 50 of the 539 writers.

    What is chosen by trying (a learning rate, a size) is chosen on these:
    their writers have written no others, and no test images. But most models
    in `models/` were trained on all 60,000.

    Returns:
        `bool (60000,)`.

    Example:

    >>> held_out = validation_images()
    >>> train = DigitSequences(x_train[~held_out], y_train[~held_out], seed=0)
    >>> validation = DigitSequences(x_train[held_out], y_train[held_out], seed=1)
    """
    writers, _ = load_writers()
    chosen = np.random.default_rng(0).choice(np.unique(writers), 50, replace=False)
    return np.isin(writers, chosen)


def flatten(images: ArrayLike) -> np.ndarray:
    """Turns images into vectors of 784 values in [0, 1].

    Args:
        images: One image `(28, 28)`, a list of images or an array of any
            leading shape `(..., 28, 28)`: integers in [0, 255], floats in
            [0, 1] or booleans. Images already flattened, `(..., 784)`, pass too.

    Returns:
        `float32 (..., 784)` in [0, 1].

    Raises:
        ValueError: Another shape or dtype, NaN, or values out of range.

    Example:

    >>> flatten(np.full((2, 28, 28), 255, "uint8")).shape
    (2, 784)
    """
    try:
        images = np.asarray(images)
    except ValueError as error:  # a list of images that differ in size
        raise ValueError(f"images differ in shape; expected (..., {SIDE}, {SIDE})") from error
    if images.shape[-2:] == (SIDE, SIDE):
        images = images.reshape(*images.shape[:-2], PIXELS)
    if images.ndim == 0 or images.shape[-1] != PIXELS:
        raise ValueError(
            f"images have shape {images.shape}; expected (..., {SIDE}, {SIDE}) or (..., {PIXELS})"
        )
    return np.divide(images, np.float32(white_level(images)), dtype=np.float32)


def white_level(images: np.ndarray) -> int:
    """What white is in an array: 255 among integers, 1 among floats and booleans.

    Raises:
        ValueError: Another dtype, NaN, or values out of range.
    """
    if images.dtype.kind not in "biuf":
        raise ValueError(
            f"images are {images.dtype}; expected integers in [0, 255] or floats in [0, 1]"
        )
    white = 255 if images.dtype.kind in "iu" else 1
    if not images.size or images.dtype == np.uint8:
        return white
    least, most = images.min(), images.max()
    if not (least >= 0 and most <= white):  # fails on NaN, too
        raise ValueError(
            f"{images.dtype} images range from {least} to {most}; "
            f"expected values in [0, {white}] without NaN"
        )
    return white


def check_count(value: int, name: str, most: int | None = None, least: int = 1) -> int:
    """An integer as Python's `int`; a `ValueError` if it is none, or not from `least` to `most`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        expected = f"of at least {least}" if most is None else f"from {least} to {most:,}"
        raise ValueError(f"{name} is {value!r:.60}; expected an integer {expected}")
    return int(value)


def check_number(value: float, name: str, least: float, most: float) -> None:
    """Raises a `ValueError` where something is not a number in [least, most]; NaN is not."""
    if not isinstance(value, int | float | np.number) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r}; expected a number from {least} to {most}")
