import subprocess
import sys
import zlib
from datetime import timedelta

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model import (
    NextImagePredictor,
    generate,
    make_optimizer,
    summed_squared_error,
    train_predictor,
    without_optimizer,
)
from preprocessing import DigitSequences


@pytest.fixture(scope="module")
def images(test):
    """Six sequences as uint8 images, (6, 4, 28, 28)."""
    _, indices = test.draw(6)
    return test.images[indices[:, :-1]]


def test_is_the_plain_sequential_model_of_the_design():
    model = NextImagePredictor()
    kinds = [type(layer).__name__ for layer in model.layers]
    assert isinstance(model, keras.Sequential)
    assert kinds == ["LSTM", "LSTM", "Dense", "Reshape"]
    assert model.input_shape == (None, 4, 784) and model.output_shape == (None, 28, 28)


def test_the_loss_is_the_squared_error_summed_over_pixels():
    y_true, y_pred = np.random.default_rng(0).random((2, 3, 28, 28), "float32")
    expected = np.square(y_true - y_pred).sum(axis=(1, 2))
    found = keras.ops.convert_to_numpy(summed_squared_error(y_true, y_pred))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_adapt_starts_near_the_mean_target(train, test):
    model = NextImagePredictor()
    model.adapt(train.mean_target())
    start = model.predict_next(np.zeros((4, 28, 28), "uint8"))
    assert np.abs(start - train.mean_target()).max() < 1e-3  # a black context leaves the bias alone
    half = (np.arange(784) < 392).reshape(28, 28)
    model.adapt(half.astype(float))  # black and white have no finite logit
    np.testing.assert_allclose(model.predict_next(np.zeros((4, 28, 28))), half, atol=1e-3)
    with pytest.raises(ValueError, match=r"shape \(3, 28, 28\)"):
        model.adapt(np.zeros((3, 28, 28)))


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_a_few_steps_of_every_optimizer_lower_the_error(train, test, name):
    inputs, targets, _ = test.sample(300)
    keras.utils.set_random_seed(0)
    model = NextImagePredictor(units=(32, 32))
    model.adapt(train.mean_target())
    xla = keras.backend.backend() != "torch"
    model.compile(
        make_optimizer(name, steps=60), summed_squared_error, metrics=["mse"], jit_compile=xla
    )
    before = model.evaluate(inputs, targets, verbose=0, return_dict=True)["mse"]
    model.fit(train.batches(128), steps_per_epoch=60, shuffle=False, verbose=0)
    assert model.evaluate(inputs, targets, verbose=0, return_dict=True)["mse"] < before - 0.0005


def test_train_predictor_takes_the_length_of_the_windows_and_repeats_itself(mnist):
    pairs = DigitSequences(*mnist[1], windows=[[3, 2, 1], [2, 1, 0]], seed=0)
    once, again = (train_predictor(pairs, steps=2, batch_size=8, seed=5) for _ in range(2))
    assert once.length == 2
    other = train_predictor(pairs, steps=2, batch_size=8, seed=6, optimizer="sgd")
    for a, b, c in zip(*(m.get_weights()[:1] for m in (once, again, other)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert np.abs(a - c).max() > 0.01
    slow = train_predictor(pairs, steps=2, batch_size=8, optimizer=keras.optimizers.SGD(0.125))
    assert float(slow.optimizer.learning_rate) == 0.125  # no schedule
    with pytest.raises(ValueError, match="steps is 0"):
        train_predictor(pairs, steps=0)


def test_the_optimizers_have_the_settings_that_were_measured():
    """Another rate or no momentum would make the published curves those of something else."""
    assert isinstance(make_optimizer(), keras.optimizers.Adam)
    for name, rate in (("sgd", 0.3), ("rmsprop", 1e-3), ("adam", 4e-3)):
        optimizer = make_optimizer(name)
        assert type(optimizer).__name__.lower() == name
        assert float(optimizer.learning_rate) == pytest.approx(rate)
    settings = make_optimizer("sgd").get_config()
    assert (settings["momentum"], settings["nesterov"], settings["clipnorm"]) == (0.9, True, 1)


def test_make_optimizer_decays_over_the_steps_and_checks_its_arguments():
    schedule = make_optimizer("rmsprop", steps=100).get_config()["learning_rate"]["config"]
    assert schedule["decay_steps"] == 100
    single = keras.optimizers.schedules.deserialize(
        make_optimizer("adam", steps=1).get_config()["learning_rate"]
    )
    assert float(single(0)) == pytest.approx(4e-3) and float(single(1)) == 0
    rate = make_optimizer("rmsprop").learning_rate
    assert float(rate) == pytest.approx(schedule["initial_learning_rate"])
    other = make_optimizer("sgd", steps=10, learning_rate=0.1).get_config()["learning_rate"]
    assert other["config"]["initial_learning_rate"] == 0.1
    for rate in (0, -1, float("inf"), float("nan"), "0.1"):
        with pytest.raises(ValueError, match="learning_rate is"):
            make_optimizer("adam", learning_rate=rate)
    with pytest.raises(ValueError, match="'adamax'; expected one of 'sgd', 'rmsprop', 'adam'"):
        make_optimizer("adamax")
    with pytest.raises(ValueError, match="steps is 0"):
        make_optimizer("adam", steps=0)


def test_images_come_in_any_form(model, images):
    expected = model.predict_next(images)
    assert expected.shape == (6, 28, 28) and expected.dtype == np.float32
    assert expected.min() >= 0 and expected.max() <= 1
    for form in (
        images.reshape(6, 4, 784),
        (images / 255).astype("float32"),
        images / 255,
        images.astype(int),
        [list(sequence) for sequence in images],
    ):
        np.testing.assert_allclose(model.predict_next(form), expected, atol=1e-6)
    one = model.predict_next(images[0])
    assert one.shape == (28, 28)
    np.testing.assert_allclose(one, expected[0], atol=1e-6)
    np.testing.assert_array_equal(model.predict_next(images[0].reshape(4, 784)), one)


@pytest.mark.parametrize("steps", [1, 3, 4, 6, 13])
def test_generate_is_predict_next_fed_back(model, images, steps):
    context, chain = images / np.float32(255), []
    for _ in range(steps):
        chain.append(model.predict_next(context))
        context = np.concatenate([context[:, 1:], chain[-1][:, None]], axis=1)
    generated = model.generate(images, steps)
    assert generated.shape == (6, steps, 28, 28)
    np.testing.assert_allclose(generated, np.stack(chain, axis=1), atol=1e-5)
    np.testing.assert_allclose(model.generate(images[0], steps), generated[0], atol=1e-5)


def test_any_model_of_these_shapes_can_generate(images):
    """And in any precision: what comes out is float32."""
    reader = keras.Sequential(
        [
            keras.Input((4, 784)),
            keras.layers.Flatten(),
            keras.layers.Dense(784, activation="sigmoid", dtype="float16"),
            keras.layers.Reshape((28, 28), dtype="float16"),
        ]
    )
    chain = generate(reader, images[0], steps=2)
    assert chain.shape == (2, 28, 28) and chain.dtype == np.float32
    again = generate(reader, [*images[0, 1:] / 255, chain[0]], steps=1)
    np.testing.assert_allclose(chain[1], again[0], atol=1e-2)
    with pytest.raises(ValueError, match=r"expected \(4, 28, 28\)"):
        generate(reader, images[0, :3], steps=1)


def test_a_model_of_any_length_generates_from_any_length(images):
    layers = keras.layers
    reader = keras.Sequential(
        [
            keras.Input((None, 784)),
            layers.GRU(4),
            layers.Dense(784, activation="sigmoid"),
            layers.Reshape((28, 28)),
        ]
    )
    for length in (1, 3):
        assert generate(reader, images[:, :length], steps=2).shape == (6, 2, 28, 28)
    with pytest.raises(ValueError, match=r"expected \(t, 28, 28\)"):
        generate(reader, images[0, 0], steps=1)


def test_the_predictor_of_any_length_is_the_one_of_a_given_length(model, images):
    any_length = NextImagePredictor(length=None, units=(64, 64))
    assert any_length.get_config()["length"] is None
    any_length.set_weights(model.get_weights())
    expected = model.generate(images, steps=3)
    np.testing.assert_allclose(any_length.generate(images, steps=3), expected, atol=1e-5)
    for length in (1, 6):
        context = np.concatenate([images, images], axis=1)[:, :length]
        assert any_length.predict_next(context).shape == (6, 28, 28)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_answers_are_float32_under_every_policy(images, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = NextImagePredictor(units=(8, 8))
        assert model.predict_next(images).dtype == np.float32
        assert model.generate(images[0], steps=2).dtype == np.float32
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (np.zeros((3, 28, 28), "uint8"), r"shape \(3, 28, 28\); expected \(4, 28, 28\)"),
        (np.zeros((2, 5, 28, 28), "uint8"), r"shape \(2, 5, 28, 28\)"),
        (np.zeros((28, 28), "uint8"), r"shape \(28, 28\)"),
        (np.zeros(784, "uint8"), r"shape \(784,\)"),
        (np.zeros((0, 4, 28, 28), "uint8"), r"shape \(0, 4, 28, 28\)"),
        (np.zeros((1, 1, 4, 28, 28), "uint8"), r"shape \(1, 1, 4, 28, 28\)"),
        (np.zeros((4, 28, 29), "uint8"), r"shape \(4, 28, 29\)"),
        (np.full((4, 28, 28), np.nan), "NaN"),
        (np.full((4, 28, 28), 255.0), r"from 255\.0 .* \[0, 1\]"),
        (np.full((4, 28, 28), -1), r"from -1 .* \[0, 255\]"),
    ],
)
def test_bad_images_are_refused_with_what_came_and_what_was_expected(model, images, fault):
    for answer in (model.predict_next, lambda images: model.generate(images, steps=2)):
        with pytest.raises(ValueError, match=fault):
            answer(images)


def test_bad_arguments_are_refused(model, images):
    for steps in (0, -3, 2.5):
        with pytest.raises(ValueError, match=f"steps is {steps}"):
            model.generate(images, steps)
    for arguments, fault in (
        ({"length": 0}, "length is 0"),
        ({"units": (128,)}, r"units are \(128,\)"),
    ):
        with pytest.raises(ValueError, match=fault):
            NextImagePredictor(**arguments)


@pytest.mark.parametrize(("length", "units"), [(2, (8, 16)), (1, (1, 1))])
def test_other_sizes_work_and_come_back_from_the_config(images, length, units):
    model = NextImagePredictor(length, units, name="short")
    assert model.name == "short"
    assert tuple(layer.units for layer in model.layers[:2]) == units
    assert model.generate(images[:, :length], steps=5).shape == (6, 5, 28, 28)
    copy = NextImagePredictor.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert [w.shape for w in copy.weights] == [w.shape for w in model.weights]


def test_a_saved_model_predicts_the_same_bits_in_a_new_process(model, images, tmp_path):
    model.save(tmp_path / "next.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, keras, numpy, model; "
        "loaded = keras.saving.load_model(sys.argv[1] + '/next.keras'); "
        "images = numpy.load(sys.argv[1] + '/images.npy'); "
        "numpy.save(sys.argv[1] + '/next.npy', loaded.predict_next(images)); "
        "assert loaded.optimizer.iterations == 250; "
        "loaded.fit(images.reshape(6, 4, 784) / 255, numpy.zeros((6, 28, 28)), verbose=0)"
    )
    run = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code, str(tmp_path)])
    assert run.returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "next.npy"), model.predict_next(images))


def test_a_copy_without_optimizer_is_the_same_model_and_smaller(model, images, tmp_path):
    copy = without_optimizer(model)
    assert type(copy) is NextImagePredictor and not copy.compiled
    difference = np.abs(copy.predict_next(images) - model.predict_next(images))
    assert 0 < difference.max() < 1 / 255
    saved = {}
    for kept, name in ((copy, "copy"), (model, "model")):
        kept.save(tmp_path / f"{name}.keras")
        saved[name] = (tmp_path / f"{name}.keras").read_bytes()
    assert len(saved["copy"]) < len(saved["model"]) / 2
    assert len(zlib.compress(saved["copy"])) < 0.75 * len(saved["copy"])
    for bits, error in ((10, 2.0**-11), (3, 2.0**-4)):
        for kept, whole in zip(
            without_optimizer(model, bits).get_weights(), model.get_weights(), strict=True
        ):
            assert kept.dtype == whole.dtype
            off = np.abs(kept - whole)
            assert (off <= error * np.abs(whole)).all() and off.max() > error * 1e-3


values = st.one_of(
    st.floats(width=32), st.integers(-300, 300), st.sampled_from([0, 1, 255, np.nan, np.inf])
)
shapes = st.one_of(
    hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6),
    st.sampled_from(
        [(4, 28, 28), (2, 4, 28, 28), (4, 784), (3, 4, 784), (1, 4, 28, 28), (0, 4, 784)]
    ),
)


@st.composite
def anything(draw):
    """Arrays of any shape and dtype, many of them almost right, with odd values."""
    dtype = draw(
        st.sampled_from(["u1", "i1", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "?", "O", "U2"])
    )
    shape = draw(shapes)
    with np.errstate(all="ignore"):
        array = np.full(shape, 0).astype(dtype)
        for value in draw(st.lists(values, max_size=2)):
            try:
                array[..., -1:] = value
            except (ValueError, OverflowError, TypeError, IndexError):
                continue  # such an array cannot hold it
    return array


@settings(
    max_examples=1_500,
    deadline=timedelta(seconds=20),  # a hang is a fault; the first of its shape compiles
    suppress_health_check=[HealthCheck.too_slow],
)
@given(images=anything(), steps=st.one_of(st.integers(-2, 5), st.sampled_from([2.5, None, "3"])))
def test_predictions_of_anything(model, images, steps):
    for answer, shape in (
        (lambda: model.predict_next(images), ()),
        (lambda: model.generate(images, steps), (steps,)),
    ):
        try:
            found = answer()
        except ValueError as error:
            assert str(error)
            continue
        batch = images.shape[:1] if images.shape[0] != 4 or images.ndim == 4 else ()
        assert found.shape == (*batch, *shape, 28, 28)
        assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


@st.composite
def sequences(draw):
    """One sequence of images or a batch, of any dtype that can hold them, with drawn values."""
    dtype = np.dtype(draw(st.sampled_from(["u1", "i1", "i4", "i8", "u8", "f2", "f4", "f8"])))
    white = 1 if dtype.kind == "f" else min(255, np.iinfo(dtype).max)
    shape = draw(st.sampled_from([(4, 28, 28), (2, 4, 28, 28), (4, 784), (2, 4, 784)]))
    values = draw(hnp.arrays(np.float64, 16, elements=st.floats(0, 1)))
    return np.resize(values * white, shape).astype(dtype)


@settings(max_examples=100, deadline=timedelta(seconds=20))
@given(images=sequences(), steps=st.integers(1, 3))
def test_every_sequence_of_images_is_answered(model, images, steps):
    white = 1 if images.dtype.kind == "f" else 255
    context = (images / np.float64(white)).astype("float32").reshape(-1, 4, 784)
    expected = model.predict_on_batch(context)
    if len(images) == 4:
        expected = expected[0]
    found = model.predict_next(images)
    np.testing.assert_allclose(found, expected, atol=1e-6, strict=True)
    chain = model.generate(images, steps)
    assert chain.shape == (*found.shape[:-2], steps, 28, 28) and chain.dtype == np.float32
    np.testing.assert_allclose(chain[..., 0, :, :], found, atol=1e-6)
