import keras
import numpy as np
import pytest

from painter import BINS, EDGES, TURNS, Painter

CODES = 4


def with_random_weights(scale=0.3):
    keras.utils.set_random_seed(0)
    painter = Painter(CODES, units=(16, 16))
    rng = np.random.default_rng(0)
    painter.set_weights([scale * rng.standard_normal(w.shape) for w in painter.get_weights()])
    return painter


def bins_of(images):
    """The bin of each level of grey, by a search other than the painter's."""
    levels = np.round(255 * np.asarray(images))
    return np.array([np.flatnonzero(EDGES[:-1] <= level)[-1] for level in levels.flat])


@pytest.fixture
def codes():
    return np.random.default_rng(1).standard_normal((1, CODES)).astype("float32")


@pytest.fixture
def chance():
    return np.random.default_rng(2).random((1, 28, 28), dtype="float32")


def test_every_level_of_grey_is_in_one_bin():
    widths = np.diff(EDGES)
    assert widths.sum() == 256 and (widths >= 1).all()
    assert [int(low) for low, width in zip(EDGES, widths, strict=False) if width == 1] == [
        0,
        253,
        254,
        255,
    ]


def test_paints_levels_with_the_probabilities_that_it_answers_with():
    """All weights 0 but the last biases: the same distribution everywhere."""
    painter = Painter(CODES, units=(8, 8))
    shares = np.random.default_rng(0).dirichlet(np.ones(BINS))
    for *_, answer in painter.turns:
        pixels = answer.units // BINS
        answer.set_weights([np.zeros((8, pixels * BINS)), np.tile(np.log(shares), pixels)])
    codes = np.zeros((200, CODES), "float32")
    chance = np.random.default_rng(1).random((200, 28, 28), dtype="float32")
    images = painter.predict_on_batch([codes, chance])
    assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1
    levels = 255 * images
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)
    found = np.bincount(bins_of(images), minlength=BINS) / images.size
    np.testing.assert_allclose(found, shares, atol=0.003)
    # Within a bin, all levels are as likely.
    wide = int(np.argmax(shares * (np.diff(EDGES) == 12)))
    within = levels.round()[(levels >= EDGES[wide]) & (levels < EDGES[wide + 1] - 0.5)]
    counts = np.bincount((within - EDGES[wide]).astype(int), minlength=12)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 12, atol=0.02)
    # And surprise is minus the logarithm of what was drawn.
    expected = -np.log(shares)[bins_of(images)].reshape(200, -1).sum(axis=1)
    np.testing.assert_allclose(painter.surprise(codes, images), expected, rtol=1e-4)


def test_surprise_is_that_of_what_it_paints(codes, chance):
    """One pixel of the last turn, for all its levels: their probabilities, and how often each
    comes."""
    painter = with_random_weights()
    y, x = 12 + np.argwhere(TURNS == 7)[0]
    chances = np.repeat(chance, 4_000, axis=0)
    chances[:, y, x] = (np.arange(4_000) + 0.5) / 4_000
    images = painter.predict_on_batch([np.repeat(codes, 4_000, axis=0), chances])
    others = images.copy()
    others[:, y, x] = 0
    np.testing.assert_array_equal(others, others[:1].repeat(4_000, axis=0))
    found = np.bincount(bins_of(images[:, y, x]), minlength=BINS) / 4_000
    each = images[:BINS].copy()
    each[:, y, x] = EDGES[:-1] / 255
    surprise = np.asarray(painter.surprise(np.repeat(codes, BINS, axis=0), each), dtype=float)
    likely = np.exp(surprise.min() - surprise)
    np.testing.assert_allclose(found, likely / likely.sum(), atol=2e-3)


@pytest.mark.parametrize(("y", "x"), [(12, 12), (14, 14), (13, 13)])  # of turns 0, 1 and 4
def test_each_turn_sees_what_was_painted_near_it_and_nothing_else(y, x):
    painter = with_random_weights()
    rng = np.random.default_rng(1)
    codes = rng.standard_normal((500, CODES)).astype("float32")
    chance = rng.random((500, 28, 28), dtype="float32")
    before = painter.predict_on_batch([codes, chance])
    chance[:, y, x] = rng.random(500)
    changed = (painter.predict_on_batch([codes, chance]) != before).any(axis=0)
    changed[y, x] = False
    turns = np.tile(TURNS, (7, 7))
    assert turns[changed].min() == turns[y, x] + 1  # the next turn is not blind
    near = np.argwhere(changed & (turns == turns[y, x] + 1))
    assert near.min() >= 8 and near.max() < 20  # its own block and the eight around it


def test_it_learns_to_paint_what_the_code_says():
    """Two codes: a grey square on the left, a white one on the right."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.eye(2, dtype="float32"), 8, axis=0)
    images = np.zeros((16, 28, 28), "float32")
    images[:8, 8:20, 4:12], images[8:, 8:20, 16:24] = 100 / 255, 1

    class Fit(keras.Model):
        def __init__(self):
            super().__init__()
            self.painter = Painter(2, units=(32, 16))
            self.painter.adapt(images[[0, 8]].reshape(2, 784), np.zeros(784))
            self.built = True

        def call(self, codes):
            return codes

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(self.painter.surprise(x, y))

    keras.utils.set_random_seed(0)
    fit = Fit()
    fit.compile(keras.optimizers.Adam(1e-2))
    losses = fit.fit(codes, images, epochs=60, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.05 * losses[0]
    chance = rng.random((16, 28, 28), dtype="float32")
    painted = fit.painter.predict_on_batch([codes, chance])
    # Greys are in bins of twelve levels, of which any may come.
    assert (np.abs(painted - images) <= 12 / 255).mean() > 0.98


def test_is_rebuilt_from_its_config(codes, chance):
    painter = with_random_weights()
    copy = Painter.from_config(painter.get_config())
    copy.set_weights(painter.get_weights())
    np.testing.assert_array_equal(
        copy.predict_on_batch([codes, chance]), painter.predict_on_batch([codes, chance])
    )
