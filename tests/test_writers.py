from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

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
        # As likely by anybody, one image is likelier by this writer, and one less likely.
        variances = 0.12**2 * 0.06**2 / (4 * 0.12**2 + 0.06**2) + 0.06**2, 0.12**2 + 0.06**2
        images = np.full((2, 28, 28), 0.5)
        images[:, 0, 3] += 0.15, -0.15
        found = model.same_writer(context.repeat(2, 0), np.array([digits, digits]), images)
        by_writer, by_anybody = (
            norm.logpdf(images[:, 0, 3], mean, np.sqrt(variance))
            for mean, variance in zip((expected, 0.5), variances, strict=True)
        )
        np.testing.assert_allclose(found, by_writer - by_anybody, rtol=0.1)


def test_training_moves_a_network_away_from_the_mean_image(mnist):
    (images, labels), _ = mnist
    images, labels, who = images[:600], labels[:600], np.arange(600) % 3
    first, again = (writers.train_on_writers(images, labels, who, steps=2) for _ in range(2))
    mean = DigitSequences(images, labels, pairing=who, seed=0).mean_target()
    answer = first.predict_next(images[:4])
    assert 0 < np.abs(answer - mean).mean() < 0.05
    np.testing.assert_allclose(again.predict_next(images[:4]), answer, atol=1e-5)


def test_a_verifier_compares_an_image_with_four_others(mnist):
    (images, labels), _ = mnist
    sequences = DigitSequences(images[:600], labels[:600], pairing=np.arange(600) % 3, seed=0)
    verifier = writers.train_verifier(sequences, steps=2)
    inputs, targets, digits = sequences.sample(30)
    strangers = writers.by_strangers(digits[:, -1], targets)
    before = {image.tobytes(): digit for image, digit in zip(targets, digits[:, -1], strict=True)}
    assert [before[image.tobytes()] for image in strangers] == digits[:, -1].tolist()
    assert (strangers != targets).any(axis=(1, 2)).mean() > 0.8
    logits = verifier.predict_on_batch([inputs, targets])
    assert (
        logits.shape == (30, 1) and (logits != verifier.predict_on_batch([inputs, strangers])).any()
    )


def test_in_a_hand_the_linear_model_is_told_the_digits_and_weighs_more_the_more_it_reads(mnist):
    images, labels = mnist[1]
    nine = np.stack([images[labels == digit % 10][3] for digit in range(8, 17)])  # 8, 9, 0 to 6
    blank, asked = np.zeros((28, 28)), []
    network = SimpleNamespace(predict_next=lambda last: blank + 0.13 * (len(last) == 4))
    linear = SimpleNamespace(predict=lambda *given: asked.append(given) or [blank + 0.26])
    answer = writers.predict_in_hand(network, linear, nine)
    np.testing.assert_allclose(answer, (4 * 0.13 + 9 * 0.26) / 13)
    ((context, digits),) = asked
    assert context.shape == (1, 9, 784) and digits.tolist() == [[8, 9, *range(8)]]
