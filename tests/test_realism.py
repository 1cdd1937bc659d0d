import keras
import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from classifier import classify
from evaluation import digit_means
from preprocessing import DigitSequences
from sampling import realism


def test_frechet_distance_tells_sets_apart(mnist):
    """The published distances are those of the shipped classifier: another makes all of them new.

    Between two points, the distance is the squared one; a set of both is halfway, and spread."""
    (x_train, _), (x_test, y_test) = mnist
    nines = x_test[y_test == 9][:1_000]
    real, train, dark, nines = (
        classify(images)[0]
        for images in (x_test[:1_000], x_train[:1_000], x_train[:1_000] // 2, nines)
    )
    assert realism.frechet_distance(real, real) == pytest.approx(0, abs=1e-3)
    assert realism.frechet_distance(train, real) == pytest.approx(0.9806, rel=0.01)
    assert realism.frechet_distance(real, train) == pytest.approx(0.9806, rel=0.01)
    assert 1 < realism.frechet_distance(dark, real) < realism.frechet_distance(nines, real)
    one, seven = np.zeros((500, 64)), np.full((500, 64), 3.0)
    both = np.concatenate([one, seven])
    assert realism.frechet_distance(one, seven) == pytest.approx(64 * 9)
    assert realism.frechet_distance(one, both) == pytest.approx(64 * 9 / 2, rel=0.01)


def test_precision_counts_images_among_the_real_and_recall_real_ones_among_the_images():
    here = np.random.default_rng(0).standard_normal((400, 4))
    first, second = here[:200], here[200:]
    assert realism.precision_and_recall(here, here) == {"precision": 1, "recall": 1}
    assert realism.precision_and_recall(here, here + 100) == {"precision": 0, "recall": 0}
    half = realism.precision_and_recall(np.concatenate([first, first + 100]), second)
    assert half["precision"] == pytest.approx(0.5, abs=0.1) and half["recall"] > 0.8
    swapped = realism.precision_and_recall(second, np.concatenate([first, first + 100]))
    assert swapped == {"precision": half["recall"], "recall": half["precision"]}
    line = np.arange(8.0)[:, None]  # the third nearest neighbour of the ends is 3 away
    assert realism.precision_and_recall(line + 9.9, line) == {"precision": 1 / 8, "recall": 1 / 8}


def small_network():
    ends = keras.layers.Flatten(), keras.layers.Dense(16, "relu"), keras.layers.Dense(1, "sigmoid")
    return keras.Sequential([keras.Input((28, 28)), *ends])


def test_a_network_tells_pale_images_from_real_ones_but_not_real_from_real(mnist, monkeypatch):
    assert realism._residual_network().output_shape == (None, 1)
    monkeypatch.setattr(realism, "_residual_network", small_network)  # the other takes a minute
    images = np.random.default_rng(0).permutation(mnist[1][0])
    first, second = images[:800] / np.float32(255), images[800:1600]
    same = realism.two_sample_accuracy(first, second)
    assert 0.35 < same["accuracy"] < 0.65
    assert same["error"] == pytest.approx(np.sqrt(0.25 / 200), rel=0.05)
    assert realism.two_sample_accuracy(first / 4, second, seeds=1)["accuracy"] > 0.9
    # Counts of levels tell 255 from 252, but not an image from one upside down.
    one_white, flipped = np.minimum(second, 252), second[:, ::-1]
    assert realism.two_sample_accuracy(one_white, first, seeds=1, counts=True)["accuracy"] > 0.9
    assert realism.two_sample_accuracy(flipped, first, seeds=1, counts=True)["accuracy"] < 0.65


def test_realism_knows_real_images_copies_and_averages(mnist, test, monkeypatch):
    x_train = mnist[0][0][:2_000]  # a search among all takes seconds
    monkeypatch.setattr(realism, "load_mnist", lambda: ((x_train, None), None))
    _, real, digits = test.sample(200)
    other = DigitSequences(*mnist[1], seed=5).sample(200)[1]
    same = realism.realism(np.stack([real, real], axis=1), test)
    assert same["frechet"] == pytest.approx(0, abs=1e-3)
    assert same["accuracy"] > 0.97 and same["diversity"] == 0
    for name in ("precision", "recall", "nearest_ratio", "sharpness"):
        assert same[name] == pytest.approx(1)
    copies = realism.realism(x_train[:200, None], test)
    assert copies["nearest"] == copies["nearest_ratio"] == 0 and copies["accuracy"] < 0.3
    soft = realism.realism(digit_means()[digits[:, -1], None], test)
    assert soft["accuracy"] == 1 and soft["diversity"] == 0 and soft["sharpness"] < 0.8
    assert soft["frechet"] > 3
    both = realism.realism(np.stack([real, other], axis=1), test)
    alone = realism.realism(other[:, None], test)
    for name in same.keys() - {"diversity"}:
        assert both[name] == pytest.approx((same[name] + alone[name]) / 2, abs=1e-5)
    assert 0.8 < both["diversity"] < 1.2


def test_diversity_sharpness_and_nearest_images(mnist):
    x_train, (images, labels) = mnist[0][0], mnist[1]
    pairs = np.stack([images[labels == digit][:400] for digit in range(10)])  # (10, 400, 28, 28)
    first, second = pairs[:, :200].reshape(-1, 28, 28), pairs[:, 200:].reshape(-1, 28, 28)
    digits = np.repeat(np.arange(10), 200)
    assert realism.diversity(first, second, second, digits) == pytest.approx(1, abs=0.03)
    zeros_only = np.where((digits == 0)[:, None, None], second, first)
    few = np.flatnonzero((digits == 0) | (np.arange(2_000) % 200 < 50))
    measure = realism.diversity(first[few], zeros_only[few], second[few], digits[few])
    assert measure == pytest.approx(0.1, abs=0.01)  # each digit counts alike
    assert realism.sharpness(first.mT, first) == pytest.approx(1)  # edges of all directions count
    assert realism.sharpness(uniform_filter(first, size=(1, 3, 3)), first) < 0.9
    near = x_train[:700] / np.float32(255)
    near[699, 0, 0] += 0.25
    distances, indices = realism.nearest_training_images(near)
    np.testing.assert_array_equal(indices, np.arange(700))
    np.testing.assert_allclose(distances, [0] * 699 + [0.25], atol=1e-6)
