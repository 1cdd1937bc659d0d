import numpy as np
import pytest

from augmentation import AUGMENTATION
from data import load_writers, validation_images
from preprocessing import Corruption, DigitSequences, digit_windows, follow_windows

# Twelve images a digit, each with its own number in its first pixel, so that a drawn image tells
# which one it is, without carrying 60,000 of them through every example.
LABELS = (np.arange(120) % 10).astype(np.uint8)
IMAGES = np.zeros((120, 28, 28), np.uint8)
IMAGES[:, 0, 0] = np.arange(120)
IMAGES[:, 5, 5] = LABELS
WRITERS = np.repeat([0, 1, 2], [40, 50, 30])  # 4, 5 and 3 images of each digit


def sequences(*arguments, seed=0, **options):
    return DigitSequences(IMAGES, LABELS, *arguments, seed=seed, **options)


def number_of(images):
    """The image number hidden in the first pixel of flattened images."""
    return np.rint(images[..., 0] * 255).astype(int)


def check_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def check_even(counts, mean):
    """Binomial counts are within six standard deviations of their mean."""
    assert np.all(np.abs(counts - mean) < 6 * np.sqrt(mean))


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (digit_windows(), [list(range(start, start + 5)) for start in range(6)]),
        (digit_windows(np.uint8(255), wrap=True)[9:, 250:], [[9, 0, 1, 2, 3, 4]]),
        (follow_windows(digit_windows(), 6), [list(range(10))]),
        (follow_windows(digit_windows(1, wrap=True), 12)[9:], [[9, *range(10), 0, 1]]),
        (follow_windows([[2, 1], [1, 0], [2, 1]], 2), [[2, 1, 0]]),
        (follow_windows([[1, 1, 2], [1, 2, 3], [2, 3, 1]], 2), [[1, 1, 2, 3], [1, 2, 3, 1]]),
    ],
)
def test_windows_and_the_chains_that_follow_them(windows, expected):
    assert windows.tolist() == expected and windows.dtype.kind == "i"


@pytest.mark.parametrize("n", [1, 7, np.uint64(100)])
@pytest.mark.parametrize("windows", [digit_windows(), [[3, 1], [3, 3], [3, 1]], [[0] * 6]])
def test_sequences_show_the_digits_claimed_for_them_balanced_over_the_windows(windows, n):
    drawn = sequences(windows)
    assert drawn.images is IMAGES  # held once, whatever their size
    (inputs, targets), (digits, indices) = drawn.sample(n), drawn.draw(n)
    np.testing.assert_array_equal(LABELS[indices], digits)
    pixels = IMAGES[indices] / np.float32(255)
    check_equal((inputs, targets), (pixels[:, :-1].reshape(n, -1, 784), pixels[:, -1]))
    rows, copies = np.unique(windows, axis=0, return_counts=True)
    counts = (digits[:, None] == rows).all(axis=2).sum(axis=0)
    least, share = n // len(windows) * copies, n / len(windows) * copies
    assert counts.sum() == n and np.all(least <= counts) and np.all(counts < share + copies)


def test_a_draw_depends_on_its_seed_and_number_only_everywhere_and_for_ever():
    """Measurements name their seeds: what was drawn for them must come again."""
    spoiled = sequences(corruption=Corruption(0.9), augmentation=lambda given, rng: given / 2)
    for _ in range(2):  # whatever was drawn before
        digits, indices = spoiled.draw(3)
        assert digits.tolist() == [[5, 6, 7, 8, 9], [4, 5, 6, 7, 8], [0, 1, 2, 3, 4]]
        expected = [[95, 86, 27, 18, 119], [54, 85, 76, 117, 8], [50, 91, 52, 33, 74]]
        assert indices.tolist() == expected
        inputs, targets = next(spoiled.batches(3))
        expected = [[25, 116, 77, 8], [0, 94, 95, 96], [64, 75, 105, 117]]
        assert number_of(2 * inputs).tolist() == expected
        assert number_of(targets.reshape(3, 784)).tolist() == [59, 77, 58]
    by_one = sequences(writers=WRITERS).draw(2)[1]
    assert by_one.tolist() == [[34, 25, 6, 7, 38], [15, 26, 27, 38, 9]]
    # Another seed, or none, and there are others.
    assert len({sequences(seed=seed).draw(50)[1].tobytes() for seed in (0, 1, None, None)}) == 4
    stream = sequences().batches(10)
    assert len({next(stream)[0].tobytes() for _ in range(20)}) == 20
    check_equal(next(sequences().batches(np.uint8(10), start=np.uint8(20))), next(stream))


def test_any_image_of_a_digit_can_be_drawn_and_any_of_another_can_be_the_wrong_one():
    counts = np.bincount(sequences().draw(12_000)[1][:, 0], minlength=120)
    check_even(counts[LABELS <= 5], 12_000 / 6 / 12)
    wrong = sequences([[3, 1]], corruption=Corruption(1, ["wrong"])).sample(10_800)[0][:, 0]
    counts = np.bincount(number_of(wrong), minlength=120)
    assert not counts[LABELS == 3].any()
    check_even(counts[LABELS != 3], 10_800 / 9 / 12)


def test_with_world_changes_the_digits_and_nothing_else():
    options = {"corruption": Corruption(1.0), "augmentation": AUGMENTATION, "seed": 5}
    up = sequences(writers=WRITERS, **options)
    down = up.with_world([[7, 7, 7, 7, 6]])  # which writer 2 has not
    expected = sequences(down.world.table, writers=WRITERS, **options)
    check_equal(down.sample(20), expected.sample(20))
    np.testing.assert_array_equal(up.world.table, digit_windows())


def test_mean_target_is_the_mean_over_windows_of_the_digit_means():
    mean = sequences([[0, 5, 1], [2, 5, 1], [3, 5, 4]]).mean_target()
    ones, fours = IMAGES[LABELS == 1].mean(axis=0), IMAGES[LABELS == 4].mean(axis=0)
    expected = ((2 * ones + fours) / 3 / 255).astype("float32")
    np.testing.assert_allclose(mean, expected, rtol=1e-6, strict=True)


def test_what_is_just_allowed_is_taken_and_stays():
    two = DigitSequences(IMAGES, LABELS % 2, [[0, 1]], corruption=Corruption(1, ["wrong"]), seed=0)
    assert np.all(number_of(two.sample(50)[0]) % 2 == 1)
    kinds = ["blank"]
    corruption = Corruption(1, kinds)
    kinds += ["noise"]
    assert corruption.kinds == ("blank",)


@pytest.mark.parametrize("windows", [[[3, 3, 4], [5, 6, 7]], [[8, 1, 8, 8, 8]]])
def test_one_writer_writes_a_sequence_and_no_image_twice(windows):
    drawn = sequences(windows, writers=WRITERS)
    digits, indices = drawn.draw(6_000)
    np.testing.assert_array_equal(LABELS[indices], digits)
    writers = WRITERS[indices]
    assert np.all(writers == writers[:, :1])
    assert all(len(set(row)) == len(row) for row in indices.tolist())
    # Writer 2 has three images of each digit, the two others four or five.
    able = [0, 1, 2] if len(windows) == 2 else [0, 1]
    assert np.unique(writers).tolist() == able
    check_even(np.bincount(writers[:, 0])[able], 6_000 / len(able))
    eights = np.bincount(indices[digits == 8], minlength=120)
    if eights.any():  # each of an able writer's is as likely in each place
        check_even(eights[(LABELS == 8) & (WRITERS == 0)], 4 * 6_000 / 2 / 4)
        first = np.bincount(indices[:, 0], minlength=120)
        check_even(first[(LABELS == 8) & (WRITERS == 1)], 6_000 / 2 / 5)


@pytest.mark.parametrize("kind", ["uint8", "uint64"])
def test_all_the_images_that_somebody_has_can_be_needed(kind):
    labels = LABELS.astype(kind)
    drawn = DigitSequences(IMAGES, labels, [[7] * 12], writers=labels * 0, seed=0)
    indices = drawn.draw(2_400)[1]
    sevens = np.flatnonzero(LABELS == 7)
    np.testing.assert_array_equal(np.sort(indices), np.tile(sevens, (2_400, 1)))  # each once
    for place in (0, 6, 11):  # in any order
        check_even(np.bincount(indices[:, place])[sevens], 2_400 / 12)


def test_writers_of_the_shipped_file_are_on_one_side_only(mnist):
    (_, labels), _ = mnist
    writers, test_writers = load_writers()
    assert writers.shape == (60_000,) and test_writers.shape == (10_000,)
    assert len(np.unique(writers)) == 539 and len(np.unique(test_writers)) == 297
    assert not np.intersect1d(writers, test_writers).size
    held_out = validation_images()
    assert len(np.unique(writers[held_out])) == 50 and 4_500 < held_out.sum() < 6_500
    assert not np.intersect1d(writers[held_out], writers[~held_out]).size
    # Each wrote digits of his or her own at random, so all digits, and about as many of each.
    first = labels[writers == writers[0]]
    assert np.bincount(first, minlength=10).min() >= 3


def hits(corruption, n=200):
    """Which images a corruption changes, `(n, 4)`; those images, and the digits that were there."""
    whole, targets = sequences().sample(n)
    spoiled, same_targets = sequences(corruption=corruption).sample(n)
    check_equal(targets, same_targets)
    hit = (spoiled != whole).any(axis=2)
    return hit, spoiled[hit], sequences(corruption=corruption).draw(n)[0][:, :-1][hit]


def test_corruption_replaces_images_by_others_of_its_kinds_at_its_rate_in_its_places():
    hit, images, _ = hits(Corruption(0.3), n=4_000)
    assert hit.sum(axis=1).max() == 1
    # Binomial: five standard deviations either way.
    assert abs(hit.sum() - 1_200) < 5 * np.sqrt(4_000 * 0.3 * 0.7)
    check_even(hit.sum(axis=0), 300)
    check_even(np.sum(~images.any(axis=1)), 400)  # blank ones: a third
    assert not hits(Corruption(0))[0].any()
    for position in (0, 1, 3):
        hit, images, _ = hits(Corruption(1, ["noise"], [position]))
        assert hit[:, position].all() and hit.sum() == 200
    assert images.min() >= 0 and images.max() < 1 and len(np.unique(images[:, 0])) > 150
    np.testing.assert_allclose(images.mean(axis=1), 0.5, atol=0.1)
    assert not hits(Corruption(1, ["blank"]))[1].any()
    _, images, digits = hits(Corruption(1, ["wrong"]))
    assert not np.any(LABELS[number_of(images)] == digits)


def test_any_function_can_augment_the_contexts():
    calls = []

    def invert(contexts, rng):
        assert contexts.dtype == np.float32 and type(rng) is np.random.Generator
        calls.append((contexts.shape, rng.random()))
        return 1 - contexts

    for corruption in (None, Corruption(1, ["blank"], [0])):
        inputs, targets = sequences(corruption=corruption).sample(70)
        found = sequences(corruption=corruption, augmentation=invert).sample(70)
        check_equal(found, (1 - inputs, targets))
    next(sequences(augmentation=invert).batches(70))
    assert [shape for shape, _ in calls] == [(size, 4, 784) for size in (70, 70, 32, 32, 6)]
    assert len({number for _, number in calls}) == 5  # all have numbers of their own


@pytest.mark.parametrize(("size", "count"), [(1, 1), (70, 1), (64, 2), (192, 3)])
def test_a_batch_is_made_of_blocks_of_32_whichever_shard_draws_them(size, count, monkeypatch):
    drawn, draw = [], DigitSequences.draw
    monkeypatch.setattr(DigitSequences, "draw", lambda *it: drawn.append(it[1:]) or draw(*it))
    one = sequences(corruption=Corruption(0.5), augmentation=AUGMENTATION)
    whole, blocks = one.batches(size, start=2), -(-size // 32)
    shards = [one.dataset(size, 2, start=2, shard=(index, count)) for index in range(count)]
    for batch in (2, 3):
        assert all(len(shard) == 2 for shard in shards)
        parts = [shard[batch - 2] for shard in shards]
        first = 1 + batch * blocks  # each block has a number and so a seed of its own
        assert drawn == [(min(32, size - 32 * i), first + i) for i in range(blocks)]
        indices = np.concatenate([draw(one, *given)[1] for given in drawn])
        for side, expected in enumerate(next(whole)):
            assert [len(part[side]) for part in parts] == [size // count] * count
            np.testing.assert_array_equal(np.concatenate([part[side] for part in parts]), expected)
        np.testing.assert_array_equal(number_of(expected.reshape(size, 784)), indices[:, -1])
        drawn.clear()
