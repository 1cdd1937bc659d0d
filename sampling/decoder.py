"""The pixel decoder: draws an image for a code, pixel by pixel, with edges as sharp as real ones.

A network that answers with a whole image at once answers with the mean of all
images that fit the code: soft edges, grey specks. This one is autoregressive. In
each of sixteen steps, it draws the grey levels of pixels that lie four apart, given
the code and the pixels drawn before.
"""

import keras
import numpy as np

from data import PIXELS, SIDE, check_count

GRID = SIDE // 4  # an image is a grid of 7 x 7 blocks of 4 x 4 pixels
# The step that draws each pixel of a block, by Bayer's matrix: early ones far apart, later ones
# between them.
STEPS = np.array(
    [
        [0, 8, 2, 10],
        [12, 4, 14, 6],
        [3, 11, 1, 9],
        [15, 7, 13, 5],
    ]
)
ORDER = np.argsort(STEPS.ravel())  # the pixels of a block as they are drawn
# Grey levels, 0 to 255, in bins with one probability each: black, the four whites of MNIST's
# strokes, and between them bins of twelve levels, the last of eleven.
EDGES = np.array([0, *range(1, 242, 12), *range(252, 257)], "float32")
BINS = len(EDGES) - 1
UNITS = 192, 96  # widths of the two hidden layers of each step


@keras.saving.register_keras_serializable(package="next_image")
class PixelDecoder(keras.Model):
    """Draws images for codes, in sixteen steps.

    It begins with a linear reconstruction of the image, soft and full of ghosts.
    In each step, a small network, the same for all 7 x 7 blocks of the image, sees
    the code, the reconstruction of the block and of the eight around it, and the
    pixels drawn there already. It answers with the probabilities of the grey
    levels of the next pixel. It is trained on the pixels of real images; its loss
    is `negative_log_likelihood`.

    Args:
        codes: Numbers in a code.
        name: Name of the model.

    Example:

    >>> decoder = PixelDecoder(codes=128)
    >>> decoder([codes, noise]).shape  # codes: (n, 128), noise: uniform, (n, 28, 28)
    (n, 28, 28)

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, 2016: Pixel recurrent neural
        networks. Reed et al., 2017: Parallel multiscale autoregressive density
        estimation.
    """

    def __init__(self, codes: int, name: str | None = None):
        super().__init__(name=name)
        self.codes = check_count(codes, "codes", PIXELS)
        layers, (first, second) = keras.layers, UNITS
        self.linear = layers.Dense(PIXELS, kernel_initializer="zeros", trainable=False)
        self.from_code = layers.Dense(first)
        self.from_linear = layers.Conv2D(first, 3, padding="same")
        steps = range(STEPS.size)
        self.from_drawn = [layers.Conv2D(first, 3, padding="same", use_bias=False) for _ in steps]
        self.hidden = [layers.Dense(second, "silu") for _ in steps]
        self.logits = [layers.Dense(BINS) for _ in steps]
        self([keras.Input((codes,)), keras.Input((SIDE, SIDE))])  # builds all of them

    def get_config(self) -> dict:
        return {"codes": self.codes, "name": self.name}

    def negative_log_likelihood(
        self, codes: keras.KerasTensor, images: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Minus the logarithm of the probability of the images' bins, given their codes.

        Args:
            codes: `(n, codes)`.
            images: `(n, 28, 28)` in [0, 1].

        Returns:
            `(n,)`, in nats, summed over the pixels.
        """
        ops = keras.ops
        context, pixels = self._context(codes), _to_blocks(images)  # pixels: (n, 7, 7, 16)
        levels = ops.reshape(ops.round(255 * pixels), (-1,))
        bins = ops.searchsorted(EDGES[1:], levels, side="right")
        bins = ops.reshape(bins, (-1, GRID, GRID, STEPS.size))
        total = 0.0
        for step in range(STEPS.size):
            logits = self._step_logits(step, context, pixels[..., :step])
            losses = keras.losses.sparse_categorical_crossentropy(
                bins[..., step], logits, from_logits=True
            )
            total = total + ops.sum(losses, axis=(1, 2))
        return total

    def call(self, inputs: tuple[keras.KerasTensor, keras.KerasTensor]) -> keras.KerasTensor:
        """Draws: codes `(n, codes)` and uniform noise `(n, 28, 28)` to images `(n, 28, 28)`."""
        ops = keras.ops
        codes, noise = inputs
        context, noise = self._context(codes), _to_blocks(noise)
        drawn = noise[..., :0]
        for step in range(STEPS.size):
            probabilities = ops.softmax(self._step_logits(step, context, drawn))
            pixels = _draw(probabilities, noise[..., step])
            drawn = ops.concatenate([drawn, pixels[..., None]], axis=-1)
        blocks = ops.take(drawn, np.argsort(ORDER), axis=-1)
        blocks = ops.reshape(blocks, (-1, GRID, GRID, 4, 4))
        return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4)), (-1, SIDE, SIDE))

    def _context(self, codes):
        """What every step sees of the code, `(n, 7, 7, units)`."""
        linear = _to_blocks(keras.ops.reshape(self.linear(codes), (-1, SIDE, SIDE)))
        return self.from_code(codes)[:, None, None] + self.from_linear(linear)

    def _step_logits(self, step, context, drawn):
        """Logits of the bins, for the pixel of each block that a step draws: `(n, 7, 7, bins)`."""
        ops = keras.ops
        inside = ops.ones_like(context[..., :1])  # tells a black pixel from one outside the image
        drawn = self.from_drawn[step](ops.concatenate([inside, drawn], axis=-1))
        # As plain matrices: with more axes, dense layers take half as long again.
        hidden = ops.reshape(ops.silu(context + drawn), (-1, drawn.shape[-1]))
        logits = self.logits[step](self.hidden[step](hidden))
        return ops.reshape(logits, (-1, GRID, GRID, BINS))


def _to_blocks(images):
    """The pixels of each block, in the order in which they are drawn: `(n, 7, 7, 16)`."""
    ops = keras.ops
    blocks = ops.reshape(images, (-1, GRID, 4, GRID, 4))
    blocks = ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4)), (-1, GRID, GRID, 16))
    return ops.take(blocks, ORDER, axis=-1)


def _draw(probabilities, noise):
    """Grey levels in 255ths, by the inverse of their distribution function."""
    ops = keras.ops
    # The probability of all lower bins, as a matrix product: `cumsum` takes longer.
    below = ops.matmul(probabilities, np.triu(np.ones((BINS, BINS), "float32"), k=1))
    passed = ops.clip((noise[..., None] - below) / ops.maximum(probabilities, 1e-9), 0, 1)
    levels = ops.floor(ops.matmul(passed, np.diff(EDGES)))  # bins passed, times their widths
    return ops.minimum(levels, 255) / 255
