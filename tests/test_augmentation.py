import numpy as np
import pytest
from scipy.ndimage import affine_transform, convolve, grey_dilation, grey_erosion

from augmentation import AUGMENTATION, LIMITS, Augmentation
from data import flatten

# Grey up to the edges, so that what happens there counts, too.
IMAGES = np.random.default_rng(0).integers(256, size=(40, 28, 28), dtype=np.uint8)
GREY = IMAGES / 255


def changed(images=IMAGES, seed=0, **ranges):
    found = Augmentation(**ranges)(images, seed)
    assert found.dtype == np.float32 and found.shape == (len(images), 784)
    assert found.min() >= 0 and found.max() <= 1
    return found.reshape(-1, 28, 28)


def moved(rotation, zoom=1, shear=0):
    """What SciPy makes of one matrix, whose axes point right and up."""
    angle = np.radians(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = np.linalg.inv(zoom * turn @ [[1, shear], [0, 1]]) * [[1, -1], [-1, 1]]
    back, middle = back[::-1, ::-1], np.array([13.5, 13.5])  # down and right, as arrays have it
    offset = middle - back @ middle
    return [affine_transform(one, back, offset, order=1, mode="grid-constant") for one in GREY]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({}, GREY),
        ({"rotation": 90}, np.rot90(GREY, axes=(1, 2))),
        ({"rotation": 20, "zoom": 1.3, "shear": 0.2}, moved(20, 1.3, 0.2)),
        ({"rotation": 4, "zoom": 0.1}, moved(4, 0.1)),
        ({"thickness": -1}, grey_erosion(GREY, (1, 2, 2))),
        ({"thickness": 0.5}, (grey_dilation(GREY, (1, 3, 3)) + GREY) / 2),
        ({"blur": 1}, convolve(GREY, np.outer([1, 2, 1], [1, 2, 1])[None] / 16, mode="constant")),
        ({"paper": 0.2}, 0.2 + 0.8 * GREY),
    ],
)
def test_each_change_is_what_its_name_says(amounts, expected):
    ranges = {name: (amount, amount) for name, amount in amounts.items()}
    np.testing.assert_allclose(changed(**ranges), expected, atol=1e-4)


def test_digits_are_moved_as_far_as_asked_for_in_any_direction():
    small = np.zeros((200, 28, 28), "float32")
    small[:, 12:16, 10:18] = 1  # none of it leaves the image

    def way(**ranges):
        """How far the ink's centre of mass has moved, `(n, 2)`: to the right and up."""
        images, (down, right) = changed(small, **ranges), np.mgrid[:28, :28] - 13.5
        mass = images.sum(axis=(1, 2))
        return [(images * axis).sum(axis=(1, 2)) / mass for axis in (right, -down)]

    np.testing.assert_allclose(np.hypot(*way(shift=(3, 3))), 3, atol=0.01)
    quarters = np.histogram(np.arctan2(*way(shift=(3, 3))), 8, (-np.pi, np.pi))[0]
    assert quarters.min() >= 12  # of 25 on average
    far = np.hypot(*way(shift=(1, 4)))
    assert 1 <= far.min() < 1.2 and 3.8 < far.max() < 4.01


def test_noise_is_normal_on_every_pixel():
    noise = changed(np.full((200, 784), 0.5), noise=(0.1, 0.1)) - 0.5
    assert noise.std() == pytest.approx(0.1, rel=0.02) and abs(noise.mean()) < 1e-3
    within = [np.mean(np.abs(noise) < 0.1 * deviations) for deviations in (1, 2)]
    np.testing.assert_allclose(within, [0.683, 0.954], atol=0.01)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_seed_means_the_same_changes_everywhere_and_for_ever(order):
    pixels = np.asarray(flatten(IMAGES), order=order)
    found = AUGMENTATION(pixels, 7)
    np.testing.assert_array_equal(pixels, flatten(IMAGES))  # left alone
    np.testing.assert_array_equal(AUGMENTATION(IMAGES, np.random.default_rng(7)), found)
    for seed in (8, None):
        assert np.abs(AUGMENTATION(IMAGES, seed) - found).mean() > 0.01
    # A single number tells how an image was changed, one of those that were.
    found = AUGMENTATION(pixels[:20], 7)
    numbers = found[(found != pixels[:20]).any(axis=1)] @ np.linspace(-1, 1, 784)
    expected = [-1.14, -1.28, -50.38, 3.98, -0.81, 33.86, -10.09, 20.72]
    np.testing.assert_allclose(numbers, expected, atol=0.02)


def test_the_rates_are_those_of_images_or_whole_contexts_and_of_each_change():
    many = np.concatenate([IMAGES] * 50).reshape(500, 4, 28, 28)
    found = Augmentation(rate=0.3, shift=(2, 9))(many, 0)
    assert found.shape == (500, 4, 784)
    same = np.all(found == flatten(many), axis=-1)
    assert set(same.sum(axis=1)) == {0, 4} and 0.65 < same.mean() < 0.75
    assert all(len(np.unique(images, axis=0)) == 4 for images in found[~same[:, 0]])
    found = Augmentation(change_rate=0.3, paper=(0.9, 0.9), thickness=(1, 1))(many, 0)
    paper, thick = found.min(axis=-1) >= 0.9, np.median(found, axis=-1) > 0.75
    assert 0.27 < paper.mean() < 0.33 and 0.25 < (thick & ~paper).mean() / (~paper).mean() < 0.35
    for rate in ("rate", "change_rate"):
        found = Augmentation(**{rate: 0}, **LIMITS)(IMAGES)  # the limits are allowed
        np.testing.assert_array_equal(found, flatten(IMAGES))


def test_alike_changes_all_images_of_a_context_by_the_same_amounts():
    dot = np.zeros((50, 4, 28, 28))
    dot[:, :, 14, 14] = 1
    given = {"rate": 0.8, "change_rate": 0.5, "shift": (2, 8), "zoom": (0.5, 2), "paper": (0, 1)}
    for alike in (True, False):
        changed = Augmentation(alike=alike, **given)(dot, seed=0)  # (50, 4, 784)
        same = np.ptp(changed, axis=1).max(axis=1) == 0
        assert same.all() if alike else not same.all()
        assert len(np.unique(changed[:, 0], axis=0)) > 30
