import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from handwriting.pad import DrawingPad

ROOT = Path(__file__).parent.parent
DRAWINGS = json.loads((ROOT / "datasets" / "drawings.json").read_text())
BAR = [[[0.5, 0.2, 0.08], [0.5, 0.8, 0.08]]]
NAN, HUGE = float("nan"), 1e7


def changed(box, scale=1.0, shift=0.0, pressure=1.0):
    return [[[scale * x + shift, scale * y + shift, pressure * w] for x, y, w in s] for s in box]


def test_what_is_drawn_comes_in_mnists_form():
    lying = [[[y, x, width] for x, y, width in BAR[0]]]
    images = DrawingPad(count=2, strokes=[BAR, lying]).images
    assert images.shape == (2, 28, 28) and images.dtype == np.uint8
    rows, columns = np.nonzero(images[0] > 128)
    assert np.ptp(rows) + 1 == 20 and 2 <= np.ptp(columns) + 1 <= 4
    np.testing.assert_allclose(images[1], images[0].T, atol=40)
    np.testing.assert_allclose(ndimage.center_of_mass(images[0]), (14, 14), atol=0.6)


def test_size_and_place_do_not_matter():
    for box in DRAWINGS.values():
        boxes = [box, changed(box, 0.3), changed(box, 0.9, 0.4)]  # the last leaves its box
        image, *others = DrawingPad(count=3, strokes=boxes).images.astype(int)
        assert np.abs(others - image).mean() < 1


def test_strokes_are_round_and_as_wide_as_they_were_drawn():
    corner = np.array([[[0.3, 0.3, 0.2], [0.7, 0.7, 0.2], [0.3, 0.7, 0.2]]])  # also an array
    wide, thin = DrawingPad(2, [corner, changed(corner, pressure=0.5)]).images.sum(axis=(1, 2))
    assert 1.5 < wide / thin < 2.2
    dot = DrawingPad(count=1, strokes=[[[[0.5, 0.5, 0.08]]]]).images[0]
    assert (dot > 128).sum() == pytest.approx(np.pi * 10**2, rel=0.1)  # enlarged, as all are


NO_POINTS = [[], [[]], "ab", [[0.5, 0.5]], [[0, 0, 0.1], [0.5]]]
NO_POINTS += [[[NAN, 0, 0.1]], [[HUGE, 0, 0.1]], [[0, -HUGE, 0.1]], [[0, 0, HUGE]], [[0, 0, 0]]]
EXPECTED = r"expected points \[x, y, width\] from \[-1, -1, 0.001\] to \[2, 2, 1\]"
REFUSED = [(boxes * [BAR], f"of {boxes} boxes; expected 1") for boxes in (0, 2)]


@pytest.mark.parametrize(
    ("strokes", "fault"), REFUSED + [([[*BAR, stroke]], EXPECTED) for stroke in NO_POINTS]
)
def test_other_strokes_are_refused(strokes, fault):
    pad = DrawingPad(count=1, strokes=[BAR])
    for set_strokes in (lambda: DrawingPad(1, strokes), lambda: setattr(pad, "strokes", strokes)):
        with pytest.raises(ValueError, match=fault):
            set_strokes()
    assert pad.strokes == [BAR]


def test_empty_boxes_are_named_and_none_at_all_are_refused():
    for strokes, empty in {"   ": "1, 2, 3", "b b": "2", " b ": "1, 3"}.items():
        with pytest.raises(ValueError, match=f"in box {empty}$"):
            DrawingPad(3, [BAR if box == "b" else [] for box in strokes]).images  # noqa: B018
    with pytest.raises(ValueError, match="count is 0"):
        DrawingPad(count=0)


def test_the_last_function_answers_while_no_box_is_empty():
    pad, seen, states = DrawingPad(count=2), [], []
    pad.observe(lambda change: states.append(change["new"]), "status")
    pad.answer(lambda images: 1 / 0)  # never called
    pad.answer(lambda images: seen.append(images) or {"one": images[0], "both": images / 255})
    for drawn, rows in (([BAR, []], 0), ([BAR, BAR], 2), ([[], BAR], 0)):
        pad.strokes = drawn
        assert len(pad.answers) == rows
        if rows:
            one, both = [image.tobytes() for image in seen[0]]
            assert pad.answers[0] == {"title": "one", "images": [one]}
            assert pad.answers[1] == {"title": "both", "images": [one, both]}
    assert len(seen) == 1 and states == ["thinking …", ""]


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


def test_it_needs_no_keras():
    code = "import sys, handwriting.pad; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
