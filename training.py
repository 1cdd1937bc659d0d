"""Training: the whole recipe in one call, and runs that go on after an interruption.

A run that was stopped or killed needs the model and its optimizer as they were
after the last whole epoch. The data need no backup: batch 1,000 of a stream is
the same whenever it is asked for.
"""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from data import PIXELS, check_count
from model import (
    NextImagePredictor,
    check_length,
    check_predictions,
    make_optimizer,
    start_at_mean,
)
from preprocessing import DigitSequences


def train_predictor(
    sequences: DigitSequences,
    steps: int,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    batch_size: int = 256,
    seed: int = 0,
    build: Callable[[int], keras.Model] = NextImagePredictor,
) -> keras.Model:
    """Trains a new predictor as `main.ipynb` does. Sets Keras' global seeds.

    Args:
        sequences: What to train on.
        steps: Batches to train on, over which the learning rate falls to zero.
        optimizer: A name, as for `make_optimizer`, or an optimizer, which
            keeps its own learning rate.
        batch_size: Sequences in a batch.
        seed: Of the weights; the sequences have their own.
        build: Makes the network, given the number of images in a context. Any
            Keras model will do that ends as `start_at_mean` asks and answers as
            targets are: `(n, 28, 28)`, or `(n, t, 28, 28)` after each image.

    Returns:
        The predictor.

    Raises:
        ValueError: `steps` is not an integer of at least 1; `build` makes no
            network, or one for another length or shape; or as for `make_optimizer`,
            `start_at_mean` or `DigitSequences.dataset`.

    Example:

    >>> model = train_predictor(train, steps=1_200)
    """
    steps = check_count(steps, "steps")
    data = sequences.dataset(batch_size, steps)
    keras.utils.set_random_seed(check_count(seed, "seed", least=0))
    model = build(sequences.length)
    if not isinstance(model, keras.Model):
        raise ValueError(f"build answers {model!r:.40}; expected a Keras model")
    check_length(model, sequences.length)
    # A subclass of `keras.Model` has no weights until it is called.
    prediction = model(np.zeros((1, sequences.length, PIXELS), "float32"))
    check_predictions(keras.ops.convert_to_numpy(prediction), sequences.sample(1)[1].shape)
    start_at_mean(model, sequences.mean_target())
    model.compile(
        make_optimizer(optimizer, steps) if isinstance(optimizer, str) else optimizer,
        loss="mse",
        loss_weights=float(PIXELS),  # summed over pixels
        jit_compile=keras.backend.backend() != "torch",  # not tried there
    )
    model.fit(data, shuffle=False, verbose=0)  # the batches are random already
    return model


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
    """Trains on a stream of batches; called again, goes on after the last whole epoch.

    A run that was interrupted ends with the same weights as one that was not,
    where the backend computes the same bits twice. (TensorFlow does after
    `tf.config.experimental.enable_op_determinism()`, which needs
    `jit_compile=False` in `compile`.) To train anew, take another folder.

    Args:
        model: A compiled model, a predictor or sampler, in the state in which
            training starts. A run that goes on has the learning rate that was
            saved, unless it follows a schedule.
        sequences: What to train on, the same in every call, with a `seed`:
            without one, every call draws others.
        folder: Where to keep `model.keras`, the model after the last whole
            epoch; made if it isn't there. Each process needs its own: while
            one saves, there is `unfinished.keras`, too.
        epochs: Epochs in all, those before an interruption included. If they
            are done, the model is only loaded.
        steps_per_epoch: Batches in an epoch, the same in every call.
        batch_size: Sequences in a batch, the same in every call.
        shard: As for `DigitSequences.batches`.
        callbacks: More callbacks, which run after the model is saved. What they
            remember is not kept: a run that `EarlyStopping` ended goes on.
        **kwargs: As for `keras.Model.fit`, such as
            `validation_data=validation.sample(1_000)`.

    Returns:
        The history of the epochs that this call has trained.

    Raises:
        ValueError: A number of epochs or steps that is not an integer of at
            least 1, or steps that the model's `steps_per_execution` does not
            divide; contexts that the model cannot read; as for
            `DigitSequences.batches`; or `folder` has a `model.keras` that this
            function did not save, or saved for another network or optimizer, or
            with other epochs or batches.

    Example:

    >>> history = resumable_fit(model, train, "runs/adam", epochs=12, steps_per_epoch=100)
    """
    epochs = check_count(epochs, "epochs")
    steps_per_epoch = check_count(steps_per_epoch, "steps_per_epoch")
    if steps_per_epoch % (model.steps_per_execution or 1):  # Keras would take more batches
        raise ValueError(
            f"steps_per_epoch is {steps_per_epoch}; expected a multiple of the model's "
            f"steps_per_execution, {model.steps_per_execution}"
        )
    if isinstance(kwargs.get("validation_data"), Iterator) and not kwargs.get("validation_steps"):
        raise ValueError("validation_data is a stream; expected validation_steps, or it never ends")
    check_length(model, sequences.length)
    if not model.built:  # a subclass of `keras.Model` has no weights until it is called
        model(np.zeros((1, sequences.length, PIXELS), "float32"))
    done, *sizes = _saved(folder)
    if done and sizes != [steps_per_epoch, batch_size]:
        raise ValueError(
            f"{folder} has epochs of {sizes[0]} batches of {sizes[1]} sequences, "
            f"not {steps_per_epoch} of {batch_size}; take another folder"
        )
    data = sequences.dataset(batch_size, steps_per_epoch, start=done * steps_per_epoch, shard=shard)
    Path(folder).mkdir(parents=True, exist_ok=True)
    return model.fit(
        data,
        epochs=epochs,
        initial_epoch=done,
        shuffle=False,
        callbacks=[_Checkpoint(Path(folder), done, batch_size, sequences.seed), *(callbacks or [])],
        **kwargs,
    )


def epochs_done(folder: str | os.PathLike) -> int:
    """How many epochs `resumable_fit` has finished in a folder; 0 if it has not been there.

    Args:
        folder: As for `resumable_fit`.

    Returns:
        The number of whole epochs.

    Raises:
        ValueError: It is a file, or has a `model.keras` that `resumable_fit`
            did not save.

    Example:

    >>> epochs_done("runs/adam")
    12
    """
    return _saved(folder)[0]


def _saved(folder: str | os.PathLike) -> list[int]:
    """Epochs done and, if there are any, batches in each, and sequences in a batch."""
    path = Path(folder) / "model.keras"
    if Path(folder).is_file():
        raise ValueError(f"{folder} is a file; expected the folder of a run")
    if not path.exists():
        return [0]
    try:
        if not path.is_file():  # a pipe would wait
            raise ValueError
        with zipfile.ZipFile(path) as archive:
            archive.getinfo("model.weights.h5")
            done, steps, size = archive.comment.split()
            return [int(done), int(steps), int(size)]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} was not saved by resumable_fit; take another folder") from error


class _Checkpoint(keras.callbacks.Callback):
    """Loads the last whole epoch and saves each new one.

    `keras.callbacks.BackupAndRestore` keeps weights and epoch in two files, and a run that is
    killed between the two comes back with one epoch's weights under another's number.
    """

    def __init__(self, folder: Path, done: int, batch_size: int, seed: int):
        super().__init__()
        self.path, self.unfinished = folder / "model.keras", folder / "unfinished.keras"
        self.done, self.batch_size, self.seed = done, batch_size, seed
        self.unfinished.touch()  # a folder that can't be written to is found out before training
        self.unfinished.unlink()

    def on_train_begin(self, logs=None):
        if self.done:
            optimizer = self.model.optimizer
            if not optimizer.built:  # its state would have no place to go to
                optimizer.build(self.model.trainable_variables)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", UserWarning)  # another optimizer
                    self.model.load_weights(self.path)
            except (ValueError, UserWarning, zipfile.BadZipFile) as error:
                raise ValueError(
                    f"{self.path} is damaged, or of another network or optimizer; "
                    "take another folder"
                ) from error

    def on_epoch_begin(self, epoch, logs=None):
        # Keras saves no random state, such as that of a sampler's noise: each epoch has its own.
        for number, variable in enumerate(self.model.non_trainable_variables):
            if variable.name == "seed_generator_state":
                seeds = np.random.SeedSequence(self.seed, spawn_key=(epoch, number))
                variable.assign(seeds.generate_state(2))

    def on_train_batch_end(self, batch, logs=None):
        self.batch = batch

    def on_epoch_end(self, epoch, logs=None):
        if self.batch + 1 < self.params["steps"]:  # another callback has cut the epoch short
            return
        # Saved under another name and renamed: a run that is killed while it saves leaves the
        # epoch before as it was.
        self.model.save(self.unfinished)
        with zipfile.ZipFile(self.unfinished, "a") as archive:
            # In one file with the model it belongs to.
            archive.comment = f"{epoch + 1} {self.params['steps']} {self.batch_size}".encode()
        os.replace(self.unfinished, self.path)
