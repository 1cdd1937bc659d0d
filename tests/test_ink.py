import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import ink
from benchmarks.pages import KINDS, draw_page
from ink import ink_of, is_ink, load_picture, without_lines

ARROW = np.zeros((20, 40, 3), np.uint8)
ARROW[:10, :10] = [255, 128, 0]


def file_of(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_pictures_come_from_files_pillow_and_arrays(kind, tmp_path):
    picture = Image.fromarray(ARROW)
    path = tmp_path / "arrow"
    path.write_bytes(file_of(picture, kind).getvalue())
    for source in (str(path), path, picture, ARROW, ARROW / 255):
        np.testing.assert_array_equal(load_picture(source), ARROW)


def test_jpegs_are_turned_as_the_camera_says(tmp_path):
    turned = Image.fromarray(np.rot90(ARROW).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it a quarter clockwise to see it
    turned.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    found = load_picture(tmp_path / "photo.jpg")
    assert found.shape == ARROW.shape and np.abs(found - ARROW.astype(int)).mean() < 10


@pytest.mark.parametrize(
    "picture",
    [
        np.full((5, 6), 255, np.uint8),
        np.ones((5, 6, 1), bool),
        np.ones((5, 6, 3), np.float32),
        np.full((5, 6), 255, np.int64),
        Image.new("L", (6, 5), 255),
        Image.new("1", (6, 5), 1),
        Image.new("CMYK", (6, 5), 0),
        Image.new("RGBA", (6, 5), (0, 0, 0, 0)),  # nothing but white is seen
        Image.fromarray(np.full((5, 6), 60_000, np.uint16)),
        Image.new("LA", (6, 5), (0, 0)),
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
    ],
)
def test_what_is_no_picture_is_refused(picture, fault):
    with pytest.raises(ValueError, match=fault):
        load_picture(picture)


def test_files_that_are_no_pictures_are_refused(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        load_picture(tmp_path / "none.png")
    whole = file_of(Image.fromarray(ARROW)).getvalue()
    for content in (b"", b"no picture", whole[:60]):
        (tmp_path / "broken.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"broken.png: not a picture that can be read"):
            load_picture(tmp_path / "broken.png")
    (tmp_path / "large.png").write_bytes(whole)
    monkeypatch.setattr(ink, "MOST_PIXELS", 799)
    with pytest.raises(ValueError, match="40 x 20 pixels; at most 799 are read"):
        load_picture(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # Pillow itself refuses a bomb
    with pytest.raises(ValueError, match=r"large.png: .*decompression bomb"):
        load_picture(tmp_path / "large.png")


def stroke_on(paper, pen):
    """A page with a ring on it, and where that is."""
    page = np.empty((200, 400, 3))
    page[:] = paper
    rows, columns = np.indices((200, 400))
    ring = np.abs(np.hypot(rows - 100, columns - 200) - 40) < 4
    page[ring] = pen
    return page, ring


@pytest.mark.parametrize(
    ("paper", "pen"),
    [
        ((1, 1, 1), (0, 0, 0)),
        ((0, 0, 0), (1, 1, 1)),
        ((0.95, 0.95, 0.9), (0.2, 0.3, 0.9)),
        ((0.9, 0.9, 0.9), (0.9, 0.8, 0.1)),  # a yellow pen
        ((0.1, 0.2, 0.15), (0.7, 0.7, 0.7)),
    ],
)
@pytest.mark.parametrize("light", ["even", "one side", "a shadow"])
def test_ink_is_found_in_any_colour_and_light(paper, pen, light):
    page, ring = stroke_on(paper, pen)
    if light == "one side":
        page = page * np.linspace(0.4, 1, 400)[:, None]
    if light == "a shadow":
        page = page * (0.6 + 0.4 / (1 + np.exp((210 - np.arange(400)) / 4)))[:, None]
    found = is_ink(ink_of((255 * page).astype(np.uint8)))
    assert np.mean(found[ring]) > 0.97
    assert np.mean(found[~ndimage.binary_dilation(ring, iterations=3)]) < 0.002


def test_ink_is_measured_in_parts_of_the_paper():
    page, ring = stroke_on((0.8, 0.8, 0.8), (0.35, 0.35, 0.35))
    found = ink_of((255 * page).astype(np.uint8))
    assert np.median(found[ring]) == pytest.approx(0.5, abs=0.02)  # 0.45 of 0.8 and a tenth
    assert np.median(found[~ring]) == pytest.approx(0, abs=0.01)


def test_empty_pages_have_no_ink():
    rng = np.random.default_rng(0)
    for grey in (0, 128, 255):
        noise = grey + 4 * rng.normal(size=(200, 400, 3))
        for page in (np.full((200, 400, 3), grey), noise.clip(0, 255)):
            assert not is_ink(ink_of(page.astype(np.uint8))).any()


@pytest.mark.parametrize("slope", [-0.15, 0, 0.1])
@pytest.mark.parametrize("squared", [False, True])
def test_printed_lines_are_taken_away_and_strokes_across_them_stay(slope, squared):
    page, ring = stroke_on((0.95, 0.95, 0.95), (0.1, 0.1, 0.3))
    rows, columns = np.indices(ring.shape)
    line = (rows - slope * columns) % 30 < 2
    if squared:
        line |= (columns + slope * rows) % 30 < 2
    page[line & ~ring] *= 0.75
    found = ink_of((255 * page).astype(np.uint8))
    assert is_ink(found)[ring].mean() > 0.97
    cleaned = is_ink(without_lines(found))
    assert cleaned[ring].mean() > 0.9
    assert cleaned[~ndimage.binary_dilation(ring, iterations=3)].mean() < 0.002


def test_a_row_of_ones_is_no_line():
    page = np.full((130, 400, 3), 255, np.uint8)
    for left in (50, 150, 250, 350):
        page[10:120, left : left + 8] = 20
    found = ink_of(page)
    np.testing.assert_array_equal(without_lines(found), found)


@pytest.mark.parametrize("kind", KINDS)
def test_pages_of_every_kind_can_be_drawn(kind, mnist):
    images = mnist[1][0][:6]
    page = draw_page(images, mnist[1][1][:6], kind, np.random.default_rng(0), 2, height=60)
    assert page.dtype == np.uint8 and page.ndim == 3 and page.shape[2] == 3
    again = draw_page(images, mnist[1][1][:6], kind, np.random.default_rng(0), 2, height=60)
    np.testing.assert_array_equal(page, again)
