import numpy as np
import pytest

from classifier import classify
from sampling import realism


def test_frechet_distance_tells_sets_apart(mnist):
    """The published distances are those of the shipped classifier: another makes all of them new.

    Between two points, the distance is the squared one; a set of both is halfway, and spread."""
    train, real = (classify(images[:1_000])[0] for images, _ in mnist)
    assert realism.frechet_distance(real, real) == pytest.approx(0, abs=1e-3)
    assert realism.frechet_distance(train, real) == pytest.approx(1.5257, rel=0.01)
    one, seven = np.zeros((500, 64)), np.full((500, 64), 3.0)
    both = np.concatenate([one, seven])
    assert realism.frechet_distance(one, seven) == pytest.approx(64 * 9)
    assert realism.frechet_distance(one, both) == pytest.approx(64 * 9 / 2, rel=0.01)


def test_precision_counts_images_among_the_real_and_recall_real_ones_among_the_images():
    here = np.random.default_rng(0).standard_normal((400, 4))
    first, second = here[:200], here[200:]
    half = realism.precision_and_recall(np.concatenate([first, first + 100]), second)
    assert half["precision"] == pytest.approx(0.5, abs=0.1) and half["recall"] > 0.8
    swapped = realism.precision_and_recall(second, np.concatenate([first, first + 100]))
    assert swapped == {"precision": half["recall"], "recall": half["precision"]}
    line = np.arange(8.0)[:, None]  # the third nearest neighbour of the ends is 3 away
    assert realism.precision_and_recall(line + 9.9, line) == {"precision": 1 / 8, "recall": 1 / 8}


def test_a_network_tells_images_from_real_ones_but_not_real_from_real(mnist, monkeypatch):
    monkeypatch.setattr(realism, "JUDGE_STEPS", 60)  # more, of larger batches, take minutes
    monkeypatch.setattr(realism, "JUDGE_BATCH", 64)
    images = np.random.default_rng(0).permutation(mnist[1][0])
    first, second = images[:800] / np.float32(255), images[800:1600]
    same = realism.two_sample_accuracy(first, second)
    assert 0.35 < same["accuracy"] < 0.65
    assert same["error"] == pytest.approx(np.sqrt(0.25 / 200), rel=0.05)
    assert realism.two_sample_accuracy(first, np.minimum(second, 247))["accuracy"] > 0.9
    assert realism.two_sample_accuracy(first[:, ::-1], second)["accuracy"] > 0.75


def test_both_sets_are_changed_anew_for_each_batch(monkeypatch):
    monkeypatch.setattr(realism, "JUDGE_STEPS", 4)
    images, changed = np.random.default_rng(0).random((8, 28, 28)), []

    def blank(given, rng):
        changed.append((len(given), rng.random()))
        return np.zeros_like(given)

    found = realism.two_sample_accuracy(images, images / 2, blank)
    assert found["accuracy"] == 0.5  # nothing is left to tell them apart by
    sizes, noise = zip(*changed, strict=True)  # validation, test, and at least four batches
    assert sizes[:6] == (2, 2, 12, 12, 12, 12) and len(set(noise)) == len(noise)


def test_nearest_training_images(mnist):
    near = mnist[0][0][:700] / np.float32(255)
    near[699, 0, 0] += 0.25
    distances, indices = realism.nearest_training_images(near)
    np.testing.assert_array_equal(indices, np.arange(700))
    np.testing.assert_allclose(distances, [0] * 699 + [0.25], atol=1e-6)
