import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from benchmarks.pages import draw_page
from handwriting import find_digits, normalise, read_page


@pytest.fixture(scope="module")
def digits(mnist):
    """One plain test image of each digit."""
    images, labels = mnist[1]
    return np.stack([images[labels == digit][3] for digit in range(10)])


def page_of(images, scale=4, gap=40, height=200):
    """Digits side by side, dark on white, and their boxes."""
    large = [np.kron(image, np.ones((scale, scale), np.uint8)) for image in images]
    page = np.full((height, gap + sum(one.shape[1] + gap for one in large), 3), 255, np.uint8)
    boxes, left = [], gap
    for one in large:
        top = (height - one.shape[0]) // 2
        page[top : top + one.shape[0], left : left + one.shape[1]] -= one[..., None]
        rows, columns = np.nonzero(one > 60)
        boxes.append(
            [top + rows.min(), left + columns.min(), top + rows.max(), left + columns.max()]
        )
        left += one.shape[1] + gap
    return page, np.array(boxes)


def alike(found, images):
    """Correlation of images, each with its own: the centre of mass may round to the next pixel."""

    def correlations(a, b):
        a, b = (np.reshape(each, (len(each), -1)).astype(float) for each in (a, b))
        a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
        return np.sum(a * b, axis=1) / np.sqrt(np.sum(a**2, axis=1) * np.sum(b**2, axis=1))

    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return np.max([correlations(np.roll(found, move, (1, 2)), images) for move in moves], axis=0)


@pytest.mark.parametrize(
    "seen",
    [
        lambda image: image,
        lambda image: 255 - image,
        lambda image: np.kron(image, np.ones((6, 6), np.uint8)),
        lambda image: np.pad(image, ((30, 5), (2, 40))),
        lambda image: 30 + image // 2,  # grey on dark grey
        lambda image: np.stack([255 - image, np.full_like(image, 255), 255 - image], axis=-1),
    ],
)
def test_an_image_of_mnist_comes_back_as_it_was(seen, mnist):
    images = mnist[1][0][:50]
    found = np.stack([normalise(seen(image)) for image in images])
    assert found.dtype == np.uint8 and found.shape == (50, 28, 28)
    correlations = alike(found, images)
    assert np.median(correlations) > 0.98 and correlations.min() > 0.75


@pytest.mark.parametrize("width", [0.02, 0.03, 0.05, 0.08, 0.14])
def test_large_loops_are_paper_with_thin_pens_and_with_thick_ones(width):
    """A 0 and an 8 that fill the picture, whose ink and paper change places as well."""
    rows, columns = np.indices((240, 240)) / 240 - 0.5
    zero = np.abs(np.hypot(rows / 1.6, columns) - 0.2) < width / 2
    above = np.abs(np.hypot(rows + 0.16, columns) - 0.15) < width / 2
    eight = above | (np.abs(np.hypot(rows - 0.16, columns) - 0.17) < width / 2)
    for ink in (zero, eight):
        dark, light = (normalise((255 * each).astype(np.uint8)) for each in (~ink, ink))
        np.testing.assert_allclose(dark, light, atol=80)
        assert (light > 128).mean() < 0.35


def test_the_form_is_that_of_mnist(mnist):
    for image in mnist[1][0][:20]:
        found = normalise(np.pad(np.kron(image, np.ones((5, 3), np.uint8)), 20))
        rows, columns = np.nonzero(found > 20)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        middle = ndimage.center_of_mass(found)
        assert np.all(np.abs(np.subtract(middle, 14)) < 1.1)
        assert found.max() == 255 and found[[0, -1]].max() == 0


def test_strokes_of_a_thin_pen_are_seen():
    page = np.full((400, 300), 255, np.uint8)
    page[50:350, 150] = 120  # one pixel of three hundred
    found = normalise(page)
    assert (found > 128).sum(axis=1)[6:22].min() >= 1 and found.sum() > 20 * 1.5 * 255


def test_a_page_is_read_from_the_left(digits):
    page, boxes = page_of(digits[[5, 6, 7, 8]])
    found = read_page(page, count=4)
    assert found.dtype == np.uint8 and found.shape == (4, 28, 28)
    assert alike(found, digits[[5, 6, 7, 8]]).min() > 0.85
    np.testing.assert_allclose(find_digits(page), boxes, atol=5)


def test_boxes_are_those_of_the_page_however_large(digits):
    page, boxes = page_of(digits[[1, 2, 3]], scale=4)
    large = np.kron(page, np.ones((5, 5, 1), np.uint8))
    np.testing.assert_allclose(find_digits(large), 5 * boxes, atol=25)


@pytest.mark.parametrize("tilt", [-10, 0, 10])
def test_lines_are_read_one_after_the_other_also_askew(tilt, digits):
    first, second = page_of(digits[[1, 2, 3, 4]])[0], page_of(digits[[5, 6, 7, 8]])[0]
    page = Image.fromarray(np.concatenate([first, second])).rotate(
        tilt, expand=True, fillcolor="white"
    )
    turned = [Image.fromarray(image).rotate(tilt) for image in digits[1:9]]
    assert alike(read_page(page, count=8), turned).min() > 0.7


def test_strokes_apart_are_one_digit_and_specks_none(digits):
    page, _ = page_of(digits[[3, 5, 4]])
    top, left, bottom, right = find_digits(page)[1]
    bar = top + (bottom - top) // 4
    page[bar : bar + 4, left:right] = 255  # the pen was lifted
    page[20:23, 30:33] = page[180:182, 200:202] = 0
    assert len(find_digits(page)) == 3


def test_the_edge_of_the_page_is_no_digit(digits):
    page, _ = page_of(digits[[0, 1, 2, 3]])
    on_table = np.full((page.shape[0] + 100, page.shape[1] + 100, 3), [90, 60, 40], np.uint8)
    on_table[50:-50, 50:-50] = page
    assert len(find_digits(on_table)) == 4


def test_a_page_cut_close_is_read(digits):
    page, boxes = page_of(digits[[2, 3]])
    (top, left), (bottom, right) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0) + 1
    assert len(find_digits(page[top:bottom, left:right])) == 2


def test_errors_say_what_was_found(digits):
    page, _ = page_of(digits[[1, 2, 3]])
    with pytest.raises(ValueError, match="3 digits found where 4 digits were expected; plot_page"):
        read_page(page, count=4)
    empty = np.full((100, 200), 255, np.uint8)
    with pytest.raises(ValueError, match="no ink found"):
        read_page(empty)
    with pytest.raises(ValueError, match="no ink found"):
        normalise(empty)
    assert find_digits(empty).shape == (0, 4)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=60)),
    st.integers(0, 3),
)
def test_whatever_the_picture_digits_are_found_in_it_or_none(pixels, blank):
    pixels[:, : pixels.shape[1] * blank // 4] = 255  # not all of it is noise
    for found in (find_digits(pixels), find_digits(np.kron(pixels, np.ones((3, 3), np.uint8)))):
        top, left, bottom, right = found.T
        assert np.all((top >= 0) & (left >= 0) & (top < bottom) & (left < right))
    try:
        assert normalise(pixels).shape == (28, 28)
    except ValueError as error:
        assert "no ink found" in str(error)


@pytest.mark.parametrize("kind", ["scan", "photo", "blackboard", "squared", "lined", "pencil"])
def test_pages_of_all_kinds_are_read(kind, mnist):
    """A small look; `benchmarks.handwriting` measures hundreds."""
    images, labels = mnist[1]
    rng = np.random.default_rng(3)
    right = 0
    for number in range(8):
        shown = [rng.choice(np.flatnonzero(labels == digit)) for digit in range(4, 8)]
        page = draw_page(images[shown], labels[shown], kind, rng, 1 + number % 2, height=80)
        right += len(find_digits(page)) == 4
    assert right >= 6
