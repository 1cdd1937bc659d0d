"""Training: sequences a second, and seconds to 99 % right digits, in several ways.

python -m benchmarks.throughput [--quick]

Every run is a process of its own, and the ways take turns.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np

WAYS = {
    "plain Keras, TensorFlow": "tensorflow",
    "plain Keras, TensorFlow, batches of 256": "tensorflow",
    "ours, TensorFlow": "tensorflow",
    "ours, JAX": "jax",
    "the same network, PyTorch": "torch",
}
BATCH = 256

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="one short run of each")
parser.add_argument("--way", choices=WAYS, help="measure one way, in this process")
parser.add_argument("--limit", type=float, default=60, help="seconds to reach 99 %% in")
arguments = parser.parse_args()


def measure(way: str, limit: float) -> dict:
    """Trains in chunks of 10,240 sequences; the first, which compiles, is not timed."""
    from data import load_mnist
    from evaluation import read_digits
    from model import NextImagePredictor, make_optimizer
    from preprocessing import DigitSequences
    from quiet import keras

    (x_train, y_train), (x_test, y_test) = load_mnist()
    train, test = DigitSequences(x_train, y_train, seed=0), DigitSequences(x_test, y_test, seed=1)
    inputs, _, digits = test.sample(1_200)
    keras.utils.set_random_seed(0)
    chunk = 40 * BATCH
    if way.startswith("plain"):
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
        arrays = train.sample(chunk)[:2]
        size = BATCH if way.endswith("256") else None  # by default 32

        def step():
            model.fit(*arrays, batch_size=size, verbose=0)
    elif way.startswith("ours"):
        model = NextImagePredictor()
        model.adapt(train.mean_target())
        model.compile(make_optimizer("adam"))
        stream = train.batches(BATCH)

        def step():
            model.fit(stream, steps_per_epoch=chunk // BATCH, shuffle=False, verbose=0)
    else:
        model, step = torch_training(train, chunk)
    step()
    rates, spent, reached = [], 0.0, None
    while spent < limit and (reached is None or len(rates) < 6):
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        rates.append(chunk / seconds)
        spent += seconds
        if reached is None:
            answers = model.predict(inputs, batch_size=600, verbose=0)
            if np.mean(read_digits(np.asarray(answers)) == digits[:, -1]) >= 0.99:
                reached = spent + seconds  # the first chunk, untimed, at the pace of this one
    found = {
        "rate": statistics.median(rates),
        "reached": reached,
        "large products": matmul_rate(2_048, 2_048, 2_048),
        "our products": matmul_rate(BATCH, 784, 512),  # the largest of the LSTM's
    }
    if way.startswith("ours"):
        batch = next(stream)
        numbers = itertools.count(1)
        found["parts"] = {  # milliseconds
            "prepare": median_ms(lambda: train._read((BATCH, next(numbers), slice(None)))),
            "forward": median_ms(lambda: model.predict_on_batch(batch[0])),
            "step": median_ms(lambda: model.train_on_batch(*batch)),
            "fit": 1_000 * BATCH / found["rate"],
        }
    return found


def median_ms(work) -> float:
    """Milliseconds that some work takes; the first three times, which compile, are not counted."""
    times = []
    for _ in range(43):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1_000 * statistics.median(times[3:])


def torch_training(train, chunk):
    """The same network, loss and optimizer in PyTorch, in a plain loop."""
    import torch

    class Predictor(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(784, 128, num_layers=2, batch_first=True)
            self.dense = torch.nn.Linear(128, 784)
            self.dropout = torch.nn.Dropout(0.3)

        def forward(self, inputs):
            states, _ = self.lstm(self.dropout(inputs))
            return torch.sigmoid(self.dense(states[:, -1]))

        def predict(self, inputs, **_):
            with torch.no_grad():
                self.eval()
                answers = self(torch.from_numpy(inputs)).reshape(-1, 28, 28).numpy()
                self.train()
            return answers

    torch.manual_seed(0)
    model = Predictor()
    mean = np.clip(train.mean_target().reshape(-1), 1e-4, 1 - 1e-4)
    model.dense.bias.data = torch.from_numpy(np.log(mean / (1 - mean)))
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    stream = train.batches(BATCH)

    def step():
        for _ in range(chunk // BATCH):
            inputs, targets = map(torch.from_numpy, next(stream))
            error = model(inputs) - targets.reshape(-1, 784)
            optimizer.zero_grad()
            error.square().sum(dim=1).mean().backward()
            optimizer.step()

    return model, step


def matmul_rate(rows: int, inner: int, columns: int) -> float:
    """Floating-point operations a second in products of float32 matrices of a size."""
    from quiet import keras

    rng = np.random.default_rng(0)
    a = keras.ops.convert_to_tensor(rng.random((rows, inner), np.float32))
    b = keras.ops.convert_to_tensor(rng.random((inner, columns), np.float32))
    seconds = []
    for _ in range(23):
        start = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(a, b))
        seconds.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / min(seconds[3:])


if arguments.way:
    print(json.dumps(measure(arguments.way, arguments.limit)))
    sys.exit()

from benchmarks import report  # noqa: E402  # the backend of the measuring processes is their own

ways = [way for way, package in WAYS.items() if find_spec(package)]
results = {way: [] for way in ways}
for _ in range(1 if arguments.quick else 5):
    for way in ways:
        # PyTorch runs outside Keras; the digits are read with the default backend.
        backend = WAYS[way] if WAYS[way] != "torch" else "tensorflow"
        seconds = "5" if arguments.quick else "30"
        out = subprocess.run(
            [sys.executable, "-m", "benchmarks.throughput", "--way", way, "--limit", seconds],
            env={**os.environ, "KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        results[way].append(json.loads(out.splitlines()[-1]))

# Two for each multiply-add: the LSTMs for each of four images, and the dense layer. Backward costs
# twice that, but for the gradient of the images, which nobody needs.
operations = 2 * (3 * (4 * (784 + 3 * 128) * 512 + 128 * 784) - 4 * 784 * 512)
limit, ours = (
    max(run[size] for runs in results.values() for run in runs)
    for size in ("large products", "our products")
)
plain = statistics.median(run["rate"] for run in results[ways[0]])
rows = []
for way, runs in results.items():
    rates = [run["rate"] for run in runs]
    reached = [run["reached"] for run in runs]
    rate = statistics.median(rates)
    rows.append(
        {
            "way": way,
            "sequences a second": f"{rate:,.0f}",
            "from, to": f"{min(rates):,.0f}, {max(rates):,.0f}",
            "times plain": f"{rate / plain:.2f}",
            "share of the machine's matrix products": f"{rate * operations / limit:.0%}",
            "seconds to 99 % right digits": "never"
            if None in reached
            else f"{statistics.median(reached):.1f}",
        }
    )
notes = (
    f"Medians of {len(runs)} runs. A sequence takes {operations / 1e6:.1f} million floating-point "
    f"operations forward and back; the machine does {limit / 1e9:.0f} billion a second in products "
    "of large matrices. Plain: default `fit` on arrays, averaged loss, no start "
    f"at the mean; *never*: not in {seconds} seconds."
)
for way, runs in results.items():
    if "parts" in runs[0]:
        parts = [run["parts"] for run in runs]
        ms = {part: statistics.median(run[part] for run in parts) for part in parts[0]}
        ideal, likely = (1_000 * BATCH * operations / rate for rate in (limit, ours))
        notes += (
            f"\n\nWhere the time goes, {way}: a batch in `fit` takes {ms['fit']:.1f} ms. Products "
            f"alone would take {ideal:.1f} ms at the rate of large ones, {likely:.1f} ms at that "
            f"of the LSTM's own, {BATCH} x 784 by 784 x 512. Step by step: the forward pass "
            f"{ms['forward']:.1f} ms, with backward pass and optimizer {ms['step']:.1f} ms. "
            f"To prepare a batch, which a thread does meanwhile, takes {ms['prepare']:.2f} ms, "
            f"{ms['prepare'] / ms['fit']:.0%} of its time in `fit`."
        )
report.save("throughput", "Training", rows, notes, arguments.quick)
