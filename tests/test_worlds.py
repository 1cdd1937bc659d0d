import itertools

import numpy as np
import pytest

import worlds
from preprocessing import DigitSequences, Windows, digit_windows
from worlds import Pattern, Recall, Sums, World

LABELS = (np.arange(120) % 10).astype(np.uint8)
IMAGES = np.zeros((120, 28, 28), np.uint8)
IMAGES[:, 0, 0] = np.arange(120)
ALL = {
    name: getattr(worlds, name)()
    for name in ("steps", "cycles", "sums", "recall", "mixture", "slips")
}


def starts(count):
    return list(itertools.product(range(10), repeat=count))


def repeated(period, places, copies):
    return [[start[place % period] for place in range(places)] for start in starts(period)] * copies


def pairs_of_two(places):
    """All sequences of two pairs, each as often as it is probable."""
    rows = []
    for first in itertools.permutations(range(10), 2):
        for second in starts(2):
            for chosen in itertools.product(range(2), repeat=-(-places // 2)):
                rows.append([each for one in chosen for each in (first[one], second[one])][:places])
    return rows


@pytest.mark.parametrize(
    ("world", "rows"),
    [
        (worlds.steps(4), [[(a + s * i) % 10 for i in range(5)] for a, s in starts(2) if s]),
        (worlds.cycles(6, (2, 3)), repeated(2, 7, 10) + repeated(3, 7, 1)),
        (
            World(5, [Pattern(step=3), Pattern(3)], [1, 2]),
            [[(a + 3 * i) % 10 for i in range(6)] for a in range(10)] * 50 + repeated(3, 6, 1),
        ),
        (worlds.sums(3), [[a, b, (a + b) % 10, (a + 2 * b) % 10] for a, b in starts(2)]),
        (World(4, [Recall(2)]), pairs_of_two(5)),
    ],
)
def test_the_posterior_is_the_share_of_the_rows_that_begin_so(world, rows):
    table = Windows(rows)
    digits = world.draw(200, np.random.default_rng(0))[:, :-1]
    np.testing.assert_allclose(world.posterior(digits), table.posterior(digits), atol=1e-12)


def test_the_posterior_forgives_slips():
    world = World(3, [Pattern(step=1, slip=0.1), Pattern(2, slip=0.1)], [1, 3])

    def probability(digits):
        """Over all rules and all digits to start from."""
        total = 0
        for weight, period, step in ((1 / 4, 1, 1), (3 / 4, 2, 0)):
            for start in starts(period):
                shown = [(start[i % period] + step * i) % 10 for i in range(len(digits))]
                each = [0.9 if a == b else 0.1 / 9 for a, b in zip(shown, digits, strict=True)]
                total += weight * np.prod(each) / 10**period
        return total

    for digits in ([3, 4, 5], [3, 4, 3], [3, 3, 3], [7, 1, 9]):
        for place in range(1, 4):
            joint = [probability([*digits[:place], after]) for after in range(10)]
            found = world.posterior(np.array([digits]))[0, place - 1]
            np.testing.assert_allclose(found, np.array(joint) / sum(joint), atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_draws_come_as_often_as_the_posterior_says(name):
    digits = ALL[name].draw(20_000, np.random.default_rng(0))
    assert digits.shape == (20_000, ALL[name].length + 1)
    chances = ALL[name].posterior(digits[:, :-1])
    np.testing.assert_allclose(chances.sum(axis=2), 1)
    came = np.eye(10)[digits[:, 1:]]
    for low, high in ((0, 0.15), (0.15, 0.35), (0.35, 0.65), (0.65, 1.01)):
        said = (chances >= low) & (chances < high)
        if said.sum() > 100:
            spread = np.sqrt((chances * (1 - chances))[said].sum())
            assert abs((came - chances)[said].sum()) <= 5 * spread + 1e-6
    np.testing.assert_array_equal(digits, ALL[name].draw(20_000, np.random.default_rng(0)))


def test_rules_are_found_when_they_can_be():
    def after(world, *digits):
        return world.posterior(np.array([digits]))[0, -1]

    assert after(ALL["steps"], 9, 7, 5)[3] == 1
    assert after(ALL["mixture"], 2, 8, 8, 2, 8, 8)[2] == 1
    assert after(ALL["sums"], 7, 8)[5] == 1
    assert after(ALL["recall"], 3, 7, 1, 4, 3)[7] == 1
    np.testing.assert_allclose(after(ALL["mixture"], 4)[[3, 4]], [0.1, 0.1])
    # A wrong digit, the third, and it still counts in twos.
    assert after(ALL["slips"], 1, 3, 9, 7, 9, 1, 3)[5] > 0.85
    # An ambiguous table is a world, too.
    assert after(Windows([[2, 4, 6], [2, 4, 8]]), 2, 4)[[6, 8]].tolist() == [0.5, 0.5]


def test_sequences_of_a_world_show_its_digits_after_each_image_or_the_last():
    world = worlds.mixture(5)
    for after_each in (False, True):
        sequences = DigitSequences(IMAGES, LABELS, world, after_each=after_each, seed=0)
        (inputs, targets), (digits, indices) = sequences.sample(50), sequences.draw(50)
        assert digits.shape == (50, 6) and (LABELS[indices] == digits).all()
        assert (world.posterior(digits[:, :-1]) >= 0).all()  # what the world can draw
        shown = indices[:, 1:] if after_each else indices[:, -1]
        np.testing.assert_array_equal(np.rint(255 * targets[..., 0, 0]), shown)
        np.testing.assert_array_equal(np.rint(255 * inputs[..., 0]), indices[:, :-1])
        mean = IMAGES.mean(axis=0) / 255  # all digits are as frequent
        np.testing.assert_allclose(sequences.mean_target(), mean, atol=0.01)
    table = DigitSequences(IMAGES, LABELS, digit_windows(2), after_each=True, seed=0)
    assert table.sample(3)[1].shape == (3, 2, 28, 28)


def test_one_writer_writes_a_sequence_of_a_world():
    writers = np.repeat([0, 1, 2], [40, 50, 30])
    sequences = DigitSequences(IMAGES, LABELS, worlds.steps(6), writers=writers, seed=0)
    digits, indices = sequences.draw(300)
    assert (LABELS[indices] == digits).all() and len(np.unique(writers[indices[:, 0]])) == 3
    assert (writers[indices] == writers[indices][:, :1]).all()
    assert all(len(set(row)) == len(row) for row in indices.tolist())


class Odd:
    """A world that says and draws what it is told."""

    length = 2

    def __init__(self, drawn=(3, 4, 5), chances=None):
        self.drawn, self.chances = drawn, chances

    def draw(self, n, rng):
        return np.array([self.drawn] * n)

    def posterior(self, digits):
        return self.chances


@pytest.mark.parametrize(
    ("ask", "fault"),
    [
        (lambda: DigitSequences(IMAGES, LABELS, Odd((3, 4))).draw(2), "(n, 3)"),
        (lambda: DigitSequences(IMAGES, LABELS, Odd((3, 4, 10))).draw(2), "[10]"),
        (lambda: DigitSequences(IMAGES, LABELS, Odd((3, 4, 0.5))).draw(2), "float64"),
        (lambda: worlds.sums().posterior(np.array([[1, 2, 4]])), "no rule"),
        (lambda: worlds.sums().posterior(np.array([1, 2])), "(n, t)"),
        (lambda: worlds.sums().posterior(np.array([[1, 12]])), "0 to 9"),
        (lambda: Windows([[1, 2, 3]]).posterior(np.array([[1, 2, 3]])), "1 to 2"),
        (lambda: Windows([[1, 2, 3]]).posterior(np.array([[2]])), "[2]"),
        (lambda: World(4, [Sums()], [1, 2]), "a share for each rule"),
        (lambda: World(4, [Sums(), Sums()], [1, -1]), "a share for each rule"),
        (lambda: World(0, [Sums()]), "length"),
        (lambda: worlds.mixture(slip=2), "slip"),
    ],
)
def test_worlds_that_are_none_are_refused(ask, fault):
    with pytest.raises(ValueError) as refused:
        ask()
    assert fault in str(refused.value)
