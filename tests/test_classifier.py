import numpy as np
import pytest

from classifier import (
    build_classifier,
    digit_classifier,
    digit_probabilities,
    read_digits,
    train_classifier,
)
from evaluation import digit_means


def test_reads_sharp_and_soft_digits(mnist):
    images, labels = mnist[1]
    assert np.mean(read_digits(images) == labels) > 0.99
    np.testing.assert_array_equal(read_digits(digit_means()), np.arange(10))
    assert read_digits(images[:6].reshape(2, 3, 28, 28)).shape == (2, 3)


def test_probabilities_tell_a_guess_from_an_answer():
    probabilities = digit_probabilities(digit_means())
    assert probabilities.shape == (10, 10)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    assert probabilities.max(axis=-1).min() > 0.9
    mixed = np.mean(digit_means()[[0, 1, 4, 7]], axis=0)
    assert digit_probabilities(mixed[None]).max() < probabilities.max(axis=-1).min()


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (np.zeros((28, 27), "uint8"), r"shape \(28, 27\)"),
        (np.full((28, 28), 2.0), "from 2"),
        (np.full((28, 28), np.nan), "NaN"),
    ],
)
def test_what_is_no_image_is_not_read(images, fault):
    with pytest.raises(ValueError, match=fault):
        read_digits(images)


def test_the_network_that_ships_is_the_one_that_the_command_trains(mnist):
    built, shipped = build_classifier(), digit_classifier()
    assert [w.shape for w in built.weights] == [w.shape for w in shipped.weights]
    assert built.count_params() < 100_000
    again = build_classifier()
    for one, other in zip(built.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # whatever random numbers were drawn before
    (images, labels), (test_images, test_labels) = mnist
    train_classifier(built, images[:6_000], labels[:6_000], epochs=1)
    answers = built.predict(test_images[:500] / np.float32(255), verbose=0).argmax(axis=-1)
    assert np.mean(answers == test_labels[:500]) > 0.5
