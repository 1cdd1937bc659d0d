"""The sampler: draws the next image as somebody would write it, sharp and different every time.

A predictor answers with the average of all images that could follow. The
sampler draws *one* of them. It learns to turn noise into images, given what the
predictor's LSTM has read, by latent flow matching: an image becomes a code, its
principal components; a velocity network learns to move noise to codes along
straight lines; a painter makes an image of the code in which a line ends.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import ArrayLike

from data import SIDE, flatten
from model import PIXELS, NextImagePredictor, check_context, check_count, feed_back
from painter import Painter

STEPS = 10  # from noise to code
UNGUIDED = 5  # of those: early, guidance costs variety for little (Kynkäänniemi et al., 2024)
TEMPERATURE = 1.09  # of the noise: with less, draws leave out more of what people write
PAINTED = 8  # images of a batch that the painter learns from: each has 784 pixels to teach
BLUR = 0.1  # noise in the codes that it learns from: drawn codes are never quite those of an image


@keras.saving.register_keras_serializable(package="next_image")
class NextImageSampler(keras.Model):
    """Draws next images, given the state in which a predictor's LSTM has read the context.

    Nobody tells it the digit: its condition is what the second LSTM holds after
    the last image. A normal Keras model, with `compile`, `fit`, `evaluate`,
    `save` and callbacks, but its loss is its own: `compile` needs none, and no
    metrics. `adapt` comes before training. `sample` answers with images,
    `predict` with the conditions. `fit` takes sequences, or those conditions in
    place of them: what was read once, no epoch has to read again.

    Args:
        predictor: A trained `NextImagePredictor`. The sampler reads with a copy
            of its LSTM layers, which training leaves as they are.
        codes: Principal components that an image is reduced to.
        units: Width of the velocity network.
        blocks: Its residual blocks.
        name: Name of the model.

    Raises:
        ValueError: An argument out of range, or training before `adapt`.

    Example:

    >>> sampler = NextImageSampler(predictor)
    >>> sampler.adapt(inputs, targets)  # of many thousand sequences
    >>> sampler.compile(make_optimizer("adam", learning_rate=0.002))
    >>> states = sampler.predict(inputs)
    >>> history = sampler.fit(states, targets, batch_size=500, epochs=50)
    >>> sampler.sample(images, n=16, seed=0).shape  # images: (4, 28, 28)
    (16, 28, 28)

    References:
        Lipman, Chen, Ben-Hamu, Nickel and Le, 2023: Flow matching for
        generative modeling. Liu, Gong and Liu, 2023: Flow straight and fast.
    """

    def __init__(
        self,
        predictor: NextImagePredictor,
        codes: int = 128,
        units: int = 200,
        blocks: int = 8,
        name: str | None = None,
    ):
        if not 1 <= codes <= PIXELS:
            raise ValueError(f"codes is {codes}; expected 1 to {PIXELS}")
        if units < 1 or blocks < 1:
            raise ValueError(f"units is {units} and blocks {blocks}; expected at least 1 each")
        super().__init__(name=name)
        self.codes, self.units, self.blocks = codes, units, blocks
        self.length, self.read_by = predictor.length, predictor.get_config()
        layers = keras.layers
        copy = NextImagePredictor.from_config(self.read_by)
        copy.set_weights(predictor.get_weights())
        self.reader = keras.Sequential(
            [
                keras.Input((predictor.length, PIXELS)),
                *copy.layers[:2],
                # Standardises the state, as `adapt` says, and not by batch: that is noise.
                layers.BatchNormalization(center=False, scale=False, trainable=False),
            ],
            name="reader",
        )
        for lstm in self.reader.layers[:2]:
            lstm.trainable = False
        self.encoder = layers.Dense(codes, kernel_initializer="zeros", trainable=False)
        self.encoder.build((None, PIXELS))
        self.velocity = _velocity_network("velocity", codes, predictor.units[-1], units, blocks)
        self.painter = Painter(codes, name="painter")
        self.random = keras.random.SeedGenerator()
        self.built = True

    def get_config(self) -> dict:
        return {
            "predictor": self.read_by,
            "codes": self.codes,
            "units": self.units,
            "blocks": self.blocks,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "NextImageSampler":
        return cls(**{**config, "predictor": NextImagePredictor(**config["predictor"])})

    def adapt(self, inputs: ArrayLike, targets: ArrayLike) -> None:
        """Finds the scale of the states, and the components that images are encoded by.

        Args:
            inputs: Some thousand sequences `(n, t, 28, 28)` or `(n, t, 784)`:
                integers in [0, 255] or floats in [0, 1].
            targets: What comes next, `(n, 28, 28)`, the same.

        Raises:
            ValueError: Another shape or range, or fewer targets than codes.
        """
        context, _ = check_context(inputs, self.length)
        pixels = flatten(targets)
        if pixels.ndim != 2 or len(pixels) < self.codes:
            raise ValueError(
                f"targets have shape {np.shape(targets)}; "
                f"expected (n, {SIDE}, {SIDE}), with n at least {self.codes}"
            )
        standardise = self.reader.layers[-1]
        mean, variance = standardise.get_weights()
        unit = np.full_like(variance, 1 - standardise.epsilon)  # to which the layer adds epsilon
        standardise.set_weights([np.zeros_like(mean), unit])
        states = self.predict(context, batch_size=1_000, verbose=0)
        standardise.set_weights([states.mean(axis=0, dtype=float), states.var(axis=0, dtype=float)])

        variances, components = np.linalg.eigh(np.cov(pixels, rowvar=False))  # smallest first
        variances = np.maximum(variances[-self.codes :], 1e-6)  # some pixels never change
        # The largest deviation becomes 1. Others stay smaller, but less so than in the images,
        # where fine strokes would drown in the noise.
        scales = (variances[-1] * variances) ** -0.25
        mean, components = pixels.mean(axis=0), components[:, -self.codes :]
        self.encoder.set_weights([components * scales, -mean @ (components * scales)])
        self.painter.adapt((components / scales).T, mean)

    def make_train_function(self, force: bool = False):
        # Keras asks for this before it trains, in `fit` and in `train_on_batch`.
        if self.train_function is None and not np.any(self.encoder.get_weights()[0]):
            raise ValueError("the sampler has no codes yet; call adapt(inputs, targets) first")
        return super().make_train_function(force)

    def call(self, context, training=False):
        """What the LSTM has read: `(n, t, 784)` to standardised states `(n, units)`."""
        if len(context.shape) == 2:  # states, read before
            return context
        return self.reader(context, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """How far off the velocities are, and how much real images surprise the painter."""
        ops, random = keras.ops, keras.random
        codes = self.encoder(ops.reshape(y, (-1, PIXELS)))  # (n, c)
        painted = codes[:PAINTED]
        painted = painted + BLUR * random.normal(ops.shape(painted), seed=self.random)
        surprise = ops.mean(self.painter.surprise(painted, y[:PAINTED]))

        one_each = (ops.shape(codes)[0], 1)
        # One time in five the state is hidden, for guidance to have something to compare with.
        seen = ops.cast(random.uniform(one_each, seed=self.random) > 0.2, codes.dtype)
        noise = random.normal(ops.shape(codes), seed=self.random)
        # 0 is noise, 1 the code. Most practice for the middle, where the digit takes shape: times
        # are logit-normal (Esser et al., 2024).
        times = ops.sigmoid(0.1 + 0.6 * random.normal(one_each, seed=self.random))
        points = (1 - times) * noise + times * codes
        errors = self.velocity([points, times, seen * y_pred]) - (codes - noise)
        return surprise + ops.mean(ops.sum(ops.square(errors), axis=-1))

    def sample(
        self,
        images: ArrayLike,
        n: int | None = None,
        *,
        guidance: float = 2.0,
        seed: int | np.random.Generator | None = None,
    ) -> np.ndarray:
        """Draws the image that comes next, one or many times.

        Args:
            images: One sequence `(t, 28, 28)` or a batch `(b, t, 28, 28)`,
                integers in [0, 255] or floats in [0, 1]; or the same
                flattened, `(t, 784)` or `(b, t, 784)`.
            n: Draws for each sequence; by default one, without an axis for it.
            guidance: How much to exaggerate, in the last five of ten steps,
                what distinguishes this context from none; 1: not at all. More
                makes digits plainer; beyond some 1.6, it also takes them away
                from how real ones look, as a crowd (Ho and Salimans, 2022:
                Classifier-free diffusion guidance).
            seed: Integer for reproducible draws, or a generator to take the
                noise from; `None` draws others each time.

        Returns:
            `float32 (n, 28, 28)` in [0, 1], for a batch `(b, n, 28, 28)`; both
            without `n` if that is `None`.

        Raises:
            ValueError: Another shape or length, NaN, or values out of range;
                `n` below 1; a negative or infinite `guidance`.

        Example:

        >>> sampler.sample(images, n=16, seed=0).shape  # images: (4, 28, 28)
        (16, 28, 28)
        """
        chains = self.generate(images, 1, n, guidance=guidance, seed=seed)
        return chains[..., 0, :, :]

    def generate(
        self,
        images: ArrayLike,
        steps: int,
        n: int | None = None,
        *,
        guidance: float = 2.0,
        seed: int | np.random.Generator | None = None,
    ) -> np.ndarray:
        """Goes on counting: draws the next image, appends it to the context, draws again.

        Args:
            images: As for `sample`.
            steps: Images to generate in each chain.
            n: Chains for each sequence; by default one, without an axis for it.
            guidance: As for `sample`.
            seed: As for `sample`.

        Returns:
            `float32 (n, steps, 28, 28)` in [0, 1], for a batch
            `(b, n, steps, 28, 28)`; both without `n` if that is `None`.

        Raises:
            ValueError: As for `sample`, or `steps` below 1.
        """
        check_count(steps, "steps")
        check_count(1 if n is None else n, "n")
        context, single = check_context(images, self.length)
        context = np.repeat(context, n or 1, axis=0)  # (b n, t, 784)
        rng = np.random.default_rng(seed)

        def draw(context: np.ndarray) -> np.ndarray:
            codes = self._codes(context, guidance, rng)[-1]
            chance = rng.random((len(codes), SIDE, SIDE), np.float32)
            return self.painter.predict_on_batch([codes, chance])

        chains = feed_back(draw, context, steps)  # (b n, steps, 28, 28)
        if n is not None:
            chains = chains.reshape(-1, n, *chains.shape[1:])
        return chains[0] if single else chains

    def unfold(
        self,
        images: ArrayLike,
        *,
        guidance: float = 2.0,
        seed: int | np.random.Generator | None = None,
    ) -> np.ndarray:
        """How noise turns into the next image: each code on its way, painted.

        Args:
            images: As for `sample`.
            guidance: As for `sample`.
            seed: As for `sample`; the last image is what `sample` draws with it.

        Returns:
            `float32 (11, 28, 28)` in [0, 1], noise first; for a batch
            `(b, 11, 28, 28)`.

        Raises:
            ValueError: As for `sample`.
        """
        context, single = check_context(images, self.length)
        rng = np.random.default_rng(seed)
        codes = self._codes(context, guidance, rng)  # (STEPS + 1, b, c)
        chance = rng.random((len(context), SIDE, SIDE), np.float32)  # the same for all
        paint = self.painter.predict_on_batch
        unfolded = np.stack([paint([code, chance]) for code in codes], axis=1)
        return unfolded[0] if single else unfolded

    def _codes(self, context: np.ndarray, guidance: float, rng: np.random.Generator) -> np.ndarray:
        """Codes on their way from noise, `(STEPS + 1, n, c)`."""
        if not 0 <= guidance < np.inf:
            raise ValueError(f"guidance is {guidance}; expected a number of at least 0")
        noise = TEMPERATURE * rng.standard_normal((len(context), self.codes), np.float32)
        weights = np.full((len(context), 1), guidance, np.float32)
        return self._flow([context, noise, weights])

    # The method, cached, and not the model itself: Keras would take a model among the attributes
    # for a layer of this one, to be trained and saved with it.
    @functools.cached_property
    def _flow(self) -> Callable[[list[np.ndarray]], np.ndarray]:
        return _Flow(self).predict_on_batch


class _Flow(keras.Model):
    """Moves noise along the velocities; a model, so that Keras compiles it.

    Each step follows the velocity where it starts; all but the first bend it as it has
    changed since the step before (Adams and Bashforth's method).
    """

    def __init__(self, sampler: NextImageSampler):
        super().__init__(name="flow")
        self.sampler = sampler

    def call(self, inputs):
        ops, velocity = keras.ops, self.sampler.velocity
        context, noise, guidance = inputs  # (n, t, 784), (n, c), (n, 1)
        states = self.sampler(context)

        def plain(codes, times):
            return velocity([codes, times, states])

        def guided(codes, times):
            told, untold = plain(codes, times), velocity([codes, times, ops.zeros_like(states)])
            return told + (guidance - 1) * (told - untold)

        def step(velocities, carry, time):
            codes, before = carry[0], carry[1]
            now = velocities(codes, time * ops.ones_like(guidance))
            carry = ops.stack([codes + (1.5 * now - 0.5 * before) / STEPS, now])
            return carry, carry

        times = ops.arange(STEPS, dtype="float32") / STEPS
        first = plain(noise, ops.zeros_like(guidance))
        carry = ops.stack([noise + first / STEPS, first])
        path = [noise[None], carry[:1]]
        for velocities, part in ((plain, times[1:UNGUIDED]), (guided, times[UNGUIDED:])):
            carry, way = ops.scan(functools.partial(step, velocities), carry, part)
            path.append(way[:, 0])
        return ops.concatenate(path)


def _velocity_network(name: str, codes: int, read: int, units: int, blocks: int) -> keras.Model:
    """Residual blocks, each told the time and what was read: codes in, their velocities out."""
    layers, ops = keras.layers, keras.ops
    code = keras.Input((codes,), name="code")
    time = keras.Input((1,), name="time")  # 0 to 1
    state = keras.Input((read,), name="state")

    angles = time * np.geomspace(1, 100, 16, dtype="float32")
    waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
    # What to draw is little: a digit and a hand. The bottleneck keeps the rest of the state out.
    asked = layers.Dense(64)(waves) + layers.Dense(64)(layers.Dense(16, use_bias=False)(state))
    asked = layers.Dense(16, "silu")(layers.Activation("silu")(asked))

    hidden = layers.Dense(units)(code)
    for _ in range(blocks):
        inner = layers.Dense(units, use_bias=False)(layers.LayerNormalization()(hidden))
        scale, shift = layers.Dense(units)(asked), layers.Dense(units)(asked)
        inner = layers.Activation("silu")(inner * (1 + scale) + shift)
        hidden = hidden + layers.Dense(units, kernel_initializer="zeros")(inner)
    velocity = layers.Dense(codes, kernel_initializer="zeros")(layers.LayerNormalization()(hidden))
    # Were the images of a digit normally distributed, these two terms alone would be exact.
    scale, shift = (layers.Dense(codes, kernel_initializer="zeros")(asked) for _ in range(2))
    return keras.Model([code, time, state], velocity + scale * code + shift, name=name)
