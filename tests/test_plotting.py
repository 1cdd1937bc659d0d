import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from PIL import Image, ImageSequence

import plotting

IMAGES = np.random.default_rng(0).random((24, 28, 28), "float32")
FLAT, INPUTS = IMAGES.reshape(24, 784), IMAGES[:4]
PAGE = np.random.default_rng(0).integers(256, size=(40, 100, 3), dtype=np.uint8)
FIGURES = {
    "sequence": (plotting.plot_sequence, INPUTS, IMAGES[4]),
    "chain": (plotting.plot_chain, INPUTS, IMAGES[4:10]),
    "page": (plotting.plot_page, PAGE, [[10, 5, 30, 25], [10, 60, 35, 80]]),
    "predictions": (plotting.plot_predictions, [INPUTS], IMAGES[4:5], IMAGES[5:6]),
    "grid": (plotting.plot_grid, IMAGES.reshape(4, 6, 28, 28)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_saved_and_closed(name, tmp_path):
    (plot, *arguments), path = FIGURES[name], tmp_path / "new" / "folder" / "figure.png"
    with plt.rc_context({"figure.facecolor": "red"}):
        plot(*arguments, path=path)
    with Image.open(path) as saved:
        pixels = np.asarray(saved.convert("RGB"))
    assert pixels.min() < 120 and pixels[0, 0].tolist() == [255, 255, 255]
    assert plt.get_fignums() == []


def test_an_axis_of_the_callers_is_drawn_on_and_stays_open():
    (plot, *arguments), (figure, axes) = FIGURES["chain"], plt.subplots(2)
    assert plot(*arguments, ax=axes[1]) is figure
    assert not axes[0].has_data() and axes[1].has_data()
    assert plt.get_fignums() == [figure.number]
    plt.close(figure)


def texts_of(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts if text.get_text()]


def check_rows(figure, images, columns, generated=(), texts=(), arrow=None):
    """Checks an axis of images in rows: each image, its place and its frame; and all texts."""
    (ax,) = figure.axes
    places = [place for place in range(2 * len(images)) if place % columns != arrow]
    for place, wanted, image, frame in zip(places, images, ax.images, ax.patches, strict=False):
        np.testing.assert_array_equal(image.get_array(), wanted)
        assert (image.get_cmap().name, image.get_clim()) == ("gray_r", (0, 1))  # dark ink
        x, y = 32 * (place % columns), 32 * (place // columns)
        assert image.get_extent() == [x, x + 28, y + 28, y]
        assert frame.get_bbox().bounds == (x, y, 28, 28)
        assert same_color(frame.get_edgecolor(), "tab:blue" if place in generated else "0.7")
    assert len(ax.images) == len(ax.patches) == len(images)
    assert texts_of(figure) == list(texts)


def test_sequences_chains_and_grids_are_rows_of_images():
    check_rows(plotting.plot_sequence(FLAT[:4], FLAT[4]), IMAGES[:5], 6, texts="→", arrow=4)
    figure = plotting.plot_sequence(FLAT[:4], FLAT[4], [0, 1, 2, 3, 9])
    check_rows(figure, IMAGES[:5], 6, texts="→01239", arrow=4)
    check_rows(plotting.plot_chain(INPUTS, FLAT[4:14]), IMAGES[:14], 10, range(4, 14))
    check_rows(plotting.plot_chain(INPUTS, FLAT[4:10], columns=4), IMAGES[:10], 4, range(4, 10))
    grid = plotting.plot_grid(FLAT[:6].reshape(3, 2, 784), rows="abc", columns="xy", real=[1])
    check_rows(grid, IMAGES[:6], 2, [0, 1, 4, 5], "xyabc")


def test_predictions_stand_beside_the_real_images():
    shown = [*INPUTS, IMAGES[8], IMAGES[12], IMAGES[10]]
    shown += [*IMAGES[4:8], IMAGES[9], IMAGES[13], IMAGES[11]]
    answers = {"one": FLAT[8:10], "other": IMAGES[12:14]}
    contexts, targets = FLAT[:8].reshape(2, 4, 784), FLAT[10:12]
    figure = plotting.plot_predictions(contexts, answers, targets, rows="ab")
    check_rows(figure, shown, 8, [5, 6, 13, 14], ["→", "→", "one", "other", "real", "a", "b"], 4)
    plot, *arguments = FIGURES["predictions"]
    assert texts_of(plot(*arguments)) == ["→", "generated", "real"]


def test_pages_have_boxes_and_above_them_stands_what_is_left_out():
    left_out = [([5, 5, 9, 9], "too low"), ([30, 30, 34, 34], "too low"), ([0, 0, 40, 2], "a grid")]
    (page,) = plotting.plot_page(*FIGURES["page"][1:], left_out).axes
    np.testing.assert_array_equal(page.images[0].get_array(), PAGE)
    boxes = [box.get_bbox().bounds for box in page.patches]
    assert boxes[:2] == [(4.5, 9.5, 20, 20), (59.5, 9.5, 20, 25)] and len(boxes) == 5
    assert texts_of(page.figure) == ["[0]", "[1]"]
    assert page.get_title() == "grey is left out: a grid; too low"


def test_the_animation_adds_one_image_a_frame(tmp_path):
    path = tmp_path / "new" / "folder" / "chain.gif"
    figure = plotting.animate_chain(FLAT[:4], FLAT[4:7], path, seconds=0.1)
    check_rows(figure, IMAGES[:7], 7, [4, 5, 6])
    with Image.open(path) as gif:
        frames = ImageSequence.all_frames(gif)
    # The last frame comes three times.
    assert [frame.info["duration"] for frame in frames] == [100, 100, 100, 300]
    assert np.all(np.diff([np.sum(np.asarray(frame.convert("L")) < 200) for frame in frames]) > 0)
