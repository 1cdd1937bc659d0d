"""The sequences: handwritten digits that count upward, drawn afresh for every batch.

A table of digits says what counts as a sequence. Each row is a window, such as
5, 6, 7, 8 -> 9, and `DigitSequences` fills each place of it with a random image
of that digit. In place of a table there may be a world (`worlds.py`), which draws
the digits of each sequence by a rule that has to be found. It draws *indices*;
pixels are looked up when a batch is made, so a stream of millions of sequences
needs no more memory than one batch.
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
    return windows.astype(int)


class Windows:
    """The simplest world: a table of windows, each as frequent as the others.

    What comes next is known from the table: of the rows that begin like the
    context, each is as probable.

    Args:
        table: Integers `(m, t + 1)`, one window a row, the target's digit last.

    Raises:
        ValueError: Another shape or dtype.

    Example:

    >>> world = Windows([[2, 4, 6], [2, 4, 8]])
    >>> world.posterior(np.array([[2, 4]]))[0, -1]  # 6 or 8
    array([0. , 0. , 0. , 0. , 0. , 0. , 0.5, 0. , 0.5, 0. ])
    """

    def __init__(self, table: ArrayLike):
        self.table = _table(table)
        self.length = self.table.shape[1] - 1

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Digits `int (n, t + 1)`, balanced over the windows: each gets its share, give or take
        one."""
        # A random offset decides which windows get one more where n is no multiple of their number.
        rows = (np.arange(n) + rng.integers(len(self.table))) % len(self.table)
        return self.table[rng.permutation(rows)]

    def posterior(self, digits: np.ndarray, forgive: float = 0.0) -> np.ndarray:
        """The probabilities of the next digit, after each digit of a context.

        Args:
            digits: `int (n, k)`, with k from 1 to t.
            forgive: What a row loses by each digit that is another one: 0, all;
                above 0 for digits that were read, and may have been misread.

        Returns:
            `float (n, k, 10)`.

        Raises:
            ValueError: Another shape, or digits that begin no row.
        """
        digits = np.asarray(digits)
        if digits.ndim != 2 or not 1 <= digits.shape[1] <= self.length:
            raise ValueError(
                f"digits have shape {digits.shape}; expected (n, k), with k from 1 to {self.length}"
            )
        chances = np.empty((*digits.shape, 10))
        for place in range(digits.shape[1]):
            prefixes, rows = np.unique(digits[:, : place + 1], axis=0, return_inverse=True)
            wrong = (self.table[:, : place + 1] != prefixes[:, None]).sum(axis=2)  # (p, m)
            weights = float(forgive) ** wrong
            if not weights.any(axis=1).all():
                raise ValueError(
                    f"no window begins with {prefixes[weights.sum(1) == 0][0].tolist()}"
                )
            shares = weights @ np.eye(10)[self.table[:, place + 1]]
            chances[:, place] = (shares / weights.sum(axis=1, keepdims=True))[rows.reshape(-1)]
        return chances


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
        world: Integers `(m, t + 1)`, a table with one window a row, the
            target's digit last. Any table will do: what to learn is data, not
            code. Or a world, such as `worlds.mixture(length=12)`: anything that
            has a `length`, and `draw` and `posterior` as `Windows` has.
        after_each: Ask for an answer after each image of the context, not only
            after the last: targets are `(n, t, 28, 28)`.
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
            that nobody has images for. (Of a world, a draw may raise it.)

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
        world: "ArrayLike | Windows" = digit_windows(),  # noqa: B008  # never written to
        *,
        after_each: bool = False,
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
        self.after_each = bool(after_each)
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
        self.world = self._checked(world)

    def _checked(self, world: "ArrayLike | Windows") -> "Windows":
        if not hasattr(world, "posterior"):
            world = Windows(world)
        length = check_count(world.length, "the world's length")
        if isinstance(world, Windows):  # other worlds are found out when they draw
            if not len(world.table):
                raise ValueError("windows must hold digits 0 to 9 that have images; got none")
            self._check_drawn(world.table, length)
            if self._by_writer:
                self._able(world.table)
        if self.corruption:
            positions = self.corruption.positions
            if positions is not None and not set(range(length)) >= set(positions) > set():
                raise ValueError(
                    f"corruption's positions are {list(positions)}; "
                    f"expected some of 0 to {length - 1}"
                )
            if "wrong" in self.corruption.kinds and np.count_nonzero(self._counts) == 1:
                raise ValueError("corruption of kind 'wrong' needs images of a second digit")
        return world

    def _check_drawn(self, digits: np.ndarray, length: int) -> None:
        if digits.dtype.kind not in "iu" or digits.shape[1:] != (length + 1,):
            raise ValueError(
                f"digits are {digits.dtype} {digits.shape}; expected integers (n, {length + 1})"
            )
        absent = np.setdiff1d(digits, np.flatnonzero(self._counts))
        if absent.size:
            raise ValueError(
                f"windows must hold digits 0 to 9 that have images; no image of {absent.tolist()}"
            )

    def _able(self, digits: np.ndarray) -> np.ndarray:
        """Which writers have images for each of the windows: `bool (n, writers)`."""
        needed = (digits[:, :, None] == np.arange(10)).sum(axis=1)  # (n, 10)
        able = (self._by_writer[1] >= needed[:, None]).all(axis=2)
        if not able.any(axis=1).all():
            raise ValueError(f"nobody has images for {digits[~able.any(axis=1)][0].tolist()}")
        return able

    @property
    def length(self) -> int:
        """Images in a context."""
        return self.world.length

    def with_world(self, world: "ArrayLike | Windows") -> "DigitSequences":
        """The same sequences in all but the digits: another table of windows, or another world.

        Args:
            world: As for a new `DigitSequences`.

        Returns:
            Sequences with the same images, writers, corruption, augmentation and seed.

        Raises:
            ValueError: As for a new `DigitSequences`.

        Example:

        >>> down = train.with_world(digit_windows()[:, ::-1])
        """
        other = copy.copy(self)
        other.world = other._checked(world)
        return other

    def sample(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws `n` sequences as arrays.

        Their digits are those of `draw(n)`.

        Args:
            n: Number of sequences; of a table, each window gets its share, give
                or take one.

        Returns:
            inputs `float32 (n, t, 784)` and targets `float32 (n, 28, 28)`, both
            in [0, 1]; targets are `(n, t, 28, 28)` with `after_each`.

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
            `float32 (batch_size, 28, 28)`, both in [0, 1], as of `sample`; of a
            shard, `batch_size / k` sequences.

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
        digits = np.asarray(self.world.draw(n, rng))  # (n, t + 1)
        self._check_drawn(digits, self.length)
        if self._by_writer is None:
            places = rng.integers(self._counts[digits])
            return digits, self._by_digit[self._starts[digits] + places]
        by_writer, counts, starts = self._by_writer
        able = self._able(digits)
        chosen = rng.integers(able.sum(axis=1))
        writers = (able.cumsum(axis=1) > chosen[:, None]).argmax(axis=1)[:, None]  # (n, 1)
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
            `float32 (28, 28)` in [0, 1]: the mean image of each digit, averaged
            over the digits that targets show. (Of a world, over 10,000 draws.)
        """
        if isinstance(self.world, Windows):
            drawn = self.world.table
        else:
            drawn = self.world.draw(10_000, np.random.default_rng(0))
        shown = drawn[:, 1:] if self.after_each else drawn[:, -1]
        digits, counts = np.unique(shown, return_counts=True)
        means = [self.images[self.labels == digit].mean(axis=0) for digit in digits]
        return (np.average(means, axis=0, weights=counts) / 255).astype(np.float32)

    def _pixels(self, n: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The inputs and targets of a draw."""
        digits, indices = self.draw(n, number)
        inputs = flatten(self.images[indices[:, :-1]])
        shown = indices[:, 1:] if self.after_each else indices[:, -1]
        targets = flatten(self.images[shown]).reshape(*shown.shape, SIDE, SIDE)
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
