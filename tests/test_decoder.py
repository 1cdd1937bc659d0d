from pathlib import Path

import keras
import numpy as np
import pytest

from data import load_mnist
from sampling.decoder import BINS, EDGES, RADIUS, WINDOW, PixelDecoder
from sampling.sampler import CODE_NOISE

N = 16 * BINS  # images in each batch: JAX compiles for each number
HALF = WINDOW**2 // 2  # pixels of a window before its middle


@pytest.fixture(scope="module")
def decoder():
    return PixelDecoder(codes=4)


def set_weights(decoder, deviation):
    rng = np.random.default_rng(0)
    decoder.set_weights([deviation * rng.standard_normal(w.shape) for w in decoder.get_weights()])


def bins_of(images):
    return (np.round(255 * images)[..., None] >= EDGES[1:]).sum(axis=-1)


def test_draws_levels_of_grey_with_the_probabilities_that_it_answers_with(decoder):
    """All weights are 0 but the last biases: the same distribution everywhere."""
    assert np.diff(EDGES).tolist() == [1, *[12] * 20, 11, 1, 1, 1, 1]
    set_weights(decoder, 0)
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(BINS))
    decoder.logits.bias.assign(np.log(probabilities))
    codes = np.zeros((N, 4), "float32")
    images = decoder.predict_on_batch([codes, rng.random((N, 28, 28), np.float32)])
    assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1
    levels, bins = 255 * images, bins_of(images)
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    assert np.ptp(levels, axis=0).min() > 0  # each pixel is drawn
    found = np.bincount(bins.ravel(), minlength=BINS) / bins.size
    np.testing.assert_allclose(found, probabilities, atol=0.003)
    widest = 1 + np.argmax(probabilities[1:-5])  # of twelve levels, which are equally likely
    counts = np.bincount((levels.round()[bins == widest] - EDGES[widest]).astype(int))
    np.testing.assert_allclose(counts / counts.sum(), 1 / 12, atol=0.02)
    expected = -np.log(probabilities)[bins].sum(axis=(1, 2))
    np.testing.assert_allclose(decoder.negative_log_likelihood(codes, images), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("y", "x", "hidden"), [(12, 20, 0), (12, 20, HALF), (27, 20, RADIUS), (27, 27, 0)]
)
def test_each_pixel_sees_what_was_drawn_near_it_and_nothing_else(decoder, y, x, hidden):
    """And is drawn as often at each level as its negative log-likelihood says."""
    set_weights(decoder, 0.15)
    # Blind to the last so many that were drawn: one changes no other if only those would see it.
    kernel, places = decoder.from_window.kernel, np.arange(WINDOW**2)
    kernel.assign(kernel * ((places < HALF - hidden) | (places >= HALF))[:, None])
    rng = np.random.default_rng(1)
    codes = np.repeat(rng.standard_normal((1, 4)).astype("float32"), N, axis=0)
    noise = np.repeat(rng.random((1, 28, 28), np.float32), N, axis=0)
    noise[:, y, x] = (np.arange(N) + 0.5) / N
    images = decoder.predict_on_batch([codes, noise])
    later, right = np.argwhere((images != images[0]).any(axis=0)).T - [[y], [x]]
    assert (later[0], right[0]) == (0, 0)  # the first that changes, in raster order
    if hidden or (y, x) == (27, 27):
        assert len(later) == 1
        found = np.bincount(bins_of(images[:, y, x]), minlength=BINS) / N
        images[:, y, x] = np.tile(EDGES[:-1] / 255, 16)
        losses = decoder.negative_log_likelihood(codes, images)[:BINS]
        np.testing.assert_allclose(found, keras.ops.softmax(-losses), atol=2 / N)
    else:
        assert 0 in later[1:] and 1 in later
        assert (right >= -RADIUS * later).all()  # from row to row, it spreads no faster


def test_what_ships_expects_the_pixels_of_real_images():
    """Other activations, or no residual: the weights still fit, but the network is another."""
    shipped = keras.saving.load_model(Path(__file__).parent.parent / "models" / "sampler.keras")
    images = load_mnist()[1][0][:200] / np.float32(255)
    noise = np.random.default_rng(0).standard_normal((200, shipped.codes)).astype("float32")
    codes = shipped.to_codes(images) + CODE_NOISE * noise
    losses = shipped.decoder.negative_log_likelihood(codes, images)
    assert np.mean(losses) < 240  # 226; with another activation, 268
