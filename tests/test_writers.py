import numpy as np
import pytest

from preprocessing import DigitSequences
from studies import writers
from studies.writers import LinearModel

RNG = np.random.default_rng(0)


def test_the_linear_model_weighs_what_writers_do_against_chance():
    # 200 writers, five images of each digit: pixel 3 has what a writer always does, and chance.
    who, labels = np.divmod(np.arange(10_000), 50)
    labels %= 10
    always = 0.12 * RNG.standard_normal(200)[who]
    images = np.full((10_000, 784), 0.0)
    images[:, 3] = (0.5 + always + 0.06 * RNG.standard_normal(10_000)).clip(0, 1)
    images[:, 4] = (0.5 + 0.06 * RNG.standard_normal(10_000)).clip(0, 1)
    images = np.round(255 * images).astype(np.uint8).reshape(-1, 28, 28)
    model = LinearModel(images, labels, who, components=2)
    context = np.zeros((1, 4, 784))
    context[..., 3:5] = 0.5, 0.5
    context[0, :, 3] += [0.1, 0.2, 0.1, 0.2]
    context[0, :, 4] += 0.2
    for digits in ([0, 1, 2, 3, 4], [7, 7, 7, 7, 7]):
        answer = model.predict(context, np.array([digits]))
        assert answer.shape == (1, 28, 28)
        # Four images with the mean 0.15: 0.12² of the variance is the writer's, 0.06² chance.
        expected = 0.5 + 0.15 * 4 * 0.12**2 / (4 * 0.12**2 + 0.06**2)
        assert answer[0, 0, 3] == pytest.approx(expected, abs=0.02)
        assert answer[0, 0, 4] == pytest.approx(0.5, abs=0.02)


def test_training_moves_a_network_away_from_the_mean_image(mnist):
    (images, labels), _ = mnist
    images, labels, who = images[:600], labels[:600], np.arange(600) % 3
    first, again = (writers.train_on_writers(images, labels, who, steps=2) for _ in range(2))
    mean = DigitSequences(images, labels, pairing=who, seed=0).mean_target()
    answer = first.predict_next(images[:4])
    assert 0 < np.abs(answer - mean).mean() < 0.05
    np.testing.assert_allclose(again.predict_next(images[:4]), answer, atol=1e-5)
