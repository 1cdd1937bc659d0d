import hashlib
import io

import keras
import numpy as np
import pytest

from classifier import classify, read_digits, train_classifier
from data import DATASETS
from evaluation import digit_means
from model import load
from studies.release import other_digits


def test_reads_sharp_and_soft_digits(mnist):
    images, labels = mnist[1]
    assert np.mean(read_digits(images[:3_000]) == labels[:3_000]) > 0.98
    np.testing.assert_array_equal(read_digits(digit_means()), np.arange(10))
    images = images[:6].reshape(2, 3, 28, 28)
    features, probabilities = classify(images)
    assert features.shape == (2, 3, 64) and probabilities.shape == (2, 3, 10)
    assert features.dtype == probabilities.dtype == np.float32
    shipped = load("digit_classifier")
    expected = shipped.predict_on_batch(images.reshape(6, 28, 28) / np.float32(255))
    np.testing.assert_allclose(probabilities.reshape(6, 10), expected, atol=1e-5)
    # From the features, only the last layer is left.
    logits = features @ keras.ops.convert_to_numpy(shipped.layers[-1].kernel)
    np.testing.assert_allclose(keras.ops.softmax(logits), probabilities, atol=1e-5)
    np.testing.assert_array_equal(read_digits(images), probabilities.argmax(axis=-1))
    # The largest probability tells a guess from an answer.
    sure = classify(digit_means())[1]
    mixed = classify(np.mean(digit_means()[[0, 1, 4, 7]], axis=0))[1]
    assert mixed.shape == (10,) and mixed.max() < sure.max(axis=-1).min() > 0.9


def test_reads_digits_by_other_people():
    with np.load(DATASETS / "semeion.npz") as arrays:
        pixels, ones = arrays["images"].reshape(-1, 256), np.eye(10)[arrays["labels"]]
    text = io.BytesIO()  # as it is published
    np.savetxt(text, np.hstack([pixels, ones]), ["%.4f"] * 256 + ["%d"] * 10, newline=" \r\n")
    assert hashlib.md5(text.getvalue()).hexdigest() == "cb545d371d2ce14ec121470795a77432"
    seen, unseen = other_digits()
    assert len(seen[0]) == 1_593 + 2_672 and len(unseen[0]) == 2_517
    known, new = (  # but for ones: many are but a bar
        {image.tobytes() for image, label in zip(*each, strict=True) if label != 1}
        for each in (seen, unseen)
    )
    assert not known & new
    semeion, unipen = np.split(read_digits(seen[0]) == seen[1], [1_593])
    for right in (semeion, unipen, read_digits(unseen[0]) == unseen[1]):
        assert np.mean(right) > 0.98


@pytest.mark.slow
def test_the_classifier_learns_the_same_every_time(mnist):
    (images, labels), (test_images, test_labels) = mnist
    sets = [(images[:3_000], labels[:3_000])] * 2
    trained, again = (train_classifier(*each, others=each, epochs=1) for each in sets)
    shapes = [weight.shape for weight in load("digit_classifier").get_weights()]
    assert [weight.shape for weight in trained.get_weights()] == shapes
    pixels = test_images[:500] / np.float32(255)
    answers = trained.predict(pixels, verbose=0)
    assert np.mean(answers.argmax(axis=-1) == test_labels[:500]) > 0.5
    np.testing.assert_allclose(again.predict(pixels, verbose=0), answers, atol=0.02)
