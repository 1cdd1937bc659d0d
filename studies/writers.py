"""Whose hand is it? A linear model, a predictor and a verifier that read how somebody writes.

KERAS_BACKEND=jax python -m studies.writers   # the errors of the first two, with three seeds
"""

import itertools

import keras
import numpy as np
from PIL import Image
from scipy.linalg import eigh
from scipy.stats import multivariate_normal

from augmentation import AUGMENTATION, Augmentation
from data import PIXELS, SIDE, check_count, flatten, load_mnist, load_writers, validation_images
from evaluation import digit_means
from handwriting.page import in_mnist_form
from model import make_optimizer, start_at_mean
from preprocessing import DigitSequences, digit_windows
from studies import report

# Changes a whole sequence alike, as if somebody else had written it.
HAND = Augmentation(
    rate=0.8,
    alike=True,
    rotation=(-12, 12),
    zoom=(0.87, 1.15),
    shear=(-0.3, 0.3),
    thickness=(-0.7, 0.7),
)


def by_writers() -> tuple[np.ndarray, ...]:
    """Training images, their labels and writers, without those held out for validation."""
    rows = ~validation_images()
    return tuple(each[rows] for each in (*load_mnist()[0], load_writers()[0]))


def load_other_digits(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The digits of `datasets/semeion.npz` or `datasets/unipen.npz`, which are black and white, in
    MNIST's form, `uint8 (n, 28, 28)`, their labels and, of "unipen", their writers."""
    with np.load(report.ROOT / "datasets" / f"{name}.npz") as arrays:
        pixels, labels, writers = map(arrays.get, ("images", "labels", "writers"))
    large = [Image.fromarray(np.uint8(255 * each)).resize((128, 128)) for each in pixels]
    return np.stack([in_mnist_form(each) for each in large]), labels, writers


class LinearModel:
    """The best linear prediction of a writer's next image: a mixed model, in closed form.

    An image is the mean of its digit, plus what its writer always does, plus chance. What writers
    do in one digit goes with what they do in others: covariances, estimated without training.

    Args:
        images: `uint8 (n, 28, 28)`.
        labels: The digit of each image, integers `(n,)`.
        writers: Who wrote it, integers `(n,)`.
        components: Principal components that the images of each digit are reduced to.

    Reference:
        Henderson, 1975: Best linear unbiased estimation and prediction under a selection model.
    """

    def __init__(self, images, labels, writers, components: int = 16):
        labels, writers = np.asarray(labels), np.asarray(writers)
        if not len(images) == len(labels) == len(writers) or set(labels) != set(range(10)):
            raise ValueError("expected as many images, labels of all ten digits, and writers")
        components = check_count(components, "components", 100)
        self.means = np.empty((10, PIXELS), np.float32)
        self.axes = np.empty((10, PIXELS, components), np.float32)
        people, who = np.unique(writers, return_inverse=True)
        if not 1 < len(people) < len(images):
            raise ValueError("expected several writers, with several images each")
        own = np.zeros((len(people), 10, components))  # each writer's mean of each digit
        known = np.zeros((len(people), 10))
        self.chance, always = np.empty((2, 10, components, components))
        for digit in range(10):
            rows = labels == digit
            centred = flatten(images[rows])
            self.means[digit] = centred.mean(axis=0)
            centred -= self.means[digit]
            largest = [PIXELS - components, PIXELS - 1]
            self.axes[digit] = eigh(centred.T @ centred, subset_by_index=largest)[1]
            scores = centred @ self.axes[digit]  # (n, c)
            counts = np.bincount(who[rows], minlength=len(people))[:, None]
            np.add.at(own[:, digit], who[rows], scores)
            own[:, digit] /= np.maximum(counts, 1)
            known[:, digit] = counts[:, 0] > 0
            residuals = scores - own[who[rows], digit]
            self.chance[digit] = residuals.T @ residuals / (len(scores) - known[:, digit].sum())
            always[digit] = scores.T @ scores / len(scores) - self.chance[digit]
        shared = np.einsum("wdc,wef->decf", own, own) / (known.T @ known)[:, :, None, None]
        shared[range(10), range(10)] = always  # without the chance that a mean of few images has
        # As one matrix: estimates may have negative variances, a covariance has none.
        matrix = shared.transpose(0, 2, 1, 3).reshape(10 * components, -1)
        variances, vectors = eigh(matrix)
        matrix = (vectors * variances.clip(0)) @ vectors.T
        self.shared = matrix.reshape(10, components, 10, components).transpose(0, 2, 1, 3)

    def predict(self, context: np.ndarray, digits: np.ndarray) -> np.ndarray:
        """The next images `(n, 28, 28)`, given contexts `(n, t, 784)`, with t at most 100, and all
        digits `(n, t + 1)`, the target's last: it is told what a network has to read."""
        answers = np.empty((len(context), PIXELS), np.float32)
        for rows, target, scores, weights, _ in self._windows(context, digits):
            answers[rows] = self.means[target] + scores @ weights @ self.axes[target].T
        return answers.clip(0, 1).reshape(-1, SIDE, SIDE)

    def same_writer(self, context: np.ndarray, digits: np.ndarray, images: np.ndarray):
        """How much more likely each image `(n, 28, 28)` is by the writer of its context than by
        somebody else: the logarithm of the ratio `(n,)`.

        Reference:
            Ioffe, 2006: Probabilistic linear discriminant analysis.
        """
        answers, logpdf = np.empty(len(context)), multivariate_normal.logpdf
        for rows, target, scores, weights, explained in self._windows(context, digits):
            image = (flatten(images[rows]) - self.means[target]) @ self.axes[target]
            anybody = self.shared[target, target] + self.chance[target]
            by_writer = logpdf(image - scores @ weights, cov=anybody - explained)
            answers[rows] = by_writer - logpdf(image, cov=anybody)
        return answers

    def _windows(self, context: np.ndarray, digits: np.ndarray):
        """For each window of digits: its rows, its target, their scores `(n, t c)`, the weights of
        the best linear prediction `(t c, c)`, and the covariance that it explains `(c, c)`."""
        digits = np.asarray(digits)
        fits = digits.shape == (len(context), context.shape[1] + 1) and context.shape[1] <= 100
        if not fits or not np.isin(digits, range(10)).all():
            raise ValueError(
                f"contexts have shape {context.shape} and digits {digits.shape}; "
                "expected (n, t, 784), with t at most 100, and digits from 0 to 9 (n, t + 1)"
            )
        for window in np.unique(digits, axis=0):
            rows, (*seen, target) = (digits == window).all(axis=1), window
            centred = (flatten(context[rows]) - self.means[seen]).swapaxes(0, 1)  # (t, n, 784)
            scores = (centred @ self.axes[seen]).swapaxes(0, 1).reshape(len(context[rows]), -1)
            covariance = self.shared[np.ix_(seen, seen)]  # (t, t, c, c)
            covariance[range(len(seen)), range(len(seen))] += self.chance[seen]
            size = scores.shape[1]
            covariance = covariance.transpose(0, 2, 1, 3).reshape(size, size)
            with_target = self.shared[seen, target].reshape(size, -1)
            weights = np.linalg.solve(covariance, with_target)
            yield rows, target, scores, weights, with_target.T @ weights


def by_strangers(digits: np.ndarray, writers: np.ndarray, images: np.ndarray) -> np.ndarray:
    """For each image, one of that digit by somebody else; by anybody, even itself, if one writer
    has more than half of that digit's."""
    if not len(digits) == len(writers) == len(images):
        sizes = f"{len(digits)} digits and {len(writers)} writers"
        raise ValueError(f"got {sizes} for {len(images)} images")
    others, rng = np.empty_like(images), np.random.default_rng(0)
    for digit in np.unique(digits):
        rows = np.flatnonzero(digits == digit)
        _, who, counts = np.unique(writers[rows], return_inverse=True, return_counts=True)
        # One writer after the other, in random order.
        rows = rows[np.argsort(rng.permutation(len(counts))[who], kind="stable")]
        others[rows] = images[np.roll(rows, counts.max())]
    return others


def train_verifier(sequences: DigitSequences, steps: int = 1_500) -> keras.Model:
    """Trains a network that tells whether an image is by the writer of four others.

    It knows nobody by name: it compares. Sets Keras' global seeds.

    Args:
        sequences: Of training writers, each by one of them.
        steps: Batches of 128 sequences, each with its next image and a stranger's.

    Returns:
        A model from contexts `(n, 4, 784)` and images `(n, 28, 28)` to logits
        `(n, 1)`: positive for the same writer.

    Reference:
        Bromley et al., 1993: Signature verification using a Siamese time
        delay neural network.
    """
    check_count(steps, "steps")
    if sequences.writers is None:
        raise ValueError("images of a sequence are by strangers; expected sequences with writers")
    keras.utils.set_random_seed(0)
    layers, ops = keras.layers, keras.ops
    encoder = keras.Sequential(
        [
            layers.Reshape((SIDE, SIDE, 1)),
            layers.Conv2D(16, 5, 2, activation="relu"),
            layers.Conv2D(32, 3, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dropout(0.3),
            layers.Dense(64),
        ]
    )
    context, image = keras.Input((4, PIXELS)), keras.Input((SIDE, SIDE))
    hand = ops.mean(layers.TimeDistributed(encoder)(context), axis=1)
    other = encoder(layers.Flatten()(image))
    pair = ops.concatenate([hand, other, hand * other, ops.abs(hand - other)], axis=-1)
    verifier = keras.Model([context, image], layers.Dense(1)(layers.Dense(64, "relu")(pair)))

    def batches():
        for number in itertools.count(1):
            digits, indices = sequences.draw(128, number)
            images = flatten(sequences.images[indices])
            writers = sequences.writers[indices[:, -1]]
            strangers = by_strangers(digits[:, -1], writers, images[:, -1])
            both = np.concatenate([images[:, -1], strangers]).reshape(-1, SIDE, SIDE)
            yield (np.concatenate([images[:, :-1]] * 2), both), np.repeat([[1.0], [0.0]], 128, 0)

    verifier.compile(
        make_optimizer("adam", steps, learning_rate=1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    verifier.fit(batches(), steps_per_epoch=steps, shuffle=False, verbose=0)
    return verifier


def writer_transformer() -> tuple[keras.Sequential, keras.Model]:
    """A Transformer that reads images one after the other, and after each predicts the next.

    It can look at how this person wrote the next digit before. Of an image's place in the
    sequence it is told the last figure only: ten places back, the digit was the same. So contexts
    may be longer than those of training.

    Returns:
        A predictor, from contexts `(n, t, 784)` to the next image `(n, 28, 28)`, and a model to
        train it by, with the same weights: its answers `(n, t, 784)` after each image.

    Reference:
        Vaswani et al., 2017: Attention is all you need.
    """
    layers, ops = keras.layers, keras.ops
    images = keras.Input((None, PIXELS))
    ones = ops.ones_like(images[..., 0])  # while the network is built, nobody knows t
    place = ops.mod(ops.cumsum(ones, axis=1), 10)  # (n, t)
    x = layers.Dense(128)(layers.Dense(256, "silu")(images)) + layers.Embedding(10, 128)(place)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 32)(y, y, use_causal_mask=True)
        y = layers.LayerNormalization()(x)
        x = x + layers.Dense(128)(layers.Dense(512, "silu")(y))
    x = layers.LayerNormalization()(x)  # (n, t, 128)
    pixels, image = layers.Dense(PIXELS, "sigmoid"), layers.Reshape((SIDE, SIDE))
    last = keras.Model(images, x[:, -1])
    predictor = keras.Sequential([keras.Input((None, PIXELS)), last, pixels, image], name="writer")
    return predictor, keras.Model(images, pixels(x))


def train_on_writers(
    images: np.ndarray, labels: np.ndarray, writers: np.ndarray, steps: int = 3_500, seed: int = 0
) -> keras.Model:
    """Trains a `writer_transformer` on sequences by one writer each, in which 0 follows 9.

    Sets Keras' global seeds.

    Args:
        images, labels, writers: As for `LinearModel`.
        steps: Batches of 64 sequences of 21 images.
        seed: Of weights and sequences.

    Returns:
        The predictor.
    """
    check_count(steps, "steps")
    windows = digit_windows(20, wrap=True)
    sequences = DigitSequences(images, labels, windows, writers=writers, seed=seed)
    keras.utils.set_random_seed(seed)
    predictor, after_each = writer_transformer()
    start_at_mean(predictor, sequences.mean_target())

    def batches():
        rng = np.random.default_rng(seed)
        for inputs, targets in sequences.batches(64):
            whole = HAND(np.concatenate([inputs, flatten(targets)[:, None]], axis=1), rng)
            yield AUGMENTATION(whole[:, :-1], rng), whole[:, 1:]

    # Muon (Jordan et al., 2024): with Adam, errors of validation writers fall more slowly.
    rate = keras.optimizers.schedules.CosineDecay(0.004, steps)
    after_each.compile(keras.optimizers.Muon(rate), loss="mse", loss_weights=float(PIXELS))
    after_each.fit(batches(), steps_per_epoch=steps, shuffle=False, verbose=0)
    return predictor


def errors(seed: int) -> list[dict]:
    """Errors over the floor on sequences by one test writer each, by the number of images."""
    given, test, (_, writers) = by_writers(), load_mnist()[1], load_writers()
    linear, network = LinearModel(*given), train_on_writers(*given, seed=seed)
    runs = []
    for length in (4, 9, 19, 39):
        windows = digit_windows(length, wrap=length > 4)
        sequences = DigitSequences(*test, windows, writers=writers, seed=1)
        (inputs, targets), (digits, _) = sequences.sample(6_000), sequences.draw(6_000)
        answers = linear.predict(inputs, digits), network.predict(inputs, verbose=0)
        images = {"linear": answers[0], "one hand": answers[1], "both": np.mean(answers, axis=0)}
        floor = np.square(digit_means()[digits[:, -1]] - targets).mean()
        ratios = {who: float(np.square(images[who] - targets).mean() / floor) for who in images}
        runs.append({"images": length} | ratios)
    return runs


if __name__ == "__main__":
    runs = [row for seed in range(3) for row in errors(seed)]
    forms = dict.fromkeys(list(runs[0])[1:], "{:.3f}")
    notes = "Medians and ranges of 3 seeds. Errors over the floor."
    report.save("writers", runs, ["images"], forms, notes)
