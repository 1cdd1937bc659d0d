"""The sampler: draws the next image as somebody might write it, sharp and different every time.

A predictor answers with the average of all images that could follow. The sampler
draws *one* of them, by latent flow matching. An image becomes a code: principal
components of its pixels and of eight counts, how many pixels are in each range of
grey. Which code to expect follows from the state of the predictor, by linear
regression. What is drawn is the residual, how far the image's own code lies from
it. A velocity network, given the state, learns in which direction residuals lie from
each point of the noise. Small steps in these directions lead to a residual. Added to
the expected code, it is the code from which a decoder draws the image.
"""

import copy

import keras
import numpy as np
from numpy.typing import ArrayLike

from data import PIXELS, SIDE, check_count, check_number, flatten
from model import check_context, feed_back, make_optimizer
from sampling.decoder import CODE_NOISE, PixelDecoder

STEPS = 20  # from noise to a residual
UNGUIDED = 10  # of those: early, guidance costs more than it gains (Kynkäänniemi et al., 2024)
DECODER_BATCH = 8  # images that the decoder learns from at once
# Where the way from noise, 0, to the residual, 1, ends: with the noise that the decoder has seen.
END = 1 / (1 + CODE_NOISE)
# Where ranges of grey levels begin: a code knows how many pixels of the image are in each.
LEVELS = 1, 64, 128, 192, 252, 253, 254, 255

Seed = int | np.random.Generator | None


@keras.saving.register_keras_serializable(package="next_image")
class NextImageSampler(keras.Model):
    """Draws next images, given the state of a predictor after the context.

    Nobody tells it the digit: its condition is the state that the predictor's last
    dense layer reads. It is a normal Keras model, with `compile`, `fit`, `save`
    and callbacks, but has its own loss: `compile` needs none, and no metrics.
    `predict` answers with states. `fit` takes contexts or, in place of them, their
    states: computed once, no epoch has to compute them again. (`compile` anew before
    changing from one to the other.)

    `fit` trains the velocity network, and `fit_decoder` the decoder.

    Args:
        predictor: A trained `NextImagePredictor`, or another `Sequential` that
            ends in `Dense` and `Reshape`. The sampler has a copy of the layers
            before them, which training leaves as they are.
        codes: Principal components in the code of an image.
        units: Width of the velocity network.
        blocks: Its residual blocks.
        name: Name of the model.

    Raises:
        ValueError: An argument out of range, or training or `predict` before
            `fit_codes` and `fit_states`.

    Example:

    >>> sampler = NextImageSampler(predictor)
    >>> sampler.fit_codes(targets)  # of many thousand sequences
    >>> sampler.fit_states(inputs, targets)
    >>> sampler.fit_decoder(targets, undo(targets), epochs=8)
    >>> sampler.compile(make_optimizer("adam", learning_rate=0.001))
    >>> history = sampler.fit(sampler.predict(inputs), targets, batch_size=500, epochs=50)
    >>> sampler.fit_spread(inputs, targets)
    >>> sampler.sample(images, n=16, seed=0).shape  # images: (4, 28, 28)
    (16, 28, 28)

    References:
        Lipman, Chen, Ben-Hamu, Nickel and Le, 2023: Flow matching for
        generative modeling. Liu, Gong and Liu, 2023: Flow straight and fast.
        Mardani et al., 2025: Residual corrective diffusion modeling for
        km-scale atmospheric downscaling.
    """

    def __init__(
        self,
        predictor: keras.Sequential,
        codes: int = 136,
        units: int = 512,
        blocks: int = 6,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.codes = codes = check_count(codes, "codes", PIXELS)
        self.units = units = check_count(units, "units", 2_048)
        self.blocks = blocks = check_count(blocks, "blocks", 100)
        layers, before, ends = keras.layers, predictor.layers[:-2], predictor.layers[-2:]
        types = [type(layer) for layer in ends]
        if not isinstance(predictor, keras.Sequential) or types != [layers.Dense, layers.Reshape]:
            raise ValueError(f"{predictor.name} is no Sequential that ends in Dense and Reshape")
        copies = [type(layer).from_config(layer.get_config()) for layer in before]
        self.encoder = keras.Sequential([keras.Input(predictor.input_shape[1:]), *copies])
        self.encoder.set_weights([each for layer in before for each in layer.get_weights()])
        self.encoder.trainable = False
        states = self.encoder.output_shape[-1]
        self.mean = self.add_weight((states,), "zeros", trainable=False, name="mean")
        self.deviation = self.add_weight((states,), "ones", trainable=False, name="deviation")
        self.spread = self.add_weight((codes,), "ones", trainable=False, name="spread")
        self.projection = layers.Dense(codes, kernel_initializer="zeros", trainable=False)
        self.projection.build((None, PIXELS + len(LEVELS)))
        # From a state to the code to expect.
        self.expected = layers.Dense(codes, kernel_initializer="zeros", trainable=False)
        self.expected.build((None, states))
        self.velocity = _velocity_network(codes, states, units, blocks)
        self.decoder = PixelDecoder(codes, name="decoder")
        self.decoder.trainable = False  # `fit_decoder` trains it
        self.random = keras.random.SeedGenerator()
        self.built = True

    @property
    def input_shape(self) -> tuple:
        """That of the predictor: `(None, t, 784)`."""
        return self.encoder.input_shape

    def get_config(self) -> dict:
        sizes = {"codes": self.codes, "units": self.units, "blocks": self.blocks}
        return {"encoder": self.encoder.get_config(), **sizes, "name": self.name}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "NextImageSampler":
        config = dict(config)
        encoder = keras.Sequential.from_config(config.pop("encoder"))
        # `__init__` takes them off again.
        ends = keras.layers.Dense(PIXELS), keras.layers.Reshape((SIDE, SIDE))
        return cls(keras.Sequential([*encoder.inputs, *encoder.layers, *ends]), **config)

    def fit_codes(self, images: ArrayLike) -> None:
        """Finds the principal components of images.

        Args:
            images: Some thousand, `(n, 28, 28)`, of every digit that it is to draw,
                such as the targets of sequences.

        Raises:
            ValueError: Another shape or range, fewer images than codes, or a
                second call: what was trained would not fit other codes.
        """
        if np.any(self.projection.get_weights()[0]):
            raise ValueError("the sampler has codes already; make another sampler for others")
        pixels = _pixels(images, least=self.codes)
        features = np.asarray(_features(pixels), float)
        variances, components = np.linalg.eigh(np.cov(features, rowvar=False))  # smallest first
        variances = np.maximum(variances[-self.codes :], 1e-6)  # some pixels never change
        # The largest deviation becomes 1. Others stay smaller, but less so than in the images,
        # where fine strokes would drown in the noise.
        scales = (variances[-1] * variances) ** -0.25
        mean, components = features.mean(axis=0), components[:, -self.codes :]
        self.projection.set_weights([components * scales, -mean @ (components * scales)])
        self.decoder.linear.set_weights([(components / scales)[:PIXELS].T, mean[:PIXELS]])

    def fit_states(self, inputs: ArrayLike, targets: ArrayLike) -> None:
        """Finds the scale of states, and which code to expect after each, by least squares.

        Args:
            inputs: Contexts of many thousand sequences, as for `sample`, or what
                `encoder.predict` answers to contexts of several lengths.
            targets: Their next images, `(n, 28, 28)`.

        Raises:
            ValueError: Another shape or range, no more sequences than a state
                has numbers, or no codes yet.
        """
        self._check_fitted(self.projection)
        states = np.asarray(inputs)
        if states.shape[1:] != self.mean.shape:
            context, _ = check_context(inputs, self.input_shape[1])
            states = self.encoder.predict(context, batch_size=1_000, verbose=0)
        pixels = _pixels(targets, least=states.shape[1] + 1, contexts=len(states))
        self.mean.assign(states.mean(axis=0, dtype=float))
        self.deviation.assign(np.sqrt(states.var(axis=0, dtype=float) + 1e-3))
        states = (states - np.asarray(self.mean)) / np.asarray(self.deviation)
        codes = np.asarray(self.to_codes(pixels), float)
        # A layer normalisation leaves states constant in one direction, up to rounding; without
        # a bound, its weights would be thousands of times the others.
        kernel = np.linalg.lstsq(states, codes, rcond=1e-4)[0]
        self.expected.set_weights([kernel, codes.mean(axis=0)])

    def fit_decoder(
        self,
        images: ArrayLike,
        scans: tuple[np.ndarray, np.ndarray, np.ndarray],
        epochs: int,
        verbose: int = 2,
    ) -> keras.callbacks.History:
        """Trains the decoder on images of MNIST, once there are codes.

        Args:
            images: `(n, 28, 28)`; they need no sequences.
            scans: Their scans, `undo(images)`.
            epochs: How often it sees each.
            verbose: As for `fit`.

        Returns:
            What `fit` returns.

        Raises:
            ValueError: Images out of range, not as many scans, or no codes yet.
        """
        self._check_fitted(self.projection)
        codes = keras.ops.convert_to_numpy(self.to_codes(flatten(images)))
        steps = epochs * -(-len(codes) // DECODER_BATCH)
        self.decoder.trainable, self.decoder.linear.trainable = True, False
        optimizer = make_optimizer("adam", steps, learning_rate=0.006)
        self.decoder.compile(optimizer, jit_compile=self.decoder.jit_compile)
        try:
            return self.decoder.fit(codes, scans, DECODER_BATCH, epochs, verbose=verbose)
        finally:
            self.decoder.trainable, self.decoder.optimizer = False, None  # not to be saved

    def fit_spread(self, inputs: ArrayLike, targets: ArrayLike) -> None:
        """Lets residuals vary as much as those of images, once `velocity` is trained.

        What a network has not learned, it answers with an average. So the numbers of
        drawn residuals vary less than they should, by up to a tenth. Each is multiplied
        by what its standard deviation lacks.

        Args:
            inputs: Contexts of some thousand sequences, as for `sample`.
            targets: Their next images, `(n, 28, 28)`.

        Raises:
            ValueError: Another shape or range, or no codes yet.
        """
        context, _ = check_context(inputs, self.input_shape[1])
        expected = self.expected(self.predict(context, batch_size=1_000, verbose=0))
        pixels = _pixels(targets, least=2, contexts=len(context))
        wanted = np.var(self.to_codes(pixels) - expected, axis=0) + CODE_NOISE**2
        drawn = np.var(self._solve(context, 1, np.random.default_rng(0))[-1] - expected, axis=0)
        self.spread.assign(self.spread * np.sqrt(wanted / drawn))

    def to_codes(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Images `(n, 28, 28)` in [0, 1] to their codes `(n, codes)`."""
        return self.projection(_features(keras.ops.reshape(images, (-1, PIXELS))))

    def make_train_function(self, force: bool = False):
        # Keras calls this before it trains, in `fit` and in `train_on_batch`.
        if self.train_function is None:
            self._check_fitted(self.expected)
            if not self.optimizer.built:  # TensorFlow would trace everything twice
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def make_predict_function(self, force: bool = False):
        if self.predict_function is None:
            self._check_fitted(self.expected)  # or states would not be standardised
        return super().make_predict_function(force)

    def _check_fitted(self, layer: keras.Layer) -> None:
        if not np.any(layer.get_weights()[0]):
            raise ValueError("the sampler is not ready; call fit_codes, then fit_states, first")

    def call(self, context):
        """Contexts `(n, t, 784)` to standardised states `(n, s)`; states stay as they are."""
        if len(context.shape) == 2:
            return context
        return (self.encoder(context) - self.mean) / self.deviation

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The squared error of velocities, at one point on the way to each residual."""
        if sample_weight is not None:
            raise ValueError("got sample weights; all sequences weigh alike")
        ops, random = keras.ops, keras.random
        residuals = self.to_codes(y) - self.expected(y_pred)
        one_each = (ops.shape(residuals)[0], 1)
        # One time in ten the state is hidden, for guidance to have something to compare with.
        shown = ops.cast(random.uniform(one_each, seed=self.random) > 0.1, residuals.dtype)
        noise = random.normal(ops.shape(residuals), seed=self.random)
        # 0 is noise, 1 the residual. Most practice for the middle, where the digit takes shape, and
        # some for the end, where fine strokes do: logit-normal times (Esser et al., 2024).
        times = ops.sigmoid(0.3 + 0.8 * random.normal(one_each, seed=self.random))
        points = (1 - times) * noise + times * residuals
        velocities = self.velocity([points, times, shown * y_pred])
        return ops.mean(ops.sum(ops.square(velocities - (residuals - noise)), axis=-1))

    def sample(
        self,
        images: ArrayLike,
        n: int | None = None,
        *,
        guidance: float = 1,
        temperature: float = 1,
        seed: Seed = None,
    ) -> np.ndarray:
        """Draws the image that comes next, once or many times.

        Args:
            images: One sequence `(t, 28, 28)` or a batch `(b, t, 28, 28)`,
                integers in [0, 255] or floats in [0, 1]; or the same flattened.
            n: Draws for each sequence, 1 to 10,000; by default one, without an
                axis for it.
            guidance: How much to exaggerate what distinguishes the residuals
                after this context from all, 0 to 10; 1: not at all. More makes
                digits plainer (Ho and Salimans, 2022: Classifier-free diffusion guidance).
            temperature: Standard deviation of the noise to start from, 0 to 2; in
                training, 1. More makes draws vary more, against what guidance takes.
            seed: Integer for reproducible draws, or a generator to take the
                noise from; `None` draws others each time.

        Returns:
            `float32 (n, 28, 28)` in [0, 1], for a batch `(b, n, 28, 28)`.

        Raises:
            ValueError: Another shape or length, NaN, or values out of range;
                `n`, `guidance` or `temperature` out of range.
        """
        chains = self.generate(images, 1, n, guidance=guidance, temperature=temperature, seed=seed)
        return chains[..., 0, :, :]

    def generate(
        self,
        images: ArrayLike,
        steps: int,
        n: int | None = None,
        *,
        guidance: float = 1,
        temperature: float = 1,
        seed: Seed = None,
    ) -> np.ndarray:
        """Goes on counting: draws the next image, appends it to the context, draws again.

        Args:
            images, n, guidance, temperature, seed: As for `sample`; `n` chains for each
                sequence.
            steps: Images to draw in each chain, 1 to 100,000.

        Returns:
            `float32 (n, steps, 28, 28)` in [0, 1], for a batch `(b, n, steps, 28, 28)`.

        Raises:
            ValueError: As for `sample`, or `steps` out of range.
        """
        check_count(steps, "steps", 100_000)
        check_count(1 if n is None else n, "n", 10_000)
        context, single = check_context(images, self.input_shape[1])
        context = np.repeat(context, n or 1, axis=0)  # (b n, t, 784)
        rng = np.random.default_rng(seed)

        def draw(context: np.ndarray) -> np.ndarray:
            return self.decoder.draw(self._solve(context, guidance, rng, temperature)[-1], rng)

        chains = np.stack([*feed_back(self, draw, context, steps)], axis=1)  # (b n, steps, 28, 28)
        if n is not None:
            chains = chains.reshape(-1, n, *chains.shape[1:])
        return chains[0] if single else chains

    def trajectory(
        self, images: ArrayLike, *, guidance: float = 1, seed: Seed = None
    ) -> np.ndarray:
        """How noise turns into the next image: the code after each step, decoded.

        Args:
            images, guidance, seed: As for `sample`.

        Returns:
            `float32 (21, 28, 28)` in [0, 1]; the first is decoded from the expected
            code plus noise, the last is what `sample` draws with this seed. For a
            batch `(b, 21, 28, 28)`.
        """
        context, single = check_context(images, self.input_shape[1])
        rng = np.random.default_rng(seed)
        path = self._solve(context, guidance, rng)
        # The same noise after each step.
        images = [self.decoder.draw(codes, copy.deepcopy(rng)) for codes in path[:-1]]
        images = np.stack([*images, self.decoder.draw(path[-1], rng)], axis=1)  # (n, 21, 28, 28)
        return images[0] if single else images

    def _solve(self, context, guidance, rng, temperature=1):
        """Codes `(n, c)` after each step, first the expected ones plus noise: `STEPS + 1`."""
        check_number(guidance, "guidance", 0, 10)
        check_number(temperature, "temperature", 0, 2)
        states, network = self.predict_on_batch(context), self.velocity.predict_on_batch
        path = [float(temperature) * rng.standard_normal((len(context), self.codes), np.float32)]
        for step in range(STEPS):
            times = np.full((len(context), 1), END * step / STEPS, "float32")
            velocity = network([path[-1], times, states])
            if step >= UNGUIDED and guidance != 1:
                unconditional = network([path[-1], times, np.zeros_like(states)])
                velocity = velocity + (float(guidance) - 1) * (velocity - unconditional)
            if step in (0, UNGUIDED):  # no earlier one to compare with
                previous = velocity
            # The velocity at the start of a step, bent as it has changed since the step before
            # (Adams and Bashforth's method).
            path.append(path[-1] + (1.5 * velocity - 0.5 * previous) * END / STEPS)
            previous = velocity
        path[-1] *= np.asarray(self.spread) / np.float32(END)
        expected = np.asarray(self.expected(states))
        path = [expected + residuals for residuals in path]
        if not np.isfinite(path[-1]).all():
            raise ValueError("drawn codes are not finite: the sampler's training has diverged")
        return path


def _pixels(images: ArrayLike, least: int, contexts: int | None = None) -> np.ndarray:
    pixels = flatten(images)
    if pixels.ndim != 2 or len(pixels) < least:
        raise ValueError(
            f"images have shape {np.shape(images)}; expected (n, {SIDE}, {SIDE}), at least {least}"
        )
    if contexts not in (None, len(pixels)):
        raise ValueError(f"got {len(pixels)} targets for {contexts} contexts")
    return pixels


def _features(pixels):
    """Pixels `(n, 784)`, and roots of how many are in each range of levels: `(n, 792)`."""
    ops = keras.ops
    levels = ops.round(255 * pixels)
    # The counts of whites depend on the size of the scan. Roots, since large counts vary more, and
    # halved: with more weight, draws leave out more of what people write.
    ranges = zip(LEVELS, (*LEVELS[1:], 256), strict=True)
    counts = [ops.sum((levels >= low) & (levels < high), axis=-1) for low, high in ranges]
    counts = ops.cast(ops.stack(counts, axis=-1), "float32")
    return ops.concatenate([pixels, 0.5 * ops.sqrt(counts)], axis=-1)


def _velocity_network(codes: int, states: int, units: int, blocks: int) -> keras.Model:
    """Residual blocks: points, times and states in, velocities out."""
    layers, ops = keras.layers, keras.ops
    point = keras.Input((codes,), name="point")
    time = keras.Input((1,), name="time")  # 0 to 1
    state = keras.Input((states,), name="state")

    angles = time * np.geomspace(1, 100, 16, dtype="float32")
    waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
    # What to draw is little: a digit and a style. The bottleneck keeps the rest of the state out.
    condition = layers.Dense(64)(waves) + layers.Dense(64)(layers.Dense(16, use_bias=False)(state))
    condition = layers.Dense(64, "silu")(layers.Activation("silu")(condition))

    hidden = layers.Dense(units)(point)
    for _ in range(blocks):
        inner = layers.Dense(units, use_bias=False)(layers.LayerNormalization()(hidden))
        scale, shift = layers.Dense(units)(condition), layers.Dense(units)(condition)
        inner = layers.Activation("silu")(inner * (1 + scale) + shift)
        hidden = hidden + layers.Dense(units, kernel_initializer="zeros")(inner)
    velocity = layers.Dense(codes, kernel_initializer="zeros")(layers.LayerNormalization()(hidden))
    # Were the numbers of a residual normally distributed and independent, these two terms alone
    # would be exact.
    scale, shift = (layers.Dense(codes, kernel_initializer="zeros")(condition) for _ in range(2))
    return keras.Model([point, time, state], velocity + scale * point + shift, name="velocity")
