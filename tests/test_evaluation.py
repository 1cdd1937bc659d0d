import numpy as np
import pytest

from classifier import read_digits
from evaluation import (
    digit_means,
    evaluate,
    evaluate_chains,
    mean_image_floor,
    style_agreement,
)
from preprocessing import Damage, DigitSequences, digit_windows
from variation import ANYBODY


class Oracle:
    """Answers with the mean image of a digit that it is told, to check the measures themselves."""

    def __init__(self, digits):
        self.digits = np.asarray(digits)

    def predict(self, inputs, **_):
        return digit_means()[self.digits]

    def generate(self, images, steps):
        return digit_means()[self.digits[:, :steps]]


def test_the_mean_images_are_those_of_the_training_images(mnist):
    (images, labels), _ = mnist
    assert digit_means().shape == (10, 28, 28) and digit_means().dtype == np.float32
    np.testing.assert_allclose(digit_means()[3], images[labels == 3].mean(axis=0) / 255, atol=1e-4)
    with pytest.raises(ValueError, match="read-only"):
        digit_means()[0] = 0  # or whoever asks next would get another floor


def test_the_floor_is_the_error_of_the_mean_training_images(mnist, test):
    _, targets, digits = test.sample(600)
    floor = mean_image_floor(targets, digits[:, -1])
    assert set(floor["per_digit"]) == {4, 5, 6, 7, 8, 9}
    errors = np.square(targets[digits[:, -1] == 7] - digit_means()[7])
    assert floor["per_digit"][7] == pytest.approx(errors.mean(), rel=1e-5)
    assert floor["overall"] == pytest.approx(np.mean(list(floor["per_digit"].values())), rel=1e-5)


def test_an_oracle_stands_on_the_floor_and_is_always_right(mnist, test):
    digits = test.sample(6_000)[2]
    measures = evaluate(Oracle(digits[:, -1]), test)
    assert measures["mse"] == pytest.approx(measures["floor"], rel=1e-5)
    assert measures["ratio"] == pytest.approx(1, abs=1e-5)
    assert measures["right"] == 1
    assert set(measures["windows"]) == set(map(tuple, digit_windows().tolist()))
    floors = [window["floor"] for window in measures["windows"].values()]
    assert measures["floor"] == pytest.approx(np.mean(floors), rel=1e-5)


def test_one_and_the_same_answer_is_right_for_one_window_of_six(mnist, test):
    measures = evaluate(Oracle(np.full(600, 9)), test, n=600)
    assert measures["right"] == pytest.approx(1 / 6)
    assert measures["ratio"] > 1.1
    assert measures["windows"][5, 6, 7, 8, 9]["right"] == 1
    assert measures["windows"][0, 1, 2, 3, 4]["right"] == 0


def test_a_chain_is_right_where_every_step_is(mnist, test):
    digits = np.tile(np.arange(4, 10), (1_000, 1))
    digits[300:400, 2] = 1
    digits[400:500, 2:] = 0
    oracle = Oracle(digits)
    measures = evaluate_chains(oracle, test)
    np.testing.assert_allclose(measures["steps"], [1, 1, 0.8, 0.9, 0.9, 0.9])
    assert measures["chains"] == pytest.approx(0.8)
    (images, labels), _ = mnist
    sixes = images[labels == 6] / np.float32(255)
    off = [np.square(digit_means()[digit] - sixes).mean() for digit in (6, 1, 0)]
    assert measures["errors"][2] == pytest.approx(np.average(off, weights=[8, 1, 1]), rel=1e-4)


def test_long_chains_are_measured_in_blocks_that_join(mnist, test):
    """With a predictor that reads its context: each block starts where the last one ended."""

    class Reader:
        def generate(self, images, steps):
            last = read_digits(np.reshape(images, (-1, 4, 28, 28))[:, -1])
            digits = (last[:, None] + 1 + np.arange(steps)) % 10
            return Oracle(digits).generate(images, steps)

    endless = DigitSequences(*mnist[1], digit_windows(wrap=True), seed=0)
    measures = evaluate_chains(Reader(), endless, steps=230, n=20)
    assert measures["steps"].shape == measures["errors"].shape == (230,)
    starts = read_digits(endless.sample(20)[0].reshape(-1, 4, 28, 28)[:, -1])
    misread = np.mean(starts != endless.sample(20)[2][:, 3])
    assert measures["chains"] == pytest.approx(1 - misread)
    # On the mean images themselves, the expected error is the variance within the digits.
    np.testing.assert_allclose(measures["errors"], measures["errors"][0], rtol=0.1)


def test_the_blocks_of_a_long_chain_share_one_stream_of_noise(mnist):
    class Noise:
        """Keeps the random numbers that it is handed, as a sampler does."""

        def __init__(self):
            self.taken = []

        def generate(self, images, steps, seed):
            self.taken.append(np.random.default_rng(seed).random(steps))
            return np.zeros((len(images), steps, 28, 28), "float32")

    endless = DigitSequences(*mnist[1], digit_windows(wrap=True), seed=0)
    noise = Noise()
    evaluate_chains(noise, endless, steps=230, n=2, seed=7)
    expected = np.random.default_rng(7).random(230)
    np.testing.assert_array_equal(np.concatenate(noise.taken), expected)


@pytest.mark.parametrize("measure", [evaluate_chains, style_agreement])
def test_chains_start_from_what_the_test_draws(mnist, measure):
    class Witness:
        def generate(self, images, steps, **arguments):
            self.seen, self.steps, self.arguments = images, steps, set(arguments)
            return np.repeat(np.reshape(images, (len(images), -1, 28, 28))[:, :1], steps, axis=1)

    witness = Witness()
    sequences = DigitSequences(
        *mnist[1],
        digit_windows(wrap=True),
        pairing="style",
        neighbours=3,
        damage=Damage(0.5, ["wrong"]),
        variation=ANYBODY,
        seed=9,
    )
    measure(witness, sequences, steps=2, n=500, seed=1, temperature=2)
    np.testing.assert_array_equal(witness.seen.reshape(500, 4, 784), sequences.sample(500)[0])
    assert witness.steps == 2 and witness.arguments == {"seed", "temperature"}


class Copier:
    """Answers every step with the last image it read, its own or that of another sequence."""

    def __init__(self, shift):
        self.shift = shift

    def generate(self, images, steps):
        last = np.roll(images[:, -1], self.shift, axis=0).reshape(-1, 1, 28, 28)
        return np.repeat(last, steps, axis=1)


def test_style_agreement_is_the_correlation_with_the_mean_of_the_inputs(mnist):
    paired = DigitSequences(*mnist[1], [[4, 3, 2, 1, 0]], pairing="style", seed=0)
    styles = paired.style[paired.draw(6_000)[1]]  # (n, 5, 3)
    agreement = style_agreement(Copier(0), paired)
    for feature, name in enumerate(("slant", "ink", "aspect")):
        last, read = styles[:, 3, feature], styles[:, :4, feature].mean(axis=1)
        np.testing.assert_allclose(agreement[name], [np.corrcoef(last, read)[0, 1]], atol=1e-6)


def test_style_agreement_tells_a_writer_from_a_stranger(mnist):
    paired = DigitSequences(*mnist[1], [[4, 3, 2, 1, 0], [1, 3, 4, 1, 2]], pairing="style", seed=0)
    own = style_agreement(Copier(0), paired, n=1_000)
    assert set(own) == {"slant", "ink", "aspect"}
    assert min(agreement[0] for agreement in own.values()) > 0.8
    other = style_agreement(Copier(1), paired, n=1_000)
    assert max(abs(agreement[0]) for agreement in other.values()) < 0.2


def test_learning_shows_in_the_measures(model, test, capfd):
    """One image for all stands at a ratio of 1.18, with one answer in six right."""
    measures = evaluate(model, test, n=1_200)
    assert measures["ratio"] < 1.06
    assert measures["right"] > 0.8
    assert evaluate_chains(model, test, steps=2, n=200)["steps"][0] > 0.8
    assert capfd.readouterr().out == ""  # no progress bars between a notebook's numbers


def test_chains_start_from_the_windows_that_allow_them(mnist):
    down = DigitSequences(*mnist[1], windows=[[3, 2, 1], [2, 1, 0]], seed=0)
    measures = evaluate_chains(Oracle(np.tile([1, 0], (8, 1))), down, steps=2, n=8)
    assert measures["chains"] == 1
