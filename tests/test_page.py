import io
import time

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from handwriting.page import find_digits, in_mnist_form, load_picture, normalise, read_page


@pytest.fixture(scope="module")
def digits(mnist):
    """One plain test image of each digit."""
    images, labels = mnist[1]
    return np.stack([images[labels == digit][3] for digit in range(10)])


def page_of(images, scale=4, gap=40, height=200):
    """Digits side by side, dark on white, and their boxes."""
    page, boxes = np.full((height, gap + len(images) * (28 * scale + gap), 3), 255, np.uint8), []
    for number, image in enumerate(images):
        large = np.kron(image, np.ones((scale, scale), np.uint8))
        top, left = (height - len(large)) // 2, gap + number * (28 * scale + gap)
        page[top : top + len(large), left : left + len(large)] -= large[..., None]
        rows, columns = np.nonzero(large > 60)
        boxes.append(
            [top + rows.min(), left + columns.min(), top + rows.max(), left + columns.max()]
        )
    return page, np.array(boxes)


def alike(found, images):
    """Correlation of each image with its own: the centre of mass may round to the next pixel."""
    a, b = (np.reshape(each, (len(each), 28, 28)).astype(float) for each in (found, images))
    moves = [np.roll(a, (down, right), (1, 2)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    pairs = [[np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(m, b)] for m in moves]  # noqa: B905
    return np.max(pairs, axis=0)


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
    images = mnist[1][0][:30]
    correlations = alike([normalise(seen(image)) for image in images], images)
    assert np.median(correlations) > 0.98 and correlations.min() > 0.75


def test_the_form_is_that_of_mnist(mnist):
    for image in mnist[1][0][:20]:
        found = normalise(np.pad(np.kron(image, np.ones((5, 3), np.uint8)), 20))
        rows, columns = np.nonzero(found > 20)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        assert np.all(np.abs(np.subtract(ndimage.center_of_mass(found), 14)) < 1.1)
        assert found.dtype == np.uint8 and found.max() == 255
    thin = np.full((400, 300), 255, np.uint8)
    thin[50:350, 150] = 120  # a pen of one pixel of three hundred is seen
    assert (normalise(thin) > 128).sum(axis=1)[6:22].min() >= 1


def test_large_loops_are_paper_with_thin_pens_and_with_thick_ones():
    rows, columns = np.indices((240, 240)) / 240 - 0.5
    for width in (0.02, 0.05, 0.14):
        zero = np.abs(np.hypot(rows / 1.6, columns) - 0.2) < width / 2
        dark, light = (normalise((255 * each).astype(np.uint8)) for each in (~zero, zero))
        np.testing.assert_allclose(dark, light, atol=80)
        assert (light > 128).mean() < 0.35


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page,
        lambda page: 255 - page,
        lambda page: (page * np.linspace(0.4, 1, page.shape[1])[:, None]).astype(np.uint8),
        lambda page: np.pad(page, ((50, 50), (50, 50), (0, 0)), constant_values=70),  # on a table
        lambda page: np.where(np.arange(len(page))[:, None, None] % 40 < 2, page // 5 * 4, page),
        lambda page: page[30:-30, 50:-50],  # cut close
        lambda page: np.kron(page, np.ones((3, 3, 1), np.uint8)),
    ],
)
def test_a_page_is_read_from_the_left(change, digits):
    page, _ = page_of(digits[[5, 6, 7, 8]])
    found = read_page(change(page), count=4)
    assert found.dtype == np.uint8 and found.shape == (4, 28, 28)
    assert alike(found, digits[[5, 6, 7, 8]]).min() > 0.8


def test_boxes_are_those_of_the_page_however_large(digits):
    page, boxes = page_of(digits[[1, 2, 3]])
    np.testing.assert_allclose(find_digits(page), boxes, atol=5)
    large = np.kron(page, np.ones((5, 5, 1), np.uint8))
    np.testing.assert_allclose(find_digits(large), 5 * boxes, atol=25)


@pytest.mark.parametrize("tilt", [-10, 0, 10])
def test_lines_are_read_one_after_the_other_also_askew(tilt, digits):
    lines = [page_of(digits[first : first + 4])[0] for first in (1, 5)]
    page = Image.fromarray(np.concatenate(lines)).rotate(tilt, expand=True, fillcolor="white")
    turned = [np.asarray(Image.fromarray(image).rotate(tilt)) for image in digits[1:9]]
    assert alike(read_page(page, count=8), turned).min() > 0.7


def test_strokes_apart_are_one_digit_and_specks_none(digits):
    page, _ = page_of(digits[[3, 5, 4]])
    top, left, bottom, right = find_digits(page)[1]
    bar = top + (bottom - top) // 4
    page[bar : bar + 4, left:right] = 255  # the pen was lifted
    page[20:23, 30:33] = page[180:182, 200:202] = 0
    assert len(find_digits(page)) == 3


def test_five_thousand_specks_take_seconds():
    page = np.full((1_500, 2_000), 255, np.uint8)
    rows, columns = np.meshgrid(np.arange(20, 1_480, 20), np.arange(20, 1_980, 28))
    for down, right in np.ndindex(6, 6):
        page[rows + down, columns + right] = 0
    start = time.process_time()
    find_digits(page)
    assert time.process_time() - start < 3


def test_errors_say_what_was_found(digits):
    page, _ = page_of(digits[[1, 2, 3]])
    with pytest.raises(ValueError, match="3 digits found where 4 digits were expected; plot_page"):
        read_page(page, count=4)
    with pytest.raises(ValueError, match="count is '3'"):
        read_page(page, count="3")
    empty = np.full((100, 200), 255, np.uint8)
    for read in (read_page, normalise):
        with pytest.raises(ValueError, match="no ink found"):
            read(empty)
    assert find_digits(empty).shape == (0, 4)
    for ink, fault in ((np.zeros((9, 9)), "no ink"), (np.full((9, 9), np.nan), "without NaN")):
        with pytest.raises(ValueError, match=fault):
            in_mnist_form(ink)


ARROW = np.zeros((20, 40, 3), np.uint8)
ARROW[:10, :10] = [255, 128, 0]


def file_of(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_pictures_come_from_files_pillow_and_arrays(tmp_path):
    picture = Image.fromarray(ARROW)
    for kind in ("PNG", "BMP", "TIFF", "WEBP"):
        content = file_of(picture, kind, **({"lossless": True} if kind == "WEBP" else {}))
        path = tmp_path / "arrow"
        path.write_bytes(content)
        for source in (str(path), path, content, io.BytesIO(content), picture, ARROW, ARROW / 255):
            np.testing.assert_array_equal(load_picture(source), ARROW)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it a quarter clockwise to see it
    found = load_picture(file_of(Image.fromarray(np.rot90(ARROW).copy()), "JPEG", exif=exif))
    assert found.shape == ARROW.shape and np.abs(found - ARROW.astype(int)).mean() < 20


@pytest.mark.parametrize(
    "picture",
    [
        np.ones((5, 6, 1), bool),
        np.ones((5, 6, 3), np.float32),
        np.full((5, 6), 255, np.int64),
        Image.new("1", (6, 5), 1),
        Image.new("CMYK", (6, 5), 0),
        Image.new("RGBA", (6, 5), (0, 0, 0, 0)),  # nothing but white is seen
        Image.fromarray(np.full((5, 6), 60_000, np.uint16)),
    ],
)
def test_white_is_white_in_every_form(picture):
    np.testing.assert_array_equal(load_picture(picture), np.full((5, 6, 3), 255))


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((0, 5)), r"shape \(0, 5\)"),
        (np.zeros((5, 5, 5)), r"shape \(5, 5, 5\)"),
        (np.full((5, 5), np.nan), "ranges from nan"),
        (np.full((5, 5), 2.0), "ranges from 2.0 to 2.0"),
        (np.full((5, 5), -1), "ranges from -1"),
        (np.full((5, 5), "a"), "expected integers, booleans or floats"),
        (np.broadcast_to(np.uint8(0), (8_000, 8_000)), "at most 50,000,000 are read"),
        (b"no picture", "the file: not a picture that can be read"),
        (file_of(Image.fromarray(ARROW))[:60], "not a picture that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture that can be read"),
    ],
)
def test_what_is_no_picture_is_refused(picture, fault, tmp_path):
    with pytest.raises(ValueError, match=fault):
        load_picture(picture)
    with pytest.raises(FileNotFoundError):
        load_picture(tmp_path / "none.png")
