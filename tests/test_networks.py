"""Any network that maps `(n, t, 784)` to `(n, 28, 28)` is measured, fed back and drawn like ours.

Those that end in a dense layer of 784 sigmoid units are trained like ours, too.
"""

import keras
import numpy as np
import pytest

from data import SIDE, flatten
from evaluation import evaluate, evaluate_chains, style_agreement
from model import PIXELS, adapt, generate, make_optimizer, summed_squared_error, train_predictor
from plotting import plot_chain, plot_predictions
from preprocessing import DigitSequences, digit_windows
from resume import epochs_done, resumable_fit

layers = keras.layers


def perceptron(length):
    return keras.Sequential(
        [
            keras.Input((length, PIXELS)),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(PIXELS, "sigmoid"),
            layers.Reshape((SIDE, SIDE)),
        ]
    )


def attention(length):
    images = keras.Input((length, PIXELS))
    # A bias of its own for each place says where in the sequence an image is.
    x = layers.EinsumDense("btp,pd->btd", (length, 64), bias_axes="td")(images)
    x = x + layers.MultiHeadAttention(num_heads=2, key_dim=32)(x, x)
    x = layers.Dense(PIXELS, "sigmoid")(layers.LayerNormalization()(x)[:, -1])
    return keras.Model(images, layers.Reshape((SIDE, SIDE))(x))


class Convolutional(keras.Model):
    """Says no shape, and has no weights before it is called or built."""

    def __init__(self, length):
        super().__init__()
        self.length = length
        self.images = layers.Reshape((-1, SIDE, SIDE, 1))
        self.memory = layers.ConvLSTM2D(4, 5, strides=3)
        self.flat = layers.Flatten()
        self.last = layers.Dense(PIXELS, "sigmoid")
        self.image = layers.Reshape((SIDE, SIDE))

    def get_config(self):  # as Keras asks of whoever wants to save a subclass
        return {"length": self.length}

    def call(self, inputs):
        return self.image(self.last(self.flat(self.memory(self.images(inputs)))))


@pytest.fixture(scope="module", params=[perceptron, attention, Convolutional])
def build(request):
    return request.param


@pytest.fixture(scope="module")
def model(build, train):
    """One of the three after a short fit: enough to have learned to count, but not much more."""
    return train_predictor(train, steps=150, batch_size=64, build=build)


def test_is_measured_like_ours(model, mnist, test):
    measures = evaluate(model, test, n=600)
    assert measures["right"] > 0.7 and measures["ratio"] < 1.1
    assert evaluate_chains(model, test, steps=2, n=60)["steps"][0] > 0.7
    endless = DigitSequences(*mnist[1], digit_windows(wrap=True), seed=1)
    assert evaluate_chains(model, endless, steps=110, n=10)["steps"].shape == (110,)
    paired = DigitSequences(*mnist[1], pairing="style", seed=1)
    # Trained on strangers, they give away little of the hand; all of it would be 1.
    agreement = style_agreement(model, paired, n=600)
    assert all(abs(value[0]) < 0.8 for value in agreement.values())
    with pytest.raises(TypeError, match="seed"):  # only a sampler has a use for it
        evaluate_chains(model, test, n=6, seed=0)


def test_generates_and_is_drawn_like_ours(model, test, tmp_path):
    inputs, targets, _ = test.sample(6)
    chains = generate(model, inputs, steps=3)
    assert chains.shape == (6, 3, SIDE, SIDE) and chains.dtype == np.float32
    expected = model.predict_on_batch(np.concatenate([inputs[:, 1:], flatten(chains[:, :1])], 1))
    np.testing.assert_allclose(chains[:, 1], expected, atol=1e-5)
    plot_chain(inputs[0], chains[0], path=tmp_path / "chain.png")
    plot_predictions(inputs, chains[:, 0], targets, path=tmp_path / "predictions.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_goes_on_after_an_interruption(build, train, tmp_path):
    def fit(folder, epochs):
        keras.utils.set_random_seed(0)
        model = build(4)
        model(np.zeros((1, 4, PIXELS), "float32"))
        adapt(model, train.mean_target())
        model.compile(make_optimizer("adam", steps=4), loss=summed_squared_error)
        resumable_fit(
            model, train, folder, epochs=epochs, steps_per_epoch=2, batch_size=16, verbose=0
        )
        return model

    fit(tmp_path / "in two", epochs=1)
    in_two, in_one = fit(tmp_path / "in two", epochs=2), fit(tmp_path / "in one", epochs=2)
    assert epochs_done(tmp_path / "in two") == 2
    for found, expected in zip(in_two.get_weights(), in_one.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_adapt_starts_any_of_them_at_the_mean_target(build, train, test):
    keras.utils.set_random_seed(0)
    model = build(4)
    model(np.zeros((1, 4, PIXELS), "float32"))
    adapt(model, train.mean_target())
    model.layers[-2].kernel.assign(np.zeros(model.layers[-2].kernel.shape))
    answer = generate(model, test.sample(1)[0], steps=1)[0, 0]
    np.testing.assert_allclose(answer, np.clip(train.mean_target(), 1e-4, 1), atol=1e-5)


def test_adapt_says_which_models_it_cannot_start(train):
    linear = keras.Sequential([keras.Input((4, PIXELS)), layers.Flatten(), layers.Dense(PIXELS)])
    with pytest.raises(ValueError, match=r"expected Dense\(784, activation='sigmoid'\)"):
        adapt(linear, train.mean_target())
    with pytest.raises(ValueError, match="no weights yet"):
        adapt(Convolutional(4), train.mean_target())


def test_a_linear_output_is_cut_off_at_black_and_white(test):
    bright = keras.Sequential(
        [
            keras.Input((4, PIXELS)),
            layers.Flatten(),
            layers.Dense(PIXELS, kernel_initializer="zeros", bias_initializer="ones"),
            layers.Rescaling(2.0, offset=-0.5),
            layers.Reshape((SIDE, SIDE)),
        ]
    )
    inputs, targets, _ = test.sample(60)
    np.testing.assert_array_equal(generate(bright, inputs, steps=2), 1)
    assert evaluate(bright, test, n=60)["mse"] == pytest.approx(np.square(1 - targets).mean())
