import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from pad import DrawingPad

ROOT = Path(__file__).parent.parent
DRAWINGS = json.loads((ROOT / "datasets" / "drawings.json").read_text())


def line(*points, width=0.08):
    return [[*point, width] for point in points]


def test_what_is_drawn_comes_in_mnists_form():
    bar = [line((0.5, 0.2), (0.5, 0.8))]
    pad = DrawingPad(count=2, strokes=[bar, [line((0.2, 0.5), (0.8, 0.5))]])
    upright, lying = pad.images
    assert pad.images.shape == (2, 28, 28) and pad.images.dtype == np.uint8
    rows, columns = np.nonzero(upright > 128)
    assert np.ptp(rows) + 1 == 20 and 2 <= np.ptp(columns) + 1 <= 4
    np.testing.assert_allclose(lying, upright.T, atol=40)
    np.testing.assert_allclose(ndimage.center_of_mass(upright), (14, 14), atol=0.6)


def test_strokes_are_round_and_as_wide_as_they_were_drawn():
    def ink(width):
        pad = DrawingPad(count=1, strokes=[[line((0.3, 0.3), (0.7, 0.7), (0.3, 0.7), width=width)]])
        return pad.images.sum() / 255

    assert 1.5 < ink(0.1) / ink(0.05) < 2.2
    dot = DrawingPad(count=1, strokes=[[line((0.5, 0.5))]]).images[0]
    assert (dot > 128).sum() == pytest.approx(np.pi * 10**2, rel=0.1)  # enlarged, as all are


def test_a_stroke_may_leave_its_box_and_come_back():
    strokes = [line((0.5, 0.2), (1.4, 0.5), (0.5, 0.8))]
    assert DrawingPad(count=1, strokes=[strokes]).images.max() == 255


def test_a_stroke_that_is_all_outside_is_no_ink():
    with pytest.raises(ValueError, match="no ink found"):
        DrawingPad(count=1, strokes=[[line((1.5, 0.2), (1.6, 0.5))]]).images  # noqa: B018


@pytest.mark.parametrize(
    ("drawn", "fault"),
    [((), "boxes 1, 2, 3 are empty"), ((0, 2), "box 2 is empty"), ((1,), "boxes 1, 3 are empty")],
)
def test_empty_boxes_are_named(drawn, fault):
    bar = [line((0.5, 0.2), (0.5, 0.8))]
    pad = DrawingPad(count=3, strokes=[bar if box in drawn else [] for box in range(3)])
    with pytest.raises(ValueError, match=f"^{fault}$"):
        pad.images  # noqa: B018


@pytest.mark.parametrize(
    ("given", "fault"),
    [({"count": 0}, "count is 0"), ({"count": 2, "strokes": [[]]}, "those of 1 boxes; expected 2")],
)
def test_a_wrong_number_of_boxes_is_refused(given, fault):
    with pytest.raises(ValueError, match=fault):
        DrawingPad(**given)


def test_it_answers_as_soon_as_no_box_is_empty():
    pad, seen = DrawingPad(count=2), []

    def answer(images):
        seen.append(images)
        return {"first": images[0], "both": images / np.float32(255)}

    pad.answer(answer)
    bar = [line((0.5, 0.2), (0.5, 0.8))]
    pad.strokes = [bar, []]
    assert not seen and pad.answers == []
    pad.strokes = [bar, bar]
    first, both = pad.answers
    assert (first["title"], both["title"]) == ("first", "both")
    assert first["images"] == [seen[0][0].tobytes()]
    assert both["images"] == [image.tobytes() for image in seen[0]]
    pad.strokes = [[], bar]
    assert pad.answers == [] and len(seen) == 1


def test_the_last_answer_counts():
    bar = [line((0.5, 0.2), (0.5, 0.8))]
    pad, calls = DrawingPad(count=1, strokes=[bar]), []
    for name in ("old", "new"):
        pad.answer(lambda images, name=name: calls.append(name) or {name: images})
    pad.strokes = [bar + bar]
    assert calls == ["old", "new", "new"] and pad.answers[0]["title"] == "new"


def test_it_can_be_observed_as_any_widget():
    pad, changes = DrawingPad(count=1), []
    pad.observe(lambda change: changes.append(change["new"]), "strokes")
    pad.answer(lambda images: {})
    pad.strokes = [[line((0.5, 0.2), (0.5, 0.8))]]
    assert changes == [pad.strokes]


def test_images_come_at_once():
    strokes = [DRAWINGS[digit] for digit in "0123"]
    pad = DrawingPad(strokes=strokes)
    pad.images  # noqa: B018  # three boxes stay as they are
    start = time.perf_counter()
    pad.strokes = [*strokes[:3], strokes[3] + [line((0.5, 0.5), (0.6, 0.6))]]
    pad.images  # noqa: B018
    assert time.perf_counter() - start < 1  # 10 milliseconds, by far


def test_it_needs_no_tensorflow():
    code = "import sys, pad; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
