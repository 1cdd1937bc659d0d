"""How fast is training, and does its memory grow? Our stream beside plain Keras on stored arrays.

python -m studies.speed   # about eleven minutes, on Linux
"""

import itertools
import re
import statistics
import timeit
from pathlib import Path

import keras
import numpy as np

from data import PIXELS, load_mnist
from model import NextImagePredictor, make_optimizer, start_at_mean
from preprocessing import DigitSequences
from studies import report
from studies.networks import predictor
from studies.plateau import Watch

BATCHES, PART = 2_000, 50  # in all, and from one look at the answers to the next
OPERATIONS = 11.7e6  # floating-point ones, to train on a sequence: forward 5.0, backward 6.7


def plain(sequences: DigitSequences, batch_size: int, **run) -> None:
    layers = keras.layers
    model = predictor(4, layers.LSTM(128, return_sequences=True), layers.LSTM(128))
    model.compile("adam", "mse")
    model.fit(*sequences.sample(25_600), batch_size, steps_per_epoch=PART, **run)


def ours(sequences: DigitSequences, batch_size: int, **run) -> None:
    model = NextImagePredictor()
    start_at_mean(model, sequences.mean_target())
    weight = float(PIXELS)
    model.compile(make_optimizer("adam"), loss="mse", loss_weights=weight, jit_compile=True)
    model.fit(sequences.dataset(batch_size, PART), **run)


TENSORFLOW, JAX = ({"KERAS_BACKEND": name} for name in ("tensorflow", "jax"))
# Without them, glibc gives memory back to the system after each step. The Makefile sets them.
KEPT = {"MALLOC_TOP_PAD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "1073741824"}
WAYS = {  # what trains, the size of its batches, and its environment
    "plain Keras, batches of 32, TensorFlow": (plain, 32, TENSORFLOW),
    "plain Keras, batches of 256, TensorFlow": (plain, 256, TENSORFLOW),
    "ours, TensorFlow": (ours, 256, TENSORFLOW),
    "ours, TensorFlow, memory is kept": (ours, 256, TENSORFLOW | KEPT),
    "plain Keras, batches of 32, JAX": (plain, 32, JAX),
    "ours, JAX": (ours, 256, JAX),
}


def measure(way: str) -> dict:
    fit, batch_size, _ = WAYS[way]
    train, test = load_mnist()
    watch, peaks = Watch(DigitSequences(*test, seed=1)), []

    def note_peak(epoch, logs):
        # Not `resource.getrusage`, whose peak includes that of the process which started this one.
        status = Path("/proc/self/status").read_text()
        peaks.append(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)

    callbacks = [watch, keras.callbacks.LambdaCallback(on_epoch_end=note_peak)]
    run = {"epochs": BATCHES // PART, "callbacks": callbacks, "verbose": 0}
    fit(DigitSequences(*train, seed=0), batch_size, **run)
    ends = [look["seconds"] for look in watch.looks]
    part = statistics.median(end - start for start, end in itertools.pairwise(ends))
    return {
        "way": way,
        "sequences a second": PART * batch_size / part,
        "seconds to 99 %": watch.first(0.99).get("seconds"),
        "peak MB, 200 batches": peaks[200 // PART - 1],
        "peak MB, 2,000 batches": peaks[-1],
    }


def matrix_product() -> dict:
    """The same operations in NumPy's matrix product, of 1,024 images at once."""
    images, kernel = np.ones((1_024, PIXELS), np.float32), np.ones((PIXELS, 512), np.float32)
    seconds = statistics.median(timeit.repeat(lambda: images @ kernel, number=1, repeat=100))
    speed = 2 * images.size * kernel.shape[1] / seconds
    return {"way": "NumPy's matrix product", "sequences a second": speed / OPERATIONS}


if __name__ == "__main__":
    runs = []
    for _ in range(2):  # in turns: what slows the machine down for a while slows all of them
        for way, (*_, environment) in WAYS.items():
            runs += report.in_processes(measure, [way], **environment)
        runs.append(matrix_product())
    forms = {"sequences a second": "{:,.0f}", "seconds to 99 %": "{:.1f}"}
    forms |= dict.fromkeys(list(runs[0])[3:], "{:,.0f}")
    notes = (
        f"Means and ranges of two runs of {BATCHES:,} batches, each in a process of its own. Ours "
        "is compiled by XLA (`jit_compile=True`), as all is on JAX. *Seconds to 99 %* are all that "
        f"training took, compiling included; a look every {PART} batches. *Peak* is the most "
        "memory that the process has held so far, Keras included. NumPy's matrix product is what "
        f"the machine can do: {OPERATIONS / 1e6} million operations a sequence."
    )
    report.save("speed", runs, ["way"], forms, notes)
