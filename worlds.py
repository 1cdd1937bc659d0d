"""Worlds: rules that are not given but have to be found in the context, with the best answer known.

In a table of windows, the rule is the same for every sequence. In these worlds, each
sequence has a rule of its own, drawn at random. Shown 9, 7, 5 it goes on with 3; shown
2, 8, 8, 2, 8, 8 it repeats. Shown one image only, nobody can know, but it is known how
probable each digit is: Bayes' rule gives the *posterior*, the exact probabilities of the
next digit, given those so far.

    world = mixture(length=12)
    digits = world.draw(1_000, rng)                # int (1000, 13)
    chances = world.posterior(digits[:, :-1])      # float (1000, 12, 10)

Whatever has `length`, `draw` and `posterior` is a world for `DigitSequences`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from data import check_count, check_number


@dataclass(frozen=True)
class Pattern:
    """A rule: `period` random digits are repeated, and grow by `step` from place to place.

    The digit at place i is `start[i % period] + step * i`, modulo 10. With period 1, it
    counts in steps; with step 0, it repeats a cycle.

    Args:
        period: Random digits to start from.
        step: What each place adds, 0 to 9.
        slip: Probability that a digit is a wrong one, any of the other nine.
    """

    period: int = 1
    step: int = 0
    slip: float = 0.0

    def draw(self, n: int, places: int, rng: np.random.Generator) -> np.ndarray:
        """Digits `int (n, places)`, each row by new digits to start from."""
        place = np.arange(places)
        start = rng.integers(10, size=(n, self.period))
        wrong = (rng.random((n, places)) < self.slip) * rng.integers(1, 10, size=(n, places))
        return (start[:, place % self.period] + self.step * place + wrong) % 10

    def chances(self, digits: np.ndarray) -> np.ndarray:
        """Probabilities of each digit, given those before it: `(n, t)` to `(n, t + 1, 10)`."""
        n, t = digits.shape
        # Each digit votes for what its sequence started from. A vote for another digit is a slip.
        votes = np.eye(10)[(digits - self.step * np.arange(t)) % 10]  # (n, t, 10)
        with np.errstate(divide="ignore"):
            gain = np.log(1 - self.slip) - np.log(self.slip / 9)  # infinite without slips
        seen = np.zeros((n, t + 1, 10))  # votes of the same place in the cycle
        for place in range(self.period, t + 1):
            seen[:, place] = seen[:, place - self.period] + votes[:, place - self.period]
        start = np.exp(min(gain, 1e3) * (seen - seen.max(axis=2, keepdims=True)))
        start /= start.sum(axis=2, keepdims=True)
        start = (1 - self.slip) * start + self.slip / 9 * (1 - start)
        shift = (np.arange(10) - self.step * np.arange(t + 1)[:, None]) % 10  # (t + 1, 10)
        return np.take_along_axis(start, np.broadcast_to(shift, start.shape), axis=2)


@dataclass(frozen=True)
class Sums:
    """A rule: two random digits; each next one is the sum of the last two, modulo 10."""

    def draw(self, n: int, places: int, rng: np.random.Generator) -> np.ndarray:
        """Digits `int (n, places)`, each row from two other digits."""
        digits = rng.integers(10, size=(n, places))
        for place in range(2, places):
            digits[:, place] = digits[:, place - 2 : place].sum(axis=1) % 10
        return digits

    def chances(self, digits: np.ndarray) -> np.ndarray:
        """Probabilities of each digit, given those before it: `(n, t)` to `(n, t + 1, 10)`."""
        chances = np.full((len(digits), digits.shape[1] + 1, 10), 0.1)
        chances[:, 2:] = np.eye(10)[(digits[:, 1:] + digits[:, :-1]) % 10]
        return chances


@dataclass(frozen=True)
class Recall:
    """A rule: pairs of digits, such as 3 → 7, 1 → 4, 8 → 8. After a first half comes its second.

    First halves are drawn from a few digits, so they come again: 3 7 1 4 3 7 8 8 1 4.

    Args:
        pairs: Pairs in each sequence. Their first halves differ.
    """

    pairs: int = 4

    def draw(self, n: int, places: int, rng: np.random.Generator) -> np.ndarray:
        """Digits `int (n, places)`, each row by other pairs."""
        first = rng.permuted(np.tile(np.arange(10), (n, 1)), axis=1)[:, : self.pairs]
        pairs = np.stack([first, rng.integers(10, size=first.shape)], axis=2)  # (n, pairs, 2)
        chosen = rng.integers(self.pairs, size=(n, -(-places // 2)))
        return pairs[np.arange(n)[:, None], chosen].reshape(n, -1)[:, :places]

    def chances(self, digits: np.ndarray) -> np.ndarray:
        """Probabilities of each digit, given those before it: `(n, t)` to `(n, t + 1, 10)`."""
        n, t = digits.shape
        chances, rows = np.full((n, t + 1, 10), 0.1), np.arange(n)
        second = np.full((n, 10), -1)  # what came after each digit; nothing so far
        for place in range(t + 1):
            if place % 2 == 0:
                seen = second >= 0
                count = seen.sum(axis=1, keepdims=True)
                unseen = (1 - count / self.pairs).clip(0) / np.maximum(10 - count, 1)
                chances[:, place] = np.where(seen, 1 / self.pairs, unseen)
                continue
            known = second[rows, digits[:, place - 1]]
            chances[known >= 0, place] = np.eye(10)[known[known >= 0]]
            if place < t:
                second[rows, digits[:, place - 1]] = digits[:, place]
        return chances


class World:
    """Sequences of digits, each by one of several rules, and the exact posterior.

    Args:
        length: Digits in the context, before the target.
        rules: Such as `Pattern(step=2)`: each has `draw(n, places, rng)` and
            `chances(digits)`.
        weights: How often each rule is drawn; by default all alike.

    Raises:
        ValueError: `length` is not an integer of at least 1, or weights are not
            as many as rules, are negative, or all zero.

    Example:

    >>> world = World(8, [Pattern(step=1), Pattern(step=9)])  # up or down
    >>> world.posterior([[3], [4]])[0, -1]  # after 3 comes 4 or 2
    array([0. , 0. , 0.5, 0. , 0.5, 0. , 0. , 0. , 0. , 0. ])
    """

    def __init__(self, length: int, rules: Sequence, weights: ArrayLike | None = None):
        self.length = check_count(length, "length")
        self.rules = tuple(rules)
        weights = np.ones(len(self.rules)) if weights is None else np.asarray(weights, float)
        if weights.shape != (len(self.rules),) or not (weights >= 0).all() or not weights.sum() > 0:
            raise ValueError(f"weights are {weights}; expected a share for each rule")
        self.weights = weights / weights.sum()

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws sequences.

        Args:
            n: How many.
            rng: A NumPy random generator.

        Returns:
            Digits `int (n, length + 1)`; the last is the target's.
        """
        digits = np.empty((check_count(n, "n"), self.length + 1), int)
        chosen = rng.choice(len(self.rules), n, p=self.weights)
        for number, rule in enumerate(self.rules):
            rows = np.flatnonzero(chosen == number)
            digits[rows] = rule.draw(len(rows), self.length + 1, rng)
        return digits

    def posterior(self, digits: ArrayLike, forgive: float = 0.0) -> np.ndarray:
        """The exact probabilities of the next digit, after each digit of a context.

        Each rule says how probable the digits so far are. Bayes' rule makes of it
        how probable the rule is, and the rules' forecasts are mixed by that.

        Args:
            digits: `int (n, t)`, of any length.
            forgive: How probable a digit is at least that a rule does not make:
                above 0 for digits that were read, and may have been misread.

        Returns:
            `float (n, t, 10)`: at `[:, k]`, the probabilities after k + 1 digits.

        Raises:
            ValueError: Another shape or dtype, or digits that no rule makes.
        """
        digits = np.asarray(digits)
        if (
            digits.ndim != 2
            or digits.dtype.kind not in "iu"
            or not np.isin(digits, range(10)).all()
        ):
            raise ValueError(
                f"digits are {digits.dtype} {digits.shape}; expected integers (n, t) from 0 to 9"
            )
        chances = np.stack([rule.chances(digits) for rule in self.rules])  # (k, n, t + 1, 10)
        happened = np.take_along_axis(chances[:, :, :-1], digits[None, :, :, None], axis=3)[..., 0]
        with np.errstate(divide="ignore"):
            happened = np.log(np.maximum(happened, forgive))
            logs = np.log(self.weights)[:, None, None] + happened.cumsum(axis=2)
        if np.isneginf(logs.max(axis=0)).any():
            row = np.isneginf(logs.max(axis=0)).any(axis=1).argmax()
            raise ValueError(f"no rule of this world makes {digits[row].tolist()}")
        shares = np.exp(logs - logs.max(axis=0))
        shares /= shares.sum(axis=0)  # of the rules, after each digit
        return np.einsum("knt,kntd->ntd", shares, chances[:, :, 1:])


def steps(length: int = 8) -> World:
    """Counts in steps of 1 to 9, from any digit, and 0 follows 9."""
    return World(length, [Pattern(step=step) for step in range(1, 10)])


def cycles(length: int = 20, periods: Sequence[int] = range(2, 11)) -> World:
    """Repeats a cycle of 2 to 10 random digits."""
    return World(length, [Pattern(period) for period in periods])


def sums(length: int = 8) -> World:
    """Each digit is the sum of the last two, modulo 10."""
    return World(length, [Sums()])


def recall(length: int = 19) -> World:
    """Four pairs of digits: after a first half comes its second. The target is a second half."""
    return World(length, [Recall()])


def mixture(length: int = 12, slip: float = 0.0) -> World:
    """Counts in steps of 0 to 9, or repeats a cycle of 2 to 5 digits, half each."""
    check_number(slip, "slip", 0, 1)
    rules = [Pattern(step=step, slip=slip) for step in range(10)]
    rules += [Pattern(period, slip=slip) for period in range(2, 6)]
    return World(length, rules, [1 / 10] * 10 + [1 / 4] * 4)


def slips(length: int = 20) -> World:
    """The same, but each digit is a wrong one with probability 0.1."""
    return mixture(length, slip=0.1)
