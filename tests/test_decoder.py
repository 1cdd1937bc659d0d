import keras
import numpy as np
import pytest

from sampling.decoder import BINS, EDGES, RADIUS, WINDOW, PixelDecoder

N = 16 * BINS  # images in each batch: JAX compiles for each number


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
    found = np.bincount(bins.ravel(), minlength=BINS) / bins.size
    np.testing.assert_allclose(found, probabilities, atol=0.003)
    widest = 1 + np.argmax(probabilities[1:-5])  # of twelve levels, which are equally likely
    counts = np.bincount((levels.round()[bins == widest] - EDGES[widest]).astype(int))
    np.testing.assert_allclose(counts / counts.sum(), 1 / 12, atol=0.02)
    expected = -np.log(probabilities)[bins].sum(axis=(1, 2))
    np.testing.assert_allclose(decoder.negative_log_likelihood(codes, images), expected, rtol=1e-4)


@pytest.mark.parametrize(("y", "x", "blind"), [(12, 20, False), (12, 20, True), (27, 27, False)])
def test_each_pixel_sees_what_was_drawn_near_it_and_nothing_else(decoder, y, x, blind):
    """And is drawn as often at each level as its negative log-likelihood says."""
    set_weights(decoder, 0.2)
    if blind:  # to what was drawn: all that is left is the code and its reconstruction
        kernel = decoder.from_window.kernel
        kernel.assign(kernel * (np.arange(WINDOW**2) >= WINDOW**2 // 2)[:, None])
    rng = np.random.default_rng(1)
    codes = np.repeat(rng.standard_normal((1, 4)).astype("float32"), N, axis=0)
    noise = np.repeat(rng.random((1, 28, 28), np.float32), N, axis=0)
    noise[:, y, x] = (np.arange(N) + 0.5) / N
    images = decoder.predict_on_batch([codes, noise])
    later, right = np.argwhere((images != images[0]).any(axis=0)).T - [[y], [x]]
    assert (later[0], right[0]) == (0, 0)  # the first that changes, in reading order
    if blind or (y, x) == (27, 27):
        assert len(later) == 1
        found = np.bincount(bins_of(images[:, y, x]), minlength=BINS) / N
        images[:, y, x] = np.tile(EDGES[:-1] / 255, 16)
        losses = decoder.negative_log_likelihood(codes, images)[:BINS]
        np.testing.assert_allclose(found, keras.ops.softmax(-losses), atol=2 / N)
    else:
        assert 0 in later[1:] and 1 in later
        assert (right >= -RADIUS * later).all()  # from row to row, it spreads no faster
