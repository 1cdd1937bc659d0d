import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preprocessing import DigitSequences, digit_windows
from style import STYLE, nearest_in_style, style_features


def bar(slant=0.0, thickness=2.0, height=10.0):
    """A bar that leans `slant` pixels to the right for each pixel up, as floats in [0, 1]."""
    up, right = 13.5 - np.mgrid[:28, :28][0], np.mgrid[:28, :28][1] - 13.5
    inside = (np.abs(right - slant * up) <= thickness) & (np.abs(up) <= height)
    return inside.astype(float)


def named(features):
    return dict(zip(STYLE, features, strict=True))


@pytest.mark.parametrize("slant", [-0.5, 0.0, 0.3, 0.6])
def test_slant_is_the_shear_of_the_digit(slant):
    assert named(style_features(bar(slant)[None])[0])["slant"] == pytest.approx(slant, abs=0.03)


def test_ink_is_the_mean_and_aspect_the_width_over_the_height():
    thin, thick, short, leaning = map(
        named, style_features([bar(), bar(thickness=4), bar(height=5), bar(0.5)])
    )
    assert thin["ink"] == pytest.approx(bar().mean())
    assert thick["ink"] > thin["ink"] > short["ink"]
    assert thick["aspect"] > thin["aspect"] and short["aspect"] > thin["aspect"]
    # The slant is taken out first: leaning over makes nothing wider.
    assert leaning["aspect"] == pytest.approx(thin["aspect"], rel=0.1)


@given(hnp.arrays(np.uint8, (3, 28, 28)))
def test_features_are_finite_for_any_image(images):
    assert np.isfinite(style_features(images)).all()
    assert np.isfinite(style_features(images, [1, 1, 2])).all()


def test_empty_and_constant_images_have_neutral_features():
    empty, dot, full = np.zeros((3, 28, 28))
    dot[5, 7] = 1
    full[:] = 1
    np.testing.assert_allclose(
        style_features([empty, dot, full]), [[0, 0, 1], [0, 1 / 784, 1], [0, 1, 1]], atol=1e-9
    )


def test_features_are_standardised_within_each_digit(mnist):
    images, labels = mnist[1]
    features = style_features(images, labels)
    for digit in range(10):
        np.testing.assert_allclose(features[labels == digit].mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(features[labels == digit].std(axis=0), 1, atol=1e-9)


def test_bad_images_and_labels_are_refused():
    with pytest.raises(ValueError, match=r"shape \(28, 28\); expected \(n, 28, 28\)"):
        style_features(np.zeros((28, 28)))
    with pytest.raises(ValueError, match="NaN"):
        style_features(np.full((1, 28, 28), np.nan))
    with pytest.raises(ValueError, match="labels have shape"):
        style_features(np.zeros((1, 28, 28)), [1, 2])


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_nearest_in_style_is_what_a_full_search_finds(seed, neighbours):
    rng = np.random.default_rng(seed)
    features, labels = rng.normal(size=(60, 3)), np.arange(60) % 6
    styles = rng.normal(size=(4, 3))
    found = nearest_in_style(features, labels, neighbours, styles)
    assert found.shape == (4, 10, neighbours)
    for row, style in enumerate(styles):
        for digit in range(6):
            own = np.flatnonzero(labels == digit)
            order = np.argsort(np.linalg.norm(features[own] - style, axis=1))
            np.testing.assert_array_equal(found[row, digit], own[order[:neighbours]])


@pytest.mark.parametrize("windows", [digit_windows(), digit_windows(wrap=True), [[3, 1, 4]]])
def test_paired_images_show_their_digit_and_share_their_style(mnist, windows):
    images, labels = mnist[1]
    random = DigitSequences(images, labels, windows, seed=0)
    paired = DigitSequences(images, labels, windows, pairing="style", seed=0)
    digits, indices = paired.draw(2_000)
    np.testing.assert_array_equal(labels[indices], digits)
    np.testing.assert_array_equal(digits, random.draw(2_000)[0])
    within = paired.style[indices].std(axis=1).mean()
    assert within < 0.3 * paired.style[random.draw(2_000)[1]].std(axis=1).mean()


def test_paired_draws_repeat_with_the_seed_and_differ_between_batches(mnist):
    images, labels = mnist[1]
    first, again = (
        DigitSequences(images, labels, pairing="style", seed=4).batches(16) for _ in range(2)
    )
    one = next(first)[0]
    np.testing.assert_array_equal(one, next(again)[0])
    assert not np.array_equal(one, next(first)[0])
