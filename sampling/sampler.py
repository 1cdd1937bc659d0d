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
import itertools
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from data import PIXELS, SIDE, check_count, check_number, flatten
from model import check_context, check_length, feed_back, make_optimizer
from preprocessing import DigitSequences
from sampling.decoder import CODE_NOISE, PixelDecoder
from sampling.scans import undo

FLOW_STEPS = 20  # from noise to a residual
UNGUIDED = 10  # of those: early, guidance costs more than it gains (Kynkäänniemi et al., 2024)
READ_TOGETHER = 1_000  # sequences, in training
VELOCITY_BATCH, DECODER_BATCH = 500, 8
DECODER_IMAGES, DECODER_EPOCHS = 30_000, 8  # all of MNIST's would take too long to undo
# Where the way from noise, 0, to the residual, 1, ends: with the noise that the decoder has seen.
END = 1 / (1 + CODE_NOISE)
# Where ranges of grey levels begin: a code knows how many pixels of the image are in each.
LEVELS = 1, 64, 128, 192, 252, 253, 254, 255

Seed = int | np.random.Generator | None


@keras.saving.register_keras_serializable(package="next_image")
class NextImageSampler(keras.Model):
    """Draws next images, given the state of a predictor after the context.

    Nobody tells it the digit: its condition is the state that the predictor's last
    dense layer reads. `predict` draws one image for each context; to `save` and load
    it works as for any Keras model. `train_sampler` trains one, not `fit`.

    Args:
        predictor: A trained `NextImagePredictor`, or another `Sequential` that
            ends in `Dense` and `Reshape`. The sampler has a copy of the layers
            before them.
        codes: Principal components in the code of an image, 1 to 784.
        units: Width of the velocity network.
        blocks: Its residual blocks.
        name: Name of the model.

    Raises:
        ValueError: An argument out of range, or a predictor that ends in another way.

    Example:

    >>> sampler = load("sampler")
    >>> sampler.sample(images, n=16, seed=0).shape  # images: (4, 28, 28)
    (16, 28, 28)
    >>> evaluate(sampler, test)["accuracy"]

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
        self.units = units = check_count(units, "units")
        self.blocks = blocks = check_count(blocks, "blocks")
        layers = keras.layers
        kept = predictor.layers[:-2] if isinstance(predictor, keras.Sequential) else []
        if not kept or [*map(type, predictor.layers[-2:])] != [layers.Dense, layers.Reshape]:
            raise ValueError(
                f"predictor is {predictor!r:.60}; expected a Sequential that ends in Dense and "
                "Reshape"
            )
        copies = [type(layer).from_config(layer.get_config()) for layer in kept]
        self.encoder = keras.Sequential([keras.Input(predictor.input_shape[1:]), *copies])
        self.encoder.set_weights([each for layer in kept for each in layer.get_weights()])
        states = self.encoder.output_shape[-1]
        self.mean = self.add_weight((states,), "zeros", name="mean")
        self.deviation = self.add_weight((states,), "ones", name="deviation")
        self.spread = self.add_weight((codes,), "ones", name="spread")
        self.projection = layers.Dense(codes, kernel_initializer="zeros")
        self.projection.build((None, PIXELS + len(LEVELS)))
        # From a state to the code to expect.
        self.expected = layers.Dense(codes, kernel_initializer="zeros")
        self.expected.build((None, states))
        self.velocity = _velocity_network(codes, states, units, blocks)
        self.decoder = PixelDecoder(codes, name="decoder")
        self.built = True

    @property
    def input_shape(self) -> tuple:
        """That of the predictor: `(None, t, 784)`."""
        return self.encoder.input_shape

    def get_config(self) -> dict:
        sizes = {"codes": self.codes, "units": self.units, "blocks": self.blocks}
        return {"encoder": self.encoder.get_config(), **sizes, "name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> "NextImageSampler":
        config = dict(config)
        encoder = keras.Sequential.from_config(config.pop("encoder"))
        # `__init__` takes them off again.
        ends = keras.layers.Dense(PIXELS), keras.layers.Reshape((SIDE, SIDE))
        return cls(keras.Sequential([*encoder.inputs, *encoder.layers, *ends]), **config)

    def to_codes(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Images `(n, 28, 28)` in [0, 1] to their codes `(n, codes)`."""
        return self.projection(_features(keras.ops.reshape(images, (-1, PIXELS))))

    def call(self, context):
        """Contexts `(n, t, 784)` to standardised states `(n, s)`, from which `predict` draws."""
        return (self.encoder(context) - self.mean) / self.deviation

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None) -> np.ndarray:
        """Draws one next image for each context, others each time, as `sample` does.

        Args:
            x: Contexts `(n, t, 784)`, as for `sample`.
            batch_size, verbose, steps, callbacks: Those of other Keras models; here, all contexts
                are one batch.

        Returns:
            `float32 (n, 28, 28)` in [0, 1].
        """
        return self.sample(x)

    def predict_on_batch(self, x) -> np.ndarray:
        """Draws as `predict` does."""
        return self.sample(x)

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
            n: Draws for each sequence; by default one, without an
                axis for it.
            guidance: How much to exaggerate what distinguishes the residuals
                after this context from all; 1: not at all. More makes
                digits plainer (Ho and Salimans, 2022: Classifier-free diffusion guidance).
            temperature: Standard deviation of the noise to start from; in
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
            steps: Images to draw in each chain.

        Returns:
            `float32 (n, steps, 28, 28)` in [0, 1], for a batch `(b, n, steps, 28, 28)`.

        Raises:
            ValueError: As for `sample`, or `steps` out of range.
        """
        check_count(steps, "steps")
        check_count(1 if n is None else n, "n")
        context, single = check_context(images, self.input_shape[1])
        context = np.repeat(context, n or 1, axis=0)  # (b n, t, 784)
        rng = np.random.default_rng(seed)

        def draw(context: np.ndarray) -> np.ndarray:
            codes = self._solve(self._states(context), guidance, temperature, rng)[-1]
            return self.decoder.draw(codes, rng)

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
        path = self._solve(self._states(context), guidance, 1, rng)
        # The same noise after each step.
        images = [self.decoder.draw(codes, copy.deepcopy(rng)) for codes in path[:-1]]
        images = np.stack([*images, self.decoder.draw(path[-1], rng)], axis=1)  # (n, 21, 28, 28)
        return images[0] if single else images

    def _states(self, context):
        return super().predict_on_batch(context)

    def _solve(self, states, guidance, temperature, rng):
        """Codes `(n, c)` after each step, first the expected ones plus noise: `FLOW_STEPS + 1`."""
        check_number(guidance, "guidance", 0, np.inf)
        check_number(temperature, "temperature", 0, np.inf)
        network = self.velocity.predict_on_batch
        path = [float(temperature) * rng.standard_normal((len(states), self.codes), np.float32)]
        for step in range(FLOW_STEPS):
            times = np.full((len(states), 1), END * step / FLOW_STEPS, "float32")
            velocity = network([path[-1], times, states])
            if step >= UNGUIDED and guidance != 1:
                unconditional = network([path[-1], times, np.zeros_like(states)])
                velocity = velocity + (float(guidance) - 1) * (velocity - unconditional)
            if step in (0, UNGUIDED):  # no earlier one to compare with
                previous = velocity
            # The velocity at the start of a step, bent as it has changed since the step before
            # (Adams and Bashforth's method).
            path.append(path[-1] + (1.5 * velocity - 0.5 * previous) * END / FLOW_STEPS)
            previous = velocity
        path[-1] *= np.asarray(self.spread) / np.float32(END)
        expected = np.asarray(self.expected(states))
        path = [expected + residuals for residuals in path]
        if not np.isfinite(path[-1]).all():
            raise ValueError(
                "drawn codes are not finite: the sampler's training has diverged, or guidance or "
                "temperature is too large"
            )
        return path


def train_sampler(
    predictor: keras.Sequential,
    sequences: DigitSequences | Sequence[DigitSequences],
    epochs: int = 120,
    *,
    n: int = 240_000,
    learning_rate: float = 0.001,
    start: NextImageSampler | None = None,
    seed: int = 0,
    verbose: int = 2,
    **sizes: int,
) -> NextImageSampler:
    """Trains a new sampler, as `models/sampler.keras` was trained. Sets Keras' global seeds.

    That takes hours on two cores, most of them for the decoder, which has to learn
    from MNIST's images what a digit looks like. To draw other sequences, or after
    another predictor, `start` from a sampler that ships.

    Args:
        predictor: As for `NextImageSampler`.
        sequences: What to train on, or several of them, for contexts of several
            lengths; each gives as many.
        epochs: How often the velocity network sees each sequence.
        n: Sequences to learn from, rounded up to thousands for each of `sequences`.
        learning_rate: Where that of the velocity network starts; it falls to zero.
        start: A sampler whose codes, velocity network and decoder to go on from; of
            the same sizes, and its predictor's states as wide. By default, they are
            trained anew, the decoder on the first 30,000 images of `sequences`.
        seed: Of weights and noise; the sequences have their own.
        verbose: As for `keras.Model.fit`.
        **sizes: As for `NextImageSampler`: `codes`, `units` and `blocks`.

    Returns:
        The sampler.

    Raises:
        ValueError: `epochs` or `n` is not an integer of at least 1; the predictor reads
            contexts of another length; a `start` of other sizes; or as for
            `NextImageSampler`, `make_optimizer` or `undo`.

    Example:

    >>> down = train.with_world(digit_windows()[:, ::-1])
    >>> predictor = train_predictor(down, steps=1_200)
    >>> sampler = train_sampler(predictor, down, epochs=20, start=load("sampler"))
    """
    epochs, n = check_count(epochs, "epochs"), check_count(n, "n")
    keras.utils.set_random_seed(check_count(seed, "seed", least=0))
    several = [sequences] if isinstance(sequences, DigitSequences) else sequences
    model = NextImageSampler(predictor, **sizes)
    for each in several:
        check_length(model, each.length)

    # The predictor's part does not change: it reads each sequence once.
    batches = -(-n // (READ_TOGETHER * len(several)))
    parts = [
        (model.encoder.predict_on_batch(inputs), targets)
        for each in several
        for inputs, targets in itertools.islice(each.batches(READ_TOGETHER), batches)
    ]
    states, targets = zip(*parts, strict=True)
    states = np.concatenate(states)
    model.mean.assign(states.mean(axis=0, dtype=float))
    model.deviation.assign(np.sqrt(states.var(axis=0, dtype=float) + 1e-3))
    states = (states - np.asarray(model.mean)) / np.asarray(model.deviation)

    if start is None:
        _find_codes(model, np.concatenate(targets[:30]))
        _train_decoder(model, several[0].images[:DECODER_IMAGES], verbose)
    else:
        for part in ("projection", "velocity", "decoder"):
            getattr(model, part).set_weights(getattr(start, part).get_weights())

    # Features of all targets at once would need gigabytes.
    codes = np.concatenate([np.asarray(model.to_codes(each)) for each in targets])
    # A layer normalisation leaves states constant in one direction, up to rounding; without
    # a bound, its weights would be thousands of times the others.
    kernel = np.linalg.lstsq(states, codes.astype(float), rcond=1e-4)[0]
    model.expected.set_weights([kernel, codes.mean(axis=0, dtype=float)])
    expected = np.asarray(model.expected(states))
    residuals = codes - expected

    steps = epochs * -(-len(states) // VELOCITY_BATCH)
    optimizer = make_optimizer("adam", steps, learning_rate)
    model.velocity.compile(optimizer, "mse", loss_weights=float(model.codes))  # summed over a code
    rng, one_each = np.random.default_rng(seed), (len(states), 1)
    for _ in range(epochs):
        noise = rng.standard_normal(residuals.shape, np.float32)
        # 0 is noise, 1 the residual. Most practice for the middle, where the digit takes shape, and
        # some for the end, where fine strokes do: logit-normal times (Esser et al., 2024).
        times = expit(0.3 + 0.8 * rng.standard_normal(one_each, np.float32))
        points = (1 - times) * noise + times * residuals
        # One time in ten the state is hidden, for guidance to have something to compare with.
        shown = states * (rng.random(one_each) > 0.1)
        given = {"batch_size": VELOCITY_BATCH, "verbose": verbose}
        model.velocity.fit([points, times, shown], residuals - noise, **given)

    # What a network has not learned, it answers with an average. So the numbers of drawn residuals
    # vary less than they should, by up to a tenth. Each is multiplied by what its standard
    # deviation lacks.
    drawn = model._solve(states[:15_000], 1, 1, rng)[-1] - expected[:15_000]
    wanted = residuals[:15_000].var(axis=0) + CODE_NOISE**2
    model.spread.assign(np.sqrt(wanted / drawn.var(axis=0)))
    model.velocity.optimizer = model.decoder.optimizer = None  # not to be saved
    return model


def _find_codes(model: NextImageSampler, images: np.ndarray) -> None:
    """Finds the principal components of images `(n, 28, 28)`."""
    features = np.asarray(_features(images.reshape(-1, PIXELS)), float)
    variances, components = np.linalg.eigh(np.cov(features, rowvar=False))  # smallest first
    variances = np.maximum(variances[-model.codes :], 1e-6)  # some pixels never change
    # The largest deviation becomes 1. Others stay smaller, but less so than in the images, where
    # fine strokes would drown in the noise.
    scales = (variances[-1] * variances) ** -0.25
    mean, components = features.mean(axis=0), components[:, -model.codes :]
    model.projection.set_weights([components * scales, -mean @ (components * scales)])
    model.decoder.linear.set_weights([(components / scales)[:PIXELS].T, mean[:PIXELS]])


def _train_decoder(model: NextImageSampler, images: np.ndarray, verbose: int) -> None:
    codes, decoder = np.asarray(model.to_codes(flatten(images))), model.decoder
    steps = DECODER_EPOCHS * -(-len(codes) // DECODER_BATCH)
    optimizer = make_optimizer("adam", steps, learning_rate=0.006)
    decoder.compile(optimizer, jit_compile=decoder.jit_compile)
    decoder.fit(codes, undo(images), DECODER_BATCH, DECODER_EPOCHS, verbose=verbose)


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
