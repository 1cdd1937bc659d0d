"""What people who know Keras do with a model works, on TensorFlow and on JAX."""

import pickle

import keras
import numpy as np
import pytest

from data import PIXELS
from model import NextImagePredictor, generate, load, make_optimizer


def compiled():
    keras.utils.set_random_seed(0)
    model = NextImagePredictor(units=(8, 8))
    model.compile(make_optimizer("adam"), loss="mse", loss_weights=float(PIXELS))
    return model


def test_fit_evaluate_predict_and_the_same_for_a_batch(train, test):
    model, (inputs, targets) = compiled(), test.sample(60)
    before = model.evaluate(inputs, targets, verbose=0)
    given = {"validation_data": (inputs, targets), "verbose": 0}
    history = model.fit(train.dataset(32, 2), epochs=2, **given).history
    assert {name: len(values) for name, values in history.items()} == {"loss": 2, "val_loss": 2}
    after = model.evaluate(*test.sample(60), verbose=0)
    assert after == pytest.approx(history["val_loss"][1], rel=1e-5) and after < before
    predictions = model.predict(inputs, verbose=0)
    assert predictions.shape == (60, 28, 28) and predictions.dtype == np.float32
    # The loss is the squared error, summed over the pixels.
    summed = np.square(predictions - targets).sum(axis=(1, 2)).mean()
    assert model.test_on_batch(inputs, targets) == pytest.approx(summed, rel=1e-4)
    assert model.evaluate(test.dataset(30, 2), verbose=0) == pytest.approx(summed, rel=0.2)
    assert model.train_on_batch(*train.sample(7)) > 0


def test_a_model_is_saved_pickled_and_cloned(train, test, tmp_path, monkeypatch):
    model, inputs = compiled(), test.sample(6)[0]
    model.fit(train.dataset(32, 1), verbose=0)
    model.save(tmp_path / "model.keras")
    monkeypatch.chdir(tmp_path)
    loaded, pickled = keras.saving.load_model("model.keras"), pickle.loads(pickle.dumps(model))
    clone = keras.models.clone_model(model)  # of any subclass, Keras makes a `Sequential`
    clone.set_weights(model.get_weights())
    for copy in (loaded, pickled, clone):
        assert isinstance(copy, keras.Sequential if copy is clone else NextImagePredictor)
        found, expected = generate(copy, inputs, steps=2), model.generate(inputs, steps=2)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    loaded.fit(train.dataset(32, 1), verbose=0)  # it is still compiled
    assert int(loaded.optimizer.iterations) == 2


def test_a_shipped_model_is_loaded_by_its_name_from_anywhere(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load("next_image").predict_next(test.sample(2)[0]).shape == (2, 28, 28)
    assert type(load("sampler")).__name__ == "NextImageSampler"
    for name in ("next", "models/next_image.keras"):
        with pytest.raises(ValueError, match=r"there are .*endless, next_image"):
            load(name)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own format")
def test_a_model_is_exported(test, tmp_path):
    import tensorflow as tf

    model, inputs = compiled(), test.sample(3)[0]
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(inputs), model.predict_on_batch(inputs), atol=1e-5)


@pytest.fixture
def mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def test_mixed_precision_trains_and_answers_in_float32(mixed_precision, train, test):
    model, (inputs, targets) = compiled(), test.sample(60)
    before = model.evaluate(inputs, targets, verbose=0)
    model.fit(train.dataset(32, 4), epochs=2, verbose=0)
    assert model.evaluate(inputs, targets, verbose=0) < before
    assert model.generate(inputs, steps=2).dtype == np.float32
    assert model.predict(inputs, verbose=0).dtype == np.float32
