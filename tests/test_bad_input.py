"""What is refused with a `ValueError`: what is asked for, and a word of the message, one a row."""

import os
import re
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from augmentation import AUGMENTATION, LIMITS, Augmentation
from classifier import classify
from data import check_count, flatten
from handwriting.pad import DrawingPad
from handwriting.page import find_digits, in_mnist_form, load_picture, read_page
from model import NextImagePredictor, generate, make_optimizer, start_at_mean
from plotting import animate_chain, plot_chain, plot_grid, plot_page, plot_predictions
from preprocessing import Corruption, DigitSequences, digit_windows, follow_windows
from sampling.realism import frechet_distance, precision_and_recall
from sampling.sampler import NextImageSampler, train_sampler
from sampling.scans import shrink, undo
from studies.writers import LinearModel, train_verifier
from training import epochs_done, resumable_fit, train_predictor

LABELS = np.arange(120, dtype=np.uint8) % 10
IMAGES = np.zeros((120, 28, 28), np.uint8)
CONTEXT, MANY = np.zeros((4, 28, 28)), np.zeros((9_999, 28, 28))
BLANK, PAPER = CONTEXT[0], np.full((99, 99), 255, np.uint8)
POINTS = np.random.default_rng(0).standard_normal((120, 3))
DOT = [[0.5, 0.5, 0.1]]
ONCE = {"epochs": 1, "steps_per_epoch": 1}


def sequences(*windows, labels=LABELS, **options):
    return DigitSequences(IMAGES, labels, *windows, **options)


UP = sequences()
DOWN = UP.with_world([[2, 1]])


def says(answer):
    """A model that gives this answer, whatever it is asked."""
    return SimpleNamespace(predict=lambda *_, **__: answer, predict_on_batch=lambda _: answer)


@cache
def predictor(**compiled):
    model = NextImagePredictor(units=(2, 2))
    model.compile(**compiled)
    return model


@cache
def sampler(factor=1):
    model = NextImageSampler(predictor(), codes=8, units=2, blocks=1)
    model.set_weights([factor * weights for weights in model.get_weights()])
    return model


def inverted():
    image = keras.Input((784,))
    return keras.Model(image, 1 - layers.Dense(784, "sigmoid")(image))


def fit(model=None, **options):
    resumable_fit(model or predictor(), UP, "new", **ONCE | options)


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        # counts
        *[(partial(check_count, bad, "n"), "n is") for bad in (0, -1, 2.5, 1.0, None, "3", True)],
        (lambda: digit_windows(0), "length is 0"),
        (lambda: UP.draw(0), "n is 0"),
        (lambda: UP.batches(0), "batch_size is 0"),
        (lambda: UP.dataset(32, 0), "steps is 0"),
        (lambda: DrawingPad(0), "count is 0"),
        (lambda: NextImagePredictor(0), "length is 0"),
        (lambda: generate(says(0), CONTEXT, 0), "steps is 0"),
        (lambda: fit(epochs=0), "epochs is 0"),
        (lambda: fit(steps_per_epoch=0), "steps_per_epoch is 0"),
        (lambda: NextImageSampler(predictor(), 0), "codes is 0"),
        # data
        (lambda: flatten(IMAGES[..., 1:]), "(120, 28, 27)"),
        (lambda: flatten(IMAGES * 1j), "complex128"),
        (lambda: flatten(CONTEXT + 1.001), "[0, 1]"),
        (lambda: flatten(IMAGES - np.int64(1)), "[0, 255]"),
        (lambda: flatten(CONTEXT * np.nan), "NaN"),
        (lambda: flatten([IMAGES[0], IMAGES[0, 1:]]), "differ in shape"),
        # preprocessing
        (lambda: follow_windows(digit_windows(), 7), "followed"),
        (lambda: follow_windows([[1, 2], [1, 3]], 1), "two successors"),
        (lambda: follow_windows([1, 2], 1), "windows are"),
        (lambda: sequences([[9, 10]]), "no image of [10]"),
        (lambda: sequences(seed=-1), "seed"),
        (lambda: UP.batches(96, shard=(3, 3)), "the shard"),
        (lambda: UP.batches(96, shard=(0, 2)), "multiple of 32"),
        (lambda: DigitSequences((IMAGES, LABELS), (IMAGES[:9], LABELS[:9])), "*load_mnist()[0]"),
        (lambda: DigitSequences(IMAGES / 255, LABELS), "uint8"),
        (lambda: sequences(labels=LABELS[1:]), "labels are"),
        (lambda: sequences(labels=LABELS + 1), "0 to 9"),
        (lambda: sequences(writers=LABELS[1:]), "writers are"),
        (lambda: sequences([[0] * 13], writers=LABELS * 0), "nobody"),
        (lambda: sequences(corruption=Corruption(1, positions=[3, 4])), "positions"),
        (lambda: sequences([[0, 0]], labels=LABELS * 0, corruption=Corruption(1)), "second digit"),
        (lambda: sequences(augmentation=lambda given, rng: given[:, 1:]).sample(2), "as many"),
        (lambda: Corruption(1, ["blank", "torn"]), "kinds"),
        (lambda: Corruption(1, {"blank"}), "kinds"),  # a set: in no order
        (lambda: Corruption("0.1"), "rate"),
        # augmentation
        (lambda: AUGMENTATION(IMAGES[0]), "(28, 28)"),
        (lambda: Augmentation(change_rate=np.nan), "change_rate"),
        *[(partial(Augmentation, **{name: (0, 999)}), name) for name in LIMITS],
        (lambda: Augmentation(shift=(2, 1)), "shift"),
        # plotting
        (lambda: plot_page(PAPER, []), "uint8 (h, w, 3)"),
        (lambda: plot_predictions(CONTEXT[None], CONTEXT[None], CONTEXT[:1]), "(1, 4, 784)"),
        (lambda: plot_grid(CONTEXT[None], rows="ab"), "titles"),
        (lambda: plot_grid(CONTEXT[None], real=[True]), "real"),
        (lambda: plot_chain(CONTEXT[None], CONTEXT), "one sequence"),
        (lambda: plot_chain(CONTEXT[:0], CONTEXT[:0]), "no images"),
        (lambda: plot_chain(CONTEXT, MANY), "too many"),
        (lambda: plot_chain(CONTEXT, CONTEXT, path="folder"), "path"),
        (lambda: animate_chain(MANY[:97], CONTEXT, "a.gif"), "101 images"),
        # handwriting
        (lambda: read_page(PAPER), "no digits"),
        (lambda: find_digits(PAPER[0]), "(h, w)"),
        (lambda: in_mnist_form(np.full((9, 9), np.nan)), "finite"),
        (lambda: load_picture(np.broadcast_to(np.uint8(0), (8_000, 8_000))), "50,000,000"),
        (lambda: load_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "can be read"),
        (lambda: DrawingPad(2, [[DOT]]), "expected 2"),
        (lambda: DrawingPad().answer(len), "by title"),
        (lambda: DrawingPad(3, [[DOT], [], []]).images, "box 2, 3"),
        # models
        (lambda: NextImagePredictor(units=(9,)), "two widths"),
        (lambda: make_optimizer("adamax"), "'rmsprop'"),
        (lambda: make_optimizer("adam", 9, 0), "learning_rate"),
        (lambda: start_at_mean(inverted(), BLANK), "last layer"),
        (lambda: start_at_mean(predictor(), CONTEXT), "mean_target"),
        (lambda: start_at_mean(keras.Sequential(), BLANK), "no weights"),
        (lambda: generate(says(CONTEXT), CONTEXT, 1), "(1, 28, 28)"),
        (lambda: generate(says(BLANK[None] * np.nan), CONTEXT, 1), "NaN"),
        (lambda: generate(says(0), CONTEXT[None, None], 1), "(n, t, 28, 28)"),
        (lambda: predictor().predict_next(CONTEXT[1:]), "(4, 28, 28)"),
        (lambda: classify(CONTEXT[:0]), "at least one"),
        # training
        (lambda: train_predictor(UP, 1, build=lambda _: None), "build"),
        (lambda: train_predictor(DOWN, 1, build=lambda _: predictor()), "reads 4 images"),
        (lambda: fit(validation_data=UP.batches(8)), "validation_steps"),
        (lambda: fit(predictor(steps_per_execution=4)), "multiple"),
        (lambda: Path("model.keras").touch() or epochs_done("."), "not saved by"),
        (lambda: os.mkfifo("model.keras") or epochs_done("."), "not saved by"),
        (lambda: epochs_done(__file__), "is a file"),
        # sampling
        (lambda: NextImageSampler(inverted()), "Sequential"),
        (lambda: train_sampler(predictor(), UP, epochs=0), "epochs is 0"),
        (lambda: train_sampler(predictor(), DOWN), "reads 4 images"),
        (lambda: sampler().trajectory(CONTEXT, guidance=-1), "guidance"),
        (lambda: sampler(np.nan).sample(CONTEXT), "diverged"),
        (lambda: undo(IMAGES), "blank"),
        (lambda: shrink(CONTEXT, [29] * 4), "at most h and w"),
        (lambda: precision_and_recall(POINTS[:3], POINTS), "at least 4"),
        (lambda: frechet_distance(POINTS, POINTS * np.nan), "finite"),
        # studies
        (lambda: train_verifier(UP, 1), "strangers"),
        (lambda: LinearModel(IMAGES, LABELS, LABELS * 0), "several writers"),
    ],
)
def test_is_refused_before_anything_is_begun(ask, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(word)):
        ask()
    assert not Path("new").exists()
