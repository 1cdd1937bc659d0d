import keras
import numpy as np
import pytest

from sampling import decoder as module
from sampling.decoder import LARGEST_SCAN, PLACES, RADIUS, RAREST, WINDOW, PixelDecoder
from sampling.sampler import CODE_NOISE
from sampling.scans import SIZES, undo
from studies.report import ROOT

HALF = WINDOW**2 // 2  # pixels of a window before its middle
SIZE, N = 24, 200
numpy = keras.ops.convert_to_numpy


@pytest.fixture(scope="module")
def decoder():
    return PixelDecoder(codes=4)


def set_weights(decoder, deviation):
    rng = np.random.default_rng(0)
    for weight in decoder.weights:
        weight.assign(deviation * rng.standard_normal(weight.shape))


def inputs(codes, noise):
    n = len(codes)
    sizes, corners = np.full(n, SIZE, "int32"), np.full((n, 2), 4, "int32")
    return [codes.astype("float32"), sizes, corners, noise]


def test_draws_ink_with_the_probability_that_it_answers_with(decoder):
    """All weights are 0 but the last bias: the same probability everywhere."""
    set_weights(decoder, 0)
    decoder.logit.bias.assign([np.log(0.3 / 0.7)])
    rng = np.random.default_rng(0)
    codes = np.zeros((N, 4), "float32")
    given = inputs(codes, rng.random((N, 32, 32), np.float32))
    scans = decoder.predict_on_batch(given)
    assert scans.shape == (N, 32, 32) and scans.dtype == bool
    assert scans[:, :SIZE, :SIZE].mean() == pytest.approx(0.3, abs=0.005)
    assert not scans[:, SIZE:].any() and not scans[:, :, SIZE:].any()
    ink = np.full((N, LARGEST_SCAN, LARGEST_SCAN), True)
    losses = decoder.negative_log_likelihood(codes, ink, given[1], given[2])
    place = np.log(len(SIZES)) + 2 * np.log(PLACES)  # all are equally likely
    np.testing.assert_allclose(losses, place - SIZE**2 * np.log(0.3), rtol=1e-4)


def test_draws_sizes_and_places_with_their_probabilities(decoder, monkeypatch):
    set_weights(decoder, 0)
    bias = np.full(len(SIZES) + 2 * PLACES, -20.0)
    starts = 0, len(SIZES), len(SIZES) + PLACES
    for start, (often, seldom) in zip(starts, ((20, 6), (4, 3), (4, 5)), strict=True):
        bias[start + often], bias[start + seldom] = np.log(0.8), np.log(0.2)
    decoder.place_logits.bias.assign(bias)
    # All ink, so that images are as wide as their scans, or all paper: as the first number says.
    for layer in (decoder.from_code, decoder.third, decoder.logit):
        layer.kernel.assign(np.ones_like(layer.kernel))
    decoder.logit.bias.assign([-20])
    codes = np.zeros((N, 4), "float32")
    codes[:, 0] = np.random.default_rng(1).choice([-5, 5], N)
    calls, predict = [], decoder.predict_on_batch
    monkeypatch.setattr(decoder, "predict_on_batch", lambda x: calls.append(x) or predict(x))
    monkeypatch.setattr(module, "SORTED_TOGETHER", N // 2)
    monkeypatch.setattr(module, "DRAWN_TOGETHER", N // 4)
    images = decoder.draw(codes, np.random.default_rng(0))
    assert images.shape == (N, 28, 28) and images.dtype == np.float32
    assert images[codes[:, 0] > 0, 5:24, 5:24].min() > 0.97 and not images[codes[:, 0] < 0].any()
    sizes, corners = (np.concatenate(each) for each in list(zip(*calls, strict=True))[1:3])
    noise = calls[0][3]
    assert noise.shape[1:] == (48, 48)
    assert RAREST <= noise.min() < 1.1 * RAREST  # no pixel that is less probable is ink, and
    assert 1 - 1.1 * RAREST < noise.max() <= 1 - RAREST  # none that is more probable paper
    for values, often, seldom in ((sizes, 42, 28), (corners[:, 0], 4, 3), (corners[:, 1], 4, 5)):
        assert set(values) == {often, seldom}
        assert (values == often).mean() == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(
    ("y", "x", "hidden"), [(10, 12, 0), (10, 12, HALF), (23, 12, RADIUS), (23, 23, 0)]
)
def test_each_pixel_sees_only_what_was_drawn_near_it(decoder, y, x, hidden, monkeypatch):
    """And is ink as often as its negative log-likelihood says."""
    set_weights(decoder, 0.15)
    # Blind to the last so many that were drawn: one changes no other if only those would see it.
    kernel, places = decoder.from_window.kernel, np.arange(WINDOW**2)
    kernel.assign(kernel * ((places < HALF - hidden) | (places >= HALF))[:, None])
    rng = np.random.default_rng(1)
    codes = np.repeat(rng.standard_normal((1, 4)), N, axis=0)
    noise = np.repeat(rng.random((1, 32, 32), np.float32), N, axis=0)
    noise[:, y, x] = (np.arange(N) + 0.5) / N
    given = inputs(codes, noise)
    scans = decoder.predict_on_batch(given)
    later, right = np.argwhere((scans != scans[0]).any(axis=0)).T - [[y], [x]]
    assert (later[0], right[0]) == (0, 0)  # the first that changes, in raster order
    if hidden or (y, x) == (23, 23):
        assert len(later) == 1
    else:
        assert 0 in later[1:] and 1 in later
        assert (right >= -RADIUS * later).all()  # from row to row, it spreads no faster
    # Of all pixels, the loss now looks at this one alone.
    chosen = np.tile((np.array([y, x], "float32") + 0.5) / SIZE, (N, 1, 1))
    monkeypatch.setattr(module, "CHOSEN", 1)
    monkeypatch.setattr(keras.random, "uniform", lambda *_, **__: keras.ops.array(chosen))
    room = np.pad(scans, ((0, 0), (0, LARGEST_SCAN - 32), (0, LARGEST_SCAN - 32)))
    losses = numpy(decoder.negative_log_likelihood(given[0], room, *given[1:3]))
    room[:, y, x] ^= True
    others = numpy(decoder.negative_log_likelihood(given[0], room, *given[1:3]))
    ink = scans[:, y, x]
    assert ink.any() and not ink.all()
    difference = (losses - others)[ink.argmax()] / SIZE**2  # of ink and paper
    assert ink.mean() == pytest.approx(1 / (1 + np.exp(difference)), abs=2 / N)


def test_what_ships_expects_the_scans_of_real_images(mnist):
    """Without the residual, say, the weights still fit, but the network is another."""
    shipped = keras.saving.load_model(ROOT / "models" / "sampler.keras")
    images = mnist[1][0][:200] / np.float32(255)
    noise = np.random.default_rng(0).standard_normal((200, shipped.codes)).astype("float32")
    codes = shipped.to_codes(images) + CODE_NOISE * noise
    scans = undo(images)
    shipped.decoder.random.state.assign([1, 2])
    losses = [shipped.decoder.negative_log_likelihood(codes, *scans) for _ in range(4)]
    assert np.mean(losses) < 102  # 97; without the residual, 261
