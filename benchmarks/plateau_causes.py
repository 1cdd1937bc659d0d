"""Why there is a plateau: each cause states a prediction that could have failed, and is measured.

KERAS_BACKEND=jax python -m benchmarks.plateau_causes [--quick]

Three seeds, batches of 32, averaged loss, Keras' default optimizers, unless
something else is said.
"""

import functools
import json

import keras
import numpy as np

from benchmarks import report
from benchmarks.plateau import SEEDS, in_parallel, new_model, time_on_plateau
from benchmarks.timing import command_line
from data import load_mnist
from preprocessing import DigitSequences, digit_windows

BATCH = 32


def window_gradients(model, images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """The gradient at the LSTM layers' weights for each window, `(6, weights)`.

    One step of plain SGD changes weights by the gradient times the rate,
    whatever the backend.
    """
    probe = new_model(keras.optimizers.SGD(784.0), seed)
    before, gradients = model.get_weights(), []
    for window in digit_windows():
        sequences = DigitSequences(images, labels, [window], seed=seed)
        probe.set_weights(before)
        probe.train_on_batch(*sequences.sample(512)[:2])
        changes = [(a - b) / 784 for a, b in zip(before, probe.get_weights(), strict=True)]
        gradients.append(np.concatenate([change.ravel() for change in changes[:6]]))
    return np.stack(gradients)


def shared_and_telling(model, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Norms of the gradient that all windows share, and of what tells windows apart.

    From two independent halves, whose noise is not correlated.
    """
    one, other = (window_gradients(model, images, labels, seed) for seed in (0, 1))
    shared = one.mean(axis=0) @ other.mean(axis=0)
    telling = np.mean(np.sum((one - one.mean(axis=0)) * (other - other.mean(axis=0)), axis=1))
    return float(np.sqrt(max(shared, 0))), float(np.sqrt(max(telling, 0)))


def biases_alone(mean: np.ndarray, steps: int) -> np.ndarray:
    """The one image that plain SGD's 784 biases come to if nothing else in the network moves."""
    logits = np.zeros_like(mean, dtype=float)
    for _ in range(steps):
        image = 1 / (1 + np.exp(-logits))
        logits -= 0.01 * 2 / 784 * (image - mean) * image * (1 - image)
    return 1 / (1 + np.exp(-logits))


def shown_again(inputs: np.ndarray, targets: np.ndarray, seed: int):
    """The same sequences in every epoch, in another order."""
    rng = np.random.default_rng(seed)
    while True:
        for rows in rng.permutation(len(inputs)).reshape(-1, BATCH):
            yield inputs[rows], targets[rows]


def measure(seed: int, longest: int) -> dict:
    """All experiments with one seed."""
    images, labels = load_mnist()[0]
    sequences = DigitSequences(images, labels, seed=seed)
    mean = sequences.mean_target()
    inputs, targets, _ = DigitSequences(*load_mnist()[1], seed=1).sample(600)
    optimizers = keras.optimizers

    def half(model, stream=None) -> float:
        """Steps until half of the answers are right; infinite if that takes more than `longest`."""
        stream = stream or sequences.batches(BATCH)
        return time_on_plateau(model, stream, longest).get(0.5, (np.inf,))[0]

    def train(model, steps: int):
        model.fit(sequences.batches(BATCH), steps_per_epoch=steps, shuffle=False, verbose=0)
        return model

    def error(image) -> float:
        return float(np.square(targets - image).mean())

    found = {}
    plain, started = new_model("adam", seed), new_model("adam", seed, mean)
    found["shared"], found["telling"] = shared_and_telling(plain, images, labels)
    found["shared, start"], found["telling, start"] = shared_and_telling(started, images, labels)
    train(plain, min(300, longest))
    found["error at 300"] = error(plain.predict_on_batch(inputs)) / error(mean)
    _, found["telling at 300"] = shared_and_telling(plain, images, labels)
    found["half, start"] = half(started)
    moved = new_model("adam", seed, mean)
    moved.set_weights(plain.get_weights()[:6] + moved.get_weights()[6:])
    found["half, start, LSTM of step 300"] = half(moved)

    fixed = shown_again(*sequences.sample(3_072)[:2], seed)
    found["half, fixed"] = half(new_model("adam", seed), fixed)
    found["half, fresh"] = half(new_model("adam", seed))

    for name, optimizer, start in (
        ("rmsprop 1e-7, start", optimizers.RMSprop(1e-3, epsilon=1e-7), mean),
        ("rmsprop 1e-14, start", optimizers.RMSprop(1e-3, epsilon=1e-14), mean),
        ("rmsprop 1e-14", optimizers.RMSprop(1e-3, epsilon=1e-14), None),
        ("adam 1e-14", optimizers.Adam(1e-3, epsilon=1e-14), None),
        ("adam, beta 0.9", optimizers.Adam(1e-3, beta_2=0.9), None),
    ):
        found[name] = half(new_model(optimizer, seed, start))

    for rate in (0.01, 7.84):
        model = train(new_model(optimizers.SGD(rate), seed), longest)
        found[f"sgd {rate}"] = error(model.predict_on_batch(inputs))
    found["biases alone"] = error(biases_alone(mean, longest))
    found["one image"] = error(mean)
    return found


def line(question, prediction, what, values, low: float, high: float) -> dict:
    """A line of the table: held if the value of each seed is above `low` and at most `high`."""
    least, middle, most = (
        "more" if value == np.inf else f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"
        for value in sorted(values)
    )
    return {
        "question": question,
        "prediction": prediction,
        "measured": f"{what} {middle}" + (f" ({least} to {most})" if least != most else ""),
        "held": "yes" if all(low < value <= high for value in values) else "no",
    }


def main() -> None:
    quick = command_line(__doc__, "100 steps at most").quick
    longest = 100 if quick else 3_000
    found = in_parallel(functools.partial(measure, longest=longest), SEEDS)

    def values(name: str, beside: str = "") -> list[float]:
        return [seed[name] / (seed[beside] if beside else 1) for seed in found]

    runs = json.loads((report.RESULTS / "plateau_runs.json").read_text())["rows"]
    half = {(r["optimizer"], r["recipe"], r["batch"], r["seed"]): r["half"] for r in runs}

    def grid(recipe: str, batch: int) -> np.ndarray:
        return np.array([half["adam", recipe, batch, seed] or np.inf for seed in SEEDS])

    plain, tuned, inf = "plain Keras", "tuned optimizer", np.inf
    batch, start, sgd, rms, adam = "larger batches", "the start", "SGD", "RMSprop", "Adam"
    faster = (
        "what counts is how far a step goes: with four times the rate, less than half the steps, "
        "in batches of {}"
    )
    # fmt: off
    predictions = [  # question, prediction, what is measured, its values, low, high
        (batch, "Adam's plateau is a number of steps, not of sequences: batches of 256 take "
         "between half and twice the steps of 32, not an eighth",
         "steps at 256 over 32:", grid(plain, 256) / grid(plain, 32), 1 / 2, 2),
        (batch, faster.format(32),
         "steps at 4e-3 over 1e-3:", grid(tuned, 32) / grid(plain, 32), 0, 1 / 2),
        (batch, faster.format(256),
         "steps at 4e-3 over 1e-3:", grid(tuned, 256) / grid(plain, 256), 0, 1 / 2),
        (batch, "fresh sequences are no way off it: 3,072 fixed ones, seen a dozen times by then, "
         "take as many steps, within a third",
         "steps, fixed over fresh:", values("half, fixed", "half, fresh"), 2 / 3, 4 / 3),
        (start, "without it, the gradient that all windows share is at least ten times that which "
         "tells them apart",
         "shared over telling gradient, without:", values("shared", "telling"), 10, inf),
        (start, "it takes away at least nine tenths of the gradient that all windows share",
         "shared gradient, with over without:", values("shared, start", "shared"), 0, 1 / 10),
        (start, "and leaves at least half of the gradient that tells windows apart",
         "telling gradient, with over without:", values("telling, start", "telling"), 1 / 2, inf),
        (start, "without it, after 300 steps, the answer is one image for all, as good as that "
         "can be",
         "error over that of the mean image:", values("error at 300"), 0.98, 1.02),
        (start, "by then the gradient that tells windows apart is less than a fifth of that of a "
         "network that starts at the mean", "telling gradient, at 300 over with the start:",
         values("telling at 300", "telling, start"), 0, 1 / 5),
        (start, "the way there wears out the LSTM: that of step 300, under a new dense layer that "
         "starts at the mean, takes at least twice the steps of a new one",
         "steps, old LSTM over new:", values("half, start, LSTM of step 300", "half, start"),
         2, inf),
        (rms, "its gradients are too small beside its epsilon: with the start and 1e-14 it takes "
         "less than 1,000 steps", "steps:", values("rmsprop 1e-14, start"), 0, 1_000),
        (rms, f"and with the start and Keras' 1e-7 more than {longest:,}",
         "steps:", values("rmsprop 1e-7, start"), longest, inf),
        (rms, f"without the start, too: with 1e-14 less than {longest:,} steps",
         "steps:", values("rmsprop 1e-14"), 0, longest),
        (adam, "its epsilon is not what keeps it: with 1e-14 it takes as many steps, within a "
         "third", "steps at 1e-14 over 1e-7:", values("adam 1e-14", "half, fresh"), 2 / 3, 4 / 3),
        (adam, "but it remembers for a thousand steps how large the shared gradient was: with a "
         "memory of ten (beta_2 of 0.9) it takes less than two thirds of the steps",
         "steps at 0.9 over 0.999:", values("adam, beta 0.9", "half, fresh"), 0, 2 / 3),
        (sgd, "in 3,000 steps its biases have not yet turned grey into the mean image, and "
         "nothing else moves: its error is that of the biases alone, within 2 %",
         "error over that of biases alone:", values("sgd 0.01", "biases alone"), 0.98, 1.02),
        (sgd, "all it lacks is the size of its steps: at 784 times the rate, as the sum would give "
         "it, its error is that of one image or better",
         "error over that of the mean image:", values("sgd 7.84", "one image"), 0, 1.02),
    ]
    # fmt: on
    rows = [line(*prediction) for prediction in predictions]
    notes = (
        "Median of three seeds, and range; *held* means for each of them. Steps are those until "
        f"half of the answers are right, looked for up to {longest:,}. The first three lines are "
        "read off the grid. Gradients: norms at the weights of both LSTM layers before the first "
        "step, of 512 sequences of each window. *Shared* is the mean over the six windows, "
        "*telling* what each differs from it. The summed loss multiplies both by 784."
    )
    report.save("plateau_causes", "Why there is a plateau", rows, notes, quick)


if __name__ == "__main__":
    main()
