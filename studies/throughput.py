"""How fast is training? Sequences a second, and seconds to an accuracy of 99 %, in several ways.

python -m studies.throughput [--quick]

Plain Keras has Keras' own settings and learns from 30,720 sequences as arrays, or from our stream;
ours is what the README shows. All have the same layers.
"""

import itertools
import statistics
from functools import partial

import keras

from data import load_mnist
from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences
from studies import report
from studies.plateau import Watch

CHUNK = 10_240  # sequences from one look at the answers to the next


def fit(model: keras.Model, watch: Watch, batch: int, *data, **more) -> None:
    run = {"steps_per_epoch": CHUNK // batch, "epochs": 1_000, "callbacks": [watch], "verbose": 0}
    model.fit(*data, **run, **more)


def plain(train: DigitSequences, watch: Watch, batch: int = 256, stream: bool = False) -> None:
    layers = keras.layers
    hidden = layers.LSTM(128, return_sequences=True), layers.LSTM(128)
    answer = layers.Dense(784, "sigmoid"), layers.Reshape((28, 28))
    model = keras.Sequential([keras.Input((4, 784)), *hidden, *answer])
    model.compile("adam", "mse")
    if stream:
        fit(model, watch, batch, train.batches(batch), shuffle=False)
    else:
        fit(model, watch, batch, *train.sample(3 * CHUNK)[:2], batch_size=batch)


def ours(train: DigitSequences, watch: Watch) -> None:
    model = NextImagePredictor()
    model.adapt(train.mean_target())
    model.compile(make_optimizer("adam"), loss=summed_squared_error, jit_compile=True)
    fit(model, watch, 256, train.batches(256), shuffle=False)


BASELINE = "plain Keras, batches of 256"
WAYS = {  # each with its backend
    "plain Keras, batches of 32, TensorFlow": ("tensorflow", partial(plain, batch=32)),
    f"{BASELINE}, TensorFlow": ("tensorflow", plain),
    "plain Keras, our stream of 256, TensorFlow": ("tensorflow", partial(plain, stream=True)),
    "ours, TensorFlow": ("tensorflow", ours),
    f"{BASELINE}, JAX": ("jax", plain),
    "ours, JAX": ("jax", ours),
}


def measure(way: str, limit: float) -> dict:
    keras.utils.set_random_seed(0)
    train, test = load_mnist()
    watch = Watch(DigitSequences(*test, seed=1), limit=limit)
    WAYS[way][1](DigitSequences(*train, seed=0), watch)
    ends = [look["seconds"] for look in watch.looks]
    chunk = statistics.median(end - start for start, end in itertools.pairwise(ends))
    reached = watch.first(0.99).get("seconds")
    return {"sequences a second": CHUNK / chunk, "seconds to 99 %": reached}


if __name__ == "__main__":
    quick = report.is_quick(__doc__)
    limit, rounds = (10, 1) if quick else (30, 3)
    backends = {way: backend for way, (backend, _) in WAYS.items()}
    runs = report.in_turns(partial(measure, limit=limit), backends, rounds)
    forms = {"sequences a second": "{:,.0f}", "seconds to 99 %": "{:.1f}"}
    notes = (
        f"Medians and ranges of {rounds} alternating rounds of {limit} seconds, each run in a "
        "process of its own. Ours is compiled by XLA (`jit_compile=True`). Plain Keras is on JAX, "
        "but not under TensorFlow, where Keras leaves XLA off on CPUs. *Seconds to 99 %* are all "
        f"that training took, with the first chunk of {CHUNK:,} sequences, which compiles."
    )
    report.save("throughput", runs, ["way"], forms, notes, quick)
