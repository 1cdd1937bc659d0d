"""Training: sequences a second, and seconds to 99 % right digits, in several ways.

python -m benchmarks.throughput [--quick]

Plain Keras has Keras' own settings and learns from 30,720 sequences as arrays,
or from our stream; ours is what the README shows. All have the same layers.
"""

import json
import statistics
import sys
import time
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace

import keras

from benchmarks import report
from benchmarks.timing import apart, command_line, spread
from classifier import read_digits
from data import load_mnist
from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences

CHUNK = 10_240  # sequences from one look at the answers to the next
(x_train, y_train), (x_test, y_test) = load_mnist()
train = DigitSequences(x_train, y_train, seed=0)
inputs, _, digits = DigitSequences(x_test, y_test, seed=1).sample(1_200)


class Watch(keras.callbacks.Callback):
    """Notes the seconds of each chunk, and of all until 99 % of the digits are right."""

    def on_train_begin(self, logs=None):
        self.seconds, self.reached = [], float("inf")

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
        spent = sum(self.seconds)
        if spent < min(limit, self.reached):
            answers = self.model.predict(inputs, batch_size=600, verbose=0)
            if (read_digits(answers) == digits[:, -1]).mean() >= 0.99:
                self.reached = spent
        enough = len(self.seconds) > 6 and spent > self.reached
        self.model.stop_training = enough or (len(self.seconds) > 1 and spent > limit)


def plain(watch: Watch, size: int = 256, stream: bool = False) -> None:
    model = keras.Sequential(
        [
            keras.Input((4, 784)),
            keras.layers.LSTM(128, return_sequences=True),
            keras.layers.LSTM(128),
            keras.layers.Dense(784, activation="sigmoid"),
            keras.layers.Reshape((28, 28)),
        ]
    )
    model.compile("adam", "mse")
    run = {"steps_per_epoch": CHUNK // size, "epochs": 1_000, "callbacks": [watch], "verbose": 0}
    if stream:
        model.fit(train.batches(size), shuffle=False, **run)
    else:
        model.fit(*train.sample(30_720)[:2], batch_size=size, **run)


def ours(watch: Watch) -> None:
    model = NextImagePredictor()
    model.adapt(train.mean_target())
    model.compile(make_optimizer("adam"), loss=summed_squared_error, jit_compile=True)
    run = {"steps_per_epoch": CHUNK // 256, "epochs": 1_000, "callbacks": [watch], "verbose": 0}
    model.fit(train.batches(256), shuffle=False, **run)


def train_in_torch(watch: Watch) -> None:
    """The same network, with our start, loss and optimizer, in a plain loop."""
    import torch

    def answer(images):
        return torch.sigmoid(dense(lstm(images)[0][:, -1])).reshape(-1, 28, 28)

    lstm = torch.nn.LSTM(784, 128, num_layers=2, batch_first=True)
    dense = torch.nn.Linear(128, 784)
    dense.bias.data = torch.from_numpy(train.mean_target()).flatten().logit(eps=1e-4)
    optimizer = torch.optim.Adam([*lstm.parameters(), *dense.parameters()], 4e-3, eps=1e-7)
    model = SimpleNamespace(
        predict=lambda images, **_: answer(torch.from_numpy(images)).detach().numpy(),
        stop_training=False,
    )
    watch.set_model(model)
    watch.on_train_begin()
    stream = train.batches(256)
    while not model.stop_training:
        watch.on_epoch_begin(0)
        for _ in range(CHUNK // 256):
            images, targets = map(torch.from_numpy, next(stream))
            optimizer.zero_grad()
            (answer(images) - targets).square().sum(dim=(1, 2)).mean().backward()
            optimizer.step()
        watch.on_epoch_end(0)


BASELINE = "plain Keras, batches of 256"
WAYS = {  # each with its backend
    "plain Keras, batches of 32, TensorFlow": ("tensorflow", partial(plain, size=32)),  # Keras' own
    f"{BASELINE}, TensorFlow": ("tensorflow", plain),
    "plain Keras, our stream of 256, TensorFlow": ("tensorflow", partial(plain, stream=True)),
    "ours, TensorFlow": ("tensorflow", ours),
    f"{BASELINE}, JAX": ("jax", plain),
    "ours, JAX": ("jax", ours),
}
if find_spec("torch"):
    WAYS["the same network, PyTorch"] = ("torch", train_in_torch)
arguments = command_line(__doc__, "one run of each, of ten seconds", WAYS)
limit = 10 if arguments.quick else 30

if arguments.way:
    keras.utils.set_random_seed(0)
    watch = Watch()
    WAYS[arguments.way][1](watch)
    rate = CHUNK / statistics.median(watch.seconds[1:])
    print(json.dumps({"rate": rate, "first": watch.seconds[0], "reached": watch.reached}))
    sys.exit()

backends = {way: backend for way, (backend, _) in WAYS.items()}
runs = apart("throughput", backends, 1 if arguments.quick else 3, backends)
rows = []
for way, found in runs.items():
    rates = [run["rate"] for run in found]
    baseline = runs.get(f"{BASELINE}, {way.split(', ')[-1]}")  # on the same backend
    times = ""
    if baseline:
        times = statistics.median(rates) / statistics.median(run["rate"] for run in baseline)
        times = f"{times:.2f}"
    row = {
        "way": way,
        **spread("sequences a second", rates, "{:,.0f}"),
        "times plain": times,
        **spread("seconds to 99 %", [run["reached"] for run in found], "{:.1f}"),
        "first chunk, seconds": f"{statistics.median(run['first'] for run in found):.1f}",
    }
    rows.append({name: cell.replace("inf", f"not in {limit} s") for name, cell in row.items()})
notes = (
    f"Medians of {len(found)} alternating rounds, each run in a process of its own. "
    f"*Times plain*: beside {BASELINE}, on the same backend. *Seconds to 99 %* right digits are "
    f"all that training took, with the first chunk of {CHUNK:,} sequences, which compiles."
)
report.save("throughput", "Training", rows, notes, arguments.quick)
