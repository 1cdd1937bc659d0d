"""The sequences: handwritten digits that count upward, drawn afresh for every batch.

A table of digits says what counts as a sequence, one row a window such as
5, 6, 7, 8 -> 9. `DigitSequences` fills each place of a row with a random image
of that digit. It draws *indices*; pixels are gathered and scaled only when a
batch is made, so millions of sequences cost no more memory than one batch.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from data import SIDE, flatten
from style import nearest_in_style, style_features
from variation import Variation

DRAW = 1_024  # sequences that a stream draws at once
KINDS = ("blank", "noise", "wrong")


def digit_windows(length: int = 4, wrap: bool = False) -> np.ndarray:
    """The table of the task: runs of digits that count upward, one row a window.

    Args:
        length: Digits in the context, before the target: at least 1, and at
            most 9 without `wrap`.
        wrap: Let 0 follow 9, so that counting never ends.

    Returns:
        `int (10 - length, length + 1)`, or `(10, length + 1)` with `wrap`; the
        last column is the digit of the target.

    Raises:
        ValueError: `length` is out of range.

    Example:

    >>> digit_windows(length=4)[0], len(digit_windows(length=4))
    (array([0, 1, 2, 3, 4]), 6)
    """
    if length < 1 or (length > 9 and not wrap):
        raise ValueError(f"length is {length}; expected 1 to 9, or more with wrap=True")
    first = np.arange(10 if wrap else 10 - length)
    return (first[:, None] + np.arange(length + 1)) % 10


def follow_windows(windows: ArrayLike, steps: int) -> np.ndarray:
    """The digits of all chains that follow a table of windows, one chain a row.

    Args:
        windows: Digits `(m, t + 1)`, the successor of each context last.
        steps: Digits to append to the context.

    Returns:
        `int (k, t + steps)`, for the contexts that can be followed so far.

    Raises:
        ValueError: No context can, one has two successors, or `steps` is below 1.

    Example:

    >>> follow_windows(digit_windows(length=4), steps=6)
    array([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected at least 1")
    rows = {tuple(row) for row in np.asarray(windows).tolist()}
    successors = {row[:-1]: row[-1] for row in rows}
    if len(successors) < len(rows):
        raise ValueError(
            "some context in the windows has two successors; no chain is the right one"
        )
    chains = []
    for context in sorted(successors):
        chain = list(context)
        for _ in range(steps):
            successor = successors.get(tuple(chain[-len(context) :]))
            if successor is None:
                break
            chain.append(successor)
        else:
            chains.append(chain)
    if not chains:
        raise ValueError(f"no context in the windows can be followed for {steps} steps")
    return np.array(chains)


class Damage(NamedTuple):
    """What `DigitSequences` does to one context image in some of its sequences.

    Args:
        share: Share of the sequences that are damaged, in [0, 1].
        kinds: What may come in the image's place: `"blank"` (all black),
            `"noise"` (every pixel uniform) or `"wrong"` (another digit).
        positions: Which images of the context may be hit; by default any.
    """

    share: float
    kinds: Sequence[str] = KINDS
    positions: Sequence[int] | None = None

    def check(self, length: int) -> None:
        """Raises a `ValueError` where this cannot be done to contexts of `length` images."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"damage's share is {self.share}; expected 0 to 1")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"damage's kinds are {list(self.kinds)}; expected some of {KINDS}")
        places = range(length) if self.positions is None else self.positions
        if not len(places) or not set(places) <= set(range(length)):
            raise ValueError(
                f"damage's positions are {list(places)}; expected some of 0 to {length - 1}"
            )


class DigitSequences:
    """Sequences of images whose digits follow a table of windows.

    A draw depends on `seed` and on nothing else: `sample` answers the same to
    the same question, however often and in whatever order it is asked, and
    every `batches` stream starts at the same first batch.

    Args:
        images: `uint8 (n, 28, 28)`; held as they are, not copied.
        labels: The digit of each image, integers `(n,)` in 0 to 9.
        windows: Integers `(m, t + 1)`, one row a window, the target's digit
            last. Any table will do: what to learn is data, not code.
        pairing: `"random"`: each place takes any image of its digit.
            `"style"`: all images of a sequence are alike in slant, ink and
            aspect ratio, as if one hand had written them. Or what else they
            are to be alike in, `(n, k)`: numbers that describe each image.
        neighbours: Unless `"random"`, each place takes one of so many images of
            its digit that are nearest, in these numbers, to a random image of
            any digit.
        damage: Spoil one context image in a share of the sequences, for
            training a predictor that tolerates it, or for testing whether it
            does. `digits` still say what would have been there.
        variation: Change the contexts of a share of the sequences as other
            hands, pens and cameras would, `ANYBODY` for training; targets stay
            as they are.
        seed: Integer for reproducible draws; `None` picks one at random.

    Raises:
        ValueError: An argument of another shape, dtype or range, or a window
            with a digit that has no image.

    Example:

    >>> (x_train, y_train), _ = load_mnist()
    >>> train = DigitSequences(x_train, y_train, seed=0)
    >>> inputs, targets, digits = train.sample(600)
    >>> inputs.shape, targets.shape, digits.shape
    ((600, 4, 784), (600, 28, 28), (600, 5))
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        windows: ArrayLike = digit_windows(),  # noqa: B008  # never written to
        *,
        pairing: str | ArrayLike = "random",
        neighbours: int = 8,
        damage: Damage | None = None,
        variation: Variation | None = None,
        seed: int | None = None,
    ):
        images, labels, windows = np.asarray(images), np.asarray(labels), np.asarray(windows)
        if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
            raise ValueError(
                f"images are {images.dtype} {images.shape}; expected uint8 (n, {SIDE}, {SIDE})"
            )
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels are {labels.dtype} {labels.shape}; expected integers ({len(images)},)"
            )
        if labels.size and not (labels.min() >= 0 and labels.max() <= 9):
            raise ValueError(f"labels range from {labels.min()} to {labels.max()}; expected 0 to 9")
        if windows.dtype.kind not in "iu" or windows.ndim != 2 or windows.shape[1] < 2:
            raise ValueError(
                f"windows are {windows.dtype} {windows.shape}; "
                "expected integers (m, t + 1): contexts of t >= 1 digits and their targets"
            )
        absent = np.setdiff1d(windows, labels)
        if not windows.size or absent.size or windows.min() < 0 or windows.max() > 9:
            raise ValueError(
                f"windows must hold digits 0 to 9 that have images; no image of {absent.tolist()}"
            )
        if isinstance(pairing, str):
            if pairing not in ("random", "style"):
                raise ValueError(f"pairing is {pairing!r}; expected 'random', 'style' or an array")
            style = style_features(images, labels) if pairing == "style" else None
        else:
            style = np.asarray(pairing, float)
            if style.ndim != 2 or len(style) != len(images) or not np.isfinite(style).all():
                raise ValueError(
                    f"pairing has shape {style.shape}; expected finite numbers ({len(images)}, k)"
                )
        fewest = min(np.bincount(labels)[np.unique(windows)])
        if style is not None and not 1 <= neighbours <= fewest:
            raise ValueError(f"neighbours is {neighbours}; expected 1 to {fewest}, all of a digit")
        if damage is not None:
            damage.check(length=windows.shape[1] - 1)
            if "wrong" in damage.kinds and len(np.unique(labels)) == 1:
                raise ValueError("damage of kind 'wrong' needs images of a second digit")
        if variation is not None:
            variation.check()
        self.images = images
        self.labels = labels
        self.windows = windows.astype(int)
        self.pairing = pairing
        self.neighbours = neighbours
        self.style = style
        self.damage = damage
        self.variation = variation
        self.seed = np.random.SeedSequence(seed).entropy
        # Image indices sorted by digit: digit d owns counts[d] of them, from starts[d] on.
        self._by_digit = np.argsort(labels, kind="stable")
        self._counts = np.bincount(labels, minlength=10)
        self._starts = np.cumsum(self._counts) - self._counts
        if style is not None:
            self._nearest = nearest_in_style(style, labels, neighbours)  # (n, 10, neighbours)

    def sample(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draws `n` sequences as arrays, balanced over the windows.

        Args:
            n: Number of sequences; each window gets its share, give or take one.

        Returns:
            inputs `float32 (n, t, 784)` in [0, 1], targets `float32 (n, 28, 28)`
            in [0, 1] and digits `int (n, t + 1)`.

        Raises:
            ValueError: `n` is below 1.
        """
        return self._read((n, 0, slice(None)))

    def batches(
        self, batch_size: int, *, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """An endless stream of freshly drawn batches, for `model.fit`.

        Args:
            batch_size: Sequences in a batch.
            start: Number of the first batch, to go on where a stream was left.
            shard: `(i, k)`: the stream of process `i` of `k`, which is its
                part of each batch.

        Yields:
            inputs `float32 (batch_size, t, 784)` and targets
            `float32 (batch_size, 28, 28)`, both in [0, 1]; of a shard,
            `batch_size / k` sequences.

        Raises:
            ValueError: `batch_size` is below 1 or no multiple of the number of
                shards, `start` is negative, or there is no such shard.
        """
        index, count = shard
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1")
        if not 0 <= index < count or batch_size % count:
            raise ValueError(f"no shard {index} of {count} of a batch of {batch_size}")
        if start < 0:
            raise ValueError(f"start is {start}; expected at least 0")
        # A batch is several draws of at most DRAW sequences, and a shard makes only those it has a
        # part in: its work is the same, however many others share the batch.
        first, last = index * batch_size // count, (index + 1) * batch_size // count
        draws = -(-batch_size // DRAW)

        def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for batch in itertools.count(start):
                parts = []
                for draw in range(first // DRAW, -(-last // DRAW)):
                    n = min(DRAW, batch_size - draw * DRAW)
                    rows = slice(max(first - draw * DRAW, 0), last - draw * DRAW)
                    parts.append((n, 1 + batch * draws + draw, rows))  # draw 0 is `sample`'s
                yield self._read(*parts)[:2]

        # A generator of its own, so that wrong arguments are refused now, not at its first batch.
        return stream()

    def draw(self, n: int, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Draws sequences as indices into `images`, without touching a pixel.

        Args:
            n: Number of sequences.
            number: Which of the endlessly many draws; each is independent.

        Returns:
            digits `int (n, t + 1)` and indices `int (n, t + 1)`, where
            `labels[indices] == digits`.

        Raises:
            ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n is {n}; expected at least 1 sequence")
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number,)))
        # A random offset decides which windows get one more where n is no multiple of their number.
        rows = (np.arange(n) + rng.integers(len(self.windows))) % len(self.windows)
        digits = self.windows[rng.permutation(rows)]  # (n, t + 1)
        if self.style is not None:
            anchors = rng.integers(len(self.images), size=(n, 1))
            return digits, self._nearest[
                anchors, digits, rng.integers(self.neighbours, size=digits.shape)
            ]
        places = rng.integers(self._counts[digits])
        return digits, self._by_digit[self._starts[digits] + places]

    def _read(self, *parts: tuple[int, int, slice]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pixels of some rows of some draws: for each its `n`, its `number` and the rows."""
        drawn = [self.draw(n, number) for n, number, _ in parts]
        wanted = [rows for _, _, rows in parts]
        digits = np.concatenate([drawn[i][0][rows] for i, rows in enumerate(wanted)])
        indices = np.concatenate([drawn[i][1][rows] for i, rows in enumerate(wanted)])
        inputs = np.empty((len(indices), indices.shape[1] - 1, SIDE * SIDE), np.float32)
        targets = np.empty((len(indices), SIDE, SIDE), np.float32)
        # In blocks so small that what lies between bytes and floats costs neither memory nor time.
        for first in range(0, len(indices), 32):
            block = slice(first, first + 32)
            inputs[block] = flatten(self.images[indices[block, :-1]])
            targets[block] = flatten(self.images[indices[block, -1]]).reshape(-1, SIDE, SIDE)
        first = 0
        for (n, number, rows), (all_digits, _) in zip(parts, drawn, strict=True):
            rows = range(n)[rows]
            own = inputs[first : first + len(rows)]
            if self.damage:
                self._spoil(own, all_digits, number, rows)
            if self.variation:
                seed = np.random.SeedSequence(self.seed, spawn_key=(number, 2))
                own[:] = self.variation.apply(own, seed, first=rows.start, total=n)
            first += len(rows)
        return inputs, targets, digits

    def _spoil(self, inputs: np.ndarray, digits: np.ndarray, number: int, rows: range) -> None:
        """Damages, of the sequences of a draw that chance picks, those whose `inputs` these are."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number, 1)))
        share, kinds, positions = self.damage
        length = digits.shape[1] - 1
        hit = np.flatnonzero(rng.random(len(digits)) < share)
        columns = rng.choice(range(length) if positions is None else positions, len(hit))
        kind = rng.choice(kinds, len(hit))
        blank, noise, wrong = (kind == name for name in KINDS)
        pixels = rng.random((noise.sum(), SIDE * SIDE), np.float32)
        present = np.flatnonzero(self._counts)
        right = np.searchsorted(present, digits[hit[wrong], columns[wrong]])
        other = present[(right + rng.integers(1, len(present), wrong.sum())) % len(present)]
        chosen = self._by_digit[self._starts[other] + rng.integers(self._counts[other])]

        ours = (hit >= rows.start) & (hit < rows.stop)
        for which, images in (
            (blank, 0),
            (noise, pixels[ours[noise]]),
            (wrong, flatten(self.images[chosen[ours[wrong]]])),
        ):
            inputs[hit[which & ours] - rows.start, columns[which & ours]] = images

    def with_windows(self, windows: ArrayLike) -> "DigitSequences":
        """The same sequences in all but the digits: another table of windows.

        Args:
            windows: Integers `(m, t + 1)`, as for a new `DigitSequences`.

        Returns:
            Sequences of the same images, paired, spoiled and seeded in the same way.

        Raises:
            ValueError: As for a new `DigitSequences`.

        Example:

        >>> down = train.with_windows(digit_windows()[:, ::-1])
        """
        return DigitSequences(
            self.images,
            self.labels,
            windows,
            pairing=self.pairing,
            neighbours=self.neighbours,
            damage=self.damage,
            variation=self.variation,
            seed=self.seed,
        )

    def mean_target(self) -> np.ndarray:
        """The mean target image, where every predictor should start.

        Returns:
            `float32 (28, 28)` in [0, 1]: the mean image of each window's last
            digit, averaged over the windows.
        """
        digits, counts = np.unique(self.windows[:, -1], return_counts=True)
        means = [self.images[self.labels == digit].mean(axis=0) for digit in digits]
        return (np.average(means, axis=0, weights=counts) / 255).astype(np.float32)
