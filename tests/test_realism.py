import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from classifier import read_digits
from evaluation import digit_means
from preprocessing import DigitSequences
from realism import (
    diversity,
    frechet_distance,
    nearest_training_images,
    pixel_accuracy,
    precision_and_recall,
    realism,
    sharpness,
    two_sample_accuracy,
)


def test_the_frechet_distance_tells_crowds_apart(mnist, capfd):
    (x_train, _), (x_test, y_test) = mnist
    same = frechet_distance(x_test[:1_000], x_test[:1_000])
    assert same == pytest.approx(0, abs=1e-3)
    real = frechet_distance(x_train[:1_000], x_test[:1_000])
    darker = frechet_distance(x_train[:1_000] // 2, x_test[:1_000])
    nines = frechet_distance(x_test[y_test == 9][:1_000], x_test[:1_000])
    assert same < real < darker < nines
    assert frechet_distance(x_test[:1_000], x_train[:1_000]) == pytest.approx(real, rel=1e-3)
    assert capfd.readouterr().out == ""


def test_the_frechet_distance_to_a_crowd_is_half_where_half_of_it_is_the_same(mnist):
    """Between two points it is their squared distance, halfway a quarter, and a quarter spread."""
    images, labels = mnist[1]
    one, seven = (np.repeat(images[labels == digit][:1], 500, axis=0) for digit in (1, 7))
    apart = frechet_distance(one, seven)
    both = np.concatenate([one, seven])
    assert frechet_distance(one, both) == pytest.approx(apart / 2, rel=0.01)
    assert frechet_distance(both, seven) == pytest.approx(apart / 2, rel=0.01)


def test_published_frechet_distances_stay_comparable(mnist):
    """They are those of the shipped classifier: another one makes all of them new."""
    distance = frechet_distance(mnist[0][0][:1_000], mnist[1][0][:1_000])
    assert distance == pytest.approx(0.9806, rel=0.01)


def test_precision_counts_images_among_the_real_and_recall_real_ones_among_the_images(mnist):
    images, labels = mnist[1]
    ones, sevens = (images[labels == digit][:400] for digit in (1, 7))
    assert precision_and_recall(ones, ones) == {"precision": 1, "recall": 1}
    apart = precision_and_recall(ones, sevens)
    assert apart["precision"] < 0.1 and apart["recall"] < 0.1
    # Half of the images are among the real ones, and those are all covered.
    half = precision_and_recall(np.concatenate([ones[:200], sevens[:200]]), ones[200:])
    assert half["precision"] == pytest.approx(0.5, abs=0.1) and half["recall"] > 0.7
    swapped = precision_and_recall(ones[200:], np.concatenate([ones[:200], sevens[:200]]))
    assert swapped == {"precision": half["recall"], "recall": half["precision"]}
    for neighbours in (0, 400):
        with pytest.raises(ValueError, match=f"neighbours is {neighbours}; expected 1 to 399"):
            precision_and_recall(ones, sevens, neighbours)


def test_a_network_tells_pale_images_from_real_ones_but_not_real_from_real(mnist, capfd):
    images, _ = mnist[1]
    order = np.random.default_rng(0).permutation(len(images))
    first, second = images[order[:600]], images[order[600:1_200]]
    same = two_sample_accuracy(first, second, seeds=2, epochs=2)
    assert 0.4 < min(same["accuracies"]) <= same["accuracy"] < 0.6
    assert same["accuracy"] == max(same["accuracies"]) and same["accuracies"].shape == (2,)
    assert same["error"] == pytest.approx(np.sqrt(0.25 / 600), rel=0.05)
    pale = two_sample_accuracy(first * 0.5 / 255, second, seeds=1, epochs=6)
    assert pale["accuracy"] > 0.85
    again = two_sample_accuracy(first * 0.5 / 255, second, seeds=1, epochs=6)
    assert again["accuracy"] == pytest.approx(pale["accuracy"], abs=0.02)
    assert capfd.readouterr().out == ""


def test_the_judge_sees_whole_levels_of_grey(mnist, monkeypatch):
    """And one half of both crowds to learn from, the other to be asked about."""

    class Judge:
        def fit(self, images, is_real, **arguments):
            self.seen, self.is_real = images, is_real

        def predict(self, images, **arguments):
            self.asked = images
            return np.ones((len(images), 1))

    judge = Judge()
    monkeypatch.setattr("realism._new_judge", lambda seed: judge)
    images = mnist[1][0][:400]
    brighter = np.clip(images / np.float32(255) + 0.001, 0, 1)
    assert two_sample_accuracy(brighter, images, seeds=1)["accuracy"] == 0.5
    first, second = images[:200, ..., None], images[200:, ..., None]
    np.testing.assert_allclose(255 * judge.asked, np.concatenate([second, second]), atol=1e-4)
    for real in (0, 1):
        levels = 255 * judge.seen[judge.is_real == real]
        np.testing.assert_allclose(np.sort(levels, axis=0), np.sort(first, axis=0), atol=1e-4)


def test_the_two_sample_test_says_what_it_cannot_do(mnist):
    images = mnist[1][0][:400]
    for arguments, fault in (
        ((images, images[1:]), "400 images and 399 real ones"),
        ((images, images, 0), "seeds is 0"),
        ((images, images, 1, 0), "epochs is 0"),
    ):
        with pytest.raises(ValueError, match=fault):
            two_sample_accuracy(*arguments)


def test_a_pixel_tells_as_many_as_its_levels_do(mnist):
    """A grey corner in half of the images; a pixel that is bright in one crowd, dark in the other;
    and one of a level that the other crowd has, too."""
    first = np.zeros((400, 28, 28), "uint8")
    second = first.copy()
    first[::2, 0, 0], first[:, 5, 6], second[:, 5, 6] = 3, 250, 249
    first[:, 9, 9] = second[:, 9, 9] = 80
    told = pixel_accuracy(first, second / np.float32(255))
    expected = np.full((28, 28), 0.5)
    expected[0, 0], expected[5, 6] = 0.75, 1
    np.testing.assert_allclose(told, expected)
    images = mnist[1][0]
    order = np.random.default_rng(0).permutation(len(images))
    told = pixel_accuracy(images[order[:5_000]], images[order[5_000:]])
    assert told.min() > 0.45 and told.max() < 0.55
    with pytest.raises(ValueError, match="400 images and 399 real ones"):
        pixel_accuracy(first, second[1:])


def test_diversity_is_none_for_one_answer_and_one_for_real_images(mnist):
    _, (images, labels) = mnist
    pairs = np.stack([images[labels == digit][:400] for digit in range(10)])  # (10, 400, 28, 28)
    first, second = pairs[:, :200].reshape(-1, 28, 28), pairs[:, 200:].reshape(-1, 28, 28)
    digits = np.repeat(np.arange(10), 200)
    assert diversity(first, first, second, digits) == 0
    assert diversity(first, second, second, digits) == pytest.approx(1, abs=0.03)
    zeros_only = np.where((digits == 0)[:, None, None], second, first)
    few = np.flatnonzero((digits == 0) | (np.arange(2_000) % 200 < 50))
    measure = diversity(first[few], zeros_only[few], second[few], digits[few])
    assert measure == pytest.approx(0.1, abs=0.01)  # each digit counts alike
    pale = [images / np.float32(510) for images in (first, second)]
    assert diversity(*pale, second, digits) == pytest.approx(0.5, abs=0.02)


def test_sharpness_falls_where_edges_blur(mnist):
    images = mnist[1][0][:100] / np.float32(255)
    assert sharpness(images, images) == 1
    assert sharpness(images.swapaxes(1, 2), images) == pytest.approx(1)  # edges of all directions
    blurred = uniform_filter(images, size=(1, 3, 3))
    assert sharpness(blurred, images) < 0.9


def test_the_nearest_training_image_of_a_training_image_is_itself(mnist):
    images = mnist[0][0]
    distances, indices = nearest_training_images(images[[5, 59_999]])
    assert indices.tolist() == [5, 59_999] and distances.tolist() == [0, 0]
    pale = images[:700] / np.float32(255)
    pale[699, 0, 0] += 0.25
    distances, indices = nearest_training_images(pale)
    np.testing.assert_array_equal(indices, np.arange(700))
    np.testing.assert_allclose(distances, [0] * 699 + [0.25], atol=1e-6)


def test_realism_knows_real_images_copies_and_averages(mnist, test):
    x_train = mnist[0][0]
    _, targets, digits = test.sample(300)
    other = DigitSequences(*mnist[1], seed=5).sample(300)[1]
    real = realism(np.stack([targets, targets], axis=1), test)
    assert real["frechet"] == pytest.approx(0, abs=1e-3)
    assert real["right"] > 0.97
    assert real["nearest_ratio"] == real["sharpness"] == 1
    copies = realism(x_train[:300, None], test)
    assert copies["nearest"] == copies["nearest_ratio"] == 0
    assert copies["right"] < 0.3  # they are of other digits
    soft = realism(digit_means()[digits[:, -1], None], test)
    assert soft["right"] == 1 and soft["diversity"] == 0 and soft["sharpness"] < 0.8
    assert soft["frechet"] > 3
    both = realism(np.stack([targets, other], axis=1), test)
    alone = realism(targets[:, None], test), realism(other[:, None], test)
    for name in ("frechet", "right", "sharpness", "nearest"):
        assert both[name] == pytest.approx((alone[0][name] + alone[1][name]) / 2, abs=1e-6)
    assert 0.8 < both["diversity"] < 1.2


def test_realism_is_its_measures_averaged_over_the_crowds(mnist, capfd):
    sequences = DigitSequences(*mnist[1], [[1, 2, 0], [1, 2, 1], [3, 4, 1]], seed=0)
    _, real, digits = sequences.sample(120)
    crowds = [DigitSequences(*mnist[1], sequences.windows, seed=s).sample(120)[1] for s in (5, 6)]
    crowds[1] = crowds[1] / 2
    measures = realism(np.stack(crowds, axis=1), sequences)
    right = digits[:, -1]
    for name, values in {
        "frechet": [frechet_distance(crowd, real) for crowd in crowds],
        "precision": [precision_and_recall(crowd, real)["precision"] for crowd in crowds],
        "recall": [precision_and_recall(crowd, real)["recall"] for crowd in crowds],
        "right": [np.mean(read_digits(crowd) == right) for crowd in crowds],
        "diversity": [diversity(*crowds, real, right)],
        "sharpness": [sharpness(crowd, real) for crowd in crowds],
    }.items():
        assert measures[name] == pytest.approx(np.mean(values), rel=1e-4)
    assert capfd.readouterr().out == ""
