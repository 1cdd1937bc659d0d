import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from evaluation import evaluate
from model import generate, make_optimizer, start_at_mean
from preprocessing import DigitSequences
from studies.report import ROOT
from training import epochs_done, resumable_fit, train_predictor
from worlds import steps


@pytest.fixture(scope="module")
def pairs(mnist):
    return DigitSequences(*mnist[1], world=[[3, 2, 1], [2, 1, 0]], seed=0)


def check_weights(model, expected, atol=1e-5):
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def linear(*inputs):
    """A network that has no weights until it is called, if it is not told what its inputs are."""
    ends = layers.Flatten(), layers.Dense(784, activation="sigmoid"), layers.Reshape((28, 28))
    return keras.Sequential([*inputs, *ends])


def test_train_predictor_does_what_keras_does_step_by_step(pairs):
    found = train_predictor(pairs, 3, "sgd", batch_size=8, seed=5, build=lambda _: linear())
    keras.utils.set_random_seed(5)
    model = linear(keras.Input((2, 784)))
    start_at_mean(model, pairs.mean_target())
    model.compile(make_optimizer("sgd", 3), "mse", loss_weights=784.0, jit_compile=False)
    model.fit(pairs.dataset(8, 3), shuffle=False, verbose=0)
    check_weights(found, model)


def test_a_network_may_answer_after_each_image(mnist):
    def after_each(length):
        images = keras.Input((None, 784))
        pixels = layers.Dense(784, "sigmoid")(layers.GRU(16, return_sequences=True)(images))
        return keras.Model(images, layers.Reshape((-1, 28, 28))(pixels))

    sequences = DigitSequences(*mnist[1], steps(5), after_each=True, seed=0)
    model = train_predictor(sequences, 60, make_optimizer("adam", 60, 0.01), 32, build=after_each)
    measures = evaluate(model, sequences, 100)
    assert measures["mse"] < measures["plateau"] * 1.01 and len(measures["after"]) == 5
    inputs = sequences.sample(3)[0]
    last = model.predict(inputs, verbose=0)[:, -1]
    np.testing.assert_allclose(generate(model, inputs, 1)[:, 0], last, atol=1e-6)
    with pytest.raises(ValueError, match=r"expected \(1, 5, 28, 28\)"):  # one answer only
        train_predictor(sequences, 1)


def network(*more, built=True):
    keras.utils.set_random_seed(0)
    model = linear(*[keras.Input((2, 784))] * built, *more)
    model.compile(make_optimizer("adam"), "mse", loss_weights=784.0, jit_compile=False)
    return model


def fit(pairs, folder, epochs, model=None, **options):
    model = model or network()
    sizes = {"epochs": epochs, "steps_per_epoch": 2, "batch_size": 8, "verbose": 0}
    return model, resumable_fit(model, pairs, folder, **sizes | options)


def test_a_run_goes_on_where_more_epochs_are_wanted(pairs, tmp_path):
    whole, folder = network(), tmp_path / "new" / "folder"
    stream = {"batch_size": 64, "shard": (1, 2)}
    for batch in itertools.islice(pairs.batches(**stream), 6):  # three epochs, each of others
        whole.train_on_batch(*batch)
    assert epochs_done(folder) == 0
    first, history = fit(pairs, folder, 2, **stream)
    assert history.epoch == [0, 1] and epochs_done(folder) == 2
    loaded, history = fit(pairs, folder, 2, network(built=False), **stream)
    assert history.epoch == [] and int(loaded.optimizer.iterations) == 4
    check_weights(loaded, first)
    # On with the same model, whose optimizer is built.
    _, history = fit(pairs, str(folder), 3, loaded, **stream, validation_data=pairs.sample(8))
    assert history.epoch == [2] and set(history.history) == {"loss", "val_loss"}
    # JAX computes the same bits twice.
    check_weights(loaded, whole, atol=0 if keras.backend.backend() == "jax" else 1e-5)
    with pytest.raises(ValueError, match="has epochs of 2 batches"):
        fit(pairs, folder, 4, **stream | {"steps_per_epoch": 3})
    with pytest.raises(ValueError, match="of another network"):
        fit(pairs, folder, 4, network(layers.Dense(5)), **stream)


def test_a_run_that_dies_while_it_saves_keeps_the_epoch_before(pairs, tmp_path, monkeypatch):
    model, _ = fit(pairs, tmp_path, 1)
    before = (tmp_path / "model.keras").read_bytes()

    def die_half_way(self, path):
        Path(path).write_bytes(before[:1000])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.Sequential, "save", die_half_way)
        fit(pairs, tmp_path, 2, model)
    assert (tmp_path / "model.keras").read_bytes() == before
    assert fit(pairs, tmp_path, 2, model)[1].epoch == [1]


def test_an_epoch_that_a_callback_cut_short_is_trained_again(pairs, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = self.model.optimizer.iterations == 3

        def on_epoch_end(self, epoch, logs=None):
            assert epochs_done(tmp_path) == min(epoch + 1, 1)  # saved before other callbacks run

    model, _ = fit(pairs, tmp_path, 3, callbacks=[Stop()])
    assert epochs_done(tmp_path) == 1
    assert fit(pairs, tmp_path, 3, model)[1].epoch == [1, 2]
    assert int(model.optimizer.iterations) == 6


def test_noise_goes_on_as_in_a_run_never_interrupted(pairs, tmp_path):
    whole, _ = fit(pairs, tmp_path / "whole", 2, network(layers.GaussianNoise(1.0)))
    fit(pairs, tmp_path / "stopped", 1, network(layers.GaussianNoise(1.0)))
    stopped, _ = fit(pairs, tmp_path / "stopped", 2, network(layers.GaussianNoise(1.0)))
    check_weights(stopped, whole)


def test_a_folder_that_cannot_be_written_to_is_found_out_before_training(pairs, tmp_path):
    # Root may write everywhere, but not where there is no folder.
    (tmp_path / "unfinished.keras").symlink_to(tmp_path / "absent" / "file")
    model = network()
    with pytest.raises(OSError, match="unfinished"):
        fit(pairs, tmp_path, 1, model)
    assert int(model.optimizer.iterations) == 0


def start(backend, *arguments):
    # Two processes can't share a GPU, and the devices that are counted are those of the CPU.
    cpu = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": backend}
    command = [sys.executable, "-m", "studies.distributed", *map(str, arguments)]
    command += ["--batch-size=64", "--steps-per-epoch=4", "--epochs=9"]
    where = {"cwd": ROOT, "env": os.environ | cpu, "stdout": subprocess.PIPE, "text": True}
    # In a session of its own, so that it can be killed with the processes that it starts.
    return subprocess.Popen(command, **where, start_new_session=True)


def finished(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "ways"),
    [
        # JAX computes the same bits twice.
        ("jax", [("--processes=1", 1, 1, 0), ("--local-processes=2", 2, 2, 1e-5)]),
        ("tensorflow", [("--devices=2", 1, 2, 1e-4)]),
    ],
)
def test_a_run_killed_or_divided_in_two_ends_as_a_whole_one(backend, ways, tmp_path, monkeypatch):
    pytest.importorskip(backend)
    # What one process has compiled, others need not.
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    whole, one = start(backend, "--folder", tmp_path / "whole"), None
    for more, processes, devices, rtol in ways:
        folder = tmp_path / f"killed{more}"
        killed, own = start(backend, "--folder", folder, more), [folder / str(n) for n in range(2)]
        while min(map(epochs_done, own[:processes])) < 3 and killed.poll() is None:
            time.sleep(0.01)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        if processes == 2:  # as the script asks for, where one was an epoch ahead of the other
            shutil.copy(own[0] / "model.keras", own[1])
        one, two = one or finished(whole), finished(start(backend, "--folder", folder, more))
        assert (one["devices"], two["devices"]) == (1, devices)
        assert (one["processes"], two["processes"]) == (1, processes)
        rest = len(two["losses"])
        assert len(one["losses"]) == 9 and 0 < rest <= 6
        np.testing.assert_allclose(two["losses"], one["losses"][-rest:], rtol=rtol)
        paths = [each / "0" / "model.keras" for each in (folder, tmp_path / "whole")]
        check_weights(*map(keras.saving.load_model, paths), atol=rtol)
