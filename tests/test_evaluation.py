from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from augmentation import AUGMENTATION
from evaluation import digit_means, evaluate, evaluate_chains, mean_image_floor
from preprocessing import Corruption, DigitSequences, digit_windows


class Oracle:
    """Answers with the mean image of a digit that it is told, to check the measures themselves."""

    def __init__(self, digits):
        self.digits, self.step = np.asarray(digits), 0

    def predict(self, inputs, **_):
        return digit_means()[self.digits]

    def generate(self, images, steps):
        assert steps == 1
        self.step += 1
        return digit_means()[self.digits[:, self.step - 1 : self.step]]


def test_the_floor_is_the_error_of_the_mean_training_images(mnist):
    (train_images, train_labels), (images, labels) = mnist
    assert digit_means().shape == (10, 28, 28) and digit_means().dtype == np.float32
    for digit in (0, 9):
        expected = train_images[train_labels == digit].mean(axis=0) / 255
        np.testing.assert_allclose(digit_means()[digit], expected, atol=1e-4)
    with pytest.raises(ValueError, match="read-only"):
        digit_means()[0] = 0  # or whoever asks next would get another floor
    images, labels = images[:500], labels[:500]
    targets = images / np.float32(255)
    floor = mean_image_floor(targets, labels)
    errors = np.square(targets - digit_means()[labels]).mean(axis=(1, 2))
    assert floor["overall"] == pytest.approx(errors.mean(), rel=1e-5)
    expected = {digit: errors[labels == digit].mean() for digit in range(10)}
    assert floor["per_digit"] == pytest.approx(expected, rel=1e-5)
    assert list(mean_image_floor(targets[:1], labels[:1])["per_digit"]) == [labels[0]]
    for form in (images, targets.reshape(-1, 784)):  # integers are scaled
        assert mean_image_floor(form, labels.tolist()) == floor
    for digits in ([0, -1], [9, 10], [0.0, 1.0], [1], [[0, 1]]):
        with pytest.raises(ValueError, match=r"^digits are .* expected integers \(n,\) in 0 to 9"):
            mean_image_floor(targets[:2], digits)
    for shape in ((28, 28), (0, 28, 28), (1, 2, 28, 28)):
        with pytest.raises(ValueError, match=r"^digits are"):
            mean_image_floor(np.zeros(shape), np.zeros(shape[:-2], int))


def test_predictions_are_measured_beside_the_floor_in_all_and_for_each_window(test):
    _, targets, digits = test.sample(6_000)  # the default
    nines, answers = Oracle([9] * 6_000), digit_means()[[9] * 6_000]
    nines.predict = lambda *_, **__: np.where(answers > 0, answers, -2)  # cut off at black
    measures, errors = evaluate(nines, test), np.square(targets - answers).mean(axis=(1, 2))
    floor = mean_image_floor(targets, digits[:, -1])
    assert measures["mse"] == pytest.approx(errors.mean(), rel=1e-4)
    assert measures["floor"] == pytest.approx(floor["overall"], rel=1e-5)
    assert measures["ratio"] == pytest.approx(errors.mean() / floor["overall"], rel=1e-4)
    assert measures["accuracy"] == pytest.approx(1 / 6)
    assert list(measures["windows"]) == [*map(tuple, digit_windows().tolist())]
    for window, found in measures["windows"].items():
        assert found["mse"] == pytest.approx(errors[digits[:, -1] == window[-1]].mean(), rel=1e-4)
        assert found["floor"] == pytest.approx(floor["per_digit"][window[-1]], rel=1e-5)
        assert found["accuracy"] == (window[-1] == 9)


def test_a_chain_is_right_where_every_step_is(mnist, test):
    digits = np.tile(np.arange(4, 10), (1_000, 1))
    digits[300:400, 2] = 1
    digits[400:500, 2:] = 0
    measures = evaluate_chains(Oracle(digits), test)
    np.testing.assert_allclose(measures["step_accuracy"], [1, 1, 0.8, 0.9, 0.9, 0.9])
    assert measures["chain_accuracy"] == pytest.approx(0.8)
    (images, labels), _ = mnist
    for step, wrong in ((0, (4, 4)), (2, (1, 0))):
        right = images[labels == step + 4] / np.float32(255)
        off = [np.square(digit_means()[d] - right).mean() for d in (step + 4, *wrong)]
        expected = np.average(off, weights=[8, 1, 1])
        assert measures["errors"][step] == pytest.approx(expected, rel=1e-4)


def test_chains_feed_back_answers_and_share_one_stream_of_noise(mnist):
    class Witness:
        """Keeps what it is asked, and the random numbers that it is handed, as a sampler does."""

        def __init__(self):
            self.contexts, self.numbers = [], []

        def generate(self, images, steps, temperature, seed=None):
            assert (steps, temperature) == (1, 2)
            self.contexts.append(images)
            self.numbers.append(np.random.default_rng(seed).random())
            return images[:, :1]

    spoiled = {"corruption": Corruption(0.5), "augmentation": AUGMENTATION}
    sequences = DigitSequences(*mnist[1], digit_windows(wrap=True), seed=0, **spoiled)
    witness = Witness()
    evaluate_chains(witness, sequences, steps=3, n=50, seed=7, temperature=2)
    first, second, _ = witness.contexts
    np.testing.assert_array_equal(first.reshape(50, 4, 784), sequences.sample(50)[0])
    np.testing.assert_array_equal(second, first[:, [1, 2, 3, 0]])
    np.testing.assert_array_equal(witness.numbers, np.random.default_rng(7).random(3))


def test_chains_start_from_the_windows_that_allow_them(mnist):
    starts = DigitSequences(*mnist[1], windows=[[3, 2, 1], [7, 1, 5]], seed=3)
    expected = starts.draw(50)[0][:, -1:]
    assert set(expected[:, 0]) == {1, 5}
    assert evaluate_chains(Oracle(expected), starts, steps=1, n=50)["chain_accuracy"] == 1


@pytest.mark.parametrize("answer", [np.zeros((3, 784)), np.full((3, 28, 28), np.nan)])
def test_other_predictions_and_counts_are_refused(test, answer):
    model = SimpleNamespace(predict=lambda *_, **__: answer, predict_on_batch=lambda _: answer)
    for measure in (evaluate, partial(evaluate_chains, steps=1)):
        with pytest.raises(
            ValueError, match=r"^the model predicts .*; expected \(3, 28, 28\) with"
        ):
            measure(model, test, n=3)
        with pytest.raises(ValueError, match=r"^n is 0; expected an integer"):
            measure(model, test, n=0)
    for steps, fault in ((0, "steps is 0; expected an integer"), (7, "followed for 7 steps")):
        with pytest.raises(ValueError, match=fault):
            evaluate_chains(model, test, steps=steps)


def test_learning_shows_in_the_measures(model, test, capfd):
    """One image for all stands at a ratio of 1.18, with one answer in six right."""
    measures = evaluate(model, test, n=1_200)
    assert measures["ratio"] < 1.06
    assert measures["accuracy"] > 0.8
    assert evaluate_chains(model, test, steps=2, n=200)["step_accuracy"][0] > 0.8
    assert capfd.readouterr().out == ""  # no progress bars between a notebook's numbers
