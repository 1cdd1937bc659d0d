import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preprocessing import Damage, DigitSequences, digit_windows, follow_windows
from style import nearest_in_style, style_features
from variation import ANYBODY

# Twelve images a digit, each with its own number in the first two pixels, so that a drawn image
# tells which one it is, without carrying 60,000 of them through every example.
LABELS = (np.arange(120) % 10).astype(np.uint8)
IMAGES = np.zeros((120, 28, 28), np.uint8)
IMAGES[:, 0, 0] = np.arange(120)
IMAGES[:, 5, 5] = LABELS

seeds = st.integers(0, 2**63)
lengths = st.integers(1, 9)
tables = hnp.arrays(
    np.int64,
    st.tuples(st.integers(1, 12), st.integers(2, 6)),
    elements=st.integers(0, 9),
)


def number_of(vectors):
    """The image number hidden in the first pixel of flattened images."""
    return np.rint(vectors[..., 0] * 255).astype(int)


# digit_windows


def test_the_table_of_the_task():
    assert digit_windows().tolist() == [list(range(start, start + 5)) for start in range(6)]
    assert digit_windows(wrap=True)[-1].tolist() == [9, 0, 1, 2, 3]
    assert digit_windows(length=9).tolist() == [list(range(10))]


@given(lengths, st.booleans())
def test_windows_count_upward_by_one(length, wrap):
    windows = digit_windows(length, wrap)
    assert windows.shape == (10 if wrap else 10 - length, length + 1)
    step = np.diff(windows, axis=1)
    assert np.all(step % 10 == 1) and (wrap or np.all(step == 1))
    assert windows.min() >= 0 and windows.max() <= 9
    assert len(np.unique(windows, axis=0)) == len(windows)


def test_only_a_wrapped_table_can_be_longer():
    for length, wrap in ((0, False), (10, False), (0, True), (-1, False)):
        with pytest.raises(ValueError, match=f"length is {length}"):
            digit_windows(length, wrap)
    assert digit_windows(12, wrap=True).shape == (10, 13)


# DigitSequences


@given(lengths, st.booleans(), seeds, st.integers(1, 200))
def test_every_sequence_counts_upward_by_one(length, wrap, seed, n):
    _, _, digits = DigitSequences(IMAGES, LABELS, digit_windows(length, wrap), seed=seed).sample(n)
    assert np.all(np.diff(digits, axis=1) % 10 == 1)


@given(tables, seeds, st.integers(1, 100))
def test_each_image_shows_the_digit_claimed_for_it(windows, seed, n):
    sequences = DigitSequences(IMAGES, LABELS, windows, seed=seed)
    inputs, targets, digits = sequences.sample(n)
    numbers = np.column_stack([number_of(inputs), number_of(targets.reshape(n, 784))])
    np.testing.assert_array_equal(LABELS[numbers], digits)
    np.testing.assert_array_equal(targets, IMAGES[numbers[:, -1]] / np.float32(255))
    np.testing.assert_array_equal(
        inputs.reshape(n, -1, 28, 28), IMAGES[numbers[:, :-1]] / np.float32(255)
    )


@given(tables, seeds, st.integers(1, 100))
def test_draws_are_balanced_over_the_windows(windows, seed, n):
    _, _, digits = DigitSequences(IMAGES, LABELS, windows, seed=seed).sample(n)
    rows, copies = np.unique(windows, axis=0, return_counts=True)
    drawn = (digits[:, None] == rows).all(axis=2).sum(axis=0)
    assert drawn.sum() == n
    share = n / len(windows)
    assert np.all(drawn >= np.floor(share) * copies) and np.all(drawn <= np.ceil(share) * copies)


@given(seeds, st.integers(1, 50), st.integers(1, 50))
def test_the_same_seed_gives_the_same_draw_whatever_was_drawn_before(seed, n, other):
    first = DigitSequences(IMAGES, LABELS, seed=seed)
    second = DigitSequences(IMAGES, LABELS, seed=seed)
    second.sample(other)
    next(second.batches(other))
    for a, b in zip(first.sample(n), second.sample(n), strict=True):
        np.testing.assert_array_equal(a, b)
    streams = first.batches(n), second.batches(n)
    for _ in range(3):
        for a, b in zip(next(streams[0]), next(streams[1]), strict=True):
            np.testing.assert_array_equal(a, b)


@given(seeds)
def test_batches_never_end_and_never_repeat_a_draw(seed):
    sequences = DigitSequences(IMAGES, LABELS, seed=seed)
    drawn = [
        number_of(inputs).tobytes() for inputs, _ in itertools.islice(sequences.batches(32), 50)
    ]
    drawn.append(number_of(sequences.sample(32)[0]).tobytes())
    assert len(set(drawn)) == 51


def test_a_seed_means_the_same_images_everywhere_and_for_ever():
    """Measurements name their seeds: what was drawn for them must come again."""
    sequences = DigitSequences(IMAGES, LABELS, damage=Damage(1), seed=0)
    digits, indices = sequences.draw(3)
    assert digits.tolist() == [[5, 6, 7, 8, 9], [4, 5, 6, 7, 8], [0, 1, 2, 3, 4]]
    assert indices.tolist() == [[95, 86, 27, 18, 119], [54, 85, 76, 117, 8], [50, 91, 52, 33, 74]]
    inputs, targets = next(sequences.batches(3))  # one with noise, one with a blank, one with a 0
    assert number_of(inputs).tolist() == [[25, 36, 77, 8], [0, 94, 95, 96], [64, 75, 60, 117]]
    assert number_of(targets.reshape(3, 784)).tolist() == [59, 77, 58]


def test_different_seeds_draw_differently():
    draws = [
        DigitSequences(IMAGES, LABELS, seed=s).sample(50)[0].tobytes() for s in (0, 1, None, None)
    ]
    assert len(set(draws)) == 4


def test_large_batches_are_balanced_over_the_windows_too():
    """They are put together from several draws, of which the last is smaller."""
    _, targets = next(DigitSequences(IMAGES, LABELS, seed=0).batches(2 * 1_024 + 48))
    counts = np.bincount(LABELS[number_of(targets.reshape(-1, 784))])[4:]
    assert len(counts) == 6 and np.ptp(counts) <= 2


def test_any_image_of_a_digit_can_be_drawn_and_none_is_preferred():
    _, indices = DigitSequences(IMAGES, LABELS, seed=0).draw(12_000)
    counts = np.bincount(indices[:, 0], minlength=120)[LABELS <= 5]
    # Binomial with mean 12,000 / 6 / 12; six standard deviations either way.
    assert np.all(np.abs(counts - 12_000 / 72) < 6 * np.sqrt(12_000 / 72))


@given(lengths, st.booleans(), st.integers(1, 40))
def test_shapes_dtypes_and_ranges(length, wrap, n):
    sequences = DigitSequences(IMAGES, LABELS, digit_windows(length, wrap), seed=0)
    inputs, targets, digits = sequences.sample(n)
    assert inputs.shape == (n, length, 784) and targets.shape == (n, 28, 28)
    assert digits.shape == (n, length + 1) and digits.dtype.kind == "i"
    for images in (inputs, targets, *next(sequences.batches(n)), sequences.mean_target()):
        assert images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 1


def test_every_image_drawn_is_one_of_those_given_and_none_of_the_others(mnist, train, test):
    """Told by its pixels: what is drawn for training never comes up in a test."""
    given = [{image.tobytes() for image in images} for images, _ in mnist]
    for side, sequences in enumerate((train, test)):
        inputs, targets, _ = sequences.sample(200)
        drawn = np.concatenate([inputs.reshape(-1, 784), targets.reshape(-1, 784)])
        pixels = {np.rint(image * 255).astype(np.uint8).tobytes() for image in drawn}
        assert pixels <= given[side] and not pixels & given[1 - side]


def test_with_windows_changes_the_digits_and_nothing_else(mnist):
    numbers = np.arange(10_000)[:, None]
    spoiled = {"damage": Damage(1.0), "variation": ANYBODY}
    for settings in ({"pairing": "style", "neighbours": 3}, {"pairing": numbers}, spoiled):
        up = DigitSequences(*mnist[1], seed=5, **settings)
        down = up.with_windows(up.windows[:, ::-1])
        expected = DigitSequences(*mnist[1], up.windows[:, ::-1], seed=5, **settings)
        for ours, theirs in zip(down.sample(20), expected.sample(20), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_mean_target_is_the_mean_over_windows_of_the_digit_means():
    windows = [[0, 5, 1], [2, 5, 1], [3, 5, 4]]
    mean = DigitSequences(IMAGES, LABELS, windows).mean_target()
    ones, fours = IMAGES[LABELS == 1].mean(axis=0), IMAGES[LABELS == 4].mean(axis=0)
    np.testing.assert_allclose(mean, (2 * ones + fours) / 3 / 255, rtol=1e-6)


def test_images_are_held_once_and_not_as_floats():
    sequences = DigitSequences(IMAGES, LABELS)
    assert sequences.images is IMAGES
    held = [value for value in vars(sequences).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in held if array is not IMAGES) < 20 * len(IMAGES) + 1_000


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"images": IMAGES / 255}, "images are float64"),
        ({"images": IMAGES[:, :27]}, r"\(120, 27, 28\)"),
        ({"labels": LABELS[:-1]}, r"labels are uint8 \(119,\)"),
        ({"labels": LABELS / 1}, "labels are float64"),
        ({"labels": LABELS + 1}, "labels range from 1 to 10; expected 0 to 9"),
        ({"labels": LABELS.astype(int) - 1}, "labels range from -1 to 8"),
        ({"windows": [0, 1, 2]}, r"windows are int64 \(3,\)"),
        ({"windows": [[0], [1]]}, r"\(2, 1\); expected integers \(m, t \+ 1\)"),
        ({"windows": [[0.0, 1.0]]}, "windows are float64"),
        ({"windows": [[9, 10]]}, r"no image of \[10\]"),
        ({"windows": [[-1, 0]]}, r"no image of \[-1\]"),
        ({"windows": np.zeros((0, 5), int)}, "must hold digits"),
        ({"images": IMAGES[LABELS != 4], "labels": LABELS[LABELS != 4]}, r"no image of \[4\]"),
        ({"windows": [[0, 1]], "labels": LABELS * 0}, r"no image of \[1\]"),
        (
            {"windows": [[0, 0]], "labels": LABELS * 0, "damage": Damage(1, ["wrong"])},
            "^damage of kind 'wrong' needs images of a second digit$",
        ),
        ({"pairing": "alphabetical"}, "pairing is 'alphabetical'"),
        ({"pairing": [[1], [2]]}, r"pairing has shape \(2, 1\); expected finite numbers"),
        ({"pairing": np.full((len(LABELS), 2), np.nan)}, "expected finite numbers"),
        ({"pairing": "style", "neighbours": 0}, "neighbours is 0; expected 1 to 12"),
        ({"pairing": "style", "neighbours": 13}, "neighbours is 13; expected 1 to 12"),
    ],
)
def test_bad_arguments_are_refused(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        DigitSequences(**{"images": IMAGES, "labels": LABELS} | arguments)


# pairing by style


def test_with_one_neighbour_every_image_is_the_nearest_in_style_to_one_and_the_same():
    images = np.random.default_rng(0).integers(256, size=IMAGES.shape, dtype=np.uint8)
    paired = DigitSequences(images, LABELS, pairing="style", neighbours=1, seed=0)
    digits, indices = paired.draw(500)
    nearest = nearest_in_style(style_features(images, LABELS), LABELS, 1)[:, :, 0]  # (120, 10)
    fits = (nearest[:, digits] == indices).all(axis=2)  # whether an image can be the one: (120, n)
    assert fits.any(axis=0).all()
    assert len(np.unique(fits.argmax(axis=0))) > 50  # another one for every sequence


@pytest.mark.parametrize("neighbours", [2, 12])
def test_places_take_any_of_the_neighbours_each_for_itself(neighbours):
    paired = DigitSequences(
        IMAGES, LABELS, [[3, 3]], pairing="style", neighbours=neighbours, seed=0
    )
    _, indices = paired.draw(6_000)
    alike = np.mean(indices[:, 0] == indices[:, 1])
    # Binomial: five standard deviations either way.
    assert abs(alike - 1 / neighbours) < 5 * np.sqrt(1 / neighbours / 6_000)


def test_a_hand_has_eight_neighbours_unless_told_otherwise():
    eight = DigitSequences(IMAGES, LABELS, pairing="style", neighbours=8, seed=0)
    default = DigitSequences(IMAGES, LABELS, pairing="style", seed=0)
    np.testing.assert_array_equal(default.draw(50)[1], eight.draw(50)[1])


def test_images_can_be_alike_in_whatever_describes_them():
    """Here in their place in the data set: as many apart as there are digits, give or take."""
    places = np.arange(len(LABELS))[:, None]
    paired = DigitSequences(IMAGES, LABELS, pairing=places, neighbours=2, seed=0)
    digits, indices = paired.draw(500)
    np.testing.assert_array_equal(LABELS[indices], digits)
    assert (
        np.ptp(indices, axis=1).max()
        < np.ptp(DigitSequences(IMAGES, LABELS, seed=0).draw(500)[1], axis=1).mean()
    )
    style = DigitSequences(IMAGES, LABELS, pairing="style", seed=0)
    given = DigitSequences(IMAGES, LABELS, pairing=style_features(IMAGES, LABELS), seed=0)
    np.testing.assert_array_equal(given.draw(50)[1], style.draw(50)[1])


# Damage


def damaged_and_whole(damage, n=200, seed=0):
    """The same draw twice, once with damage, as image numbers."""
    whole, targets, digits = DigitSequences(IMAGES, LABELS, seed=seed).sample(n)
    spoiled, same, also = DigitSequences(IMAGES, LABELS, damage=damage, seed=seed).sample(n)
    np.testing.assert_array_equal(targets, same)
    np.testing.assert_array_equal(digits, also)
    return spoiled, whole, digits


@given(st.sampled_from(["blank", "noise", "wrong"]), st.integers(0, 3), seeds)
def test_damage_hits_one_image_of_the_kind_and_at_the_place_asked_for(kind, position, seed):
    spoiled, whole, digits = damaged_and_whole(Damage(1, [kind], [position]), seed=seed)
    others = [place for place in range(4) if place != position]
    np.testing.assert_array_equal(spoiled[:, others], whole[:, others])
    hit = spoiled[:, position]
    if kind == "blank":
        assert not hit.any()
    elif kind == "noise":
        assert hit.min() >= 0 and hit.max() < 1
        np.testing.assert_allclose(hit.mean(axis=1), 0.5, atol=0.1)
        assert len(np.unique(hit[:, 0])) > 150
    else:
        assert not np.any(LABELS[number_of(hit)] == digits[:, position])


def test_damage_hits_the_share_asked_for_and_any_place():
    spoiled, whole, _ = damaged_and_whole(Damage(0.3), n=4_000)
    hit = (spoiled != whole).any(axis=2)
    assert hit.sum(axis=1).max() == 1
    # Binomial: five standard deviations either way.
    assert abs(hit.sum() - 1_200) < 5 * np.sqrt(4_000 * 0.3 * 0.7)
    assert np.all(np.abs(hit.sum(axis=0) - 300) < 5 * np.sqrt(300))


@pytest.mark.parametrize("share", [0, 1])
def test_all_or_none_can_be_damaged(share):
    spoiled, whole, _ = damaged_and_whole(Damage(share, ["noise"]))
    assert (spoiled != whole).any(axis=(1, 2)).sum() == share * 200


def test_any_image_of_any_other_digit_can_be_the_wrong_one():
    wrong = DigitSequences(IMAGES, LABELS, [[3, 1]], damage=Damage(1, ["wrong"]), seed=0)
    counts = np.bincount(number_of(wrong.sample(10_800)[0][:, 0]), minlength=120)
    assert not counts[LABELS == 3].any()
    # Binomial with mean 10,800 / 9 / 12; six standard deviations either way.
    assert np.all(np.abs(counts[LABELS != 3] - 100) < 6 * np.sqrt(100))


def test_damage_is_drawn_afresh_for_every_batch_and_repeats_with_the_seed():
    spoil = Damage(1, ["noise"])
    first, again = (DigitSequences(IMAGES, LABELS, damage=spoil, seed=3).batches(8) for _ in "ab")
    one, two = next(first)[0], next(first)[0]
    np.testing.assert_array_equal(next(again)[0], one)
    assert not np.array_equal(one[one > 0.99], two[two > 0.99])


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (Damage(1.5), r"share is 1\.5"),
        (Damage(0.5, ["torn"]), "'torn'"),
        (Damage(0.5, []), "kinds"),
        (Damage(0.5, positions=[4]), r"positions are \[4\]; expected some of 0 to 3"),
        (Damage(0.5, positions=[]), r"positions are \[\]"),
    ],
)
def test_bad_damage_is_refused(damage, fault):
    with pytest.raises(ValueError, match=fault):
        DigitSequences(IMAGES, LABELS, damage=damage)


def test_empty_draws_are_refused():
    sequences = DigitSequences(IMAGES, LABELS)
    for draw in (sequences.sample, sequences.draw, sequences.batches):
        with pytest.raises(ValueError, match="is 0; expected at least 1"):
            draw(0)


@pytest.mark.parametrize(("size", "count"), [(12, 3), (2_400, 3), (3 * 1_024, 3)])
def test_shards_put_together_are_the_whole_stream(mnist, size, count):
    sequences = DigitSequences(*mnist[1], damage=Damage(0.5), seed=0)
    whole = sequences.batches(size, start=3)
    shards = [sequences.batches(size, start=3, shard=(index, count)) for index in range(count)]
    for _ in range(2):
        parts = [next(shard) for shard in shards]
        assert [len(part[0]) for part in parts] == [size // count] * count
        for side, expected in enumerate(next(whole)):
            np.testing.assert_array_equal(np.concatenate([part[side] for part in parts]), expected)


def test_a_shard_draws_no_more_for_being_one_of_many(mnist, monkeypatch):
    drawn = []
    draw = DigitSequences.draw
    monkeypatch.setattr(
        DigitSequences, "draw", lambda self, n, number: drawn.append(n) or draw(self, n, number)
    )
    sequences = DigitSequences(*mnist[1], seed=0)
    next(sequences.batches(100_000, shard=(3, 100)))
    assert sum(drawn) <= 2 * 1_024  # a part in two draws at most


def test_a_stream_starts_anywhere(mnist):
    sequences = DigitSequences(*mnist[1], seed=0)
    stream = sequences.batches(4)
    third = [next(stream) for _ in range(3)][2]
    np.testing.assert_array_equal(next(sequences.batches(4, start=2))[0], third[0])


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"start": -1}, "start is -1"),
        ({"shard": (3, 3)}, "no shard 3 of 3"),
        ({"shard": (0, 5)}, "no shard 0 of 5 of a batch of 12"),
        ({"shard": (0, 0)}, "no shard 0 of 0"),
    ],
)
def test_bad_shards_and_starts_are_refused_at_once(mnist, arguments, fault):
    with pytest.raises(ValueError, match=fault):
        DigitSequences(*mnist[1], seed=0).batches(12, **arguments)


def test_windows_can_be_followed_as_far_as_they_go():
    assert follow_windows(digit_windows(), 6).tolist() == [list(range(10))]
    assert follow_windows(digit_windows(), 2).tolist() == [
        list(range(start, start + 6)) for start in range(5)
    ]
    endless = follow_windows(digit_windows(wrap=True), 25)
    assert endless.shape == (10, 29) and np.all(np.diff(endless) % 10 == 1)
    assert follow_windows(np.array([[2, 1], [1, 0], [2, 1]]), 2).tolist() == [[2, 1, 0]]


def test_windows_that_cannot_be_followed_are_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        follow_windows(digit_windows(), 0)
    with pytest.raises(ValueError, match="followed for 7 steps"):
        follow_windows(digit_windows(), 7)
    with pytest.raises(ValueError, match=r"^some context .* two successors; .* the right one$"):
        follow_windows(np.array([[1, 2], [1, 3]]), 1)
