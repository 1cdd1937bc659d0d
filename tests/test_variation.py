import numpy as np
import pytest
from scipy.ndimage import affine_transform, convolve, grey_dilation, grey_erosion

from data import flatten
from preprocessing import Damage, DigitSequences
from style import style_features
from variation import ANYBODY, Variation


@pytest.fixture(scope="module")
def images(mnist):
    return mnist[1][0][:200]


def changed(images, seed=0, **ranges):
    found = Variation(**ranges).apply(images, seed)
    assert found.dtype == np.float32 and found.shape == (len(images), 784)
    assert found.min() >= 0 and found.max() <= 1
    return found.reshape(-1, 28, 28)


def middles(images):
    """Where the ink's centre of mass is, `(n, 2)`: up and to the right."""
    up, right = 13.5 - np.mgrid[:28, :28]
    mass = images.sum(axis=(1, 2))
    return np.stack([(images * at).sum(axis=(1, 2)) / mass for at in (up, -right)], axis=1)


def test_there_is_no_change_by_default(images):
    np.testing.assert_array_equal(Variation().apply(images), flatten(images))
    np.testing.assert_array_equal(ANYBODY._replace(share=0).apply(images), flatten(images))


def test_digits_are_moved_as_far_as_asked_for_in_any_direction(images):
    small = changed(images, zoom=(0.7, 0.7))  # none of it leaves the image
    before = middles(small)
    way = middles(changed(small, shift=(3, 3))) - before
    np.testing.assert_allclose(np.hypot(*way.T), 3, atol=0.05)
    assert set(map(tuple, np.sign(way))) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    far = np.hypot(*(middles(changed(small, shift=(1, 4))) - before).T)
    assert far.min() < 1.2 and far.max() > 3.8


def test_digits_turn_counter_clockwise_about_the_middle(images):
    turned = np.rot90(images, axes=(1, 2)) / 255
    np.testing.assert_allclose(changed(images, rotation=(90, 90)), turned, atol=1e-5)


def test_digits_grow_about_the_middle(images):
    """Twice the sides, four times the ink, as far as it stays inside."""
    small = np.zeros((200, 28, 28))
    small[:, 8:20, 8:20] = images[:, 8:20, 8:20] / 255
    ink = changed(small, zoom=(2, 2)).sum(axis=(1, 2)) / small.sum(axis=(1, 2))
    np.testing.assert_allclose(ink, 4, rtol=0.1)
    ink = changed(small, zoom=(0.5, 0.5)).sum(axis=(1, 2)) / small.sum(axis=(1, 2))
    np.testing.assert_allclose(ink, 0.25, rtol=0.25)


def test_shear_is_added_to_the_slant(images):
    small = changed(images, zoom=(0.7, 0.7))  # its top stays inside
    added = style_features(changed(small, shear=(0.3, 0.3))) - style_features(small)
    np.testing.assert_allclose(added[:, 0], 0.3, atol=0.04)


def test_together_they_are_what_scipy_makes_of_one_matrix(images):
    ranges = {"rotation": (20, 20), "zoom": (1.3, 1.3), "shear": (0.2, 0.2)}
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = 1.3 * turn @ [[1, 0.2], [0, 1]]  # right and up
    back = np.linalg.inv(matrix) * [[1, -1], [-1, 1]]  # right and down
    back = back[::-1, ::-1]  # down and right, as arrays have it
    middle = np.array([13.5, 13.5])
    expected = [
        affine_transform(one / 255, back, middle - back @ middle, order=1, mode="grid-constant")
        for one in images
    ]
    np.testing.assert_allclose(changed(images, **ranges), expected, atol=1e-4)


def test_strokes_grow_thicker_and_thinner(images):
    pixels = images / 255
    thick = grey_dilation(pixels, (1, 3, 3))
    thin = grey_erosion(pixels, (1, 2, 2))
    np.testing.assert_allclose(changed(images, thickness=(1, 1)), thick, atol=1e-6)
    np.testing.assert_allclose(changed(images, thickness=(-1, -1)), thin, atol=1e-6)
    half = changed(images, thickness=(0.5, 0.5))
    np.testing.assert_allclose(half, (thick + pixels) / 2, atol=1e-6)


def test_blur_averages_neighbours(images):
    weights = np.outer([1, 2, 1], [1, 2, 1])[None] / 16
    expected = convolve(images / 255, weights, mode="constant")
    np.testing.assert_allclose(changed(images, blur=(1, 1)), expected, atol=1e-6)


def test_paper_is_grey_and_ink_stays_white(images):
    expected = 0.2 + 0.8 * images / 255
    np.testing.assert_allclose(changed(images, paper=(0.2, 0.2)), expected, atol=1e-6)


def test_noise_is_normal_on_every_pixel():
    grey = np.full((200, 784), 0.5)
    noise = changed(grey, noise=(0.1, 0.1)) - 0.5
    assert noise.std() == pytest.approx(0.1, rel=0.02) and abs(noise.mean()) < 1e-3
    within = [np.mean(np.abs(noise) < 0.1 * deviations) for deviations in (1, 2)]
    np.testing.assert_allclose(within, [0.683, 0.954], atol=0.01)
    assert np.abs(np.corrcoef(noise[:, :2].reshape(-1, 56)[:, :2].T)[0, 1]) < 0.1


def test_the_share_asked_for_is_changed_each_on_its_own(images):
    many = np.concatenate([images] * 10)
    found = ANYBODY._replace(share=0.3).apply(many, 0)
    same = np.all(found == flatten(many), axis=1)
    assert 0.65 < same.mean() < 0.75
    both = ~same[:200] & ~same[200:400]
    assert both.any() and np.abs(found[:200] - found[200:400])[both].mean() > 0.01


def test_of_a_sequence_all_images_are_changed_or_none(images):
    sequences = np.concatenate([images] * 10).reshape(500, 4, 28, 28)
    found = Variation(share=0.3, shift=(2, 9)).apply(sequences, 0)
    assert found.shape == (500, 4, 784)
    same = np.all(found == flatten(sequences), axis=-1)
    assert set(same.sum(axis=1)) == {0, 4} and 0.6 < same.mean() < 0.8
    # Moved each on its own.
    way = middles(found[~same[:, 0]].reshape(-1, 28, 28)).reshape(-1, 4, 2)
    assert way.std(axis=1).min() > 0


@pytest.mark.parametrize("shape", [(200, 28, 28), (50, 4, 28, 28)])
def test_a_seed_repeats_the_changes_and_parts_are_those_of_the_whole(images, shape):
    images = images.reshape(shape)
    n = len(images)
    whole = ANYBODY.apply(images, 7)
    np.testing.assert_array_equal(ANYBODY.apply(images, 7), whole)
    assert np.abs(ANYBODY.apply(images, 8) - whole).mean() > 0.01
    parts = [ANYBODY.apply(images[i : i + 10], 7, first=i, total=n) for i in range(0, n, 10)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_images_in_any_order_of_memory_are_changed(images):
    expected = ANYBODY.apply(images, 7)
    ordered = np.asfortranarray(flatten(images))
    np.testing.assert_array_equal(ANYBODY.apply(ordered, 7), expected)


def test_images_given_are_left_alone(images):
    pixels = flatten(images)
    before = pixels.copy()
    ANYBODY.apply(pixels, 0)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("damage", [None, Damage(0.5)])
def test_sequences_are_varied_in_their_context_alone(mnist, damage):
    plain = DigitSequences(*mnist[1], damage=damage, seed=3)
    varied = DigitSequences(*mnist[1], damage=damage, variation=ANYBODY, seed=3)
    inputs, targets, digits = plain.sample(400)
    found = varied.sample(400)
    np.testing.assert_array_equal(found[1], targets)
    np.testing.assert_array_equal(found[2], digits)
    same = np.all(found[0] == inputs, axis=-1)  # (400, 4)
    assert np.all((same.mean(axis=0) > 0.4) & (same.mean(axis=0) < 0.7))  # each place
    np.testing.assert_array_equal(varied.sample(400)[0], found[0])
    stream = varied.batches(16)
    assert not np.array_equal(next(stream)[0], next(stream)[0])


@pytest.mark.parametrize(("size", "count"), [(64, 4), (2_100, 3)])
def test_shards_of_varied_sequences_put_together_are_the_whole_stream(mnist, size, count):
    sequences = DigitSequences(*mnist[1], damage=Damage(0.5), variation=ANYBODY, seed=0)
    whole = next(sequences.batches(size))
    parts = [next(sequences.batches(size, shard=(i, count))) for i in range(count)]
    for place in (0, 1):
        np.testing.assert_array_equal(np.concatenate([part[place] for part in parts]), whole[place])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"share": 1.1}, "share is 1.1; expected 0 to 1"),
        ({"share": np.nan}, "share is nan"),
        ({"shift": (-1, 2)}, r"shift is \(-1, 2\).* 0 to 28"),
        ({"zoom": (0, 1)}, r"zoom is \(0, 1\)"),
        ({"rotation": (10, -10)}, r"rotation is \(10, -10\)"),
        ({"shear": (0, np.nan)}, "shear is"),
        ({"thickness": (-2, 0)}, r"thickness .* -1 to 1"),
        ({"noise": (0, 2)}, r"noise .* 0 to 1"),
    ],
)
def test_bad_variation_is_refused(mnist, change, fault):
    with pytest.raises(ValueError, match=f"^variation's {fault}"):
        DigitSequences(*mnist[1], variation=Variation(**change))
    with pytest.raises(ValueError, match=f"^variation's {fault}"):
        Variation(**change).apply(mnist[1][0][:2])


def test_one_image_without_an_axis_is_refused(images):
    with pytest.raises(ValueError, match=r"shape \(28, 28\); expected \(n, 28, 28\) or"):
        Variation().apply(images[0])
