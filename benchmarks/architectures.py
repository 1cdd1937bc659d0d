"""Does it have to be an LSTM? Eleven networks, trained and measured in the same way.

The networks are those that `notebooks/architectures.ipynb` writes out. Each is trained on the same
number of sequences, and on as many as it gets through in the same number of seconds, on three
kinds of sequences: damaged as in `main.ipynb`, varied as well, and in one hand.

python -m benchmarks.architectures [--quick]

Speed is measured on all cores, one network after the other, on JAX and on TensorFlow; each network
keeps the faster one. What a run learns depends on its number of steps alone, so the runs have one
core each (on Linux), as many at a time as cores.
"""

import functools
import itertools
import json
import os
import statistics
from collections.abc import Callable
from functools import partial

import keras
import numpy as np

from benchmarks import report
from benchmarks.plateau import in_parallel
from benchmarks.timing import apart, command_line, timed
from classifier import read_digits
from data import load_mnist
from evaluation import digit_means, evaluate, evaluate_chains, style_agreement
from model import adapt, make_optimizer, summed_squared_error
from preprocessing import Damage, DigitSequences, digit_windows
from style import STYLE
from variation import ANYBODY, Variation

BATCH = 256
BACKENDS = ("jax", "tensorflow")
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
SEEDS = (0, 1, 2)
KINDS = {  # of sequences, with 0 following 9
    "damaged": {"damage": Damage(0.3)},
    "varied": {"damage": Damage(0.3), "variation": ANYBODY},
    "one hand": {"pairing": "style"},
}
SIZES = {"steps": 500, "seconds": 10, "trial": 250, "test": 6_000, "chains": 100, "long": 1_000}
QUICK = {"steps": 20, "seconds": 0.5, "trial": 20, "test": 200, "chains": 10, "long": 20}


@functools.cache
def networks() -> dict[str, Callable[[int], keras.Model]]:
    """The networks by name, from the cells of the notebook that have the tag `network`.

    Written out where readers look for them, and run here from there, so that the table is of what
    they read.
    """
    path = report.ROOT / "notebooks" / "architectures.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    scope = {}
    for number, cell in enumerate(cells):
        if "network" in cell["metadata"].get("tags", ()):
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), scope)
    return scope["networks"]


@functools.cache
def sequences(split: str, kind: str = "plain", seed: int = 1) -> DigitSequences:
    """Of training or test images; `kind` says how training sequences, or how tests, are spoiled."""
    kinds = KINDS | {
        "plain": {},
        "one image damaged": {"damage": Damage(1.0)},
        "all images moved": {"variation": Variation(shift=(4, 4))},
    }
    images, labels = load_mnist()[split == "test"]
    return DigitSequences(images, labels, digit_windows(wrap=True), **kinds[kind], seed=seed)


def new_model(name: str, train: DigitSequences, steps: int, rate: float, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = networks()[name](4)
    adapt(model, train.mean_target())
    model.compile(make_optimizer("adam", steps, rate), loss=summed_squared_error)
    return model


def speeds(names: list[str], rounds: int, steps: int = 5) -> dict[str, float]:
    """Sequences a second in training, on all cores: the median of rounds in which they take
    turns."""
    train = sequences("train", "damaged", seed=0)
    stream = train.batches(BATCH)
    models = {name: new_model(name, train, 1_000, RATES[0], seed=0) for name in names}

    def fit(name: str, epochs: int) -> None:
        models[name].fit(stream, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0)

    for name in names:
        fit(name, epochs=1)  # compiles
    # Where a step takes long, one epoch is enough to be timed.
    once = timed({name: partial(fit, name, 1) for name in names}, rounds=1)
    epochs = {name: max(1, round(1 / once[name][0])) for name in names}
    found = timed({name: partial(fit, name, epochs[name]) for name in names}, rounds)
    return {name: BATCH * steps * epochs[name] / statistics.median(found[name]) for name in names}


def trial(setting: tuple[str, float], steps: int) -> float:
    """The training loss at the end of a short run, for the choice of the learning rate."""
    name, rate = setting
    train = sequences("train", "damaged", seed=100)
    model = new_model(name, train, steps, rate, seed=100)
    history = model.fit(
        train.batches(BATCH), steps_per_epoch=steps // 10, epochs=10, shuffle=False, verbose=0
    )
    return history.history["loss"][-1]


class Curve(keras.callbacks.Callback):
    """Notes the step at which half of the answers are right, and errors on the way.

    The error above the floor is the mean square of what separates an answer from the mean image of
    the right digit: what the floor leaves out, it leaves to chance.
    """

    def __init__(self, steps: int, every: int):
        super().__init__()
        self.inputs, _, digits = sequences("test").sample(600)
        self.digits, self.means = digits[:, -1], digit_means()[digits[:, -1]]
        self.every, self.half, self.curve = every, None, []
        self.marks = set((every * np.unique(np.geomspace(1, steps // every, 16).round())).tolist())

    def on_epoch_end(self, epoch, logs=None):
        step = self.every * (epoch + 1)
        if self.half is None or step in self.marks:
            answers = self.model.predict_on_batch(self.inputs)
            if step in self.marks:
                self.curve.append((step, float(np.square(answers - self.means).mean())))
            if self.half is None and (read_digits(answers) == self.digits).mean() >= 0.5:
                self.half = step


def run(setting: tuple, sizes: dict) -> dict:
    """Trains one network from one seed on one kind of sequences, and measures it."""
    name, kind, seed, steps, rate = setting
    train = sequences("train", kind, seed)
    model = new_model(name, train, steps, rate, seed)
    every = min(10, steps)
    curve = Curve(steps, every)
    model.fit(
        train.batches(BATCH),
        steps_per_epoch=every,
        epochs=steps // every,
        shuffle=False,
        verbose=0,
        callbacks=[curve] if kind == "damaged" else [],
    )
    n = sizes["test"]
    if kind == "one hand":
        paired = sequences("test", "one hand")
        agreement = style_agreement(model, paired, n=n)
        return {"hand": evaluate(model, paired, n)["ratio"]} | {
            feature: float(agreement[feature][0]) for feature in STYLE
        }
    moved = evaluate(model, sequences("test", "all images moved"), n)["right"]
    score = evaluate(model, sequences("test"), n)
    if kind == "varied":
        return {"moved, varied": moved, "right, varied": score["right"]}
    return {
        "error": score["mse"],
        "ratio": score["ratio"],
        "right": score["right"],
        "plateau": curve.half,
        "curve": curve.curve,
        "six": evaluate_chains(model, sequences("test"), 6, n=min(n, 1_000))["chains"],
        "long": evaluate_chains(model, sequences("test"), sizes["long"], sizes["chains"])["chains"],
        "damaged": evaluate(model, sequences("test", "one image damaged"), n)["right"],
        "moved": moved,
    }


COLUMNS = {
    "error": ("error", "{:.5f}"),
    "ratio": ("ratio to floor", "{:.4f}"),
    "right": ("right digits", "{:.2%}"),
    "plateau": ("steps on the plateau", "{:.0f}"),
    "six": ("whole chains of 6", "{:.1%}"),
    "long": ("whole chains of 1,000", "{:.0%}"),
    "damaged": ("one image of four damaged", "{:.2%}"),
    "moved": ("all moved by 4 pixels", "{:.2%}"),
    "moved, varied": ("moved, trained with variation", "{:.2%}"),
    "hand": ("one hand: ratio to floor", "{:.4f}"),
    **{feature: (f"agreement in {feature}", "{:.3f}") for feature in STYLE},
}


def summary(results: dict, budget: str, columns: dict = COLUMNS) -> list[dict]:
    """The rows of a table, of what was trained on the same `"sequences"` or for the same
    `"seconds"`."""
    rows = []
    for name, about in results["networks"].items():
        runs = [
            each for each in results["runs"] if (each["network"], each["budget"]) == (name, budget)
        ]
        row = {
            "network": name,
            "parameters": about["parameters"],
            "sequences a second": round(about["sequences a second"]),
            "rate": about["rate"],
            "batches": about["steps"][budget],
        }
        for key, (column, form) in columns.items():
            row[column] = report.within([each[key] for each in runs if key in each], form)
        rows.append(row)
    return rows


def learning_curve(results: dict, name: str) -> list[tuple[float, float]]:
    """Seconds of training, and the error above the floor: the median of the seeds."""
    about = results["networks"][name]
    curves = [
        each["curve"]
        for each in results["runs"]
        if (each["network"], each["budget"]) == (name, "seconds") and "curve" in each
    ]
    return [
        (
            points[0][0] * BATCH / about["sequences a second"],
            statistics.median(p[1] for p in points),
        )
        for points in zip(*curves, strict=True)
    ]


def on_faster_backends(work: Callable, settings: list[tuple], backends: dict[str, str]) -> list:
    """Does some work for each setting, whose first part is a network's name, in processes of its
    backend."""
    found = {}
    for backend in BACKENDS:
        os.environ["KERAS_BACKEND"] = backend  # of the processes that start from here on
        own = [setting for setting in settings if backends[setting[0]] == backend]
        found |= dict(zip(own, in_parallel(work, own), strict=True))
    return [found[setting] for setting in settings]


def main() -> None:
    asked = command_line(__doc__, "two networks, a few steps", BACKENDS)
    sizes, names, seeds, rounds = SIZES, list(networks()), SEEDS, 5
    if asked.quick:
        sizes, names, seeds, rounds = QUICK, names[:2], SEEDS[:1], 1
    if asked.way:
        print(json.dumps(speeds(names, rounds)))
        return
    measured = apart("architectures", BACKENDS, 1, {backend: backend for backend in BACKENDS})
    speed = {(name, backend): measured[backend][0][name] for name in names for backend in BACKENDS}
    print(speed, flush=True)
    faster = {name: max(BACKENDS, key=lambda backend: speed[name, backend]) for name in names}

    pairs = list(itertools.product(names, RATES))
    losses = on_faster_backends(partial(trial, steps=sizes["trial"]), pairs, faster)
    losses = dict(zip(pairs, losses, strict=True))
    about = {}
    for name in names:
        steps = round(sizes["seconds"] * speed[name, faster[name]] / BATCH, -1)
        about[name] = {
            "parameters": networks()[name](4).count_params(),
            "backend": faster[name],
            "sequences a second": speed[name, faster[name]],
            "rate": min(RATES, key=lambda rate: losses[name, rate]),
            "losses": {rate: losses[name, rate] for rate in RATES},
            "steps": {"sequences": sizes["steps"], "seconds": max(10, int(steps))},
        }
        print(name, about[name], flush=True)

    labels = list(itertools.product(names, ("sequences", "seconds"), KINDS, seeds))
    settings = [
        (name, kind, seed, about[name]["steps"][budget], about[name]["rate"])
        for name, budget, kind, seed in labels
    ]
    found = on_faster_backends(partial(run, sizes=sizes), settings, faster)
    runs = [
        {"network": name, "budget": budget, "kind": kind, "seed": seed, **measures}
        for (name, budget, kind, seed), measures in zip(labels, found, strict=True)
    ]
    results = {"machine": report.machine(), "sizes": sizes, "networks": about, "runs": runs}
    amounts = {
        "sequences": f"{sizes['steps'] * BATCH:,} sequences",
        "seconds": f"what it gets through in {sizes['seconds']} seconds on all cores",
    }
    for budget, amount in amounts.items():
        notes = (
            f"Each was trained on {amount}, in batches of {BATCH}, with Adam at the best of five "
            "learning rates, on JAX or TensorFlow, whichever is faster for it. Medians (and "
            f"ranges) over {len(seeds)} seeds."
        )
        title = f"Networks, for the same {budget}"
        rows = summary(results, budget)
        report.save(f"architectures_{budget}", title, rows, notes, asked.quick, "architectures")
    if not asked.quick:
        (report.RESULTS / "architectures.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
