"""The sequences: handwritten digits that count upward, drawn afresh for every batch.

A table of digits says what counts as a sequence. Each row is a window, such as
5, 6, 7, 8 -> 9, and `DigitSequences` fills each place of it with a random image
of that digit. It draws *indices*; pixels are looked up when a batch is made, so a
stream of millions of sequences needs no more memory than one batch.
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from data import PIXELS, SIDE, check_count, check_number, flatten

if TYPE_CHECKING:
    import keras

BLOCK = 32  # sequences of a batch drawn from one seed; pixels stay in the processor's cache
KINDS = ("blank", "noise", "wrong")


def digit_windows(length: int = 4, wrap: bool = False) -> np.ndarray:
    """The table of the task: runs of digits that count upward, one row a window.

    Args:
        length: Digits in the context, before the target: 1 to 9, with `wrap`
            any number.
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
    length = check_count(length, "length", None if wrap else 9)
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
    check_count(steps, "steps")
    rows = {tuple(row) for row in _table(windows).tolist()}
    successors = {row[:-1]: row[-1] for row in rows}
    if len(successors) < len(rows):
        raise ValueError(
            "some context in the windows has two successors; no chain is the right one"
        )
    chains = [list(context) for context in sorted(successors)]
    for step in range(steps):  # what comes after so many digits is the context
        chains = [chain for chain in chains if tuple(chain[step:]) in successors]
        for chain in chains:
            chain.append(successors[tuple(chain[step:])])
    if not chains:
        raise ValueError(f"no context in the windows can be followed for {steps} steps")
    return np.array(chains)


def _table(windows: ArrayLike) -> np.ndarray:
    windows = np.asarray(windows)
    if windows.dtype.kind not in "iu" or windows.ndim != 2 or windows.shape[1] < 2:
        raise ValueError(
            f"windows are {windows.dtype} {windows.shape}; "
            "expected integers (m, t + 1): contexts of t >= 1 digits and their targets"
        )
    return windows


@dataclass(frozen=True)
class Corruption:
    """Replaces one context image in some of the sequences.

    Args:
        rate: Share of the sequences that are corrupted, in [0, 1].
        kinds: What may come in the image's place: `"blank"` (all 0), `"noise"`
            (every pixel uniform in [0, 1]) or `"wrong"` (another digit).
        positions: Which images of the context may be replaced, counted from 0;
            by default any.

    Raises:
        ValueError: Another rate or kind, or positions that are no integers.

    Example:

    >>> train = DigitSequences(x_train, y_train, corruption=Corruption(0.3), seed=0)
    """

    rate: float
    kinds: Sequence[str] = KINDS
    positions: Sequence[int] | None = None

    def __post_init__(self):
        check_number(self.rate, "rate", 0, 1)
        # A set would come in another order in the next process, and so make other sequences.
        listed = isinstance(self.kinds, list | tuple) and self.kinds
        if not listed or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds are {self.kinds!r}; expected some of {KINDS}")
        object.__setattr__(self, "kinds", tuple(self.kinds))  # which nobody can change later
        if self.positions is not None:
            positions = np.asarray(self.positions)
            if positions.dtype.kind not in "iu" or positions.ndim != 1:
                raise ValueError(f"positions are {self.positions!r}; expected integers")
            object.__setattr__(self, "positions", tuple(positions.tolist()))


class DigitSequences:
    """Sequences of images whose digits follow a table of windows.

    A draw depends on `seed`, its number and its size only: `sample(n)` always
    gives the same answer (`sample(10)` is not the start of `sample(20)`), and
    batch 1,000 is the same whenever it is asked for.

    Args:
        images: `uint8 (n, 28, 28)`; held as they are, not copied.
        labels: The digit of each image, integers `(n,)` in 0 to 9.
        windows: Integers `(m, t + 1)`, one window a row, the target's digit
            last. Any table will do: what to learn is data, not code.
        writers: Who wrote each image, integers `(n,)`, as of `load_writers`. By
            default, each place takes any image of its digit. With writers, one
            person writes each sequence: a writer is drawn who has written all
            digits of the window, and then as many images of each digit as
            the window has, no image twice.
        corruption: Replace one context image in some sequences, to train a
            predictor that tolerates it, or to test whether it does. `digits`
            still say what would have been there.
        augmentation: Changes contexts, such as `augmentation.AUGMENTATION`: any
            function of contexts `float32 (n, t, 784)` in [0, 1] and a NumPy
            random generator that returns as many. Targets stay as they are.
        seed: Integer for reproducible draws; `None` picks one at random.

    Raises:
        ValueError: An argument of another shape, dtype or range, or a window
            that nobody has images for.

    Example:

    >>> (x_train, y_train), _ = load_mnist()
    >>> train = DigitSequences(x_train, y_train, seed=0)
    >>> inputs, targets = train.sample(600)
    >>> inputs.shape, targets.shape
    ((600, 4, 784), (600, 28, 28))
    >>> digits, indices = train.draw(600)  # of the same sequences
    >>> model.fit(train.dataset(batch_size=256, steps=100), epochs=12)
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        windows: ArrayLike = digit_windows(),  # noqa: B008  # never written to
        *,
        writers: ArrayLike | None = None,
        corruption: Corruption | None = None,
        augmentation: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
        seed: int | None = None,
    ):
        try:
            images, labels = np.asarray(images), np.asarray(labels)
        except ValueError as error:  # images of several sizes, or DigitSequences(*load_mnist())
            wanted = "arrays; of load_mnist(), pass one pair: *load_mnist()[0]"
            raise ValueError(f"images or labels differ in shape; expected {wanted}") from error
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
        if corruption is not None and not isinstance(corruption, Corruption):
            raise ValueError(f"corruption is {corruption!r}; expected a Corruption")
        if augmentation is not None and not callable(augmentation):
            raise ValueError(f"augmentation is {augmentation!r}; expected a function")
        self.images = images
        self.labels = labels = labels.astype(int)  # a copy, which nobody changes later
        self.corruption = corruption
        self.augmentation = augmentation
        if seed is not None:
            seed = check_count(seed, "seed", least=0)
        self.seed = np.random.SeedSequence(seed).entropy
        # Image indices sorted by digit: digit d owns counts[d] of them, from starts[d] on.
        self._by_digit = np.argsort(labels, kind="stable")
        self._counts = np.bincount(labels, minlength=10)
        self._starts = np.cumsum(self._counts) - self._counts
        self.writers = self._by_writer = None
        if writers is not None:
            self.writers = writers = np.array(writers)
            if writers.dtype.kind not in "iu" or writers.shape != labels.shape:
                raise ValueError(
                    f"writers are {writers.dtype} {writers.shape}; "
                    f"expected integers ({len(images)},)"
                )
            # The same for each writer and digit: writer w owns counts[w, d] images of digit d.
            people, who = np.unique(writers, return_inverse=True)
            by_writer = np.lexsort((labels, who))
            counts = np.bincount(10 * who + labels, minlength=10 * len(people))
            starts = (np.cumsum(counts) - counts).reshape(-1, 10)
            self._by_writer = by_writer, counts.reshape(-1, 10), starts
        self.windows = self._checked_windows(windows)

    def _checked_windows(self, windows: ArrayLike) -> np.ndarray:
        windows = _table(windows)
        absent = np.setdiff1d(windows, self.labels)
        if not windows.size or absent.size:
            raise ValueError(
                f"windows must hold digits 0 to 9 that have images; no image of {absent.tolist()}"
            )
        if self.corruption:
            length, positions = windows.shape[1] - 1, self.corruption.positions
            if positions is not None and not set(range(length)) >= set(positions) > set():
                raise ValueError(
                    f"corruption's positions are {list(positions)}; "
                    f"expected some of 0 to {length - 1}"
                )
            if "wrong" in self.corruption.kinds and np.count_nonzero(self._counts) == 1:
                raise ValueError("corruption of kind 'wrong' needs images of a second digit")
        if self._by_writer:
            needed = (windows[:, :, None] == np.arange(10)).sum(axis=1)  # (m, 10)
            able = (self._by_writer[1] >= needed[:, None]).all(axis=2)  # (m, writers)
            if not able.any(axis=1).all():
                raise ValueError(f"nobody has images for {windows[~able.any(axis=1)][0].tolist()}")
            # For each window those who have come first, and how many they are.
            self._able = np.argsort(~able, axis=1, kind="stable"), able.sum(axis=1)
        return windows.astype(int)

    def with_windows(self, windows: ArrayLike) -> "DigitSequences":
        """The same sequences in all but the digits: another table of windows.

        Args:
            windows: Integers `(m, t + 1)`, as for a new `DigitSequences`.

        Returns:
            Sequences with the same images, writers, corruption, augmentation and seed.

        Raises:
            ValueError: As for a new `DigitSequences`.

        Example:

        >>> down = train.with_windows(digit_windows()[:, ::-1])
        """
        other = copy.copy(self)
        other.windows = other._checked_windows(windows)
        return other

    def sample(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws `n` sequences as arrays, balanced over the windows.

        Their digits are those of `draw(n)`.

        Args:
            n: Number of sequences; each window gets its share, give or take one.

        Returns:
            inputs `float32 (n, t, 784)` and targets `float32 (n, 28, 28)`, both
            in [0, 1].

        Raises:
            ValueError: `n` is not an integer of at least 1.

        Example:

        >>> model.evaluate(*test.sample(600))
        """
        return self._pixels(n, number=0)

    def dataset(
        self, batch_size: int, steps: int, *, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> "keras.utils.PyDataset":
        """Freshly drawn batches for `model.fit`, other ones in each epoch.

        Item k is batch k of `batches`. An epoch takes the first `steps` of them,
        the next epoch those that follow. For validation, `sample` gives the same
        sequences after each epoch.

        Args:
            batch_size, start, shard: As for `batches`.
            steps: Batches in an epoch.

        Returns:
            A `keras.utils.PyDataset` of `steps` batches.

        Raises:
            ValueError: `steps` is not an integer of at least 1; or as for `batches`.

        Example:

        >>> model.fit(train.dataset(batch_size=256, steps=100), epochs=12)
        """
        import keras  # only here: all the rest does without

        steps, get = check_count(steps, "steps"), self._batch_getter(batch_size, start, shard)

        class Dataset(keras.utils.PyDataset):
            ends = 0

            def __len__(self) -> int:
                return steps

            def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
                # Keras ends an epoch once before the first one, when it has looked at shapes.
                return get(max(self.ends - 1, 0) * steps + item)

            def on_epoch_end(self) -> None:
                self.ends += 1

        return Dataset()

    def batches(
        self, batch_size: int, *, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """An endless stream of freshly drawn batches, as plain arrays.

        Args:
            batch_size: Sequences in a batch.
            start: Number of the first batch, to go on where a stream was left.
            shard: `(i, k)`: the stream of process `i` of `k`, which draws its
                part of each batch and no more.

        Yields:
            inputs `float32 (batch_size, t, 784)` and targets
            `float32 (batch_size, 28, 28)`, both in [0, 1]; of a shard,
            `batch_size / k` sequences.

        Raises:
            ValueError: `batch_size` is not an integer of at least 1, or, of
                several shards, no multiple of 32 sequences each; `start` is
                negative; or there is no such shard.
        """
        get = self._batch_getter(batch_size, start, shard)  # refuses wrong arguments now
        return (get(batch) for batch in itertools.count())

    def _batch_getter(
        self, batch_size: int, start: int, shard: tuple[int, int]
    ) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
        """The function that makes batch k, counted from `start`."""
        batch_size = check_count(batch_size, "batch_size")
        index, count = shard if np.shape(shard) == (2,) else (0, 0)
        count = check_count(count, "the number of shards")
        index = check_count(index, "the shard", count - 1, least=0)
        if count > 1 and batch_size % (BLOCK * count):
            wanted = f"a multiple of {BLOCK} for each of {count} shards"
            raise ValueError(f"batch_size is {batch_size}; expected {wanted}")
        start = check_count(start, "start", least=0)
        blocks, size = -(-batch_size // BLOCK), batch_size // count

        def get(batch: int) -> tuple[np.ndarray, np.ndarray]:
            first = 1 + (start + batch) * blocks + index * blocks // count  # `sample` has number 0
            parts = [
                self._pixels(min(BLOCK, size - row), first + row // BLOCK)
                for row in range(0, size, BLOCK)
            ]
            return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

        return get

    def draw(self, n: int, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Draws sequences as indices into `images`, without touching a pixel.

        Args:
            n: Number of sequences.
            number: Which of the endlessly many independent draws; 0 is that of `sample`.

        Returns:
            digits `int (n, t + 1)` and indices `int (n, t + 1)`, where
            `labels[indices] == digits`.

        Raises:
            ValueError: `n` is not an integer of at least 1.
        """
        n = check_count(n, "n")
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number,)))
        # A random offset decides which windows get one more where n is no multiple of their number.
        rows = (np.arange(n) + rng.integers(len(self.windows))) % len(self.windows)
        rows = rng.permutation(rows)
        digits = self.windows[rows]  # (n, t + 1)
        if self._by_writer is None:
            places = rng.integers(self._counts[digits])
            return digits, self._by_digit[self._starts[digits] + places]
        by_writer, counts, starts = self._by_writer
        able, able_counts = self._able
        writers = able[rows, rng.integers(able_counts[rows])][:, None]  # (n, 1)
        counts, starts = counts[writers, digits], starts[writers, digits]
        # No image twice: of a digit that comes again, one of the images that are left.
        before = np.tril(digits[:, :, None] == digits[:, None], -1)  # (n, t + 1, t + 1)
        places = rng.integers(counts - before.sum(axis=2))
        for column in np.flatnonzero(before.any(axis=(0, 2))):
            taken = np.where(before[:, column], places, counts.max())
            for each in np.sort(taken, axis=1).T:  # counts past those that are taken
                places[:, column] += places[:, column] >= each
        return digits, by_writer[starts + places]

    def mean_target(self) -> np.ndarray:
        """The mean target image, where every predictor should start.

        Returns:
            `float32 (28, 28)` in [0, 1]: the mean image of each window's last
            digit, averaged over the windows.
        """
        digits, counts = np.unique(self.windows[:, -1], return_counts=True)
        means = [self.images[self.labels == digit].mean(axis=0) for digit in digits]
        return (np.average(means, axis=0, weights=counts) / 255).astype(np.float32)

    def _pixels(self, n: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The inputs and targets of a draw."""
        digits, indices = self.draw(n, number)
        inputs = flatten(self.images[indices[:, :-1]])
        targets = flatten(self.images[indices[:, -1]]).reshape(n, SIDE, SIDE)
        # A generator of its own: the images drawn do not depend on what is done to them.
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number, 1)))
        if self.corruption:
            self._corrupt(inputs, digits, rng)
        if self.augmentation:
            changed = flatten(self.augmentation(inputs, rng))
            if changed.shape != inputs.shape:
                raise ValueError(
                    f"augmentation answers {changed.shape} to contexts {inputs.shape}; "
                    "expected as many"
                )
            inputs = changed
        return inputs, targets

    def _corrupt(self, inputs: np.ndarray, digits: np.ndarray, rng: np.random.Generator) -> None:
        rows = np.flatnonzero(rng.random(len(inputs)) < self.corruption.rate)
        positions = self.corruption.positions
        columns = rng.choice(range(inputs.shape[1]) if positions is None else positions, len(rows))
        kinds = rng.choice(list(self.corruption.kinds), len(rows))
        # One of the digits that have images, but not the one that should be there.
        present = np.flatnonzero(self._counts)
        others = np.searchsorted(present, digits[rows, columns])
        others += rng.integers(1, max(len(present), 2), len(rows))
        wrong = present[others % len(present)]
        wrong = self._by_digit[self._starts[wrong] + rng.integers(self._counts[wrong])]
        kinds, noise = kinds[:, None], rng.random((len(rows), PIXELS), np.float32)
        images = [noise, flatten(self.images[wrong])]
        inputs[rows, columns] = np.select([kinds == "noise", kinds == "wrong"], images)  # or blank
