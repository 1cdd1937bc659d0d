"""The painter: makes an image of a code, pixel by pixel, with edges as real images have them.

A network that answers with a whole image at once answers with the mean of all
that the code leaves open: soft edges, grey specks. The painter decides. It goes
over the image in eight turns, and in each of them draws the grey levels of pixels
that do not touch, given the code and what is painted already.
"""

import keras
import numpy as np
from numpy.typing import ArrayLike

from data import SIDE
from model import PIXELS

BLOCKS = SIDE // 4
# The turn in which each pixel of a block of 4 x 4 is painted: far apart at first, in the order of
# Bayer's matrix. The last four turns paint several at once, with painted ones between them.
TURNS = np.array(
    [
        [0, 6, 2, 6],
        [7, 4, 7, 5],
        [3, 6, 1, 6],
        [7, 5, 7, 4],
    ]
)
SIZES = np.bincount(TURNS.ravel()).tolist()  # pixels of a block that each turn paints,
BEFORE = [sum(SIZES[:turn]) for turn in range(len(SIZES))]  # and those that are painted by then
ORDER = np.argsort(TURNS.ravel(), kind="stable")  # the pixels of a block as they are painted
# Levels of grey, 0 to 255, in bins with one probability each: black, three whites, and between
# them bins of twelve levels.
EDGES = np.array([0, *range(1, 254, 12), 254, 255, 256], "float32")
BINS = len(EDGES) - 1


@keras.saving.register_keras_serializable(package="next_image")
class Painter(keras.Model):
    """Draws images from codes, in eight turns.

    It begins with a sketch, the image that a linear map makes of the code, soft and
    full of ghosts. In each turn, a small network, the same for all 7 x 7 blocks of
    the image, is told the code, the sketch of the block and of the eight around it,
    and what is painted there already, and answers, for each pixel whose turn it is,
    with the probability of each level of grey. Training shows it real images, up to
    each turn; its loss is `surprise`.

    Args:
        codes: Numbers in a code.
        units: Widths of the two hidden layers of each turn.
        name: Name of the model.

    Example:

    >>> painter = Painter(codes=128)
    >>> painter([codes, chance]).shape  # (n, 128), and uniform numbers (n, 28, 28)
    (n, 28, 28)

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, 2016: Pixel recurrent neural
        networks. Reed et al., 2017: Parallel multiscale autoregressive density
        estimation.
    """

    def __init__(self, codes: int, units: tuple[int, int] = (128, 64), name: str | None = None):
        super().__init__(name=name)
        self.codes, self.units = codes, tuple(units)
        layers, first, second = keras.layers, *units
        self.sketch = layers.Dense(PIXELS, kernel_initializer="zeros", trainable=False)
        self.told = [_built(layers.Dense(first), size) for size in (codes, 9 * 16)]
        self.turns = [
            [
                # One plane more than is painted: it says where the image ends.
                _built(layers.Dense(first, use_bias=False), 9 * (1 + before)),
                _built(layers.Dense(second, "silu"), first),
                _built(layers.Dense(size * BINS), second),
            ]
            for size, before in zip(SIZES, BEFORE, strict=True)
        ]
        self.sketch.build((None, codes))
        self.built = True

    def get_config(self) -> dict:
        return {"codes": self.codes, "units": self.units, "name": self.name}

    def adapt(self, kernel: ArrayLike, mean: ArrayLike) -> None:
        """Sets the sketch: `codes @ kernel + mean`, from `(codes, 784)` and `(784,)`."""
        self.sketch.set_weights([kernel, mean])

    def surprise(self, codes: keras.KerasTensor, images: keras.KerasTensor) -> keras.KerasTensor:
        """How unlikely images are, given their codes: minus the logarithm of their probability.

        Args:
            codes: `(n, codes)`.
            images: `(n, 28, 28)` in [0, 1].

        Returns:
            `(n,)`, in nats, summed over the pixels.
        """
        ops = keras.ops
        planes = _planes(images)  # (n, 7, 7, 16)
        told = self._tell(codes)
        seen = ops.concatenate([_around(ops.ones_like(planes[..., :1])), _around(planes)], axis=-1)
        levels = ops.reshape(ops.round(255 * planes), (-1,))
        bins = ops.searchsorted(EDGES[1:], levels, side="right")
        bins = ops.reshape(bins, (-1, BLOCKS, BLOCKS, 16))
        surprise = 0.0
        for turn, (size, before) in enumerate(zip(SIZES, BEFORE, strict=True)):
            logits = self._look(turn, told, seen[..., : 9 * (1 + before)])
            here = keras.losses.sparse_categorical_crossentropy(
                bins[..., before : before + size], logits, from_logits=True
            )
            surprise = surprise + ops.sum(here, axis=(1, 2, 3))
        return surprise

    def call(self, inputs: tuple[keras.KerasTensor, keras.KerasTensor]) -> keras.KerasTensor:
        """Paints: codes `(n, codes)` and uniform numbers `(n, 28, 28)` to images in 255ths."""
        ops = keras.ops
        codes, chance = inputs
        told, chance = self._tell(codes), _planes(chance)
        seen, planes = _around(ops.ones_like(chance[..., :1])), []
        for turn, some in enumerate(ops.split(chance, BEFORE[1:], axis=-1)):
            planes.append(_draw(ops.softmax(self._look(turn, told, seen)), some))
            seen = ops.concatenate([seen, _around(planes[-1])], axis=-1)
        blocks = ops.take(ops.concatenate(planes, axis=-1), np.argsort(ORDER), axis=-1)
        blocks = ops.reshape(blocks, (-1, BLOCKS, BLOCKS, 4, 4))
        return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4)), (-1, SIDE, SIDE))

    def _tell(self, codes):
        """What each block is told of the code, `(n, 7, 7, units)`."""
        sketch = _around(_planes(keras.ops.reshape(self.sketch(codes), (-1, SIDE, SIDE))))
        return self.told[0](codes)[:, None, None] + self.told[1](sketch)

    def _look(self, turn, told, seen):
        """Logits of the bins for those pixels of each block, `(n, 7, 7, size, bins)`."""
        ops = keras.ops
        look, think, answer = self.turns[turn]
        # As plain matrices: with more axes, TensorFlow takes a third longer.
        told, seen = (ops.reshape(x, (-1, x.shape[-1])) for x in (told, seen))
        logits = answer(think(ops.silu(told + look(seen))))
        return ops.reshape(logits, (-1, BLOCKS, BLOCKS, SIZES[turn], BINS))


def _built(layer, size):
    layer.build((None, size))
    return layer


def _planes(images):
    """The pixels of each block, in the order in which they are painted: `(n, 7, 7, 16)`."""
    ops = keras.ops
    blocks = ops.reshape(images, (-1, BLOCKS, 4, BLOCKS, 4))
    blocks = ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4)), (-1, BLOCKS, BLOCKS, 16))
    return ops.take(blocks, ORDER, axis=-1)


def _around(planes):
    """Each plane in a block and in the eight around it, black outside: `(n, 7, 7, 9 planes)`."""
    ops = keras.ops
    wide = ops.pad(planes, ((0, 0), (1, 1), (1, 1), (0, 0)))
    near = [wide[:, y : y + BLOCKS, x : x + BLOCKS] for y in range(3) for x in range(3)]
    return ops.reshape(ops.stack(near, axis=-1), (-1, BLOCKS, BLOCKS, 9 * planes.shape[-1]))


def _draw(shares, chance):
    """Levels of grey in 255ths: as far up the bins as chance goes, each its share of the way."""
    ops = keras.ops
    before = ops.matmul(shares, np.triu(np.ones((BINS, BINS), "float32"), k=1))
    passed = ops.clip((chance[..., None] - before) / ops.maximum(shares, 1e-9), 0, 1)
    levels = ops.floor(ops.matmul(passed, np.diff(EDGES)))
    return ops.minimum(levels, 255) / 255
