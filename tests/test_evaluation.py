from types import SimpleNamespace

import numpy as np
import pytest

from augmentation import AUGMENTATION
from classifier import read_digits
from data import DATASETS
from evaluation import belief, digit_means, evaluate, evaluate_chains
from handwriting.page import read_page
from model import NextImagePredictor, load, make_optimizer
from preprocessing import Corruption, DigitSequences, Windows, digit_windows
from training import train_predictor
from worlds import Pattern, World, mixture, recall


def oracle(digits):
    """Answers with the mean image of a digit that it is told, to check the measures themselves."""
    answers = iter(digit_means()[np.transpose(digits)][:, :, None])  # (steps, n, 1, 28, 28)
    return SimpleNamespace(generate=lambda images, steps: next(answers))


def test_the_mean_training_image_of_each_digit(mnist):
    (images, labels), _ = mnist
    expected = [images[labels == digit].mean(axis=0) / 255 for digit in range(10)]
    np.testing.assert_allclose(digit_means(), expected, atol=1e-4)
    assert digit_means().dtype == np.float32 and not digit_means().flags.writeable


def test_predictions_are_measured_beside_the_floor_in_all_and_for_each_window(test):
    (_, targets), (digits, _) = test.sample(6_000), test.draw(6_000)  # the default
    answers = digit_means()[[9] * 6_000]
    nines = SimpleNamespace(predict=lambda *_, **__: np.where(answers > 0, answers, -2))
    measures, errors = evaluate(nines, test), np.square(targets - answers).mean(axis=(1, 2))
    floors = np.square(targets - digit_means()[digits[:, -1]]).mean(axis=(1, 2))
    assert measures["mse"] == pytest.approx(errors.mean(), rel=1e-4)
    assert measures["floor"] == pytest.approx(floors.mean(), rel=1e-5)
    assert measures["ratio"] == pytest.approx(errors.mean() / floors.mean(), rel=1e-4)
    assert measures["accuracy"] == pytest.approx(1 / 6)
    assert list(measures["windows"]) == [*map(tuple, digit_windows().tolist())]
    for window, found in measures["windows"].items():
        rows = digits[:, -1] == window[-1]
        assert found["mse"] == pytest.approx(errors[rows].mean(), rel=1e-4)
        assert found["floor"] == pytest.approx(floors[rows].mean(), rel=1e-5)
        assert found["accuracy"] == (window[-1] == 9)


def says(answers):
    return SimpleNamespace(predict=lambda *_, **__: answers)


@pytest.mark.parametrize(
    "world", [mixture(6), Windows([[2, 4, 6], [2, 4, 8], [3, 3, 3]]), World(3, [Pattern()])]
)
def test_the_best_answers_have_skill_1_and_one_image_for_all_has_none(world, mnist):
    test = DigitSequences(*mnist[1], world, after_each=True, seed=0)
    digits, means = test.draw(1_000)[0], digit_means()
    chances = test.world.posterior(digits[:, :-1])
    best = np.tensordot(chances, means, 1)
    np.testing.assert_allclose(belief(best), chances, atol=1e-5)
    shares = np.eye(10)[digits[:, 1:]].mean(axis=0) @ means.reshape(10, -1)
    plateau = np.broadcast_to(shares.reshape(-1, 28, 28), best.shape)
    for answers, skill in ((best, 1), (plateau, 0), ((best + plateau) / 2, None)):
        measures = evaluate(says(answers), test, 1_000)
        assert list(measures["after"]) == [*range(1, test.length + 1)]
        for found in (measures, *measures["after"].values()):
            settled = found["plateau"] - found["floor"] > 0.001 * found["plateau"]
            assert np.isnan(found["skill"]) != settled
            if settled:
                expected = pytest.approx(skill, abs=1e-4)
                assert 0.5 < found["skill"] < 1 if skill is None else found["skill"] == expected
        assert measures["best_accuracy"] == pytest.approx(chances.max(axis=-1).mean())
    right = (chances.argmax(axis=-1) == digits[:, 1:]).mean()
    assert evaluate(says(best), test, 1_000)["accuracy"] == pytest.approx(right, abs=0.02)


@pytest.mark.parametrize(
    ("chances", "fault"),
    [
        (np.full((9, 6, 10), 0.1), "expected (20, 6, 10)"),
        (np.full((20, 6, 10), 0.2), "does not sum to 1"),
        (np.tile([-0.1, 1.1] + [0] * 8, (20, 6, 1)), "is negative"),
    ],
)
def test_a_posterior_that_is_none_is_refused(chances, fault, mnist):
    world = mixture(6)
    own = SimpleNamespace(length=6, draw=world.draw, posterior=lambda digits: chances)
    test = DigitSequences(*mnist[1], own, after_each=True, seed=0)
    with pytest.raises(ValueError) as refused:
        evaluate(says(np.zeros((20, 6, 28, 28))), test, 20)
    assert fault in str(refused.value)


def test_chains_of_a_world_start_from_contexts_that_settle_its_rule(mnist):
    test = DigitSequences(*mnist[1], mixture(6), seed=0)
    digits = test.draw(100)[0][:, :-1]
    for _ in range(3):
        digits = np.column_stack([digits, test.world.posterior(digits)[:, -1].argmax(axis=1)])
    settled = test.world.posterior(digits[:, :6])[:, -1].max(axis=1) > 1 - 1e-9
    assert 50 < settled.sum() < 100  # a few are not yet, such as 1 1 2 3 1 1
    measures = evaluate_chains(oracle(digits[settled, 6:]), test, steps=3, n=100)
    assert measures["chain_accuracy"] == 1
    with pytest.raises(ValueError, match="none of 9 contexts"):
        evaluate_chains(oracle(digits), test.with_world(recall()), steps=3, n=9)


def test_a_chain_is_right_where_every_step_is(mnist, test):
    digits = np.tile(np.arange(4, 10), (1_000, 1))
    digits[300:400, 2] = 1
    digits[400:500, 2:] = 0
    measures = evaluate_chains(oracle(digits), test)
    np.testing.assert_allclose(measures["step_accuracy"], [1, 1, 0.8, 0.9, 0.9, 0.9])
    assert measures["chain_accuracy"] == pytest.approx(0.8)
    (images, labels), _ = mnist
    for step, wrong in ((0, (4, 4)), (2, (1, 0))):
        right = images[labels == step + 4] / np.float32(255)
        off = [np.square(digit_means()[d] - right).mean() for d in (step + 4, *wrong)]
        expected = np.average(off, weights=[8, 1, 1])
        assert measures["errors"][step] == pytest.approx(expected, rel=1e-4)


def test_chains_feed_back_answers_and_share_one_stream_of_noise(mnist):
    contexts, numbers = [], []

    def generate(images, steps, temperature, seed=None):
        assert (steps, temperature) == (1, 2)
        contexts.append(images)
        numbers.append(np.random.default_rng(seed).random())
        return images[:, :1]

    spoiled = {"corruption": Corruption(0.5), "augmentation": AUGMENTATION}
    sequences = DigitSequences(*mnist[1], digit_windows(wrap=True), seed=0, **spoiled)
    sampler = SimpleNamespace(generate=generate)
    evaluate_chains(sampler, sequences, steps=3, n=50, seed=7, temperature=2)
    first, second, _ = contexts
    np.testing.assert_array_equal(first.reshape(50, 4, 784), sequences.sample(50)[0])
    np.testing.assert_array_equal(second, first[:, [1, 2, 3, 0]])
    np.testing.assert_array_equal(numbers, np.random.default_rng(7).random(3))


def test_chains_start_from_the_windows_that_allow_them(mnist):
    starts = DigitSequences(*mnist[1], world=[[3, 2, 1], [7, 1, 5]], seed=3)
    expected = starts.draw(50)[0][:, -1:]
    assert set(expected[:, 0]) == {1, 5}
    assert evaluate_chains(oracle(expected), starts, steps=1, n=50)["chain_accuracy"] == 1


def test_learning_shows_in_the_measures(train, test, capfd):
    """One image for all stands at a ratio of 1.18, with one answer in six right."""
    own = make_optimizer("adam", learning_rate=0.01)
    model = train_predictor(train, 200, own, 64, build=lambda t: NextImagePredictor(t, (32, 32)))
    assert model.optimizer is own and float(own.learning_rate) == pytest.approx(0.01)
    measures = evaluate(model, test, n=1_200)
    assert measures["ratio"] < 1.06
    assert measures["accuracy"] > 0.8
    assert evaluate_chains(model, test, steps=2, n=200)["step_accuracy"][0] > 0.8
    assert capfd.readouterr().out == ""  # no progress bars between a notebook's numbers


@pytest.mark.parametrize("name", ["next_image", "endless", "writer"])
def test_what_ships_goes_on_rightly(name, test):
    windows = digit_windows(wrap=name != "next_image")
    assert evaluate(load(name), test.with_world(windows), 600)["accuracy"] > 0.99


def test_a_photo_is_read_and_goes_on():
    images = read_page(DATASETS / "photo.jpg")
    assert "".join(map(str, read_digits(images))) == "12345678912345619773"
    assert read_digits(load("next_image").generate(images[:4], 5)).tolist() == [5, 6, 7, 8, 9]
