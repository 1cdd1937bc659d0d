import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from classifier import digit_probabilities, read_digits
from evaluation import evaluate_chains
from model import NextImagePredictor, make_optimizer
from preprocessing import DigitSequences
from sampler import STEPS, UNGUIDED, NextImageSampler

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def sampler(train, model):
    """Trained for a few seconds: digits can be read, no more."""
    keras.utils.set_random_seed(0)
    sampler = NextImageSampler(model, units=128, blocks=2)
    inputs, targets, _ = train.sample(6_000)
    sampler.adapt(inputs, targets)
    sampler.compile(make_optimizer("adam"))
    sampler.fit(inputs, targets, batch_size=128, epochs=5, verbose=0)
    return sampler


@pytest.fixture(scope="module")
def images(test):
    _, indices = test.draw(6)
    return test.images[indices[:, :-1]]


def test_learns_to_draw_the_right_digits(sampler, model, test):
    """A sampler that ignores the context would be right once in six times."""
    inputs, _, digits = test.sample(300)
    right = read_digits(sampler.sample(inputs, seed=0)) == digits[:, -1]
    assert right.mean() > 0.6
    scores = evaluate_chains(sampler, test, steps=2, n=60, seed=0)
    assert scores["steps"].shape == (2,) and scores["steps"][0] > 0.6


def test_trains_once_it_is_adapted_and_leaves_the_predictor_alone(train, model):
    inputs, targets, _ = train.sample(512)
    sampler = NextImageSampler(model, codes=16, units=32, blocks=1)
    before = [weights.copy() for weights in model.get_weights()]
    sampler.compile(make_optimizer("adam"))
    for begin in (
        lambda: sampler.fit(inputs, targets, 64, 1, 0),  # as Keras has it, all by position
        lambda: sampler.fit(train.batches(64), steps_per_epoch=1, shuffle=False, verbose=0),
        lambda: sampler.train_on_batch(inputs, targets),
    ):
        with pytest.raises(ValueError, match=r"call adapt\(inputs, targets\) first"):
            begin()
    sampler.adapt(inputs, targets)
    losses = sampler.fit(inputs, targets, batch_size=64, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert sampler.evaluate(inputs, targets, verbose=0) < losses[0]
    lstm = model.layers[0].get_weights() + model.layers[1].get_weights()
    copy = sampler.reader.layers[0].get_weights() + sampler.reader.layers[1].get_weights()
    for new, mine, old in zip(copy, lstm, before, strict=False):
        np.testing.assert_array_equal(new, old)
        np.testing.assert_array_equal(mine, old)
    assert model.trainable_variables  # its owner may go on training it


def test_learns_the_same_from_states_that_it_has_read_before(train, model):
    inputs, targets, _ = train.sample(256)
    losses = []
    for read in (False, True):
        keras.utils.set_random_seed(0)
        sampler = NextImageSampler(model, codes=16, units=32, blocks=1)
        sampler.adapt(inputs, targets)
        sampler.compile(make_optimizer("adam"))
        seen = sampler.predict(inputs, verbose=0) if read else inputs
        fitted = sampler.fit(seen, targets, batch_size=64, epochs=3, verbose=0)
        losses.append(fitted.history["loss"])
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_shapes_and_ranges(sampler, images):
    for n, shape in ((None, ()), (1, (1,)), (3, (3,))):
        one, batch = sampler.sample(images[0], n), sampler.sample(images, n)
        assert one.shape == (*shape, 28, 28) and batch.shape == (6, *shape, 28, 28)
        assert sampler.generate(images[0], 2, n).shape == (*shape, 2, 28, 28)
        assert sampler.generate(images, 2, n).shape == (6, *shape, 2, 28, 28)
        assert batch.dtype == np.float32 and batch.min() >= 0 and batch.max() <= 1
    assert sampler.unfold(images[0]).shape == (STEPS + 1, 28, 28)
    assert sampler.unfold(images).shape == (6, STEPS + 1, 28, 28)
    assert sampler.predict(images.reshape(6, 4, 784) / 255, verbose=0).shape == (6, 64)


def test_a_seed_repeats_a_draw_and_draws_differ_without(sampler, images):
    first = sampler.sample(images[0], 4, seed=7)
    np.testing.assert_array_equal(sampler.sample(images[0], 4, seed=7), first)
    for other in (sampler.sample(images[0], 4, seed=8), sampler.sample(images[0], 4)):
        assert np.abs(other - first).mean() > 0.01
    assert np.abs(first[0] - first[1]).mean() > 0.01
    # A chain begins as a single draw does. Levels of grey are drawn: a rounding error in the
    # chances, as from other sizes of batches, may change a few, but no more.
    assert (sampler.generate(images[0], 2, 4, seed=7)[:, 0] != first).mean() < 0.001
    last = sampler.unfold(images[0], seed=7)[-1]
    assert (last != sampler.sample(images[0], seed=7)).mean() < 0.001


def test_chains_read_what_was_drawn(sampler, images):
    """The second step's context ends with the first draw, in every one of the chains."""
    chains = sampler.generate(images, 2, 2, seed=0)
    rng = np.random.default_rng(0)
    first = sampler.sample(images, 2, seed=rng)
    assert (chains[:, :, 0] != first).mean() < 0.001
    context = np.repeat(images / np.float32(255), 2, axis=0)
    context = np.concatenate([context[:, 1:], first.reshape(12, 1, 28, 28)], axis=1)
    second = sampler.sample(context, seed=rng)  # goes on with the noise where the first stopped
    assert (chains[:, :, 1].reshape(12, 28, 28) != second).mean() < 0.001


def test_guidance_makes_digits_plainer(sampler, test):
    inputs, _, digits = test.sample(300)
    plain = []
    for guidance in (0, 1, 3):
        drawn = digit_probabilities(sampler.sample(inputs, guidance=guidance, seed=0))
        plain.append(drawn[np.arange(300), digits[:, -1]].mean())
    assert plain[0] + 0.05 < plain[1] < plain[2] - 0.02


def test_guidance_sets_in_after_the_first_steps(sampler, images):
    plain, guided = (sampler.unfold(images, guidance=guidance, seed=0) for guidance in (1, 3))
    differs = (plain != guided).mean(axis=(0, 2, 3))  # at each step
    assert differs[: UNGUIDED + 1].max() < 0.001
    assert differs[UNGUIDED + 1 :].min() > 0.01


def test_adapt_standardises_states_and_encodes_by_principal_components(train):
    other = NextImageSampler(NextImagePredictor(units=(8, 8)), codes=8, units=8, blocks=1)
    inputs, targets, _ = train.sample(2_000)
    for _ in range(2):  # the second time, it starts anew
        other.adapt(inputs, targets)
    states = other.predict(inputs, batch_size=1_000, verbose=0)
    np.testing.assert_allclose(states.mean(axis=0, dtype=float), 0, atol=1e-3)
    spread = other.reader.layers[-1].get_weights()[1]
    np.testing.assert_allclose(states.var(axis=0), spread / (spread + 1e-3), rtol=1e-2)
    codes = other.encoder(targets.reshape(-1, 784))
    covariance = np.cov(np.asarray(codes), rowvar=False)
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(covariance / np.outer(deviations, deviations), np.eye(8), atol=1e-3)
    assert deviations[-1] == pytest.approx(1)
    variances, components = np.linalg.eigh(np.cov(targets.reshape(-1, 784), rowvar=False))
    plain = np.sqrt(variances[-8:])
    np.testing.assert_allclose(deviations, np.sqrt(plain / plain[-1]), rtol=1e-3)
    # The painter's sketch is what the components leave of an image.
    mean, components = targets.reshape(-1, 784).mean(axis=0), components[:, -8:]
    kept = mean + (targets.reshape(-1, 784) - mean) @ components @ components.T
    np.testing.assert_allclose(other.painter.sketch(codes), kept, atol=1e-4)


def test_saves_and_comes_back_in_a_new_process(sampler, images, tmp_path):
    sampler.sample(images, 2)  # what was compiled for it must not get into the file
    sampler.save(tmp_path / "sampler.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, keras, numpy, sampler; "
        "loaded = keras.saving.load_model(sys.argv[1] + '/sampler.keras'); "
        "images = numpy.load(sys.argv[1] + '/images.npy'); "
        "numpy.save(sys.argv[1] + '/drawn.npy', loaded.sample(images, 2, seed=0)); "
        "loaded.fit(images.reshape(6, 4, 784) / 255, numpy.zeros((6, 28, 28)), verbose=0)"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", code, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT)
    assert run.returncode == 0
    drawn = sampler.sample(images, 2, seed=0)
    assert (np.load(tmp_path / "drawn.npy") != drawn).mean() < 0.001


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (np.zeros((3, 28, 28), "uint8"), r"shape \(3, 28, 28\); expected \(4, 28, 28\)"),
        (np.zeros((0, 4, 28, 28), "uint8"), r"shape \(0, 4, 28, 28\)"),
        (np.full((4, 28, 28), np.nan), "NaN"),
        (np.full((4, 28, 28), -1), r"from -1 .* \[0, 255\]"),
    ],
)
def test_bad_images_are_refused_as_the_predictor_does(sampler, images, fault):
    for answer in (
        sampler.sample,
        sampler.unfold,
        lambda images: sampler.generate(images, steps=2),
    ):
        with pytest.raises(ValueError, match=fault):
            answer(images)


def test_bad_arguments_are_refused(sampler, images):
    for n in (0, -1, 1.5):
        with pytest.raises(ValueError, match=f"n is {n}"):
            sampler.sample(images, n)
    with pytest.raises(ValueError, match="steps is 0"):
        sampler.generate(images, 0)
    for weight in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"^guidance is {weight}"):
            sampler.sample(images, guidance=weight)
    predictor = NextImagePredictor(units=(8, 8))
    for arguments, fault in (
        ({"codes": 0}, "codes is 0"),
        ({"codes": 785}, "codes is 785"),
        ({"units": 0}, "units is 0"),
        ({"blocks": 0}, "blocks 0"),
    ):
        with pytest.raises(ValueError, match=fault):
            NextImageSampler(predictor, **arguments)
    with pytest.raises(ValueError, match=r"shape \(3, 28, 28\).* at least 128"):
        NextImageSampler(predictor).adapt(np.zeros((3, 4, 28, 28)), np.zeros((3, 28, 28)))


def test_works_on_other_lengths_of_context(mnist):
    pairs = DigitSequences(*mnist[1], windows=[[1, 2, 3], [2, 3, 4]], seed=0)
    inputs, targets, _ = pairs.sample(200)
    sampler = NextImageSampler(NextImagePredictor(length=2, units=(8, 8)), units=16, blocks=1)
    sampler.adapt(inputs, targets)
    sampler.compile(make_optimizer("adam"))
    sampler.fit(inputs, targets, verbose=0)
    assert sampler.generate(inputs[:3], 4, 2).shape == (3, 2, 4, 28, 28)
