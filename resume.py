"""Training that goes on after an interruption: stopped or killed, then called again.

After every epoch the model is saved, with the state of its optimizer. The data
need no backup: batch number 1,000 of a stream is the same whenever it is asked for.
"""

import functools
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from data import SIDE
from preprocessing import DigitSequences


def resumable_fit(
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
    """Trains a model on a stream of batches; called again, goes on after the last whole epoch.

    A run that was interrupted ends with the same weights as one that was not,
    where the backend computes the same bits twice. (TensorFlow does after
    `tf.config.experimental.enable_op_determinism()`, which needs
    `jit_compile=False` in `compile`.) To train anew, take another folder.

    Args:
        model: A compiled model, a predictor or sampler, in the state in which
            training starts.
        sequences: What to train on, with a `seed`: without one, every call
            draws others.
        folder: Where to keep `model.keras`, the model after the last whole
            epoch, of this process alone; made if it isn't there.
        epochs: Epochs in all, those before an interruption included. Where they
            are done, the model is only loaded.
        steps_per_epoch: Batches in an epoch, the same in every call.
        batch_size: Sequences in a batch, the same in every call.
        shard: As for `DigitSequences.batches`.
        callbacks: More callbacks, which run after the model is saved. What they
            remember is not kept: a run that `EarlyStopping` ended goes on.
        **kwargs: As for `keras.Model.fit`, such as `validation_data`.

    Returns:
        The history of the epochs that this call has trained.

    Raises:
        ValueError: As for `DigitSequences.batches`, or the folder has a
            `model.keras` from somewhere else.

    Example:

    >>> history = resumable_fit(model, train, "runs/adam", epochs=12, steps_per_epoch=100)
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    done = epochs_done(folder)
    return model.fit(
        _stream(sequences, batch_size, done * steps_per_epoch, shard),
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        initial_epoch=done,
        shuffle=False,  # the stream is random already
        callbacks=[_FreshNoise(sequences.seed), _Resume(folder, done), *(callbacks or [])],
        **kwargs,
    )


def _stream(
    sequences: DigitSequences, batch_size: int, start: int, shard: tuple[int, int]
) -> Iterable:
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
    """How many epochs `resumable_fit` has finished in a folder; 0 if it has not been there.

    Args:
        folder: As for `resumable_fit`.

    Returns:
        The number of whole epochs.

    Raises:
        ValueError: It has a `model.keras` from somewhere else.

    Example:

    >>> epochs_done("runs/adam")
    12
    """
    path = Path(folder) / "model.keras"
    if not path.exists():
        return 0
    with zipfile.ZipFile(path) as archive:
        if not archive.comment:
            raise ValueError(f"{path} was not saved by resumable_fit; take another folder")
        return int(archive.comment)


class _Resume(keras.callbacks.Callback):
    """Loads the last whole epoch, and saves each new one."""

    def __init__(self, folder: str | os.PathLike, done: int):
        super().__init__()
        self.path, self.done = Path(folder) / "model.keras", done

    def on_train_begin(self, logs=None):
        if self.done:
            optimizer = self.model.optimizer
            if not optimizer.built:  # its state would have no place to go to
                optimizer.build(self.model.trainable_variables)
            self.model.load_weights(self.path)

    def on_train_batch_end(self, batch, logs=None):
        self.batch = batch

    def on_epoch_end(self, epoch, logs=None):
        if self.batch + 1 < self.params["steps"]:  # another callback has cut the epoch short
            return
        # Aside and renamed: killed meanwhile, a run finds the epoch before, whole.
        aside = self.path.with_name("unfinished.keras")
        self.model.save(aside)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.comment = str(epoch + 1).encode()  # in one file with the model it belongs to
        os.replace(aside, self.path)


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
