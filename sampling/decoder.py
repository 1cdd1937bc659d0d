"""The pixel decoder: draws the scan of a digit for a code, pixel by pixel, in black and white.

A network that answers with a whole image at once answers with the mean of all
images that fit the code: soft edges, grey specks. This one is autoregressive: it
goes over such a soft image row by row and draws each pixel anew, ink or paper.
MNIST's greys come from scaling the scan down (`sampling/scans.py`).
"""

import keras
import numpy as np

from data import BOX, PIXELS, SIDE, check_count
from sampling.scans import LARGEST_SCAN, SIZES, scaling, shrink

RADIUS = 7  # the network sees so many pixels in each direction
WINDOW = 2 * RADIUS + 1
WIDTH = LARGEST_SCAN + 2 * RADIUS  # of a scan with a margin, from which windows are cut
UNITS = 128, 64  # widths of the network's hidden layers: of the first two, and of the third
CHOSEN = 400  # pixels of a scan that the network learns from at a time
# Images that are sorted by size together, and drawn at once. Of 100 or more, two cores share each
# small step, and take longer for it.
SORTED_TOGETHER, DRAWN_TOGETHER = 4_000, 50
# What is less probable is not drawn (Holtzman et al., 2020: truncation). With lone specks, 16 % of
# decoded scans were in more than one piece; of real ones, 9 % are.
RAREST = 0.001
CODE_NOISE = 0.1  # in the codes that it learns from: drawn codes are never quite an image's
PLACES = SIDE - BOX + 1  # where a box may begin

# How much each pixel of a scan adds to each pixel of the box, for each size.
SCALING = np.zeros((LARGEST_SCAN + 1, BOX, LARGEST_SCAN), np.float32)
for _size in SIZES:
    SCALING[_size, :, :_size] = scaling(_size)


@keras.saving.register_keras_serializable(package="next_image")
class PixelDecoder(keras.Model):
    """Draws images for codes, from the top left, pixel by pixel.

    First it draws the size of the scan and where its box may lie in the image. Then
    it takes a linear reconstruction of this box, soft and full of ghosts, as large
    as the scan. For each pixel, one small network, the same for all, sees the code,
    the size and a window around the pixel: what is drawn already, and the
    reconstruction of the rest, the pixel itself included. It answers with the
    probability of ink: a conditional PixelCNN with one masked convolution. `fit`
    teaches it codes and what `undo` finds in their images; its loss is
    `negative_log_likelihood`.

    Args:
        codes: Numbers in a code.
        name: Name of the model.

    Example:

    >>> decoder.compile(make_optimizer("adam"), jit_compile=True)
    >>> decoder.fit(codes, undo(images), batch_size=8)  # codes: (n, 136)
    >>> decoder.draw(codes, np.random.default_rng(0)).shape
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
        self.place = layers.Dense(units, "silu")
        self.place_logits = layers.Dense(len(SIZES) + 2 * PLACES)
        self.from_size = layers.Dense(units, use_bias=False)
        self.from_code = layers.Dense(units)
        self.from_window = layers.Dense(units, use_bias=False)
        self.second = layers.Dense(units, "silu")
        self.third = layers.Dense(last, "silu")
        self.logit = layers.Dense(1)
        inputs = codes, codes, units, LARGEST_SCAN + 1, codes, WINDOW**2, units, units, last
        for layer, size in zip(self.layers, inputs, strict=True):
            layer.build((None, size))
        self.random = keras.random.SeedGenerator()
        self.built = True
        # `predict`, too, is compiled by XLA: it takes thousands of small steps.
        self.jit_compile = keras.backend.backend() != "torch"

    def get_config(self) -> dict:
        return {"codes": self.codes, "name": self.name}

    def negative_log_likelihood(
        self,
        codes: keras.KerasTensor,
        scans: keras.KerasTensor,
        sizes: keras.KerasTensor,
        corners: keras.KerasTensor,
    ) -> keras.KerasTensor:
        """Minus the logarithm of the probability of scans, given the codes of their images.

        It is estimated, from 400 pixels of each scan, chosen at random.

        Args:
            codes: `(n, codes)`.
            scans, sizes, corners: As `undo` returns them: `(n, 80, 80)`, `(n,)` and
                `(n, 2)`.

        Returns:
            `(n,)`, in nats, summed over pixels, size and corner.
        """
        ops = keras.ops
        numbers = sizes - SIZES.start, *ops.unstack(corners, axis=1)
        losses = sum(
            keras.losses.sparse_categorical_crossentropy(number, logits, from_logits=True)
            for number, logits in zip(numbers, self._place_logits(codes), strict=True)
        )
        # When a pixel's turn comes, the first half of its window, in raster order, is drawn.
        inside = _inside(sizes, LARGEST_SCAN)
        drawn = _canvas(ops.cast(scans, "float32"), inside)
        soft = _canvas(self._enlarged(codes, sizes, corners, LARGEST_SCAN), inside)
        n, half = ops.shape(codes)[0], WINDOW**2 // 2
        chosen = keras.random.uniform((n, CHOSEN, 2), seed=self.random)
        rows, columns = ops.unstack(
            ops.cast(chosen * ops.cast(sizes, "float32")[:, None, None], "int32"), axis=2
        )
        offsets = (np.arange(WINDOW)[:, None] * WIDTH + np.arange(WINDOW)).reshape(-1)
        indices = (rows * WIDTH + columns)[:, :, None] + offsets

        def windows(canvas, indices):
            found = ops.take_along_axis(
                ops.reshape(canvas, (n, -1)), ops.reshape(indices, (n, -1)), axis=1
            )
            return ops.reshape(found, ops.shape(indices))

        before, after = indices[..., :half], indices[..., half:]
        seen = ops.concatenate([windows(drawn, before), windows(soft, after)], axis=-1)
        logits = self._logit(self._condition(codes, sizes)[:, None], seen)
        ink = windows(drawn, indices[..., half : half + 1])[..., 0]  # 1, or -1 for paper
        pixels = ops.mean(ops.softplus(-ink * logits), axis=-1)
        return losses + pixels * ops.square(ops.cast(sizes, "float32"))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        noise = keras.random.normal(keras.ops.shape(x), seed=self.random)
        return keras.ops.mean(self.negative_log_likelihood(x + CODE_NOISE * noise, *y))

    def call(self, inputs):
        """Draws scans, given codes, sizes, corners and uniform noise `(n, l, l)`, where l is the
        largest size, or more. Codes alone, as in training, stay as they are."""
        if not isinstance(inputs, (list, tuple)):
            return inputs
        ops = keras.ops
        codes, sizes, corners, noise = inputs
        n, side = ops.shape(noise)[:2]
        condition, inside = self._condition(codes, sizes), _inside(sizes, side)
        canvas = _canvas(self._enlarged(codes, sizes, corners, side), inside)
        # Pixels of all images side by side: one image after the other takes twice as long.
        canvas, noise, inside = (ops.transpose(each, (1, 2, 0)) for each in (canvas, noise, inside))

        def draw(pixel, canvas):
            y, x = pixel // side, pixel % side
            window = ops.slice(canvas, (y, x, 0), (WINDOW, WINDOW, n))
            window = ops.transpose(ops.reshape(window, (WINDOW**2, n)))
            ink = noise[y, x] < ops.sigmoid(self._logit(condition, window))
            drawn = ops.where(ink, 1.0, -1.0) * inside[y, x]
            return ops.slice_update(canvas, (y + RADIUS, x + RADIUS, 0), drawn[None, None])

        canvas = ops.fori_loop(0, side**2, draw, canvas)
        return ops.transpose(canvas[RADIUS:-RADIUS, RADIUS:-RADIUS] > 0, (2, 0, 1))

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws images for codes `(n, codes)`, with noise from a generator: `(n, 28, 28)`.

        Ink or paper that is less probable than `RAREST` is left out. A box ends up where the
        centre of mass of what was drawn asks for it.
        """
        images = np.empty((len(codes), SIDE, SIDE), np.float32)
        for start in range(0, len(codes), SORTED_TOGETHER):  # noise takes 25 KB an image
            block = np.asarray(codes[start : start + SORTED_TOGETHER])
            numbers = []
            for logits in self._place_logits(block):
                chances = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
                below = np.cumsum(chances, axis=-1)[:, :-1]
                number = (below < rng.random((len(block), 1), np.float32)).sum(axis=-1)
                numbers.append(number.astype("int32"))
            sizes, corners = numbers[0] + SIZES.start, np.stack(numbers[1:], axis=-1)
            noise = rng.random((len(block), LARGEST_SCAN, LARGEST_SCAN), np.float32)
            noise = RAREST + (1 - 2 * RAREST) * noise
            order = np.argsort(sizes, kind="stable")  # to have those of a size together
            for first in range(0, len(order), DRAWN_TOGETHER):
                rows = order[first : first + DRAWN_TOGETHER]
                side = -(-sizes[rows].max() // 16) * 16  # each is compiled anew
                given = block[rows], sizes[rows], corners[rows], noise[rows, :side, :side]
                images[start + rows] = shrink(self.predict_on_batch(list(given)), sizes[rows])
        return images

    def _place_logits(self, codes):
        """Of the size of the scan, and of the row and the column where its box begins."""
        logits = self.place_logits(self.place(codes))
        return keras.ops.split(logits, [len(SIZES), len(SIZES) + PLACES], axis=-1)

    def _enlarged(self, codes, sizes, corners, side):
        """The reconstruction of the box, as large as the scan: `(n, side, side)`."""
        ops = keras.ops
        images = ops.reshape(self.linear(codes), (-1, SIDE, SIDE))
        scaling = ops.take(SCALING, sizes, axis=0)[..., :side]
        scaling = ops.swapaxes(
            scaling / ops.maximum(ops.sum(scaling, 1, keepdims=True), 1e-6), 1, 2
        )
        rows, columns = (
            ops.matmul(scaling, ops.one_hot(starts[:, None] + np.arange(BOX), SIDE))
            for starts in ops.unstack(corners, axis=1)
        )
        return ops.matmul(ops.matmul(rows, images), ops.swapaxes(columns, 1, 2))

    def _condition(self, codes, sizes):
        return self.from_code(codes) + self.from_size(keras.ops.one_hot(sizes, LARGEST_SCAN + 1))

    def _logit(self, condition, windows):
        """Of ink, for pixels, given the windows around them."""
        hidden = keras.ops.silu(condition + self.from_window(windows))
        return self.logit(self.third(hidden + self.second(hidden)))[..., 0]


def _inside(sizes, side):
    """1 in the upper left corners that scans fill, else 0: `(n, side, side)`."""
    inside = keras.ops.cast(keras.ops.arange(side) < sizes[:, None], "float32")
    return inside[:, :, None] * inside[:, None, :]


def _canvas(scans, inside):
    """Ink is 1, paper -1, and around a scan there is 0."""
    margin = (RADIUS, RADIUS)
    return keras.ops.pad((2 * scans - 1) * inside, ((0, 0), margin, margin))
