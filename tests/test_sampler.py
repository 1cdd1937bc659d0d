from pathlib import Path

import keras
import numpy as np
import pytest

from classifier import classify, read_digits
from evaluation import evaluate_chains
from model import NextImagePredictor, make_optimizer
from sampling.sampler import CODE_NOISE, LEVELS, STEPS, UNGUIDED, NextImageSampler
from sampling.scans import undo
from studies.writers import writer_transformer

PREDICTOR = Path(__file__).parent.parent / "models" / "next_image.keras"


@pytest.fixture(scope="module")
def predictor():
    return keras.saving.load_model(PREDICTOR)


@pytest.fixture(scope="module")
def sampler(train, predictor):
    """Trained for seconds: its digits can be read, no more."""
    keras.utils.set_random_seed(0)
    sampler = NextImageSampler(predictor, codes=16, units=128, blocks=1)
    inputs, targets, _ = train.sample(2_000)
    sampler.fit_codes(targets)
    sampler.fit_states(inputs, targets)
    sampler.fit_decoder(targets[:100], undo(targets[:100]), epochs=20, verbose=0)
    sampler.compile(make_optimizer("adam", steps=240, learning_rate=0.01))
    states = sampler.predict(inputs, batch_size=1_000, verbose=0)
    sampler.fit(states, targets, batch_size=250, epochs=30, verbose=0)
    return sampler


def share_that_differs(first, second):
    """Pixels are drawn: another rounding error in a probability may change a few."""
    return (first != second).mean()


def test_learns_to_draw_the_right_digits_and_leaves_the_predictor_alone(sampler, predictor, test):
    """A sampler that ignores the context would be right once in six times."""
    inputs, _, digits = test.sample(300)
    drawn = sampler.sample(inputs, guidance=1.25, seed=0)  # some, after so little training
    assert (read_digits(drawn) == digits[:, -1]).mean() > 0.6
    scores = evaluate_chains(sampler, test, steps=2, n=60, guidance=1.25, seed=0)
    assert scores["step_accuracy"].shape == (2,) and scores["step_accuracy"][0] > 0.6
    models = keras.saving.load_model(PREDICTOR), predictor, sampler.encoder
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
    assert sampler.trajectory(images[0]).shape == (STEPS + 1, 28, 28)
    assert sampler.trajectory(images).shape == (6, STEPS + 1, 28, 28)


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
    inputs, _, digits = test.sample(300)
    plain = []
    for guidance in (0, 1, 3):
        drawn = classify(sampler.sample(inputs, guidance=guidance, seed=0))[1]
        plain.append(drawn[np.arange(300), digits[:, -1]].mean())
    assert plain[0] + 0.05 < plain[1] < plain[2] - 0.02
    one, three = (sampler.trajectory(images, guidance=guidance, seed=0) for guidance in (1, 3))
    differs = (one != three).mean(axis=(0, 2, 3))  # at each step
    assert differs[: UNGUIDED + 1].max() < 0.001 and differs[UNGUIDED + 1 :].min() > 0.01


def test_temperature_lets_draws_vary(sampler, test):
    inputs = test.sample(100)[0]
    deviations = [
        sampler.sample(inputs, n=4, temperature=temperature, seed=0).std(axis=1).mean()
        for temperature in (0, 0.7, 1, 1.3)
    ]
    assert (np.diff(deviations) > 0).all(), deviations


def test_draws_have_as_much_noise_as_the_codes_that_the_decoder_learned_from(
    sampler, images, monkeypatch
):
    context, residual = images.reshape(6, 4, 784), np.arange(16, dtype="float32")
    expected = np.asarray(sampler.expected(sampler.predict_on_batch(context)))

    def straight_to_the_residual(inputs):
        points, times, _ = inputs
        return (residual - points) / (1 - times)

    monkeypatch.setattr(sampler.velocity, "predict_on_batch", straight_to_the_residual)
    start, *_, last = sampler._solve(context, 1, np.random.default_rng(0))
    noise = start - expected
    np.testing.assert_allclose(last, expected + residual + CODE_NOISE * noise, atol=1e-4)


def test_drawn_residuals_vary_as_much_as_those_of_images_with_noise(sampler, train):
    copy = NextImageSampler.from_config(sampler.get_config())
    copy.set_weights(sampler.get_weights())
    inputs, targets, _ = train.sample(2_000)
    expected = np.asarray(copy.expected(copy.predict(inputs, verbose=0)))
    wanted = np.sqrt(np.var(copy.to_codes(targets) - expected, axis=0) + CODE_NOISE**2)
    copy.spread.assign(copy.spread * 0.9)
    lacks = []
    for _ in range(2):  # once is enough
        drawn = copy._solve(inputs, 1, np.random.default_rng(1))[-1] - expected
        lacks.append(np.abs(drawn.std(axis=0) / wanted - 1).mean())
        copy.fit_spread(inputs, targets)
    assert lacks[1] < 0.025 < lacks[0]


def test_saves_and_comes_back(sampler, images, train, tmp_path):
    drawn = sampler.sample(images, seed=0)
    sampler.save(tmp_path / "sampler.keras")
    loaded = keras.saving.load_model(tmp_path / "sampler.keras")
    assert share_that_differs(loaded.sample(images, seed=0), drawn) < 0.001
    assert loaded.optimizer.iterations == 240
    # Its loss is the same, for contexts as for their states.
    inputs, targets, _ = train.sample(100)
    losses = []
    for model, x in ((loaded, inputs), (sampler, sampler(inputs))):
        model.random.state.assign([1, 2])
        losses.append(float(model.compute_loss(y=targets, y_pred=model(x))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_only_fit_decoder_trains_the_decoder(sampler, train):
    copy = NextImageSampler.from_config(sampler.get_config())
    copy.set_weights(sampler.get_weights())
    inputs, targets, _ = train.sample(64)

    def flat(part):
        return np.concatenate([weights.ravel() for weights in part.get_weights()])

    def train_and_compare(fit, *arguments, **more):
        """Which of the parts `fit` changes."""
        names = "velocity", "decoder", "projection", "expected"
        parts = {name: getattr(copy, name) for name in names}
        parts["linear"] = copy.decoder.linear
        before = {name: flat(part) for name, part in parts.items()}
        fit(*arguments, **more, verbose=0)
        return {name for name, part in parts.items() if (flat(part) != before[name]).any()}

    copy.compile(make_optimizer("adam"))
    assert train_and_compare(copy.fit, inputs, targets) == {"velocity"}
    assert train_and_compare(copy.fit_decoder, targets, undo(targets), epochs=1) == {"decoder"}


def test_states_are_standardised_and_codes_are_principal_components(train, images):
    sampler = NextImageSampler(NextImagePredictor(2, (8, 8)), codes=8, units=8, blocks=1)
    inputs, targets, _ = train.sample(2_000)
    inputs, pixels = inputs[:, :2], targets.reshape(-1, 784)
    sampler.fit_codes(targets)
    sampler.fit_states(inputs, targets)
    states = sampler.predict(inputs, batch_size=1_000, verbose=0)
    np.testing.assert_allclose(states.mean(axis=0, dtype=float), 0, atol=1e-3)
    variances = np.square(sampler.deviation)  # of the states, and a little
    np.testing.assert_allclose(states.var(axis=0), 1 - 1e-3 / variances, rtol=1e-2)

    codes = np.asarray(sampler.to_codes(targets))
    # Nothing linear in the states is left in what is drawn.
    residuals = codes - np.asarray(sampler.expected(states))
    np.testing.assert_allclose(
        residuals.T @ np.pad(states, ((0, 0), (0, 1)), constant_values=1) / 2_000, 0, atol=1e-3
    )
    # Of the pixels, and of how many there are of each level or range of levels.
    levels = (np.round(255 * pixels)[..., None] >= LEVELS).sum(axis=-1)
    counts = (levels[..., None] == np.arange(1, len(LEVELS) + 1)).sum(axis=1)
    features = np.concatenate([pixels, np.sqrt(counts) / 2], axis=1)
    covariance, (variances, components) = np.cov(codes.T), np.linalg.eigh(np.cov(features.T))
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(covariance / np.outer(deviations, deviations), np.eye(8), atol=1e-3)
    np.testing.assert_allclose(deviations, (variances[-8:] / variances[-1]) ** 0.25, rtol=1e-3)
    mean, components = features.mean(axis=0), components[:, -8:]
    reconstructed = (mean + (features - mean) @ components @ components.T)[:, :784]
    np.testing.assert_allclose(sampler.decoder.linear(codes), reconstructed, atol=1e-4)
    assert sampler.generate(images[:, :2], 3, 2).shape == (6, 2, 3, 28, 28)


def test_after_a_transformer_it_reads_any_number_of_images(train, images, tmp_path):
    sampler = NextImageSampler(writer_transformer()[0], codes=8, units=8, blocks=1)
    inputs, targets, _ = train.sample(200)
    sampler.fit_codes(targets)
    sampler.fit_states(inputs, targets)
    assert np.abs(sampler.expected.kernel).max() < 100  # its states are constant in one direction
    sampler.save(tmp_path / "sampler.keras")
    again = keras.saving.load_model(tmp_path / "sampler.keras")
    for length in (3, 4):
        chains = [each.generate(images[:, :length], 2, seed=0) for each in (sampler, again)]
        assert chains[0].shape == (6, 2, 28, 28) and share_that_differs(*chains) < 1e-3
