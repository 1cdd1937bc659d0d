import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from plotting import (
    animate_chain,
    animate_row,
    plot_chain,
    plot_excess,
    plot_giveaways,
    plot_grid,
    plot_growth,
    plot_guidance,
    plot_history,
    plot_page,
    plot_plateau,
    plot_predictions,
    plot_right,
    plot_sequence,
)

IMAGES = np.random.default_rng(0).random((24, 28, 28), "float32")
INPUTS = IMAGES[:4]


def drawn(figure):
    """The images that a figure shows, in order."""
    return [image.get_array() for ax in figure.axes for image in ax.images]


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


FIGURES = {
    "sequence": lambda **kwargs: plot_sequence(INPUTS, IMAGES[4], [0, 1, 2, 3, 4], **kwargs),
    "chain": lambda **kwargs: plot_chain(INPUTS, IMAGES[4:10], **kwargs),
    "history": lambda **kwargs: plot_history({"Adam": [0.06, 0.054]}, 0.0537, 0.0635, **kwargs),
    "plateau": lambda **kwargs: plot_plateau(
        [
            {"optimizer": "adam", "recipe": "plain", "batch": 32, "half": 90, "longest": 1_000},
            {"optimizer": "adam", "recipe": "both", "batch": 32, "half": 10, "longest": 1_000},
            {"optimizer": "sgd", "recipe": "plain", "batch": 256, "half": None, "longest": 500},
        ],
        **kwargs,
    ),
    "predictions": lambda **kwargs: plot_predictions(
        [INPUTS, INPUTS], IMAGES[4:6], IMAGES[6:8], **kwargs
    ),
    "guidance": lambda **kwargs: plot_guidance([1, 2], [0.6, 0.4], [0.95, 0.99], 0.2, **kwargs),
    "giveaways": lambda **kwargs: plot_giveaways(
        {"before": np.eye(28), "after": np.full((28, 28), 0.5)}, **kwargs
    ),
    "right": lambda **kwargs: plot_right([0, 4], {"plain": [1, 0.4]}, "moved, pixels", **kwargs),
    "excess": lambda **kwargs: plot_excess(
        {"LSTM": [(1, 1e-2), (10, 1e-5)], "linear": [(1, 1e-2), (10, 1e-4)]}, **kwargs
    ),
    "growth": lambda **kwargs: plot_growth(
        [10, 100], {"building": [0.1, 1]}, {"building": [90, 91]}, **kwargs
    ),
    "page": lambda **kwargs: plot_page(
        255 * np.eye(40, 100, dtype="uint8").repeat(3).reshape(40, 100, 3),
        [[10, 5, 30, 25], [10, 60, 35, 80]],
        **kwargs,
    ),
    "grid": lambda **kwargs: plot_grid(IMAGES.reshape(4, 6, 28, 28), **kwargs),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_returned_saved_and_closed(name, tmp_path):
    path = tmp_path / "new" / f"{name}.png"
    figure = FIGURES[name](path=path)
    assert isinstance(figure, Figure)
    with Image.open(path) as saved:
        pixels = np.asarray(saved.convert("L"))
    assert pixels.shape[1] < 1_200 and pixels.min() < 100 and pixels.max() == 255
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", ["sequence", "chain", "history", "page"])
def test_draws_on_a_given_axis(name):
    figure, axes = plt.subplots(2)
    assert FIGURES[name](ax=axes[1]) is figure
    assert not axes[0].has_data() and axes[1].has_data()
    assert plt.get_fignums() == [figure.number]  # still the caller's
    plt.close(figure)


def test_a_batch_is_no_chain():
    with pytest.raises(ValueError, match="not a batch"):
        plot_chain(IMAGES.reshape(2, 12, 28, 28), IMAGES[:4])


def test_a_sequence_reads_like_a_formula():
    figure = FIGURES["sequence"]()
    assert [text for text in texts(figure) if text] == ["→", "0", "1", "2", "3", "4"]
    np.testing.assert_array_equal(drawn(figure), IMAGES[:5])


def test_flattened_images_are_drawn_as_images():
    flat = plot_chain(INPUTS.reshape(4, 784), IMAGES[4:10].reshape(6, 784))
    np.testing.assert_array_equal(drawn(flat), IMAGES[:10])


def test_predictions_stand_beside_the_real_images():
    shown = drawn(FIGURES["predictions"]())
    np.testing.assert_array_equal(shown[:6], [*INPUTS, IMAGES[4], IMAGES[6]])
    np.testing.assert_array_equal(shown[10:], [IMAGES[5], IMAGES[7]])


def test_predictions_of_several_predictors_stand_side_by_side():
    answers = {"one": IMAGES[4:6], "other": IMAGES[6:8]}
    figure = plot_predictions([INPUTS, INPUTS], answers, IMAGES[8:10], rows=["first", "second"])
    assert {"one", "other", "real", "first", "second"} <= set(texts(figure))
    np.testing.assert_array_equal(drawn(figure)[4:7], [IMAGES[4], IMAGES[6], IMAGES[8]])


def test_a_page_has_a_box_and_a_number_around_each_digit():
    (ax,) = FIGURES["page"]().axes
    boxes = [(*box.get_xy(), box.get_width(), box.get_height()) for box in ax.patches]
    assert boxes == [(4.5, 9.5, 20, 20), (59.5, 9.5, 20, 25)]
    assert [text.get_text() for text in ax.texts] == ["1", "2"]


def test_a_grid_has_titles_for_rows_and_columns():
    figure = plot_grid(IMAGES[:6].reshape(2, 3, 28, 28), rows=["a", "b"], columns=["x", "y", "z"])
    assert {"a", "b", "x", "y", "z"} <= set(texts(figure))
    np.testing.assert_array_equal(drawn(figure), IMAGES[:6])


def test_real_images_have_other_frames_in_a_grid():
    frames = plot_grid(IMAGES[:6].reshape(3, 2, 28, 28), real=[1]).axes[0].patches
    colours = [frame.get_edgecolor() for frame in frames]
    assert colours[:2] == colours[4:] and colours[2] == colours[3] != colours[0]


def test_shares_of_right_digits_are_drawn_in_percent():
    (ax,) = FIGURES["right"]().axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 100], [4, 40]])


def test_history_shows_the_floor_and_the_plateau():
    (ax,) = FIGURES["history"]().axes
    heights = [line.get_ydata()[0] for line in ax.lines]
    assert heights == [0.06, 0.0635, 0.0537]


def test_the_plateau_has_a_mark_for_each_run_and_another_for_those_that_never_left():
    adam, sgd = FIGURES["plateau"]().axes
    assert (adam.get_title(), sgd.get_title()) == ("adam", "sgd")
    assert [line.get_xdata()[0] for line in adam.lines] == [90, 10]
    assert [label.get_text() for label in adam.get_yticklabels()] == ["plain", "both"]
    assert adam.lines[0].get_ydata() < adam.lines[1].get_ydata()
    (stopped,) = sgd.lines
    assert stopped.get_xdata()[0] == 500
    assert stopped.get_marker() != adam.lines[0].get_marker()
    assert stopped.get_color() != adam.lines[0].get_color()  # another size of batch


def test_the_animation_adds_one_image_a_frame(tmp_path):
    path = tmp_path / "chain.gif"
    animate_chain(INPUTS, IMAGES[4:7], path, seconds=0.1)
    with Image.open(path) as gif:
        assert gif.n_frames == 4  # equal frames at the end are merged into one longer one
        ink = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            ink.append(255 * gif.width * gif.height - np.asarray(gif.convert("L"), int).sum())
    assert np.all(np.diff(ink) > 0)


def test_guidance_and_growth_show_the_numbers_that_they_are_given():
    left, right = FIGURES["guidance"]().axes
    assert left.lines[0].get_ydata().tolist() == [0.6, 0.4]
    assert right.lines[0].get_ydata().tolist() == [95, 99]
    left, right = FIGURES["growth"]().axes
    assert left.get_xscale() == left.get_yscale() == "log"
    assert left.lines[0].get_ydata().tolist() == [0.1, 1]
    assert right.lines[0].get_ydata().tolist() == [90, 91]


def test_films_play_side_by_side(tmp_path):
    films = IMAGES.reshape(4, 6, 28, 28)
    figure = animate_row(films, tmp_path / "films.gif", titles=list("abcd"))
    np.testing.assert_array_equal(drawn(figure), films[:, -1])
    with Image.open(tmp_path / "films.gif") as gif:
        frames = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            frames.append(np.asarray(gif.convert("L")))
    assert np.any(frames[0] != frames[1])
    assert len(frames) >= 6


def test_the_legend_of_errors_above_the_floor_has_the_best_first():
    ax = plot_excess({"a": [(1, 1e-2), (10, 1e-4)], "b": [(1, 1e-1), (9, 1e-5)]}).axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["b", "a"]
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [1, 9])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1e-1, 1e-5])
