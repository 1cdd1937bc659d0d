"""The predictor: an LSTM reads the images so far and answers with the next one.

Two things shorten the plateau on which every input gets the same blurred
answer: `start_at_mean` starts the output at the mean target image, and the loss
sums over the pixels instead of averaging them (`loss="mse", loss_weights=784.0`).
"""

import importlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
from numpy.typing import ArrayLike

from data import PIXELS, SIDE, check_count, flatten

MODELS = Path(__file__).parent / "models"


def load(name: str) -> keras.Model:
    """Loads one of the models that ship in `models/`.

    Args:
        name: Such as `"next_image"`; the error for another name lists all.

    Returns:
        The model.

    Raises:
        ValueError: There is no such model.

    Example:

    >>> predictor = load("next_image")
    """
    names = sorted(path.stem for path in MODELS.glob("*.keras"))
    if name not in names:
        raise ValueError(f"no model {name!r:.60}; there are {', '.join(names)}")
    path = MODELS / f"{name}.keras"
    with zipfile.ZipFile(path) as archive:
        module = json.loads(archive.read("config.json"))["module"]
    importlib.import_module(module)  # or Keras would not know the model's class
    return keras.saving.load_model(path)


def make_optimizer(
    name: str = "adam", steps: int | None = None, learning_rate: float | None = None
) -> keras.optimizers.Optimizer:
    """An optimizer with the settings that work for this task.

    Args:
        name: `"sgd"` (with Nesterov momentum and clipped gradients),
            `"rmsprop"` or `"adam"`.
        steps: Training steps in all, over which the learning rate falls to
            zero along a cosine (Loshchilov and Hutter, 2017); by default it
            stays constant.
        learning_rate: Where it starts; by default what suits our predictor:
            0.3, 0.001 and 0.004. Other networks want others.

    Returns:
        A `keras.optimizers.Optimizer`.

    Raises:
        ValueError: Another name, `steps` below 1, or a rate that is not positive.

    Example:

    >>> model.compile(make_optimizer("sgd", steps=2_000), loss="mse", loss_weights=784.0)
    """
    peaks = {"sgd": 0.3, "rmsprop": 1e-3, "adam": 4e-3}
    if not isinstance(name, str) or name not in peaks:
        raise ValueError(f"optimizer is {name!r}; expected one of {', '.join(map(repr, peaks))}")
    if steps is not None:
        steps = check_count(steps, "steps")
    peak = peaks[name] if learning_rate is None else learning_rate
    if not isinstance(peak, int | float | np.number) or not 0 < peak < np.inf:
        raise ValueError(f"learning_rate is {peak!r}; expected a positive number")
    rate = keras.optimizers.schedules.CosineDecay(float(peak), steps) if steps else float(peak)
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, clipnorm=1.0)
    return {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}[name](rate)


@keras.saving.register_keras_serializable(package="next_image")
class NextImagePredictor(keras.Sequential):
    """Two LSTM layers and a dense one: images in, the next image out.

    A normal Keras model: `compile`, `fit`, `evaluate`, `predict`, `summary`,
    `save` and callbacks work unchanged. Under any loss that is smallest at the
    mean, its answer is the mean of all the images that could follow, hence soft.

    Args:
        length: Images in the context; `None` for contexts of any length, and
            for long ones: layers of a fixed length are unrolled, which takes
            long to compile beyond some 20 images.
        units: Widths of the two LSTM layers.
        name: Name of the model.

    Raises:
        ValueError: An argument out of range.

    Example:

    >>> model = NextImagePredictor()
    >>> start_at_mean(model, train.mean_target())
    >>> model.compile(make_optimizer("adam"), loss="mse", loss_weights=784.0)
    >>> history = model.fit(train.dataset(batch_size=256, steps=100), epochs=12)
    >>> model.predict_next(images).shape  # images: (4, 28, 28)
    (28, 28)

    Reference:
        Hochreiter and Schmidhuber, 1997: Long short-term memory.
    """

    def __init__(
        self,
        length: int | None = 4,
        units: tuple[int, int] = (128, 128),
        name: str | None = None,
    ):
        if length is not None:
            length = check_count(length, "length")
        if np.shape(units) != (2,):
            raise ValueError(f"units are {units!r}; expected two widths, such as (128, 128)")
        first, second = (check_count(width, "a width in units") for width in units)
        # Unrolled, four steps of a loop become one plain graph, which trains faster.
        unroll = length is not None
        super().__init__(
            [
                keras.Input((length, PIXELS)),
                keras.layers.LSTM(first, return_sequences=True, unroll=unroll),
                keras.layers.LSTM(second, unroll=unroll),
                # In float32 under mixed precision, too: answers keep their levels of grey.
                keras.layers.Dense(PIXELS, activation="sigmoid", dtype="float32"),
                keras.layers.Reshape((SIDE, SIDE), dtype="float32"),
            ],
            name=name,
        )

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "NextImagePredictor":
        # The config is that of any `Sequential`, so a predictor comes back as it was saved, with
        # layers added, taken away, frozen or quantised.
        saved = keras.Sequential.from_config(config, custom_objects)
        model = cls.__new__(cls)
        keras.Sequential.__init__(model, [*saved.inputs, *saved.layers], name=saved.name)
        return model

    def predict_next(self, images: ArrayLike) -> np.ndarray:
        """Predicts the image that comes next.

        Under XLA (on JAX, or compiled with `jit_compile=True`), the first answer
        to another number of sequences is slow: it compiles for each.

        Args:
            images: One sequence `(t, 28, 28)` or a batch `(n, t, 28, 28)`,
                integers in [0, 255] or floats in [0, 1]; or the same
                flattened, `(t, 784)` or `(n, t, 784)`.

        Returns:
            `float32 (28, 28)` in [0, 1]; for a batch `(n, 28, 28)`.

        Raises:
            ValueError: Another shape or length, NaN, or values out of range.
        """
        return self.generate(images, steps=1)[..., 0, :, :]

    def generate(self, images: ArrayLike, steps: int) -> np.ndarray:
        """Goes on counting for `steps` images, as the function `generate` says."""
        return generate(self, images, steps)


def start_at_mean(model: keras.Model, mean_target: ArrayLike) -> None:
    """Starts a model's output at the mean target image, by setting the last bias to its logit.

    From there on, training has only the differences between digits left to
    learn, and cannot take the mean image, which any predictor finds first,
    for an answer.

    Args:
        model: Any built Keras model, ours or not, that ends in a dense layer of
            784 sigmoid units and at most a `Reshape`. Of a subclass of
            `keras.Model`, the end is the layer that was assigned last.
        mean_target: `(28, 28)` in [0, 1], from `DigitSequences.mean_target`.

    Raises:
        ValueError: Another shape or range, or a model that has no weights yet,
            or ends in another way.

    Example:

    >>> start_at_mean(model, train.mean_target())
    """
    mean = flatten(mean_target)
    if mean.shape != (PIXELS,):
        raise ValueError(
            f"mean_target has shape {np.shape(mean_target)}; expected ({SIDE}, {SIDE})"
        )
    if not model.built:
        raise ValueError("the model has no weights yet; call it once, with any context")
    parts = getattr(model, "operations", model.layers)  # of a functional model, not only layers
    last = next((part for part in reversed(parts) if type(part).__name__ != "Reshape"), None)
    if not (
        isinstance(last, keras.layers.Dense)
        and last.units == PIXELS
        and last.use_bias
        and last.activation is keras.activations.sigmoid
    ):
        raise ValueError(
            f"the last layer is {last}; expected Dense({PIXELS}, activation='sigmoid') with a bias"
        )
    mean = np.clip(mean, 1e-4, 1 - 1e-4)  # keeps the logit of always-black pixels finite
    last.bias.assign(np.log(mean / (1 - mean)))


def generate(model: keras.Model, images: ArrayLike, steps: int) -> np.ndarray:
    """Goes on with any model that maps `(n, t, 784)` to `(n, 28, 28)`, or to `(n, t, 28, 28)`.

    Args:
        model: Any built Keras model of these shapes, ours or not. If its `t` is
            `None`, it reads contexts of any length, and they grow: under XLA,
            it is compiled for each length.
        images: One sequence `(t, 28, 28)` or a batch `(n, t, 28, 28)`: integers
            in [0, 255] or floats in [0, 1]; or the same flattened,
            `(t, 784)` or `(n, t, 784)`.
        steps: Images to generate.

    Returns:
        `float32 (steps, 28, 28)` in [0, 1]; for a batch `(n, steps, 28, 28)`.
        What a linear output has beyond black and white is cut off.

    Raises:
        ValueError: Another shape or length, NaN, or values or `steps` out of
            range.

    Example:

    >>> generate(model, images, steps=6).shape  # images: (4, 28, 28)
    (6, 28, 28)
    """
    steps = check_count(steps, "steps")
    # A model that subclasses `keras.Model` doesn't say its shape; it gets contexts as they are.
    length = getattr(model, "input_shape", (None, None))[1]
    context, single = check_context(images, length)  # (n, t, 784)

    def predict(context: np.ndarray) -> np.ndarray:
        # Not `predict`, which is made for data sets, not loops.
        answers = np.asarray(model.predict_on_batch(context))
        if answers.ndim == 4:  # after each image, of which the last counts
            answers = answers[:, -1]
        return check_predictions(answers, (len(context), SIDE, SIDE))

    chains = np.stack([*feed_back(model, predict, context, steps)], axis=1)
    return chains[0] if single else chains


def check_length(model: keras.Model, length: int) -> None:
    """Raises a `ValueError` where a model reads contexts of another length."""
    reads = getattr(model, "input_shape", (None, None))[1]
    if reads not in (None, length):
        raise ValueError(f"the model reads {reads} images; contexts have {length}")


def check_predictions(predictions: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Checks what a model predicts, and cuts it off at 0 and 1.

    Raises:
        ValueError: Another shape than that of targets, or NaN.
    """
    predictions = np.asarray(predictions)
    if predictions.shape != shape or np.isnan(predictions).any():
        raise ValueError(
            f"the model predicts {predictions.dtype} {predictions.shape}; "
            f"expected {shape} without NaN"
        )
    return predictions.clip(0, 1)


def feed_back(
    model: keras.Model, predict: Callable[[np.ndarray], np.ndarray], context: np.ndarray, steps: int
) -> Iterator[np.ndarray]:
    """Yields a model's predictions, `float32 (n, 28, 28)`, and appends each to the context
    `(n, t, 784)` of the next. Of a model that says that it reads any number, contexts keep all
    images; otherwise they lose the first."""
    shape = getattr(model, "input_shape", None)
    first = 0 if shape and shape[1] is None else 1
    for _ in range(steps):
        images = predict(context).astype("float32", copy=False)
        yield images
        context = np.concatenate([context[:, first:], images.reshape(-1, 1, PIXELS)], axis=1)


def check_context(images: ArrayLike, length: int | None) -> tuple[np.ndarray, bool]:
    """Checks and flattens images to `float32 (n, t, 784)`; also whether they were one sequence.

    Raises:
        ValueError: Another shape, or another number of images than `length`.
    """
    context = flatten(images)
    single = context.ndim == 2
    if context.ndim not in (2, 3) or length not in (None, context.shape[-2]) or not context.size:
        length = "t" if length is None else length
        raise ValueError(
            f"images have shape {np.shape(images)}; expected ({length}, {SIDE}, {SIDE}) "
            f"or (n, {length}, {SIDE}, {SIDE}), or the same flattened to {PIXELS}"
        )
    return (context[None] if single else context), single
