import numpy as np
import pytest

from preprocessing import DigitSequences
from studies.style import STYLE, style_agreement, style_features


def bar(slant=0.0, thickness=2.0, height=10.0):
    """A bar that leans `slant` pixels to the right for each pixel up, as floats in [0, 1]."""
    up, right = 13.5 - np.mgrid[:28, :28][0], np.mgrid[:28, :28][1] - 13.5
    inside = (np.abs(right - slant * up) <= thickness) & (np.abs(up) <= height)
    return inside.astype(float)


def test_slant_ink_and_aspect_are_those_of_the_digit():
    slants = [-0.5, 0.0, 0.3, 0.6]
    found = style_features([bar(slant) for slant in slants])[:, 0]
    np.testing.assert_allclose(found, slants, atol=0.03)
    bars = bar(), bar(thickness=4), bar(height=5), bar(0.5)
    thin, thick, short, leaning = style_features(bars)
    assert thin[1] == pytest.approx(bar().mean())
    assert thick[1] > thin[1] > short[1]
    assert min(thick[2], short[2]) > thin[2]
    # The slant is taken out first: leaning over makes nothing wider.
    assert leaning[2] == pytest.approx(thin[2], rel=0.1)


def test_empty_and_constant_images_have_neutral_features():
    images = np.zeros((3, 28, 28))  # empty, one dot, full
    images[1, 5, 7] = images[2] = 1
    neutral = [[0, 0, 1], [0, 1 / 784, 1], [0, 1, 1]]
    np.testing.assert_allclose(style_features(images), neutral, atol=1e-9)
    assert np.isfinite(style_features(images, [1, 1, 2])).all()


def test_features_are_standardised_within_each_digit(mnist):
    images, labels = mnist[1]
    features = style_features(images, labels)
    for digit in range(10):
        np.testing.assert_allclose(features[labels == digit].mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(features[labels == digit].std(axis=0), 1, atol=1e-9)
    # Sequences that are paired by them are alike in them.
    random = DigitSequences(images, labels, seed=0).draw(2_000)[1]
    paired = DigitSequences(images, labels, pairing=features, seed=0).draw(2_000)[1]
    assert features[paired].std(axis=1).mean() < 0.3 * features[random].std(axis=1).mean()


def test_bad_images_and_labels_are_refused():
    with pytest.raises(ValueError, match=r"shape \(28, 28\); expected \(n, 28, 28\)"):
        style_features(np.zeros((28, 28)))
    with pytest.raises(ValueError, match=r"labels have shape \(2,\); expected \(1,\)"):
        style_features(np.zeros((1, 28, 28)), [1, 2])


def test_agreement_is_1_for_a_copyist_and_0_for_a_stranger(mnist):
    class Copyist:
        def generate(self, images, steps, shift=0):
            """The last images of the context, or those of another one."""
            return np.roll(images[:, -steps:], shift, axis=0).reshape(-1, steps, 28, 28)

    images, labels = mnist[1]
    features = style_features(images, labels)
    # A copy of the last image shows the right digit, since there is one only.
    paired = DigitSequences(images, labels, [[3] * 5], pairing=features, seed=1)
    copied = style_agreement(Copyist(), paired, n=300)
    others = style_agreement(Copyist(), paired, steps=2, n=300, shift=1)
    assert list(copied) == list(STYLE) and others["ink"].shape == (2,)
    assert all(values[0] > 0.9 for values in copied.values())
    assert all(np.abs(values).max() < 0.2 for values in others.values())
