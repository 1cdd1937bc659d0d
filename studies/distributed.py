"""Trains the predictor on one device or many, in one process or many, on one machine or many.

python -m studies.distributed
KERAS_BACKEND=jax python -m studies.distributed --local-processes 4
KERAS_BACKEND=jax python -m studies.distributed --coordinator host:9876 --processes 2 --process 0

Every process makes its own shard of each batch; the losses are those of one process with the same
batch size. Called again with the same folder, a run goes on; give each run one of its own.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--local-processes", type=int, help="start so many on this machine")
parser.add_argument("--coordinator", help="host:port of process 0, reachable from all machines")
parser.add_argument("--processes", type=int, default=1, help="in all, on all machines")
parser.add_argument("--process", type=int, default=0, help="which of them this is")
parser.add_argument("--devices", type=int, help="split this CPU into so many virtual devices")
parser.add_argument("--batch-size", type=int, default=256, help="of all processes together")
parser.add_argument("--steps-per-epoch", type=int, default=100)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--folder", type=Path, default=Path("runs/distributed"))
options = parser.parse_args()

if options.local_processes:
    # This process only starts the others: a device belongs to one process.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "studies.distributed", *sys.argv[1:], "--local-processes=0"]
    command += [f"--coordinator={coordinator}", f"--processes={options.local_processes}"]
    numbers = range(options.local_processes)
    processes = [subprocess.Popen([*command, f"--process={number}"]) for number in numbers]
    try:
        while None in (codes := [process.poll() for process in processes]) and not any(codes):
            time.sleep(0.1)
    finally:
        for process in processes:  # if one fails or this is interrupted, none is left waiting
            process.kill()
    sys.exit(any(codes))

if options.devices:  # before Keras looks for them
    flag = f" --xla_force_host_platform_device_count={options.devices}"
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + flag

import keras  # noqa: E402

from data import PIXELS, load_mnist  # noqa: E402
from model import NextImagePredictor, make_optimizer, start_at_mean  # noqa: E402
from preprocessing import Corruption, DigitSequences  # noqa: E402
from training import epochs_done, resumable_fit  # noqa: E402

scope, folder = nullcontext(), options.folder / str(options.process)
if keras.backend.backend() == "jax":
    if options.processes > 1:
        keras.distribution.initialize(options.coordinator, options.processes, options.process)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    devices = len(keras.distribution.list_devices())
elif keras.backend.backend() == "tensorflow" and options.processes == 1:
    import tensorflow as tf

    if options.devices:
        parts = [tf.config.LogicalDeviceConfiguration()] * options.devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    kind = "GPU" if tf.config.list_physical_devices("GPU") and not options.devices else "CPU"
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    devices, scope = len(names), tf.distribute.MirroredStrategy(names).scope()
else:
    sys.exit("KERAS_BACKEND must be jax, or tensorflow for one process.")

if options.processes > 1:
    from jax.experimental import multihost_utils

    multihost_utils.assert_equal(
        epochs_done(folder),
        "The processes were interrupted in different epochs: copy the model.keras of one in "
        f"{options.folder} over those of the others",
    )
keras.utils.set_random_seed(0)
sequences = DigitSequences(*load_mnist()[0], corruption=Corruption(0.3), seed=0)
with scope:
    model = NextImagePredictor()
    start_at_mean(model, sequences.mean_target())
    steps = options.steps_per_epoch * options.epochs
    model.compile(make_optimizer("adam", steps), loss="mse", loss_weights=float(PIXELS))
    sizes = {name: vars(options)[name] for name in ("epochs", "steps_per_epoch", "batch_size")}
    shard, verbose = (options.process, options.processes), 0 if options.process else 2
    history = resumable_fit(model, sequences, folder, **sizes, shard=shard, verbose=verbose)
if options.process == 0:
    losses = history.history.get("loss", [])
    print(json.dumps({"processes": options.processes, "devices": devices, "losses": losses}))
