"""Training that survives: stopped or killed, it goes on where it was, to the same weights.

After every epoch Keras' `BackupAndRestore` writes down the state of the model
and its optimizer. The data need no backup: batch number 1,000 of a stream is the
same whenever it is asked for.
"""

import functools
import os
from pathlib import Path

import h5py
import numpy as np

from data import SIDE
from preprocessing import DigitSequences
from quiet import keras


def train(
    model: keras.Model,
    sequences: DigitSequences,
    folder: str | os.PathLike,
    *,
    epochs: int,
    steps_per_epoch: int,
    batch_size: int = 256,
    shard: tuple[int, int] = (0, 1),
    callbacks: list[keras.callbacks.Callback] | None = None,
    **kwargs,
) -> keras.callbacks.History:
    """Trains a model on the stream of batches; called again, goes on after the last whole epoch.

    In `folder` it keeps `model.keras`, the model after the last whole epoch, and
    `backup/`, from which it goes on. A run that was interrupted ends with the
    same weights as one that was not, where the backend computes the same bits
    twice (TensorFlow: `enable_op_determinism`; Keras then does without XLA, and
    warns unless `compile` got `jit_compile=False`). Whoever wants to train anew
    takes another folder.

    Args:
        model: A compiled model, a predictor or sampler, in the state in which
            training starts.
        sequences: What to train on, with a `seed`: without one, every call
            draws others.
        folder: Where to keep models and backup; made if it isn't there.
        epochs: Epochs in all, those before an interruption included.
        steps_per_epoch: Batches in an epoch.
        batch_size: Sequences in a batch.
        shard: As for `DigitSequences.batches`.
        callbacks: More callbacks.
        **kwargs: As for `keras.Model.fit`, such as `validation_data`.

    Returns:
        The history of the epochs that this call has trained.

    Raises:
        ValueError: As for `DigitSequences.batches`.

    Example:

    >>> history = train(model, sequences, "runs/adam", epochs=12, steps_per_epoch=100)
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done = epochs_done(folder)
    return model.fit(
        _stream(sequences, batch_size, done * steps_per_epoch, shard),
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        initial_epoch=done,
        shuffle=False,  # the stream is random already
        callbacks=[
            _FreshNoise(sequences.seed),
            keras.callbacks.ModelCheckpoint(folder / "model.keras"),
            _Backup(folder),  # the last word: an epoch whose model was half written is repeated
            *(callbacks or []),
        ],
        **kwargs,
    )


def _stream(sequences: DigitSequences, batch_size: int, start: int, shard: tuple[int, int]):
    """The batches to train on; for TensorFlow as its own kind of data set.

    In front of a generator, Keras puts a queue that TensorFlow lengthens each
    time it runs empty, to dozens of batches in a long epoch. And
    `MirroredStrategy` divides only batches that say their size among devices.
    """
    batches = functools.partial(sequences.batches, batch_size, start=start, shard=shard)
    stream = batches()  # raises where the arguments are wrong
    if keras.backend.backend() != "tensorflow":
        return stream
    import tensorflow as tf  # only here: the other backends do without

    size, length = batch_size // shard[1], sequences.windows.shape[1] - 1
    shapes = (size, length, SIDE * SIDE), (size, SIDE, SIDE)
    data = tf.data.Dataset.from_generator(
        batches, output_signature=tuple(map(tf.TensorSpec, shapes))
    )
    return data.prefetch(1)


def epochs_done(folder: str | os.PathLike) -> int:
    """How many epochs `train` has finished in a folder; 0 if it has not been there.

    Args:
        folder: As for `train`.

    Returns:
        The number of whole epochs in its backup.

    Example:

    >>> epochs_done("runs/adam")
    12
    """
    backup = Path(folder) / "backup" / "latest.weights.h5"
    if not backup.exists():
        return 0
    with h5py.File(backup) as file:
        return int(file.attrs["epochs"])


class _Backup(keras.callbacks.BackupAndRestore):
    """Writes a backup aside and renames it: killed meanwhile, a run finds the one before, whole."""

    def __init__(self, folder: Path):
        super().__init__(str(folder / "backup"), delete_checkpoint=False)

    def _save_model(self):
        os.makedirs(self.backup_dir, exist_ok=True)
        aside = Path(self.backup_dir) / "unfinished.weights.h5"
        self.model.save_weights(aside)
        with h5py.File(aside, "a") as file:  # inside: two files could be of two epochs
            file.attrs["epochs"] = self._current_epoch
        os.replace(aside, self._weights_path)


class _FreshNoise(keras.callbacks.Callback):
    """Starts the random numbers anew in each epoch, a sampler's noise: Keras keeps their state in
    no backup."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        states = [
            variable
            for variable in self.model.non_trainable_variables
            if variable.name == "seed_generator_state"
        ]
        for place, state in enumerate(states):
            seeds = np.random.SeedSequence(self.seed, spawn_key=(epoch, place))
            state.assign(seeds.generate_state(2))
