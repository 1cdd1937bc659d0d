"""How fast is training? Sequences a second, and seconds to an accuracy of 99 %, in several ways.

python -m studies.throughput

Plain Keras has Keras' own settings and learns from 30,720 sequences as arrays, or from our stream;
ours is the recipe of main.ipynb, without corruption and the falling learning rate. All have the
same layers; in ours, the LSTMs are unrolled. NumPy's matrix product is what the machine can do.
"""

import itertools
import statistics
import time
from functools import partial

import keras
import numpy as np

from data import load_mnist
from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences
from studies import report
from studies.networks import predictor
from studies.plateau import Watch

CHUNK = 10_240  # sequences from one look at the answers to the next
LIMIT = 20  # seconds
ROUNDS = 3
OPERATIONS = 11.7e6  # floating-point ones, to train on a sequence: forward 5.0, backward 6.7
# Without them, glibc gives memory back to the system after each step: the heaps of threads as soon
# as they are empty, and large arrays. The Makefile sets them.
KEPT = {"MALLOC_TOP_PAD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "1073741824"}


def fit(model: keras.Model, watch: Watch, batch: int, *data, **more) -> None:
    run = {"steps_per_epoch": CHUNK // batch, "epochs": 1_000, "callbacks": [watch], "verbose": 0}
    model.fit(*data, **run, **more)


def plain(train: DigitSequences, watch: Watch, batch: int = 256, stream=False, jit="auto") -> None:
    layers = keras.layers
    model = predictor(4, layers.LSTM(128, return_sequences=True), layers.LSTM(128))
    model.compile("adam", "mse", jit_compile=jit)
    if stream:
        fit(model, watch, batch, train.batches(batch), shuffle=False)
    else:
        fit(model, watch, batch, *train.sample(3 * CHUNK)[:2], batch_size=batch)


def ours(train: DigitSequences, watch: Watch) -> None:
    model = NextImagePredictor()
    model.adapt(train.mean_target())
    model.compile(make_optimizer("adam"), loss=summed_squared_error, jit_compile=True)
    fit(model, watch, 256, train.batches(256), shuffle=False)


def products() -> float:
    """Floating-point operations a second of NumPy's matrix product, on 1,024 images at once."""
    images, kernel = np.ones((1_024, 784), np.float32), np.ones((784, 512), np.float32)
    taken = []
    for _ in range(100):
        start = time.perf_counter()
        images @ kernel
        taken.append(time.perf_counter() - start)
    return 2 * images.size * kernel.shape[1] / statistics.median(taken)


TENSORFLOW, JAX = ({"KERAS_BACKEND": name} for name in ("tensorflow", "jax"))
COMPILED, STREAMED = (partial(plain, jit=True, stream=stream) for stream in (False, True))
WAYS = {  # each with its environment
    "plain Keras, batches of 32, TensorFlow": (TENSORFLOW, partial(plain, batch=32)),
    "plain Keras, batches of 256, TensorFlow": (TENSORFLOW, plain),
    "the same, with XLA": (TENSORFLOW, COMPILED),
    "the same, with XLA, our stream": (TENSORFLOW, STREAMED),
    "ours, TensorFlow": (TENSORFLOW, ours),
    "with XLA, memory is kept": (TENSORFLOW | KEPT, COMPILED),
    "with XLA, our stream, memory is kept": (TENSORFLOW | KEPT, STREAMED),
    "ours, TensorFlow, memory is kept": (TENSORFLOW | KEPT, ours),
    "plain Keras, batches of 256, JAX": (JAX, plain),
    "ours, JAX": (JAX, ours),
    "ours, JAX, memory is kept": (JAX | KEPT, ours),
    "NumPy's matrix product": ({}, None),
}


def measure(way: str) -> dict:
    fit_so = WAYS[way][1]
    if fit_so is None:
        speed, reached = products() / OPERATIONS, float("nan")  # it trains nothing
    else:
        keras.utils.set_random_seed(0)
        train, test = load_mnist()
        watch = Watch(DigitSequences(*test, seed=1), limit=LIMIT)
        fit_so(DigitSequences(*train, seed=0), watch)
        ends = [look["seconds"] for look in watch.looks]
        speed = CHUNK / statistics.median(end - start for start, end in itertools.pairwise(ends))
        reached = watch.first(0.99).get("seconds")
    gigaflops = speed * OPERATIONS / 1e9
    return {"sequences a second": speed, "GFLOP/s": gigaflops, "seconds to 99 %": reached}


if __name__ == "__main__":
    environments = {way: environment for way, (environment, _) in WAYS.items()}
    runs = report.in_turns(measure, environments, ROUNDS)
    forms = {"sequences a second": "{:,.0f}", "GFLOP/s": "{:.0f}", "seconds to 99 %": "{:.1f}"}
    notes = (
        f"Medians and ranges of {ROUNDS} alternating rounds of {LIMIT} seconds, each run in a "
        "process of its own. Ours is compiled by XLA (`jit_compile=True`), as all is on JAX. "
        f"*GFLOP/s* are {OPERATIONS / 1e6} million operations a sequence. *Seconds to 99 %* are "
        f"all that training took, with the first chunk of {CHUNK:,} sequences, which compiles."
    )
    report.save("throughput", runs, ["way"], forms, notes)
