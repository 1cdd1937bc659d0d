"""Trains the predictor on one device or many, in one process or many, on one machine or many.

One process, all its devices (JAX or TensorFlow):
    python -m benchmarks.train_distributed
Four processes on this machine (JAX):
    KERAS_BACKEND=jax python -m benchmarks.train_distributed --local-processes 4
Two machines, run on each with its own number (JAX):
    KERAS_BACKEND=jax python -m benchmarks.train_distributed \
        --coordinator first-machine:9876 --processes 2 --process 0

Every process reads its own shard of each batch; the losses are those of one
process with the same batch size. Called again with the same folder, a run goes
on; give each run one of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--local-processes", type=int, help="start so many on this machine")
parser.add_argument("--coordinator", help="host:port of process 0, reachable from all machines")
parser.add_argument("--processes", type=int, default=1, help="in all, on all machines")
parser.add_argument("--process", type=int, default=0, help="which of them this is")
parser.add_argument("--devices", type=int, help="split this CPU into so many virtual devices")
parser.add_argument("--batch-size", type=int, default=256, help="of all processes together")
parser.add_argument("--steps-per-epoch", type=int, default=100)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--folder", type=Path, default=Path("runs/distributed"))
arguments = parser.parse_args()

if arguments.local_processes:
    # This process only starts the others: a device belongs to one process.
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    again = [sys.executable, "-m", "benchmarks.train_distributed"]
    for name in ("devices", "batch_size", "steps_per_epoch", "epochs", "folder"):
        if getattr(arguments, name) is not None:
            again += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    again += ["--coordinator", coordinator, "--processes", str(arguments.local_processes)]
    processes = [
        subprocess.Popen([*again, "--process", str(number)])
        for number in range(arguments.local_processes)
    ]
    try:
        while None in (codes := [process.poll() for process in processes]) and not any(codes):
            time.sleep(0.1)
    finally:
        for process in processes:  # if one fails or this is interrupted, none is left waiting
            process.kill()
    sys.exit(any(codes))

if arguments.devices:  # before Keras looks for them
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "")
        + f" --xla_force_host_platform_device_count={arguments.devices}"
    )
    if os.environ.get("KERAS_BACKEND") != "jax":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * arguments.devices,
        )

import keras  # noqa: E402

from data import load_mnist  # noqa: E402
from model import NextImagePredictor, make_optimizer, summed_squared_error  # noqa: E402
from preprocessing import Damage, DigitSequences  # noqa: E402
from resume import epochs_done, resumable_fit  # noqa: E402

scope = nullcontext()
if keras.backend.backend() == "jax":
    if arguments.processes > 1:
        keras.distribution.initialize(arguments.coordinator, arguments.processes, arguments.process)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    devices = len(keras.distribution.list_devices())
else:
    if arguments.processes > 1 or keras.backend.backend() != "tensorflow":
        sys.exit("KERAS_BACKEND must be jax, or tensorflow for one process.")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU") and not arguments.devices
    kind = "GPU" if gpus else "CPU"
    strategy = tf.distribute.MirroredStrategy(
        [device.name for device in tf.config.list_logical_devices(kind)]
    )
    devices, scope = strategy.num_replicas_in_sync, strategy.scope()

folder = arguments.folder / str(arguments.process)
if arguments.processes > 1:
    from jax.experimental import multihost_utils

    multihost_utils.assert_equal(
        epochs_done(folder),
        f"The processes were interrupted in different epochs: copy the model.keras of one in "
        f"{arguments.folder} over those of the others",
    )
keras.utils.set_random_seed(0)
(x_train, y_train), _ = load_mnist()
sequences = DigitSequences(x_train, y_train, damage=Damage(0.3), seed=0)
with scope:
    model = NextImagePredictor()
    model.adapt(sequences.mean_target())
    steps = arguments.steps_per_epoch * arguments.epochs
    model.compile(make_optimizer("adam", steps=steps), loss=summed_squared_error)
    ends = []  # of epochs
    history = resumable_fit(
        model,
        sequences,
        folder,
        epochs=arguments.epochs,
        steps_per_epoch=arguments.steps_per_epoch,
        batch_size=arguments.batch_size,
        shard=(arguments.process, arguments.processes),
        verbose=0 if arguments.process else 2,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
            )
        ],
    )
if arguments.process == 0:
    losses = history.history.get("loss", [])
    result = {"processes": arguments.processes, "devices": devices, "losses": losses}
    if len(ends) > 1:  # the first epoch compiles
        trained = (len(ends) - 1) * arguments.steps_per_epoch * arguments.batch_size
        result["sequences a second"] = round(trained / (ends[-1] - ends[0]))
    print(json.dumps(result))
