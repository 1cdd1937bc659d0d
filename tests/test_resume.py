import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences
from resume import epochs_done, resumable_fit
from sampler import NextImageSampler

ROOT = Path(__file__).parent.parent

# Trains four epochs and writes the weights; between two batches of epoch 3 it waits to be killed.
RUN = """
import sys, time
import keras
import numpy as np
from data import load_mnist
from model import NextImagePredictor, make_optimizer, summed_squared_error
from preprocessing import DigitSequences
from resume import resumable_fit

folder, wait = sys.argv[1], sys.argv[2] == "wait"

class WaitForTheKill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
    def on_train_batch_end(self, batch, logs=None):
        if wait and self.epoch == 2 and batch == 1:
            print("in the middle of epoch 3", flush=True)
            time.sleep(600)

keras.utils.set_random_seed(0)
keras.config.disable_interactive_logging()
if keras.backend.backend() == "tensorflow":
    import tensorflow
    tensorflow.config.experimental.enable_op_determinism()
(images, labels), _ = load_mnist()
model = NextImagePredictor(units=(16, 16))
model.compile(make_optimizer("adam"), summed_squared_error)
sequences = DigitSequences(images, labels, seed=0)
history = resumable_fit(model, sequences, folder, epochs=4, steps_per_epoch=4, batch_size=16,
                        verbose=0, callbacks=[WaitForTheKill()])
state = [variable.numpy() for variable in model.optimizer.variables]
np.savez(folder + "/weights.npz", *model.get_weights(), *state)
print(len(history.epoch), flush=True)
"""


def run(folder, wait=""):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), wait], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def finished(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return out


def weights(folder):
    with np.load(folder / "weights.npz") as saved:
        return [saved[name] for name in saved.files]


def test_a_killed_run_ends_with_the_same_weights_as_one_never_interrupted(tmp_path):
    whole = run(tmp_path / "whole")
    killed = run(tmp_path / "killed", "wait")
    assert killed.stdout.readline() == "in the middle of epoch 3\n"
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    killed.stdout.close()
    assert finished(whole) == "4\n"
    assert finished(run(tmp_path / "killed")) == "2\n"  # epochs 3 and 4
    folders = tmp_path / "killed", tmp_path / "whole"
    for found, wanted in zip(*map(weights, folders), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert keras.saving.load_model(tmp_path / "killed" / "model.keras").length == 4


@pytest.fixture
def small(train_sequences):
    def fit(folder, epochs):
        keras.utils.set_random_seed(0)
        model = NextImagePredictor(units=(8, 8))
        model.compile(make_optimizer("adam"), summed_squared_error)
        history = resumable_fit(
            model,
            train_sequences,
            folder,
            epochs=epochs,
            steps_per_epoch=2,
            batch_size=8,
            verbose=0,
        )
        return model, history.epoch

    return fit


@pytest.fixture(scope="module")
def train_sequences(mnist):
    return DigitSequences(*mnist[1], seed=0)


def test_a_finished_run_goes_on_where_more_epochs_are_wanted(small, tmp_path):
    first, epochs = small(tmp_path, 2)
    assert epochs == [0, 1]
    loaded, epochs = small(tmp_path, 2)
    assert epochs == []
    for found, wanted in zip(loaded.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    model, epochs = small(tmp_path, 3)
    assert epochs == [2]
    whole, _ = small(tmp_path / "whole", 3)
    for found, wanted in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_model_that_was_never_wholly_saved_is_not_read(small, tmp_path, monkeypatch):
    small(tmp_path, 1)
    before = (tmp_path / "model.keras").read_bytes()

    def die_half_way(self, path, **_):
        Path(path).write_bytes(before[:1000])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NextImagePredictor, "save", die_half_way)
        with pytest.raises(KeyboardInterrupt):
            small(tmp_path, 2)
    assert (tmp_path / "model.keras").read_bytes() == before
    assert small(tmp_path, 2)[1] == [1]


def test_an_epoch_that_a_callback_cut_short_is_trained_again(train_sequences, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = self.model.optimizer.iterations == 3

    model = NextImagePredictor(units=(8, 8))
    model.compile(make_optimizer("adam"), summed_squared_error)
    sizes = {"epochs": 3, "steps_per_epoch": 2, "batch_size": 8, "verbose": 0}
    resumable_fit(model, train_sequences, tmp_path, **sizes, callbacks=[Stop()])
    assert epochs_done(tmp_path) == 1
    assert resumable_fit(model, train_sequences, tmp_path, **sizes).epoch == [1, 2]
    assert int(model.optimizer.iterations) == 6


def test_a_model_under_mixed_precision_goes_on_with_its_loss_scale(train_sequences, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = NextImagePredictor(units=(8, 8))
        model.compile(make_optimizer("adam"), summed_squared_error)
    finally:
        keras.config.set_dtype_policy("float32")
    sizes = {"steps_per_epoch": 2, "batch_size": 8, "verbose": 0}
    for epochs in (1, 2):  # the same model again: its optimizer is built
        resumable_fit(model, train_sequences, tmp_path, epochs=epochs, **sizes)
    assert int(model.optimizer.step_counter) == 4


def test_a_model_from_elsewhere_is_refused(train_sequences, tmp_path):
    model = NextImagePredictor(units=(8, 8))
    model.compile(make_optimizer("adam"), summed_squared_error)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="not saved by resumable_fit; take another folder"):
        resumable_fit(model, train_sequences, tmp_path, epochs=1, steps_per_epoch=2)


def test_a_sampler_goes_on_with_the_noise_of_a_run_never_interrupted(train_sequences, tmp_path):
    def fit(folder, epochs):
        keras.utils.set_random_seed(0)
        sampler = NextImageSampler(NextImagePredictor(units=(8, 8)), codes=8, units=8, blocks=1)
        sampler.adapt(*train_sequences.sample(100)[:2])
        sampler.compile(make_optimizer("adam"))
        sizes = {"steps_per_epoch": 2, "batch_size": 8, "verbose": 0}
        history = resumable_fit(sampler, train_sequences, folder, epochs=epochs, **sizes)
        return history.history["loss"]

    whole = fit(tmp_path / "whole", 2)
    fit(tmp_path / "stopped", 1)
    np.testing.assert_allclose(fit(tmp_path / "stopped", 2), whole[1:], rtol=1e-4)


def start(folder, *arguments, backend):
    command = [sys.executable, "-m", "benchmarks.train_distributed", "--folder", str(folder)]
    sizes = ["--batch-size", "32", "--steps-per-epoch", "4"]
    return subprocess.Popen(
        [*command, *sizes, *arguments],
        cwd=ROOT,
        # Two processes can't share a GPU, and the devices that are counted are those of the CPU.
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def results(*processes):
    return [json.loads(finished(process).splitlines()[-1]) for process in processes]


@pytest.mark.parametrize(
    ("backend", "more", "rtol"),
    [("jax", ("--local-processes", "2"), 1e-5), ("tensorflow", ("--devices", "2"), 1e-4)],
)
def test_two_processes_or_devices_have_the_losses_of_one(backend, more, rtol, tmp_path):
    pytest.importorskip(backend)
    # The second time, both go on after their two epochs, from the state that they have saved.
    for epochs, trained in ((2, 2), (3, 1)):
        one, two = results(
            start(tmp_path / "one", "--epochs", str(epochs), backend=backend),
            start(tmp_path / "two", "--epochs", str(epochs), *more, backend=backend),
        )
        assert (one["devices"], two["devices"]) == (1, 2)
        processes = 2 if backend == "jax" else 1
        assert (one["processes"], two["processes"]) == (1, processes)
        assert len(one["losses"]) == len(two["losses"]) == trained
        np.testing.assert_allclose(two["losses"], one["losses"], rtol=rtol)
