"""The pixel decoder: draws an image for a code, pixel by pixel, with edges as sharp as real ones.

A network that answers with a whole image at once answers with the mean of all
images that fit the code: soft edges, grey specks. This one is autoregressive. It
begins with such a soft image, goes over it in raster order, row by row, and draws
the grey level of each pixel anew, given the code and the pixels around: those
before it are drawn already, those after it are still soft.
"""

import keras
import numpy as np

from data import PIXELS, SIDE, check_count

# Grey levels, 0 to 255, in bins with one probability each: black, the four whites of MNIST's
# strokes, and between them bins of twelve levels, the last of eleven.
EDGES = np.array([0, *range(1, 242, 12), *range(252, 257)], "float32")
BINS = len(EDGES) - 1
RADIUS = 5  # the network sees so many pixels in each direction
WINDOW = 2 * RADIUS + 1
UNITS = 192, 96  # widths of the network's hidden layers: of the first two, and of the third


@keras.saving.register_keras_serializable(package="next_image")
class PixelDecoder(keras.Model):
    """Draws images for codes, from the top left, pixel by pixel.

    It begins with a linear reconstruction of the image, soft and full of ghosts.
    For each pixel, one small network, the same for all, sees the code and a window
    around the pixel: what is drawn already, and the reconstruction of the rest,
    the pixel itself included. It answers with the probabilities of the pixel's
    grey levels: a conditional PixelCNN with one masked convolution. It is trained
    on the pixels of real images; its loss is `negative_log_likelihood`.

    Args:
        codes: Numbers in a code.
        name: Name of the model.

    Example:

    >>> decoder = PixelDecoder(codes=136)
    >>> decoder([codes, noise]).shape  # codes: (n, 136), noise: uniform, (n, 28, 28)
    (n, 28, 28)

    Reference:
        van den Oord, Kalchbrenner and Kavukcuoglu, 2016: Pixel recurrent neural
        networks.
    """

    def __init__(self, codes: int, name: str | None = None):
        super().__init__(name=name)
        self.codes = check_count(codes, "codes", PIXELS)
        layers, (units, last) = keras.layers, UNITS
        self.linear = layers.Dense(PIXELS, kernel_initializer="zeros", trainable=False)
        self.from_code = layers.Dense(units)
        self.from_window = layers.Dense(units, use_bias=False)
        self.second = layers.Dense(units, "silu")
        self.third = layers.Dense(last, "silu")
        self.logits = layers.Dense(BINS)
        inputs = codes, codes, WINDOW**2, units, units, last
        for layer, size in zip(self.layers, inputs, strict=True):
            layer.build((None, size))
        self.built = True

    def get_config(self) -> dict:
        return {"codes": self.codes, "name": self.name}

    def negative_log_likelihood(
        self, codes: keras.KerasTensor, images: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Minus the logarithm of the probability of the images' bins, given their codes.

        Args:
            codes: `(n, codes)`.
            images: `(n, 28, 28)` in [0, 1], or flattened.

        Returns:
            `(n,)`, in nats, summed over the pixels.
        """
        ops = keras.ops
        # When a pixel's turn comes, the first half of its window, in raster order, is drawn.
        drawn, soft = _windows(images), _windows(self.linear(codes))
        half = WINDOW**2 // 2
        windows = ops.concatenate([drawn[..., :half], soft[..., half:]], axis=-1)
        logits = self._bin_logits(self.from_code(codes)[:, None], windows)  # (n, 784, bins)
        levels = ops.reshape(ops.round(255 * images), (-1, PIXELS, 1))
        bins = ops.sum(levels >= EDGES[1:], axis=-1)
        losses = keras.losses.sparse_categorical_crossentropy(bins, logits, from_logits=True)
        return ops.sum(losses, axis=-1)

    def call(self, inputs: tuple[keras.KerasTensor, keras.KerasTensor]) -> keras.KerasTensor:
        """Draws: codes `(n, codes)` and uniform noise `(n, 28, 28)` to images `(n, 28, 28)`."""
        ops = keras.ops
        codes, noise = inputs
        from_code, n = self.from_code(codes), ops.shape(codes)[0]

        def draw(pixel, canvas):
            y, x = pixel // SIDE, pixel % SIDE
            window = ops.slice(canvas, (0, y, x), (n, WINDOW, WINDOW))
            logits = self._bin_logits(from_code, ops.reshape(window, (-1, WINDOW**2)))
            level = _quantile(ops.softmax(logits), noise[:, y, x])
            return ops.slice_update(canvas, (0, y + RADIUS, x + RADIUS), level[:, None, None])

        canvas = ops.reshape(self.linear(codes), (-1, SIDE, SIDE))
        canvas = ops.pad(canvas, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))
        canvas = ops.fori_loop(0, PIXELS, draw, canvas)
        return canvas[:, RADIUS:-RADIUS, RADIUS:-RADIUS]

    def _bin_logits(self, from_code, windows):
        """Logits of the bins of pixels, given the windows around them: `(..., bins)`."""
        hidden = keras.ops.silu(from_code + self.from_window(windows))
        return self.logits(self.third(hidden + self.second(hidden)))


def _windows(images):
    """The pixels around each pixel, in raster order: `(n, 784, window)`."""
    images = keras.ops.reshape(images, (-1, SIDE, SIDE, 1))
    windows = keras.ops.image.extract_patches(images, WINDOW, strides=1, padding="same")
    return keras.ops.reshape(windows, (-1, PIXELS, WINDOW**2))


def _quantile(probabilities, noise):
    """Grey levels in 255ths, by the inverse of their distribution function."""
    ops = keras.ops
    # The probability of all lower bins, as a matrix product: `cumsum` takes longer.
    below = ops.matmul(probabilities, np.triu(np.ones((BINS, BINS), "float32"), k=1))
    passed = ops.clip((noise[..., None] - below) / ops.maximum(probabilities, 1e-9), 0, 1)
    levels = ops.floor(ops.matmul(passed, np.diff(EDGES)))  # bins passed, times their widths
    return ops.minimum(levels, 255) / 255
