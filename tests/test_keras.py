"""The predictor and the sampler are normal Keras models: what Keras' users do works on them."""

import copy
import pickle

import keras
import numpy as np
import pytest

from model import NextImagePredictor, generate, make_optimizer, summed_squared_error
from sampler import NextImageSampler


@pytest.fixture(scope="module")
def arrays(test):
    return test.sample(64)[:2]


@pytest.fixture
def small():
    keras.utils.set_random_seed(0)
    model = NextImagePredictor(units=(8, 8))
    model.compile(make_optimizer("adam"), loss=summed_squared_error, metrics=["mse"])
    return model


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_can_be_copied(small, arrays, copied):
    small.fit(*arrays, verbose=0)
    found = copied(small)
    assert type(found) is NextImagePredictor and found.length == 4
    np.testing.assert_array_equal(found.predict_next(arrays[0]), small.predict_next(arrays[0]))


def test_a_sampler_can_be_copied(small, arrays):
    sampler = NextImageSampler(small, codes=8, units=8, blocks=1)
    sampler.adapt(*arrays)
    sampler.compile(make_optimizer("adam"))
    sampler.fit(*arrays, verbose=0)
    expected = sampler.sample(arrays[0], seed=0)
    for found in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        assert type(found) is NextImageSampler
        np.testing.assert_array_equal(found.sample(arrays[0], seed=0), expected)


def test_a_clone_can_generate(small, arrays):
    clone = keras.models.clone_model(small)
    clone.set_weights(small.get_weights())
    found = generate(clone, arrays[0], steps=3)
    np.testing.assert_allclose(found, small.generate(arrays[0], steps=3), atol=1e-6)


class Batches(keras.utils.PyDataset):
    def __init__(self, inputs, targets):
        super().__init__()
        self.inputs, self.targets = inputs, targets

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(16 * index, 16 * (index + 1))
        return self.inputs[rows], self.targets[rows]


def dataset(inputs, targets):
    tensorflow = pytest.importorskip("tensorflow")
    return tensorflow.data.Dataset.from_tensor_slices((inputs, targets)).batch(16)


@pytest.mark.parametrize("source", [Batches, dataset])
def test_trains_on_what_keras_reads(small, arrays, source):
    expected = small.evaluate(*arrays, batch_size=16, verbose=0)
    np.testing.assert_allclose(small.evaluate(source(*arrays), verbose=0), expected, rtol=1e-4)
    losses = small.fit(source(*arrays), epochs=3, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_sample_weights_say_which_sequences_count(small, arrays):
    inputs, targets = arrays
    weights = np.arange(64) < 32
    half = small.evaluate(inputs[:32], targets[:32], verbose=0)[0]
    found = small.evaluate(inputs, targets, sample_weight=weights.astype("float32"), verbose=0)[0]
    assert found == pytest.approx(half / 2, rel=1e-4)  # a mean over all 64


def test_callbacks_stop_and_keep(small, arrays, tmp_path):
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True)
    stop = keras.callbacks.EarlyStopping(monitor="val_mse", patience=0, min_delta=1.0)
    run = small.fit(*arrays, epochs=5, validation_data=arrays, callbacks=[best, stop], verbose=0)
    assert len(run.epoch) == 2  # no epoch is better by 1
    assert type(keras.saving.load_model(tmp_path / "best.keras")) is NextImagePredictor


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports with TensorFlow")
@pytest.mark.filterwarnings("ignore")  # Keras' and TensorFlow's own, of each other
def test_exports(small, arrays, tmp_path, capfd):
    import tensorflow

    small.export(tmp_path / "served", verbose=False)
    loaded = tensorflow.saved_model.load(tmp_path / "served")
    expected = small.predict_next(arrays[0][:3])
    np.testing.assert_allclose(loaded.serve(arrays[0][:3]), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")  # LSTMs stay as they are
def test_quantizes(small, arrays):
    before = small.predict_next(arrays[0])
    small.quantize("int8")
    after = small.predict_next(arrays[0])
    assert after.dtype == np.float32 and 0 < np.abs(after - before).max() < 0.02
