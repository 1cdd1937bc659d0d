"""What is refused with a ValueError: what is asked for, and what the message says, one a row."""

import importlib
import io
import os
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from augmentation import AUGMENTATION, Augmentation
from data import check_count, flatten
from handwriting.pad import DrawingPad
from handwriting.page import find_digits, in_mnist_form, load_picture, normalise, read_page
from plotting import (
    animate_chain,
    plot_chain,
    plot_grid,
    plot_page,
    plot_predictions,
    plot_sequence,
)
from preprocessing import Corruption, DigitSequences, digit_windows, follow_windows
from sampling.scans import shrink, undo

LABELS = np.arange(120, dtype=np.uint8) % 10
IMAGES = np.zeros((120, 28, 28), np.uint8)
POINTS = np.random.default_rng(0).standard_normal((120, 3))
CONTEXT, MANY = np.zeros((4, 28, 28)), np.zeros((9_999, 28, 28))
WHITE = np.full((99, 99), 255, np.uint8)
NOISE = np.random.default_rng(0).integers(256, size=(900, 900, 3), dtype=np.uint8)
DOT = [[0.5, 0.5, 0.1]]
HALF = io.BytesIO()  # of a file
Image.fromarray(NOISE).save(HALF, "PNG")
HALF.truncate(1_000_000)


def sequences(*arguments, labels=LABELS, **options):
    return DigitSequences(IMAGES, labels, *arguments, **options)


RANGES = {"shift": "0 to 28", "rotation": "-360 to 360", "zoom": "0.1 to 10", "shear": "-10 to 10"}
RANGES |= {"thickness": "-1 to 1", "blur": "0 to 1", "paper": "0 to 1", "noise": "0 to 1"}


@pytest.mark.parametrize(
    ("ask", "fault"),
    [
        # data
        (lambda: flatten(IMAGES[..., 1:]), "(120, 28, 27); expected (..., 28, 28) or (..., 784)"),
        (lambda: flatten(np.uint8(3)), "images have shape ()"),
        (lambda: flatten(IMAGES * 1j), "images are complex128; expected integers in [0, 255] or f"),
        (lambda: flatten(CONTEXT + 1.001), "from 1.001 to 1.001; expected values in [0, 1]"),
        (lambda: flatten(IMAGES - np.int64(1)), "from -1 to -1; expected values in [0, 255]"),
        (lambda: flatten(CONTEXT * np.nan), "without NaN"),
        (lambda: flatten([IMAGES[0], IMAGES[0, 1:]]), "images differ in shape"),
        *[
            (partial(check_count, n, "n"), f"n is {n!r}; expected an integer of at least 1")
            for n in (0, -1, 2.5, 1.0, np.nan, None, "3", True)
        ],
        # preprocessing
        (lambda: digit_windows(10), "length is 10; expected an integer from 1 to 9"),
        (lambda: digit_windows(10**9, wrap=True), "expected an integer from 1 to 1,000"),
        (lambda: follow_windows(0, 10_001), "steps is 10001; expected an integer from 1 to 10,000"),
        (lambda: follow_windows(digit_windows(), 7), "no context in the windows can be followed"),
        (lambda: follow_windows([[1, 2], [1, 3]], 1), "some context in the windows has two succ"),
        (lambda: follow_windows([1, 2], 1), "windows are int64 (2,); expected integers (m, t + 1)"),
        *[(partial(sequences, seed=bad), "; expected an integer of at") for bad in (-1, 1.5, "a")],
        (lambda: sequences().sample(None), "n is None; expected an integer"),
        (lambda: sequences().draw(0), "n is 0; expected an integer"),
        (lambda: sequences().batches(2.5), "batch_size is 2.5; expected an integer"),
        (lambda: sequences().batches(96, start=-1), "start is -1; expected an integer"),
        (lambda: sequences().batches(96, shard=(3, 3)), "the shard is 3; expected an integer from"),
        (lambda: sequences().batches(96, shard=(-1, 3)), "the shard is -1; expected an integer fr"),
        (lambda: sequences().batches(96, shard=(0, 2)), "expected a multiple of 32 for each of 2"),
        (lambda: sequences().batches(96, shard=(2.0, 3)), "the shard is 2.0; expected an integer"),
        (lambda: sequences().batches(96, shard=3), "the number of shards is 0; expected an int"),
        (lambda: DigitSequences((IMAGES, LABELS), (IMAGES[:9], LABELS[:9])), "*load_mnist()[0]"),
        (lambda: DigitSequences(IMAGES / 255, LABELS), "images are float64 (120, 28, 28); expect"),
        (lambda: sequences(labels=LABELS[1:]), "uint8 (119,); expected integers (120,)"),
        (lambda: sequences(labels=LABELS / 1), "labels are float64"),
        (lambda: sequences(labels=LABELS + 1), "labels range from 1 to 10; expected 0 to 9"),
        (lambda: sequences(labels=LABELS.astype(int) - 1), "labels range from -1 to 8"),
        (lambda: sequences([[0], [1]]), "windows are int64 (2, 1); expected integers (m, t + 1)"),
        (lambda: sequences().with_windows([[9, 10]]), "no image of [10]"),
        (lambda: sequences(np.zeros((0, 5), int)), "windows must hold digits"),
        (lambda: sequences(pairing=LABELS[:2]), "pairing is uint8 (2,); expected integers (120,)"),
        (lambda: sequences(pairing=POINTS[:, 0]), "pairing is float64 (120,); expected integers"),
        (lambda: sequences([[0] * 13], pairing=LABELS * 0), "nobody has images for [0, 0, 0"),
        (lambda: sequences(corruption=0.5), "corruption is 0.5; expected a Corruption"),
        (lambda: sequences(augmentation=0.5), "augmentation is 0.5; expected a function"),
        (lambda: sequences(corruption=Corruption(1, positions=[3, 4])), "corruption's positions"),
        (lambda: Corruption(1, positions=[]), "positions are []; expected integers"),
        (lambda: Corruption(1, positions=2), "positions are 2; expected integers"),
        (lambda: Corruption(1, positions=[True, False]), "positions are [True, False]; expected"),
        (lambda: sequences([[0, 0]], labels=LABELS * 0, corruption=Corruption(1)), "second digit"),
        (lambda: Corruption(1.01), "rate is 1.01; expected a number from 0 to 1"),
        (lambda: Corruption(-0.01), "rate is -0.01; expected a number from 0 to 1"),
        (lambda: Corruption("0.1"), "rate is '0.1'; expected a number from 0 to 1"),
        (lambda: Corruption(1, ["blank", "torn"]), "kinds are ['blank', 'torn']; expected some of"),
        (lambda: Corruption(1, []), "kinds are []; expected some of"),
        (lambda: Corruption(1, {"blank"}), "kinds are {'blank'}; expected some of"),
        (lambda: sequences(augmentation=lambda given, rng: given[:, 1:]).sample(2), "as many"),
        # augmentation
        (lambda: AUGMENTATION(IMAGES[0]), "(28, 28); expected (n, 28, 28) or (n, t, 28, 28)"),
        (lambda: AUGMENTATION(IMAGES[None, None]), "images have shape (1, 1, 120, 28, 28)"),
        (lambda: Augmentation(rate=-0.01), "rate is -0.01; expected a number from 0 to 1"),
        (lambda: Augmentation(rate=1.01), "rate is 1.01; expected a number from 0 to 1"),
        (lambda: Augmentation(change_rate=np.nan), "change_rate is nan; expected a number from 0 "),
        *[
            (partial(Augmentation, **{name: (-999, 0)}), f"a range (low, high) from {limits}")
            for name, limits in RANGES.items()
        ],
        *[
            (partial(Augmentation, shift=bad), f"shift is {bad}; expected a range (low, high) from")
            for bad in ((0, 28.01), (2, 1), (np.nan, 1), (0, np.nan), 4)
        ],
        # handwriting
        (lambda: read_page(WHITE), "no digits found; try more light"),
        (lambda: find_digits(NOISE), " strokes found: this is noise, or print, and no page of dig"),
        (lambda: plot_page(WHITE, []), "page is uint8 (99, 99); expected uint8 (h, w, 3)"),
        (lambda: plot_sequence(CONTEXT, CONTEXT[0], [1, 2]), "got 2 digits and 1 targets; expect"),
        (lambda: plot_sequence(CONTEXT, CONTEXT), "got 5 digits and 4 targets; expected 5 and 1"),
        (lambda: plot_predictions(CONTEXT[None], CONTEXT, CONTEXT), "flattened, are (1, 4, 784),"),
        (lambda: plot_predictions(CONTEXT[None], CONTEXT[None], CONTEXT[:1]), "(1, 4, 784)}; exp"),
        (lambda: plot_predictions(CONTEXT, CONTEXT, CONTEXT), "expected (n, t, 784) and (n, 784)"),
        (lambda: plot_grid(CONTEXT), "flattened, are (4, 784); expected (r, c, 784)"),
        (lambda: plot_grid(CONTEXT[None], rows="ab"), "got 2 titles; expected 1, or none"),
        (lambda: plot_grid(CONTEXT[None], real=[True]), "real is [True]; expected numbers of row"),
        (lambda: plot_grid(CONTEXT[None], real=[-1]), "real is [-1]; expected numbers of rows, 0"),
        (lambda: plot_chain(CONTEXT, CONTEXT, columns=0), "columns is 0; expected an integer"),
        (lambda: plot_chain(CONTEXT[None], CONTEXT), "got (1, 4) images; expected one sequence"),
        (lambda: plot_chain(CONTEXT[:0], CONTEXT[:0]), "got no images"),
        (lambda: plot_chain(CONTEXT, MANY), " inches: too many images for one figure"),
        (lambda: animate_chain(MANY[:97], CONTEXT, "a.gif"), "got 101 images; expected at most 1"),
        (lambda: animate_chain(CONTEXT, CONTEXT, "a.gif", seconds=700), "seconds is 700; expected"),
        (lambda: animate_chain(CONTEXT, CONTEXT, "a.jpg"), "a.jpg: expected a .gif file"),
        (lambda: plot_chain(CONTEXT, CONTEXT, path="folder"), "path is 'folder'; expected a file"),
        (lambda: plot_page(NOISE / 255, []), "page is float64 (900, 900, 3); expected uint8"),
        (lambda: read_page(WHITE, count="3"), "count is '3'; expected an integer"),
        (lambda: normalise(WHITE), "no ink found"),
        (lambda: find_digits(WHITE[0]), "the picture has shape (99,)"),
        (lambda: in_mnist_form(np.full((9, 9), np.nan)), "expected (h, w) of finite numbers"),
        (lambda: load_picture(np.zeros((0, 5))), "the picture has shape (0, 5)"),
        (lambda: load_picture(np.zeros((5, 5, 5))), "the picture has shape (5, 5, 5)"),
        (lambda: load_picture(np.full((5, 5), 2.0)), "images range from 2.0 to 2.0; expected valu"),
        (lambda: load_picture(Image.fromarray(np.int32([[-1]]))), "images range from -1.0"),
        (lambda: load_picture(np.broadcast_to(np.uint8(0), (8_000, 8_000))), "50,000,000 are read"),
        (lambda: load_picture(Image.new("RGB", (0, 9))), "0 x 9 pixels; 1 to 50,000,000 are read"),
        (lambda: load_picture(Image.open(HALF)), "not a picture that can be read: image file is t"),
        (lambda: load_picture(b"no picture"), "the file: not a picture that can be read"),
        (lambda: load_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "cannot ide"),
        (lambda: undo(IMAGES), "image 0 is blank"),
        (lambda: undo(CONTEXT + 2), "float64 images range from 2.0 to 2.0"),
        (lambda: shrink(CONTEXT, [22] * 3), "scans have shape (4, 28, 28), and sizes (3,); expec"),
        (lambda: shrink(CONTEXT, [21, 22, 23, 24]), "integers from 22 to 80, at most h and w"),
        (lambda: shrink(CONTEXT, [22.0] * 4), "and sizes (4,); expected (n, h, w) and (n,) intege"),
        (lambda: shrink(CONTEXT, [29] * 4), "integers from 22 to 80, at most h and w"),
        (lambda: DrawingPad(2, [[DOT]]), "strokes are those of 1 boxes; expected 2"),
        (lambda: DrawingPad(0), "count is 0; expected an integer of at least 1"),
        (lambda: DrawingPad(strokes=[]), "strokes are []; expected a list of strokes for each box"),
        (lambda: DrawingPad(strokes=5), "strokes are 5; expected a list of strokes for each box"),
        (lambda: setattr(DrawingPad(), "strokes", None), "strokes are None; expected a list of"),
        (lambda: DrawingPad(1, ["ab"]), "strokes are ['ab']; expected a list of strokes for each"),
        (lambda: DrawingPad().answer(len), "the function answered 4; expected images by title"),
        (lambda: DrawingPad(3, [[DOT], [], []]).images, "nothing is drawn in box 2, 3"),
        *[
            (partial(DrawingPad, 1, [[DOT, stroke]]), "y, width] from [-1, -1, 0.001] to [2, 2, 1]")
            for stroke in ([], [[]], [[0.5, 0.5]], [[np.nan, 0, 0.1]], [[0, 0, 1e7]], [[0, 0, 0]])
        ],
    ],
)
def test_bad_data_sequences_and_pictures_are_refused(ask, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(fault)):
        ask()


@pytest.fixture(scope="module")
def k():
    """All that needs Keras, which takes seconds to import: the rows above do without."""
    names = "keras.layers", "classifier", "evaluation", "model", "training"
    k = SimpleNamespace()
    for name in (*names, "sampling.realism", "sampling.sampler", "studies.writers"):
        vars(k).update(vars(importlib.import_module(name)))
    k.predictor = k.NextImagePredictor(units=(2, 2))
    k.by_four = k.NextImagePredictor(units=(2, 2))
    k.by_four.compile(steps_per_execution=4)
    k.run = lambda *given, **more: k.resumable_fit(*given, "new", **ONCE | more)
    k.adapt_end = lambda *end: k.adapt(k.keras.Sequential([k.Input((784,)), *end]), CONTEXT[0])
    image = k.Input((784,))
    k.inverted = k.keras.Model(image, 1 - k.Dense(784, "sigmoid")(image))
    k.flat = lambda t: k.keras.Sequential([k.Input((t, 784)), k.GlobalMaxPooling1D()])
    k.sampler = k.NextImageSampler(k.predictor, codes=8, units=2, blocks=1)
    k.sampler.compile("adam")
    k.diverged = k.NextImageSampler(k.predictor, codes=8, units=2, blocks=1)
    k.diverged.set_weights([each * np.nan for each in k.diverged.get_weights()])
    return k


def says(answer):
    """A model that gives this answer, whatever it is asked."""
    return SimpleNamespace(predict=lambda *_, **__: answer, predict_on_batch=lambda _: answer)


def find(k, content):
    Path("model.keras").write_bytes(content)
    k.epochs_done(".")


def predicted(k, digits):
    images = np.random.default_rng(0).integers(256, size=IMAGES.shape, dtype=np.uint8)
    linear = k.LinearModel(images, LABELS, np.arange(120) // 40, components=2)
    return linear.predict(CONTEXT.reshape(1, 4, 784), digits)


UP, BLANK = sequences(), CONTEXT[0]
SHORT = UP.with_windows([[1, 2]])
ONCE = {"epochs": 1, "steps_per_epoch": 1}
FIRST = "call fit_codes, then fit_states, first"


@pytest.mark.parametrize(
    ("ask", "fault"),
    [
        # model and classifier
        (lambda k: k.NextImagePredictor(101), "length is 101; expected an integer from 1 to 100"),
        (lambda k: k.NextImagePredictor(units=(9,)), "units are (9,); expected two widths"),
        (lambda k: k.NextImagePredictor(units=(4, 0)), "a width in units is 0; expected an int"),
        (lambda k: k.NextImagePredictor(units=(10**6, 4)), "an integer from 1 to 2,048"),
        (lambda k: k.make_optimizer("adamax"), "is 'adamax'; expected one of 'sgd', 'rmsprop', 'a"),
        (lambda k: k.make_optimizer(["adam"]), "optimizer is ['adam']; expected one of"),
        (lambda k: k.make_optimizer(steps=0), "steps is 0; expected an integer"),
        (lambda k: k.make_optimizer("adam", 9, 0), "learning_rate is 0; expected a positive"),
        (lambda k: k.make_optimizer("adam", 9, np.inf), "learning_rate is inf; expected a posit"),
        (lambda k: k.make_optimizer("adam", 9, "0.1"), "learning_rate is '0.1'; expected a posit"),
        (lambda k: k.adapt_end(k.Dense(783, "sigmoid")), "expected Dense(784, activation='sigmoid"),
        (lambda k: k.adapt_end(k.Dense(784, "sigmoid", use_bias=False)), "the last layer is <Den"),
        (lambda k: k.adapt_end(k.Dense(784, "tanh")), "the last layer is <Dense"),
        (lambda k: k.adapt(k.inverted, CONTEXT[0]), "the last layer is <Operation name"),
        (lambda k: k.adapt_end(k.Reshape((7, 112))), "the last layer is None"),
        (lambda k: k.adapt(k.predictor, CONTEXT), "mean_target has shape (4, 28, 28); expected"),
        (lambda k: k.adapt(k.keras.Sequential(), BLANK), "the model has no weights yet"),
        (lambda k: k.generate(says(CONTEXT), CONTEXT, 1), "float64 (4, 28, 28); expected (1, 28,"),
        (lambda k: k.generate(says(BLANK[None, ..., None]), CONTEXT, 1), "predicts float64 (1, 28"),
        (lambda k: k.generate(says(BLANK[None] * np.nan), CONTEXT, 1), "28, 28) without NaN"),
        (lambda k: k.generate(says(0), CONTEXT[None, None], 1), "expected (t, 28, 28) or (n, t, 2"),
        (lambda k: k.predictor.predict_next(CONTEXT[1:]), "shape (3, 28, 28); expected (4, 28"),
        (lambda k: k.predictor.predict_next(np.zeros(784)), "images have shape (784,)"),
        (lambda k: k.predictor.predict_next(CONTEXT[None][:0]), "images have shape (0, 4, 28, 28)"),
        (lambda k: k.generate(0, 0, 10**6), "steps is 1000000; expected an integer from 1 to 100,"),
        (lambda k: k.read_digits(CONTEXT * np.nan), "float64 images range from nan"),
        (lambda k: k.classify(CONTEXT[:0]), "shape (0, 28, 28); expected at least one"),
        # evaluation
        (lambda k: k.evaluate(says(BLANK), UP, n=3), "(28, 28); expected (3, 28, 28) without NaN"),
        (lambda k: k.evaluate(k.predictor, SHORT), "reads 4 images; contexts have 1"),
        (lambda k: k.evaluate(says(0), UP, n=0), "n is 0; expected an integer"),
        (lambda k: k.evaluate_chains(says(CONTEXT * np.nan), UP, n=4), "(4, 28, 28) without NaN"),
        (lambda k: k.evaluate_chains(says(0), UP, n=0), "n is 0; expected an integer"),
        (lambda k: k.evaluate_chains(says(0), UP, steps=0), "steps is 0; expected an integer"),
        (lambda k: k.evaluate_chains(says(0), UP, steps=7), "followed for 7 steps"),
        # training
        (lambda k: k.train_predictor(UP, None), "steps is None; expected an integer"),
        (lambda k: k.train_predictor(UP, 1, batch_size=0), "batch_size is 0; expected an integer"),
        (lambda k: k.train_predictor(SHORT, 1, build=lambda _: k.predictor), "reads 4 images; con"),
        (lambda k: k.train_predictor(UP, 1, build=lambda _: None), "build answers None; expected"),
        (lambda k: k.train_predictor(UP, 1, build=k.flat), "(1, 784); expected (1, 28, 28) with"),
        (lambda k: k.train_predictor(UP, 1, seed=1.5), "seed is 1.5; expected an integer of at le"),
        (lambda k: k.train_verifier(UP, 1), "are by strangers; expected sequences with a pairing"),
        (lambda k: k.train_verifier(UP, None), "steps is None; expected an integer"),
        (lambda k: os.mkfifo("model.keras") or k.epochs_done("."), "was not saved by resumable_fi"),
        (lambda k: k.epochs_done(__file__), "test_bad_input.py is a file; expected the folder of"),
        (lambda k: k.run(None, UP, epochs=0), "epochs is 0; expected an integer"),
        (lambda k: k.run(None, UP, steps_per_epoch=0), "steps_per_epoch is 0; expected an integer"),
        (lambda k: k.run(k.predictor, UP, batch_size=0), "batch_size is 0; expected an integer"),
        (lambda k: k.run(k.predictor, UP, validation_data=UP.batches(8)), "expected validation_s"),
        (lambda k: k.run(k.predictor, SHORT), "the model reads 4 images; contexts have 1"),
        (lambda k: k.run(k.by_four, UP), "expected a multiple of the model's steps_per_execution"),
        (lambda k: find(k, b"no archive"), "model.keras was not saved by resumable_fit;"),
        (lambda k: find(k, b"PK\5\6" + bytes(16) + b"\5\0001 2 8"), "model.keras was not saved"),
        # sampling
        (lambda k: k.NextImageSampler(0, 785), "codes is 785; expected an integer from 1 to 784"),
        (lambda k: k.NextImageSampler(k.predictor, units=0), "units is 0; expected an integer"),
        (lambda k: k.NextImageSampler(k.predictor, blocks=0), "blocks is 0; expected an integer"),
        (lambda k: k.NextImageSampler(k.flat(4)), "is no Sequential that ends in Dense and"),
        (lambda k: k.sampler.fit(CONTEXT[None], CONTEXT[:1]), FIRST),
        (lambda k: k.sampler.sample(CONTEXT), FIRST),
        (lambda k: k.sampler.predict(CONTEXT.reshape(1, 4, 784), verbose=0), FIRST),
        (lambda k: k.sampler.train_on_batch(CONTEXT[None], CONTEXT[:1]), FIRST),
        (lambda k: k.sampler.fit_decoder(CONTEXT, (), epochs=1), FIRST),
        (lambda k: k.sampler.compute_loss(sample_weight=1), "got sample weights; all sequences we"),
        (lambda k: k.sampler.fit_codes(CONTEXT), "(4, 28, 28); expected (n, 28, 28), at least 8"),
        (lambda k: k.sampler.fit_states(np.tile(CONTEXT, (8, 1, 1, 1)), IMAGES[:8]), FIRST),
        (lambda k: k.diverged.fit_states(CONTEXT[None], IMAGES), "got 120 targets for 1 contexts"),
        (lambda k: k.diverged.fit_states(CONTEXT[None], IMAGES[:1]), "(1, 28, 28); expected (n, 2"),
        (lambda k: k.sampler.fit_spread(CONTEXT[None], CONTEXT[:1]), FIRST),
        (lambda k: k.diverged.fit_spread(CONTEXT[None], IMAGES), "got 120 targets for 1 contexts"),
        (lambda k: k.diverged.fit_codes(IMAGES), "the sampler has codes already"),
        (lambda k: k.sampler.sample(CONTEXT[1:]), "shape (3, 28, 28); expected (4, 28, 28)"),
        (lambda k: k.sampler.trajectory(CONTEXT - 1), "float64 images range from -1.0 to -1.0"),
        (lambda k: k.sampler.trajectory(CONTEXT, guidance=-1), "guidance is -1; expected a number"),
        (lambda k: k.sampler.sample(CONTEXT, guidance=10.1), "expected a number from 0 to 10"),
        (lambda k: k.sampler.sample(CONTEXT, temperature=2.1), "expected a number from 0 to 2"),
        (lambda k: k.diverged.sample(CONTEXT), "codes are not finite: the sampler's training has"),
        (lambda k: k.sampler.sample(0, 10_001), "n is 10001; expected an integer from 1 to 10,000"),
        (lambda k: k.sampler.generate(CONTEXT, 0), "steps is 0; expected an integer"),
        (lambda k: k.precision_and_recall(POINTS[:3], POINTS), "(n, d) and (m, d) of at least 4"),
        (lambda k: k.precision_and_recall(POINTS, POINTS[:, 1:]), "shapes (120, 3) and (120, 2)"),
        (lambda k: k.frechet_distance(POINTS[:1], POINTS), "(n, d) and (m, d) of at least 2"),
        (lambda k: k.frechet_distance(POINTS, POINTS * np.nan), "expected finite numbers"),
        (lambda k: k.frechet_distance(*[np.zeros((5, 2_049))] * 2), "with d at most 2,048"),
        (lambda k: k.frechet_distance(POINTS[:, :0], POINTS[:, :0]), "shapes (120, 0) and (120, 0"),
        (lambda k: k.frechet_distance(POINTS[0], POINTS), "features have shapes (3,) and (12"),
        (lambda k: k.nearest_training_images(BLANK), "have shape (28, 28); expected (n, 28, 28)"),
        (lambda k: k.LinearModel(IMAGES, LABELS, LABELS, 0), "components is 0; expected an intege"),
        (lambda k: k.LinearModel(IMAGES, LABELS, LABELS * 0), "expected several writers, with sev"),
        (lambda k: k.LinearModel(IMAGES, LABELS, np.arange(120)), "several writers, with several"),
        (lambda k: predicted(k, [[0, 1, 2, 3, -4]]), "shape (1, 4, 784) and digits (1, 5); expect"),
        (lambda k: predicted(k, [[0, 1, 2, 3]]), "shape (1, 4, 784) and digits (1, 4); expect"),
        (lambda k: k.by_strangers(LABELS, LABELS[1:], IMAGES), "got 120 digits and 119 writers fo"),
        (lambda k: k.two_sample_accuracy(IMAGES, IMAGES[1:]), "120 images and 119 real ones; expe"),
        (lambda k: k.two_sample_accuracy(IMAGES[:7], IMAGES[:7]), "7 images and 7 real ones; exp"),
    ],
)
def test_what_models_and_measures_cannot_use_is_refused(k, ask, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(fault)):
        ask(k)
    assert not Path("new").exists()  # nothing is begun
