from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from model import NextImagePredictor, generate, make_optimizer, start_at_mean

numpy = keras.ops.convert_to_numpy


@pytest.mark.parametrize("length", [4, 1, None])
def test_is_a_plain_sequential_model(length):
    model = NextImagePredictor(length, (3, 5), name="short")
    assert isinstance(model, keras.Sequential) and model.name == "short"
    assert model.input_shape == (None, length, 784) and model.output_shape == (None, 28, 28)
    first, second, *_ = model.layers
    assert (first.units, second.units) == (3, 5)
    assert first.unroll is second.unroll is (length is not None)


def test_the_optimizers_have_the_settings_that_were_measured():
    """Another rate or no momentum would make the published curves those of something else."""
    assert isinstance(make_optimizer(), keras.optimizers.Adam)
    for name, rate in (("sgd", 0.3), ("rmsprop", 1e-3), ("adam", 4e-3)):
        optimizer = make_optimizer(name)
        assert type(optimizer).__name__.lower() == name
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        assert float(make_optimizer(name, learning_rate=0.1).learning_rate) == pytest.approx(0.1)
        schedule = make_optimizer(name, steps=100).get_config()["learning_rate"]
        schedule = keras.optimizers.schedules.deserialize(schedule)
        expected = np.multiply(rate, [1, 0.5, 0])
        np.testing.assert_allclose([schedule(n) for n in (0, 50, 100)], expected, atol=1e-6)
    settings = make_optimizer("sgd").get_config()
    assert (settings["momentum"], settings["nesterov"], settings["clipnorm"]) == (0.9, True, 1)


def test_the_last_bias_starts_at_the_logit_of_the_mean_target():
    mean = np.linspace(0, 1, 784).reshape(28, 28)
    expected = np.clip(mean, 1e-4, 1 - 1e-4).ravel()  # black and white have no finite logit
    expected = np.log(expected / (1 - expected))
    image, dense = keras.Input((784,)), layers.Dense(784, activation="sigmoid")
    ours, other = NextImagePredictor(units=(2, 2)), keras.Model(image, dense(image))
    for model, layer in ((ours, ours.layers[2]), (other, dense)):
        start_at_mean(model, mean)
        np.testing.assert_allclose(numpy(layer.bias), expected, atol=1e-3)


def test_images_come_one_by_one_and_in_any_number(images):
    model = NextImagePredictor(units=(32, 32))
    expected = model.predict_next(images)
    assert expected.shape == (6, 28, 28) and expected.dtype == np.float32
    for form in (images[0], images[0].reshape(4, 784) / 255):
        np.testing.assert_allclose(model.predict_next(form), expected[0], atol=1e-6, strict=True)
    any_length = NextImagePredictor(length=None, units=(32, 32))
    any_length.set_weights(model.get_weights())
    for answers in (model.generate(images, 3), generate(any_length, images, 3)):
        assert answers.shape == (6, 3, 28, 28)
        np.testing.assert_allclose(answers[:, 0], expected, atol=1e-5)
    assert any_length.predict_next(images[:, :3]).shape == (6, 28, 28)


def test_each_prediction_is_appended_to_the_context_of_the_next(images):
    def mixture(context):  # some of it beyond white
        return np.einsum("nts,t->ns", context, [0.5, -0.4, 0.3, 1.2]).reshape(-1, 28, 28)

    mixer = SimpleNamespace(predict_on_batch=mixture)
    chain = list(images.transpose(1, 0, 2, 3) / np.float32(255))
    for _ in range(7):
        mixed = 0.5 * chain[-4] - 0.4 * chain[-3] + 0.3 * chain[-2] + 1.2 * chain[-1]
        chain.append(mixed.clip(0, 1))
    found = generate(mixer, images, steps=7)
    np.testing.assert_allclose(found, np.stack(chain[4:], axis=1), atol=1e-5)
    assert found.dtype == np.float32 and found.max() == 1 and found.min() == 0
    np.testing.assert_allclose(generate(mixer, images[0], 7), found[0], atol=1e-6, strict=True)
    # A model that reads contexts of any length is shown all images so far.
    any_length = SimpleNamespace(
        predict_on_batch=lambda context: np.full((6, 28, 28), context.shape[1] / 10),
        input_shape=(None, None, 784),
    )
    found = generate(any_length, images, steps=3)
    np.testing.assert_allclose(found[:, :, 0, 0], [[0.4, 0.5, 0.6]] * 6, atol=1e-6)


def names(model):
    return [variable.path.removeprefix("small/") for variable in model.trainable_variables]


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")  # LSTMs stay as they are
@pytest.mark.parametrize(
    ("change", "learns"),
    [
        (lambda model: model.pop(), 8),
        (lambda model: model.add(layers.Rescaling(0.5)), 8),
        (lambda model: setattr(model.layers[0], "trainable", False), 5),
        (lambda model: model.quantize("int8"), 7),
    ],
    ids=["popped", "added", "frozen", "quantized"],
)
def test_what_was_changed_in_a_model_survives_saving(change, learns, images, tmp_path):
    context = images.reshape(6, 4, 784) / np.float32(255)
    keras.utils.set_random_seed(0)
    small = NextImagePredictor(units=(4, 3), name="small")
    change(small)
    expected = numpy(small(context))
    assert len(names(small)) == learns
    small.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is NextImagePredictor
    assert (loaded.name, loaded.input_shape) == ("small", (None, 4, 784))
    assert names(loaded) == names(small)
    np.testing.assert_array_equal(numpy(loaded(context)), expected)
