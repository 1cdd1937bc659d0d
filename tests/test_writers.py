import keras
import numpy as np
import pytest
from scipy.stats import norm

from model import generate, load
from preprocessing import DigitSequences
from studies import writers
from studies.writers import LinearModel

RNG = np.random.default_rng(0)
numpy = keras.ops.convert_to_numpy


def test_the_linear_model_weighs_what_writers_do_against_chance():
    # 200 writers, five images of each digit: pixel 3 has what a writer always does, and chance.
    who, labels = np.divmod(np.arange(10_000), 50)
    labels %= 10
    always = 0.12 * RNG.standard_normal(200)[who]
    images = np.full((10_000, 784), 0.0)
    images[:, 3] = (0.5 + always + 0.06 * RNG.standard_normal(10_000)).clip(0, 1)
    images[:, 4] = (0.5 + 0.06 * RNG.standard_normal(10_000)).clip(0, 1)
    images = np.round(255 * images).astype(np.uint8).reshape(-1, 28, 28)
    wrote = (labels != 4) | (who < 160)  # the others never wrote a 4
    model = LinearModel(images[wrote], labels[wrote], who[wrote], components=2)
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


def test_a_transformer_reads_any_number_of_images_and_none_that_come_later(tmp_path):
    predictor, after_each = writers.writer_transformer()
    context = RNG.random((2, 14, 784), np.float32)
    answers = numpy(after_each(context)).reshape(2, 14, 28, 28)
    for length in (1, 4, 14):
        answer = numpy(predictor(context[:, :length]))
        np.testing.assert_allclose(answer, answers[:, length - 1], atol=1e-5)
    shipped = load("writer")
    assert [w.shape for w in predictor.weights] == [w.shape for w in shipped.weights]
    predictor.save(tmp_path / "writer.keras")
    again = keras.saving.load_model(tmp_path / "writer.keras")
    np.testing.assert_allclose(numpy(again(context)), answers[:, -1], atol=1e-5)


def test_training_moves_a_network_away_from_the_mean_image(mnist):
    (images, labels), _ = mnist
    images, labels, who = images[:600], labels[:600], np.arange(600) % 3
    first, again = (writers.train_on_writers(images, labels, who, steps=2) for _ in range(2))
    mean = DigitSequences(images, labels, writers=who, seed=0).mean_target()
    answer = generate(first, images[:4], 1)[0]
    assert 0 < np.abs(answer - mean).mean() < 0.05
    np.testing.assert_allclose(generate(again, images[:4], 1)[0], answer, atol=1e-5)


def test_training_shows_each_next_image_and_whether_the_same_person_wrote_it(mnist, monkeypatch):
    images, labels, who, batches = *(each[:600] for each in mnist[0]), np.arange(600) % 6, []
    monkeypatch.setattr(keras.Model, "fit", lambda _, given, **more: batches.append(next(given)))
    for name in ("HAND", "AUGMENTATION"):
        monkeypatch.setattr(writers, name, lambda images, rng: images)
    sequences = DigitSequences(images, labels, writers=who, seed=0)
    writers.train_on_writers(images, labels, who, steps=1)
    writers.train_verifier(sequences, steps=1)
    (inputs, answers), ((contexts, others), same) = batches
    np.testing.assert_array_equal(answers[:, :-1], inputs[:, 1:])
    *seen, following = images[sequences.draw(128, 1)[1]].swapaxes(0, 1) / np.float32(255)
    seen = np.stack(seen, axis=1).reshape(128, 4, 784)
    np.testing.assert_array_equal(contexts, np.concatenate([seen, seen]))
    np.testing.assert_array_equal(others[:128], following)
    np.testing.assert_array_equal(same[:, 0], np.repeat([1, 0], 128))
    wrote = dict(zip((image.tobytes() for image in images / np.float32(255)), who, strict=True))
    by = np.array([wrote[image.tobytes()] for image in others]).reshape(2, 128)
    assert (by[0] != by[1]).all()


def test_strangers_have_written_the_same_digits():
    rng = np.random.default_rng(0)
    digits, people = rng.integers(10, size=400), rng.integers(9, size=400)
    others = writers.by_strangers(digits, people, np.arange(400))
    assert (digits[others] == digits).all() and (people[others] != people).all()
    assert sorted(others) == list(range(400))


def test_a_verifier_compares_an_image_with_four_others(mnist):
    (images, labels), _ = mnist
    sequences = DigitSequences(images[:600], labels[:600], writers=np.arange(600) % 3, seed=0)
    verifier = writers.train_verifier(sequences, steps=2)
    inputs, targets = sequences.sample(30)
    logits, others = (
        verifier.predict_on_batch([inputs, each]) for each in (targets, targets[::-1])
    )
    assert logits.shape == (30, 1) and (logits != others).any()
    loss = verifier.evaluate([inputs, targets], np.ones((30, 1)), verbose=0)
    assert loss == pytest.approx(np.log1p(np.exp(-logits)).mean(), rel=1e-3)
