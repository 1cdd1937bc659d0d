import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from handwriting.pad import DrawingPad

DRAWINGS = json.loads((Path(__file__).parents[1] / "datasets" / "drawings.json").read_text())
BAR = [[[0.5, 0.2, 0.08], [0.5, 0.8, 0.08]]]


def changed(box, scale=1.0, shift=0.0, pressure=1.0):
    """The same strokes elsewhere, smaller, or of another pen; as arrays, which are also taken."""
    factors, shifts = (scale, scale, pressure), (shift, shift, 0)
    return [np.multiply(stroke, factors) + shifts for stroke in box]


def test_what_is_drawn_comes_in_mnists_form():
    lying = [[[y, x, width] for x, y, width in BAR[0]]]
    images = DrawingPad(count=2, strokes=[BAR, lying]).images
    assert images.shape == (2, 28, 28) and images.dtype == np.uint8
    rows, columns = np.nonzero(images[0] > 128)
    assert np.ptp(rows) + 1 == 20 and 2 <= np.ptp(columns) + 1 <= 4
    np.testing.assert_allclose(images[1], images[0].T, atol=40)
    np.testing.assert_allclose(ndimage.center_of_mass(images[0]), (14, 14), atol=0.6)


@pytest.mark.parametrize("box", DRAWINGS.values(), ids=DRAWINGS)
def test_size_and_place_do_not_matter(box):
    boxes = [box, changed(box, 0.3), changed(box, 0.9, 0.4)]  # the last leaves its box
    image, *others = DrawingPad(count=3, strokes=boxes).images.astype(int)
    assert np.abs(others - image).mean() < 1


def test_strokes_are_round_and_as_wide_as_they_were_drawn():
    corner = [[[0.3, 0.3, 0.2], [0.7, 0.7, 0.2], [0.3, 0.7, 0.2]]]
    wide, thin = DrawingPad(2, [corner, changed(corner, pressure=0.5)]).images.sum(axis=(1, 2))
    assert 1.5 < wide / thin < 2.2
    dot = DrawingPad(count=1, strokes=[[[[0.5, 0.5, 0.08]]]]).images[0]
    assert (dot > 128).sum() == pytest.approx(np.pi * 10**2, rel=0.1)  # enlarged, as all are


def test_the_last_function_answers_while_no_box_is_empty():
    pad, seen, states = DrawingPad(count=2), [], []
    pad.observe(lambda change: states.append(change["new"]), "status")
    with pytest.raises(ZeroDivisionError):
        pad.answer(lambda images: 1 / 0)
    pad.answer(lambda images: seen.append(images) or {"one": images[0], "both": images / 255})
    assert seen.pop().max() == 0 and not pad.answers  # blank images, once, so that models are ready
    for drawn, titles in (([BAR, []], []), ([BAR, BAR], ["one", "both"]), ([[], BAR], [])):
        pad.strokes = drawn
        assert [row["title"] for row in pad.answers] == titles
        if titles:
            one, both = [image.tobytes() for image in seen[0]]
            assert [row["images"] for row in pad.answers] == [[one], [one, both]]
    assert len(seen) == 1 and states == ["thinking …", ""]
    pad.strokes = [BAR] * 3  # a box was added
    assert seen[1].shape == (pad.count, 28, 28) == (3, 28, 28)


@pytest.mark.parametrize(
    "wrong",
    [
        [[[[0.5, 0.5, 1e5]]]],  # painted, it would take the memory
        [[[[0.5, 0.5]]]],
        [[[{}]]],
        [[[[10**400, 0.5, 0.1]]]],
        [],
        None,
        5,
    ],
)
def test_what_is_refused_leaves_the_pad_as_it_was(wrong):
    pad, sent = DrawingPad(count=1, strokes=[BAR]), []
    pad.answer(lambda images: {"next": images})
    images, answers, pad.comm.send = pad.images, pad.answers, lambda data, **_: sent.append(data)
    with pytest.raises(ValueError, match="expected"):
        pad.strokes = wrong
    assert not pad.status and not sent
    data = {"method": "update", "state": {"strokes": wrong}, "buffer_paths": []}
    pad._handle_msg({"content": {"data": data}, "buffers": []})  # as the browser sends it
    assert "expected" in pad.status
    assert sent[-1]["method"] == "update" and sent[-1]["state"] == {"strokes": [BAR]}  # shown again
    assert repr(pad).startswith("DrawingPad(count=1)") and pad.answers == answers
    np.testing.assert_array_equal(pad.images, images)
    pad.set_state({"strokes": [BAR, BAR]})
    assert pad.count == 2 and not pad.status


def test_more_boxes_than_anybody_fills_are_refused():
    assert DrawingPad(count=100).count == 100
    with pytest.raises(ValueError, match="count is 1000000000; expected an integer from 1 to 100"):
        DrawingPad(count=10**9)


def test_an_error_takes_the_place_of_old_answers():
    pad, told = DrawingPad(count=1, strokes=[BAR]), []
    pad.observe(lambda change: told.append(change["new"]), "strokes")
    pad.answer(lambda images: {"next": images} if len(pad.strokes[0]) == 1 else images.none)
    for drawn, status in (([BAR * 2], "AttributeError: "), ([BAR], "")):
        pad.strokes = drawn
        assert pad.status.startswith(status) and bool(pad.answers) == (not pad.status)
    assert told == [[BAR * 2], [BAR]]
    with pytest.raises(ZeroDivisionError):  # no stroke: the caller sees it
        pad.answer(lambda images: 1 / 0)
    assert pad.answers == [] and pad.status == "ZeroDivisionError: division by zero"
