import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from classifier import read_digits
from evaluation import (
    diversity,
    evaluate,
    evaluate_chains,
    follow_windows,
    frechet_distance,
    mean_image_floor,
    nearest_training_images,
    realism,
    sharpness,
    style_agreement,
)
from preprocessing import Damage, DigitSequences, digit_windows


class Oracle:
    """Answers with the mean image of a digit that it is told, to check the measures themselves."""

    def __init__(self, mnist, digits):
        (images, labels), _ = mnist
        self.means = np.stack([images[labels == d].mean(axis=0) / 255 for d in range(10)])
        self.digits = np.asarray(digits)

    def predict(self, inputs, **_):
        return self.means[self.digits].astype("float32")

    def generate(self, images, steps):
        return self.means[self.digits[:, :steps]].astype("float32")


def test_the_floor_is_the_error_of_the_mean_training_images(mnist, test):
    (images, labels), _ = mnist
    _, targets, digits = test.sample(600)
    floor = mean_image_floor(targets, digits[:, -1])
    assert set(floor["per_digit"]) == {4, 5, 6, 7, 8, 9}
    mean = images[labels == 7].mean(axis=0) / 255
    sevens = targets[digits[:, -1] == 7]
    assert floor["per_digit"][7] == pytest.approx(np.square(sevens - mean).mean(), rel=1e-5)
    assert floor["overall"] == pytest.approx(np.mean(list(floor["per_digit"].values())), rel=1e-5)


def test_an_oracle_stands_on_the_floor_and_is_always_right(mnist, test):
    digits = test.sample(6_000)[2]
    measures = evaluate(Oracle(mnist, digits[:, -1]), test)
    assert measures["mse"] == pytest.approx(measures["floor"], rel=1e-5)
    assert measures["ratio"] == pytest.approx(1, abs=1e-5)
    assert measures["right"] == 1
    assert set(measures["windows"]) == set(map(tuple, digit_windows().tolist()))
    floors = [window["floor"] for window in measures["windows"].values()]
    assert measures["floor"] == pytest.approx(np.mean(floors), rel=1e-5)


def test_one_and_the_same_answer_is_right_for_one_window_of_six(mnist, test):
    measures = evaluate(Oracle(mnist, np.full(600, 9)), test, n=600)
    assert measures["right"] == pytest.approx(1 / 6)
    assert measures["ratio"] > 1.1
    assert measures["windows"][5, 6, 7, 8, 9]["right"] == 1
    assert measures["windows"][0, 1, 2, 3, 4]["right"] == 0


def test_a_chain_is_right_where_every_step_is(mnist, test):
    digits = np.tile(np.arange(4, 10), (1_000, 1))
    digits[300:400, 2] = 1
    digits[400:500, 2:] = 0
    oracle = Oracle(mnist, digits)
    measures = evaluate_chains(oracle, test)
    np.testing.assert_allclose(measures["steps"], [1, 1, 0.8, 0.9, 0.9, 0.9])
    assert measures["chains"] == pytest.approx(0.8)
    (images, labels), _ = mnist
    sixes = images[labels == 6] / np.float32(255)
    off = [np.square(oracle.means[digit] - sixes).mean() for digit in (6, 1, 0)]
    assert measures["errors"][2] == pytest.approx(np.average(off, weights=[8, 1, 1]), rel=1e-4)


def test_long_chains_are_measured_in_blocks_that_join(mnist, test):
    """With a predictor that reads its context: each block starts where the last one ended."""

    class Reader:
        def generate(self, images, steps):
            last = read_digits(np.reshape(images, (-1, 4, 28, 28))[:, -1])
            digits = (last[:, None] + 1 + np.arange(steps)) % 10
            return Oracle(mnist, digits).generate(images, steps)

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


def test_windows_can_be_followed_as_far_as_they_go():
    assert follow_windows(digit_windows(), 6).tolist() == [list(range(10))]
    assert follow_windows(digit_windows(), 2).tolist() == [
        list(range(start, start + 6)) for start in range(5)
    ]
    endless = follow_windows(digit_windows(wrap=True), 25)
    assert endless.shape == (10, 29) and np.all(np.diff(endless) % 10 == 1)
    assert follow_windows(np.array([[2, 1], [1, 0], [2, 1]]), 2).tolist() == [[2, 1, 0]]


def test_windows_that_cannot_be_followed_are_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        follow_windows(digit_windows(), 0)
    with pytest.raises(ValueError, match="followed for 7 steps"):
        follow_windows(digit_windows(), 7)
    with pytest.raises(ValueError, match=r"^some context .* two successors; .* the right one$"):
        follow_windows(np.array([[1, 2], [1, 3]]), 1)


def test_chains_start_from_the_windows_that_allow_them(mnist):
    down = DigitSequences(*mnist[1], windows=[[3, 2, 1], [2, 1, 0]], seed=0)
    measures = evaluate_chains(Oracle(mnist, np.tile([1, 0], (8, 1))), down, steps=2, n=8)
    assert measures["chains"] == 1


def test_the_frechet_distance_tells_crowds_apart(mnist, capfd):
    (x_train, _), (x_test, y_test) = mnist
    same = frechet_distance(x_test[:1_000], x_test[:1_000])
    assert same == pytest.approx(0, abs=1e-3)
    real = frechet_distance(x_train[:1_000], x_test[:1_000])
    darker = frechet_distance(x_train[:1_000] // 2, x_test[:1_000])
    nines = frechet_distance(x_test[y_test == 9][:1_000], x_test[:1_000])
    assert same < real < darker < nines
    assert frechet_distance(x_test[:1_000], x_train[:1_000]) == pytest.approx(real, rel=1e-3)
    assert capfd.readouterr().out == ""


def test_the_frechet_distance_to_a_crowd_is_half_where_half_of_it_is_the_same(mnist):
    """Between two points it is their squared distance, halfway a quarter, and a quarter spread."""
    images, labels = mnist[1]
    one, seven = (np.repeat(images[labels == digit][:1], 500, axis=0) for digit in (1, 7))
    apart = frechet_distance(one, seven)
    both = np.concatenate([one, seven])
    assert frechet_distance(one, both) == pytest.approx(apart / 2, rel=0.01)
    assert frechet_distance(both, seven) == pytest.approx(apart / 2, rel=0.01)


def test_published_frechet_distances_stay_comparable(mnist):
    """They are those of the shipped classifier: another one makes all of them new."""
    distance = frechet_distance(mnist[0][0][:1_000], mnist[1][0][:1_000])
    assert distance == pytest.approx(0.9806, rel=0.01)


def test_diversity_is_none_for_one_answer_and_one_for_real_images(mnist):
    _, (images, labels) = mnist
    pairs = np.stack([images[labels == digit][:400] for digit in range(10)])  # (10, 400, 28, 28)
    first, second = pairs[:, :200].reshape(-1, 28, 28), pairs[:, 200:].reshape(-1, 28, 28)
    digits = np.repeat(np.arange(10), 200)
    assert diversity(first, first, second, digits) == 0
    assert diversity(first, second, second, digits) == pytest.approx(1, abs=0.03)
    zeros_only = np.where((digits == 0)[:, None, None], second, first)
    few = np.flatnonzero((digits == 0) | (np.arange(2_000) % 200 < 50))
    measure = diversity(first[few], zeros_only[few], second[few], digits[few])
    assert measure == pytest.approx(0.1, abs=0.01)  # each digit counts alike
    pale = [images / np.float32(510) for images in (first, second)]
    assert diversity(*pale, second, digits) == pytest.approx(0.5, abs=0.02)


def test_sharpness_falls_where_edges_blur(mnist):
    images = mnist[1][0][:100] / np.float32(255)
    assert sharpness(images, images) == 1
    assert sharpness(images.swapaxes(1, 2), images) == pytest.approx(1)  # edges of all directions
    blurred = uniform_filter(images, size=(1, 3, 3))
    assert sharpness(blurred, images) < 0.9


def test_the_nearest_training_image_of_a_training_image_is_itself(mnist):
    images = mnist[0][0]
    distances, indices = nearest_training_images(images[[5, 59_999]])
    assert indices.tolist() == [5, 59_999] and distances.tolist() == [0, 0]
    pale = images[:700] / np.float32(255)
    pale[699, 0, 0] += 0.25
    distances, indices = nearest_training_images(pale)
    np.testing.assert_array_equal(indices, np.arange(700))
    np.testing.assert_allclose(distances, [0] * 699 + [0.25], atol=1e-6)


def test_realism_knows_real_images_copies_and_averages(mnist, test):
    x_train = mnist[0][0]
    _, targets, digits = test.sample(300)
    other = DigitSequences(*mnist[1], seed=5).sample(300)[1]
    real = realism(np.stack([targets, targets], axis=1), test)
    assert real["frechet"] == pytest.approx(0, abs=1e-3)
    assert real["right"] > 0.97
    assert real["nearest_ratio"] == real["sharpness"] == 1
    copies = realism(x_train[:300, None], test)
    assert copies["nearest"] == copies["nearest_ratio"] == 0
    assert copies["right"] < 0.3  # they are of other digits
    means = Oracle(mnist, digits[:, -1]).predict(None)
    soft = realism(means[:, None], test)
    assert soft["right"] == 1 and soft["diversity"] == 0 and soft["sharpness"] < 0.8
    assert soft["frechet"] > 3
    both = realism(np.stack([targets, other], axis=1), test)
    alone = realism(targets[:, None], test), realism(other[:, None], test)
    for name in ("frechet", "right", "sharpness", "nearest"):
        assert both[name] == pytest.approx((alone[0][name] + alone[1][name]) / 2, abs=1e-6)
    assert 0.8 < both["diversity"] < 1.2


def test_realism_is_its_measures_averaged_over_the_crowds(mnist, capfd):
    sequences = DigitSequences(*mnist[1], [[1, 2, 0], [1, 2, 1], [3, 4, 1]], seed=0)
    _, real, digits = sequences.sample(120)
    crowds = [DigitSequences(*mnist[1], sequences.windows, seed=s).sample(120)[1] for s in (5, 6)]
    crowds[1] = crowds[1] / 2
    measures = realism(np.stack(crowds, axis=1), sequences)
    right = digits[:, -1]
    for name, values in {
        "frechet": [frechet_distance(crowd, real) for crowd in crowds],
        "right": [np.mean(read_digits(crowd) == right) for crowd in crowds],
        "diversity": [diversity(*crowds, real, right)],
        "sharpness": [sharpness(crowd, real) for crowd in crowds],
    }.items():
        assert measures[name] == pytest.approx(np.mean(values), rel=1e-4)
    assert capfd.readouterr().out == ""
