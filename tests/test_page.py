import io
import time

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from handwriting.page import find_digits, load_picture, normalise, read_page


@pytest.fixture(scope="module")
def digits(mnist):
    """One plain test image of each digit."""
    images, labels = mnist[1]
    return np.stack([images[labels == digit][3] for digit in range(10)])


def larger(picture, times):
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def page_of(images):
    """Digits side by side, dark on white, one every 152 pixels."""
    places = [np.pad(larger(image, 4), ((44, 44), (20, 20))) for image in images]
    page = 255 - np.pad(np.hstack(places), ((0, 0), (20, 20)))
    return np.stack([page] * 3, axis=-1)


def boxes_of(page):
    return find_digits(page)[1]


def alike(found, images):
    """Correlation of each with its image. Moved by up to a pixel, as the centre may be rounded."""
    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return [
        max(np.corrcoef(np.roll(one, move, (0, 1)).ravel(), other.ravel())[0, 1] for move in moves)
        for one, other in zip(found, images, strict=True)
    ]


@pytest.mark.parametrize(
    "seen",
    [
        lambda image: image,
        lambda image: 255 - image,
        lambda image: larger(image, 6),
        lambda image: np.pad(image, ((30, 5), (2, 40))),
        lambda image: 255 - image[np.ix_(image.any(1), image.any(0))],  # cut to its ink
        lambda image: 30 + image // 2,  # grey on dark grey
        lambda image: np.stack([255 - image, np.full_like(image, 255), 255 - image], axis=-1),
    ],
)
def test_an_image_of_mnist_comes_back_as_it_was(seen, mnist):
    images = mnist[1][0][:30]
    found = [normalise(seen(image)) for image in images]
    assert np.median(alike(found, images)) > 0.98 and min(alike(found, images)) > 0.75
    for image in found:
        rows, columns = np.nonzero(image > 20)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        assert np.all(np.abs(np.subtract(ndimage.center_of_mass(image), 14)) < 1.1)
        assert image.shape == (28, 28) and image.dtype == np.uint8 and image.max() == 255


def test_the_edge_of_the_paper_and_a_speck_are_no_part_of_a_digit(digits):
    page = 255 - np.pad(larger(digits[5], 6), 66)
    alone = normalise(page)
    page[:, -3:] = page[15:19, 270:274] = 60
    np.testing.assert_allclose(normalise(page), alone, atol=40)


@pytest.mark.parametrize("width", [0.005, 0.02, 0.05, 0.14])
def test_large_loops_are_paper_with_thin_pens_and_with_thick_ones(width):
    rows, columns = np.indices((240, 240)) / 240 - 0.5
    zero = np.abs(np.hypot(rows / 1.6, columns) - 0.2) < width / 2
    dark, light = normalise(np.where(zero, 120, 255)), normalise(zero)
    np.testing.assert_allclose(dark, light, atol=80)
    assert 0.05 < (light > 128).mean() < 0.35


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page,
        lambda page: 255 - page,
        lambda page: (page * np.linspace(0.4, 1, page.shape[1])[:, None]).astype(np.uint8),
        lambda page: np.pad(page, ((50, 50), (50, 50), (0, 0)), constant_values=70),  # on a table
        lambda page: np.where(np.arange(len(page))[:, None, None] % 40 < 2, page // 5 * 4, page),
        lambda page: page[30:-30, 50:-50],  # cut close
        lambda page: np.where(page > 127, [130, 190, 240], [220, 40, 40]),  # red on azure
        lambda page: larger(page, 3),
    ],
)
def test_a_page_is_read_from_the_left(change, digits):
    found = read_page(change(page_of(digits[[5, 6, 7, 8]])), count=4)
    assert found.dtype == np.uint8 and found.shape == (4, 28, 28)
    assert min(alike(found, digits[[5, 6, 7, 8]])) > 0.8


@pytest.mark.parametrize(("high", "more"), [(26, 1), (21, 0)])
def test_a_digit_may_be_a_third_as_high_as_others_and_what_is_lower_is_none(high, more, digits):
    page, zero = page_of(digits[[3, 6, 8]]), Image.fromarray(255 - digits[0][4:24, 4:24])
    page[120 : 120 + high, 450 : 450 + high] = np.asarray(zero.resize((high, high)))[..., None]
    assert len(boxes_of(page)) == 3 + more


def test_small_digits_below_each_other_stay_apart(digits):
    page, zero = page_of(digits[[3, 6, 8]]), Image.fromarray(255 - digits[0][4:24, 4:24])
    for top in (10, 80):  # a quarter of a digit between them
        page[top : top + 50, 440:490] = np.asarray(zero.resize((50, 50)))[..., None]
    assert len(boxes_of(page)) == 5


def test_a_row_of_mnists_images_is_a_page(digits):
    row = digits[[5, 6, 7, 8]]
    assert min(alike(read_page(np.hstack(row), count=4), row)) > 0.75


def test_noise_is_refused_without_a_warning():
    noise = np.random.default_rng(2).integers(255, size=(300, 400, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="digits found; at most 1,000 are read"):
        find_digits(noise)


@pytest.mark.parametrize(("joined", "wide"), [([3, 1, 6], 1), ([8, 6], 2), ([3, 5, 6], 2)])
@pytest.mark.parametrize("others", [[], [5, 9, 4, 2, 0, 7]])
def test_digits_written_in_one_stroke_are_parted(joined, wide, others, digits):
    parts = [image[:, image.max(axis=0) > 100].repeat(wide, axis=1) for image in digits[joined]]
    row = np.hstack([np.pad(part, ((11, 11), (0, 2 * wide - 2))) for part in parts])
    for joint in np.cumsum([part.shape[1] + 2 * wide - 2 for part in parts])[:-1]:
        row[29, joint - 6 : joint + 4] = 255
    row = np.stack([larger(255 - np.pad(row, ((0, 0), (30, 30))), 4)] * 3, axis=-1)
    found = read_page(np.hstack([page_of(digits[others]), row]) if others else row)
    assert len(found) == len(others) + len(joined)
    assert min(alike(found[len(others) :], digits[joined])) > 0.6 / wide


def test_a_digit_may_touch_the_border_where_rules_and_shadows_are_none(digits):
    page = page_of(digits[[4, 1, 2]])
    boxes = boxes_of(page)
    page[190:193, 40:] = page[:, :8] = page[-30:, :90] = 60
    page = page[:, : boxes[-1][3] - 3]
    np.testing.assert_allclose(boxes_of(page), boxes, atol=4)


def test_a_page_of_more_marks_than_digits_are_read_is_refused():
    mark = np.full((28, 28), 255, np.uint8)
    mark[6:22, 12:15] = mark[19:22, 15] = 0
    with pytest.raises(ValueError, match="1225 digits found; at most 1,000 are read"):
        read_page(np.tile(mark, (35, 35)))


@pytest.mark.parametrize("bend", [0, 12])
def test_digits_may_touch_dark_rules(bend, digits):
    page = page_of(digits[[5, 6, 7, 8]])
    boxes, columns = boxes_of(page), np.arange(page.shape[1])
    rows = np.array([[90], [136]]) + bend * np.sin(columns / 200)
    for thick in range(3):
        page[rows.astype(int) + thick, columns] = 30
        page[:, boxes[bend:, 1] + 5 + thick] = 30  # without a bend, also down
    np.testing.assert_allclose(boxes_of(page), boxes, atol=5)


def test_a_bar_on_a_faint_rule_stays():
    page = np.full((300, 900, 3), 255, np.uint8)
    page[100:240, 100:102] = page[238:240, 100:180] = page[100:240, 400:402] = 0
    boxes = boxes_of(page)
    page[237:241] = np.minimum(page[237:241], 170)
    np.testing.assert_allclose(boxes_of(page), boxes, atol=2)


def test_a_faint_place_parts_no_digit_a_smudge_is_none_and_one_may_fill_the_page(digits):
    page = page_of(digits[[4, 1, 0]])
    boxes = boxes_of(page)
    (_, left, _, right), smudge = boxes[2], np.hypot(*np.indices((60, 60)) - 30) < 20
    faint = np.s_[:, (left + right) // 2 - 8 : (left + right) // 2 + 8]
    page[faint] = 255 - 0.3 * (255 - page[faint])  # of the 0: both halves are as high
    page[20:80, 30:90] -= (90 * smudge[..., None]).astype(np.uint8)
    np.testing.assert_allclose(boxes_of(page), boxes, atol=2)
    top, left, bottom, right = boxes[0]
    assert len(boxes_of(page[top - 20 : bottom + 20, left - 20 : right + 20])) == 1


def test_a_stroke_that_is_thinner_than_others_is_seen_too():
    seven = np.zeros((200, 140), bool)
    seven[20:22, 20:110] = seven[20:180, 100:130] = True
    assert normalise(seven)[:8, 10:14].max(axis=0).min() > 150


@pytest.mark.parametrize("tilt", [-10, 0, 10])
def test_lines_are_read_one_after_the_other_also_askew(tilt, digits):
    lines = np.concatenate([page_of(digits[1:5]), page_of(digits[5:9])])
    page = Image.fromarray(lines).rotate(tilt, expand=True, fillcolor="white")
    turned = [np.asarray(Image.fromarray(image).rotate(tilt)) for image in digits[1:9]]
    assert min(alike(read_page(page), turned)) > 0.7


@pytest.mark.parametrize(("times", "side", "lifted"), [(1, 28, 0.25), (5, 28, 0.25), (1, 22, 0.5)])
def test_a_digit_has_one_box_though_the_pen_was_lifted_and_a_speck_has_none(
    times, side, lifted, digits
):
    row = digits[[3, 5, 4]]
    for at in (0, 2):  # of these, the common size is
        small = np.asarray(Image.fromarray(row[at]).resize((side, side)))
        row[at] = np.pad(small, (28 - side) // 2)
    page = page_of(row)
    numbers = (np.arange(page.shape[1]) + 132) // 152 * (page[..., 0] < 195)  # 0 is paper
    boxes = [[r.start, c.start, r.stop, c.stop] for r, c in ndimage.find_objects(numbers)]
    top, left, bottom, right = boxes[1]
    bar = top + int(lifted * (bottom - top))
    page[bar : bar + 4, left:right] = 255
    page[20:23, 30:33] = page[180:182, 200:202] = 0
    found = boxes_of(larger(page, times))
    np.testing.assert_allclose(found, times * np.array(boxes), atol=5 * times)
    assert boxes_of(np.full_like(page, 255)).shape == (0, 4)


def test_five_thousand_specks_take_seconds():
    page = np.full((1_500, 2_000), 255, np.uint8)
    page[np.ix_(np.arange(1_500) % 20 < 6, np.arange(2_000) % 28 < 6)] = 0
    start = time.process_time()
    with pytest.raises(ValueError, match="digits found; at most 1,000 are read"):
        find_digits(page)
    assert time.process_time() - start < 3


def test_an_eraser_beside_thin_strokes_is_no_digit():
    page = np.full((200, 400), 255, np.uint8)
    page[60:140, 60:64] = page[60:140, 150:154] = page[70:130, 300:330] = 40
    _, boxes, left_out = find_digits(page)
    assert len(boxes) == 2 and [reason for _, reason in left_out] == ["too thick"]


def test_pictures_come_from_files_pillow_and_arrays(tmp_path):
    arrow, path = np.zeros((20, 40, 3), np.uint8), tmp_path / "arrow"
    arrow[:10, :10] = [255, 128, 0]
    picture = Image.fromarray(arrow)
    for kind in ("PNG", "BMP", "TIFF", "WEBP"):
        picture.save(path, kind, lossless=True)
        content = path.read_bytes()
        for source in (str(path), path, content, io.BytesIO(content), picture, arrow, arrow / 255):
            np.testing.assert_array_equal(load_picture(source), arrow)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it a quarter clockwise to see it
    picture.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", exif=exif)
    np.testing.assert_allclose(load_picture(path).mean(axis=2), arrow.mean(axis=2), atol=60)
    with pytest.raises(FileNotFoundError):
        load_picture(tmp_path / "none.png")
    picture = Image.fromarray(arrow)
    picture.info["exif"] = b"Exif\0\0 of another kind"
    with pytest.raises(ValueError, match="not a picture that can be read: not a TIFF file"):
        load_picture(picture)


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


def test_what_is_no_digit_is_left_out_with_a_reason(digits):
    page = page_of(digits[[1, 2, 3]])
    alone = boxes_of(page)
    page[190:193, 40:-40] = 40  # a printed line
    page[12:24, 100:106] = 0  # a dot
    images, boxes, left_out = find_digits(page)
    np.testing.assert_allclose(boxes, alone, atol=1)
    assert boxes.dtype == int and images.dtype == np.uint8 and images.shape == (3, 28, 28)
    np.testing.assert_array_equal(read_page(page, count=3), images)
    where = {reason: box.tolist() for box, reason in left_out}
    assert where.keys() == {"too low for a digit", "too long: a grid, or an edge"}
    np.testing.assert_allclose(where["too low for a digit"], [12, 100, 24, 106], atol=2)
    for count in (2, 4):
        with pytest.raises(ValueError, match=f"3 digits found where {count} were exp") as error:
            read_page(page, count=count)
        assert str(boxes.tolist()) in str(error.value)
