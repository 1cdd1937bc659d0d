import itertools
import pickle

import keras
import numpy as np
import pytest

import sampling.sampler as module
from classifier import classify
from evaluation import evaluate, evaluate_chains
from model import generate, load
from preprocessing import digit_windows
from sampling.sampler import CODE_NOISE, FLOW_STEPS, LEVELS, UNGUIDED, train_sampler
from studies.writers import writer_transformer

SIZES = {"codes": 16, "units": 128, "blocks": 1}


@pytest.fixture(scope="module")
def predictor():
    return load("next_image")


@pytest.fixture(scope="module")
def sampler(train, predictor):
    """Trained for seconds: its digits can be read, no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DECODER_IMAGES", 100)
        patch.setattr(module, "DECODER_EPOCHS", 20)
        patch.setattr(module, "VELOCITY_BATCH", 250)
        given = {"n": 2_000, "learning_rate": 0.01, "verbose": 0}
        return train_sampler(predictor, train, 30, **given, **SIZES)


@pytest.fixture(scope="module")
def seen(sampler, train):
    """Targets that the sampler was trained on, the states before them and the codes expected."""
    batches = itertools.islice(train.batches(1_000), 2)
    inputs, targets = map(np.concatenate, zip(*batches, strict=True))
    states = sampler._states(inputs)
    return targets, states, np.asarray(sampler.expected(states))


def share_that_differs(first, second):
    """Pixels are drawn: another rounding error in a probability may change a few."""
    return (first != second).mean()


def test_learns_to_draw_the_right_digits_and_leaves_the_predictor_alone(sampler, predictor, test):
    """A sampler that ignores the context would be right once in six times."""
    assert evaluate(sampler, test, n=300)["accuracy"] > 0.4  # more, after more training
    scores = evaluate_chains(sampler, test, steps=2, n=60, guidance=1.25, seed=0)
    assert scores["step_accuracy"].shape == (2,) and scores["step_accuracy"][0] > 0.4
    models = load("next_image"), predictor, sampler.encoder
    shipped, mine, copy = ([w.tolist() for w in model.get_weights()] for model in models)
    assert mine == shipped and copy == shipped[:6]  # of two LSTM layers
    assert predictor.trainable_variables  # its owner may go on training it


def test_shapes_and_ranges(sampler, images):
    for n, shape in ((None, ()), (1, (1,)), (3, (3,))):
        one, batch = sampler.sample(images[0], n), sampler.sample(images, n)
        assert one.shape == (*shape, 28, 28) and batch.shape == (6, *shape, 28, 28)
        assert sampler.generate(images[0], 2, n).shape == (*shape, 2, 28, 28)
        assert sampler.generate(images, 2, n).shape == (6, *shape, 2, 28, 28)
        assert batch.dtype == np.float32 and batch.min() >= 0 and batch.max() <= 1
    assert sampler.trajectory(images[0]).shape == (FLOW_STEPS + 1, 28, 28)
    assert sampler.trajectory(images).shape == (6, FLOW_STEPS + 1, 28, 28)


def test_a_seed_repeats_a_draw_and_draws_differ_without(sampler, images):
    first = sampler.sample(images[0], 6, seed=7)
    np.testing.assert_array_equal(sampler.sample(images[0], 6, seed=7), first)
    for other in (sampler.sample(images[0], 6, seed=8), sampler.sample(images[0], 6), first[::-1]):
        assert np.abs(other - first).mean() > 0.01
    last = sampler.trajectory(images[0], seed=7)[-1]
    assert share_that_differs(last, sampler.sample(images[0], seed=7)) < 0.001


def test_chains_read_what_was_drawn(sampler, images):
    """The second step's context ends with the first draw, in every one of the chains."""
    chains = sampler.generate(images, 2, 3, seed=0)
    rng = np.random.default_rng(0)
    first = sampler.sample(images, 3, seed=rng)
    assert share_that_differs(chains[:, :, 0], first) < 0.001
    context = np.repeat(images / np.float32(255), 3, axis=0)
    context = np.concatenate([context[:, 1:], first.reshape(18, 1, 28, 28)], axis=1)
    second = sampler.sample(context, seed=rng)  # goes on with the noise where the first stopped
    assert share_that_differs(chains[:, :, 1].reshape(18, 28, 28), second) < 0.001


def test_guidance_makes_digits_plainer_after_the_first_steps(sampler, test, images):
    inputs, digits = test.sample(300)[0], test.draw(300)[0][:, -1]
    plain = []
    for guidance in (0, 1, 3):
        drawn = classify(sampler.sample(inputs, guidance=guidance, seed=0))[1]
        plain.append(drawn[np.arange(300), digits].mean())
    assert plain[0] + 0.05 < plain[1] < plain[2] - 0.02
    one, three = (sampler.trajectory(images, guidance=guidance, seed=0) for guidance in (1, 3))
    differs = (one != three).mean(axis=(0, 2, 3))  # at each step
    assert differs[: UNGUIDED + 1].max() < 0.001 and differs[UNGUIDED + 1 :].min() > 0.002


def test_temperature_lets_draws_vary(sampler, test):
    inputs = test.sample(100)[0]
    deviations = [
        sampler.sample(inputs, n=4, temperature=temperature, seed=0).std(axis=1).mean()
        for temperature in (0, 0.7, 1, 1.3)
    ]
    assert (np.diff(deviations) > 0).all(), deviations


def test_draws_have_as_much_noise_as_the_codes_that_the_decoder_learned_from(
    sampler, seen, monkeypatch
):
    _, states, expected = seen
    residual = np.arange(16, dtype="float32")

    def straight_to_the_residual(inputs):
        points, times, _ = inputs
        return (residual - points) / (1 - times)

    monkeypatch.setattr(sampler.velocity, "predict_on_batch", straight_to_the_residual)
    start, *_, last = sampler._solve(states, 1, 1, np.random.default_rng(0))
    wanted = np.asarray(sampler.spread) * (residual + CODE_NOISE * (start - expected))
    np.testing.assert_allclose(last, expected + wanted, atol=1e-4)


def test_drawn_residuals_vary_as_much_as_those_of_images_with_noise(sampler, seen):
    targets, states, expected = seen
    wanted = np.sqrt(np.var(sampler.to_codes(targets) - expected, axis=0) + CODE_NOISE**2)
    drawn = sampler._solve(states, 1, 1, np.random.default_rng(1))[-1] - expected
    found = drawn.std(axis=0) / wanted
    lacks = [np.abs(each - 1).mean() for each in (found, found / np.asarray(sampler.spread))]
    assert lacks[0] < 0.7 * lacks[1], lacks


def test_keras_saves_loads_pickles_predicts_and_evaluates_it(sampler, images, tmp_path):
    path, context = tmp_path / "sampler.keras", images.reshape(6, 4, 784) / np.float32(255)
    sampler.save(path)
    drawn = sampler.sample(images, seed=0)
    for again in (keras.saving.load_model(path), pickle.loads(pickle.dumps(sampler))):
        assert share_that_differs(again.sample(images, seed=0), drawn) < 0.001
    # The states of optimizers would be twice as many.
    assert path.stat().st_size < 5 * sampler.count_params() + 200_000
    for predict in (sampler.predict, sampler.predict_on_batch):
        first, second = predict(context), predict(context)
        assert first.shape == (6, 28, 28) and np.abs(first - second).mean() > 0.01
    assert generate(sampler, images, 2).shape == (6, 2, 28, 28)


def test_states_are_standardised_and_codes_are_principal_components(sampler, seen):
    targets, states, expected = seen
    pixels = targets.reshape(-1, 784)
    np.testing.assert_allclose(states.mean(axis=0, dtype=float), 0, atol=1e-3)
    variances = np.square(sampler.deviation)  # of the states, and a little
    np.testing.assert_allclose(states.var(axis=0), 1 - 1e-3 / variances, rtol=1e-2)

    codes = np.asarray(sampler.to_codes(targets))
    # Nothing linear in the states is left in what is drawn.
    constant = np.pad(states, ((0, 0), (0, 1)), constant_values=1)
    np.testing.assert_allclose((codes - expected).T @ constant / len(states), 0, atol=1e-3)
    # Of the pixels, and of how many there are of each level or range of levels.
    levels = (np.round(255 * pixels)[..., None] >= LEVELS).sum(axis=-1)
    counts = (levels[..., None] == np.arange(1, len(LEVELS) + 1)).sum(axis=1)
    features = np.concatenate([pixels, np.sqrt(counts) / 2], axis=1)
    covariance, (variances, components) = np.cov(codes.T), np.linalg.eigh(np.cov(features.T))
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(covariance / np.outer(deviations, deviations), np.eye(16), atol=1e-3)
    np.testing.assert_allclose(deviations, (variances[-16:] / variances[-1]) ** 0.25, rtol=1e-3)
    mean, components = features.mean(axis=0), components[:, -16:]
    reconstructed = (mean + (features - mean) @ components @ components.T)[:, :784]
    np.testing.assert_allclose(sampler.decoder.linear(codes), reconstructed, atol=1e-4)


def test_goes_on_from_another_one_with_contexts_of_several_lengths(
    sampler, train, images, tmp_path
):
    several = [train.with_world(digit_windows(length)) for length in (4, 3)]
    given = {"n": 2_000, "learning_rate": 1e-5, "start": sampler, "verbose": 0}
    other = train_sampler(writer_transformer()[0], several, 1, **given, **SIZES)
    targets = np.concatenate([next(each.batches(1_000))[1] for each in several])
    mean = np.asarray(other.to_codes(targets)).mean(axis=0)
    np.testing.assert_allclose(other.expected.bias, mean, atol=1e-4)
    assert np.abs(other.expected.kernel).max() < 100  # its states are constant in one direction
    for name in ("projection", "decoder", "velocity"):
        pairs = zip(getattr(other, name).weights, getattr(sampler, name).weights, strict=True)
        changes = max(np.abs(np.subtract(*pair)).max() for pair in pairs)
        assert (1e-6 < changes < 1e-3) if name == "velocity" else changes == 0
    other.save(tmp_path / "sampler.keras")
    again = keras.saving.load_model(tmp_path / "sampler.keras")
    for length in (3, 4):
        chains = [each.generate(images[:, :length], 2, seed=0) for each in (other, again)]
        assert chains[0].shape == (6, 2, 28, 28) and share_that_differs(*chains) < 1e-3
