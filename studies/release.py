"""Writes what ships: models/, executed notebooks, and their pictures in imgs/.

`python -m studies.demo` then writes demo.html, from models/.

python -m studies.release                        # everything, in two to three hours
python -m studies.release sampler                # models/sampler.keras, studies/sampler.ipynb
python -m studies.release models/sampler.keras   # one of them

Each file is written once all the work for it is done: an interruption leaves it as it was.
"""

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import keras
import nbformat
import numpy as np
import papermill

from augmentation import AUGMENTATION
from data import SIDE, load_mnist
from model import make_optimizer
from preprocessing import Corruption, DigitSequences, digit_windows
from sampling.sampler import NextImageSampler
from sampling.scans import undo
from studies.report import CORES, ROOT, in_processes
from studies.writers import by_writers, load_other_digits, train_on_writers
from training import train_predictor

CHATTER = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|I\d{4} "  # glog's level INFO
    r"|To enable the following instructions"
    r"|E\d{4} .*failed call to cuInit"  # a machine without a GPU, which is no error
    # The traces of all models are counted as one function's.
    r"|WARNING:tensorflow:\d+ out of the last \d+ calls to .*TensorFlowTrainer\.make"
)


def without_chatter(text: str) -> str:
    """What a cell wrote, without TensorFlow's harmless messages."""
    return "".join(line for line in text.splitlines(keepends=True) if not CHATTER.match(line))


def execute(path: Path, written: Path, parameters: dict | None = None) -> None:
    """Executes a notebook in its own folder, with other parameters if given, and writes another,
    without what differs in the next run and is no result."""
    # Of progress bars, which Keras redraws thousands of times, it keeps what a reader sees.
    options = {"cwd": path.parent, "coalesce_streams": True}
    notebook = papermill.execute_notebook(path, written, parameters=parameters, **options)
    for part in (notebook, *notebook.cells):
        for name in ("papermill", "execution", "widgets"):  # a slider needs its kernel
            part.metadata.pop(name, None)
        for output in list(part.get("outputs", ())):
            if output.output_type == "stream":
                output.text = without_chatter(output.text)
            widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
            if widget or not output.get("text", "said"):
                part.outputs.remove(output)
    nbformat.write(notebook, written)


def release_notebook(path: Path) -> None:
    start, folder = time.time(), ROOT / "runs" / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    execute(path, folder / path.name)
    for made in folder.iterdir():
        if made.suffix in (".png", ".gif") and made.stat().st_mtime >= start:
            shutil.copy(made, ROOT / "imgs")
    shutil.copy(folder / path.name, path)


def other_digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Digits and labels for the classifier to learn from: Semeion's, and those of UNIPEN's writers
    of even numbers. Then those of its other writers, for a test."""
    images, labels, _ = load_other_digits("semeion")
    more, their_labels, writers = load_other_digits("unipen")
    even = writers % 2 == 0
    seen = np.concatenate([images, more[even]]), np.concatenate([labels, their_labels[even]])
    return seen, (more[~even], their_labels[~even])


def train_classifier(
    images: np.ndarray, labels: np.ndarray, others: tuple[np.ndarray, np.ndarray], epochs: int = 15
) -> keras.Model:
    """Trains a small convolutional network on images, on averages of images of one digit (one that
    knows sharp digits only may read every average as a 1), and on others with their labels."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    classifier = keras.Sequential(
        [
            keras.Input((SIDE, SIDE)),
            layers.Reshape((SIDE, SIDE, 1)),
            layers.Conv2D(24, 5, use_bias=False),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(48, 5, use_bias=False),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(64, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax", use_bias=False),
        ],
        name="digit_classifier",
    )

    size = 128
    steps = len(images) // size
    rng = np.random.default_rng(0)
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]

    def batches():
        for _ in range(epochs):
            for chosen in rng.permutation(len(images))[: steps * size].reshape(steps, -1):
                batch, digits = images[chosen] / np.float32(255), labels[chosen]
                count = 2 ** rng.integers(1, 6)
                for i, digit in enumerate(digits[: size // 4]):
                    batch[i] = images[rng.choice(of_digit[digit], count)].mean(axis=0) / 255
                some = rng.integers(len(others[0]), size=size // 4)
                batch[-len(some) :] = others[0][some] / np.float32(255)
                digits[-len(some) :] = others[1][some]
                yield batch, digits

    optimizer = make_optimizer("adam", epochs * steps, learning_rate=3e-3)
    classifier.compile(optimizer, "sparse_categorical_crossentropy")
    classifier.fit(batches(), steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=2)
    return classifier


def predictor(**changes) -> keras.Model:
    changes |= {"corruption": Corruption(0.3), "augmentation": AUGMENTATION, "seed": 0}
    return train_predictor(DigitSequences(*load_mnist()[0], **changes), steps=3_000)


def sampler(
    reader: str, sequences: list[DigitSequences], epochs: int, start: str = ""
) -> keras.Model:
    def load(name: str) -> keras.Model:
        return keras.saving.load_model(ROOT / "models" / f"{name}.keras")

    keras.utils.set_random_seed(0)
    model = NextImageSampler(load(reader))
    if start:  # goes on from another one, whose decoder is ready, with states as wide
        for part in ("projection", "velocity", "decoder"):
            getattr(model, part).set_weights(getattr(load(start), part).get_weights())
    else:
        model.fit_codes(sequences[0].sample(30_000)[1])
        images = load_mnist()[0][0][:30_000]  # all would be undone in a quarter of an hour
        parts = in_processes(undo, np.array_split(images, 60), at_once=len(CORES))
        scans = [np.concatenate(part) for part in zip(*parts, strict=True)]
        model.fit_decoder(images, tuple(scans), epochs=8)
    parts = [each.sample(30_000 // len(sequences))[:2] for each in sequences]
    parts = [(model.encoder.predict(inputs, verbose=0), targets) for inputs, targets in parts]
    model.fit_states(*map(np.concatenate, zip(*parts, strict=True)))
    # The encoder does not change: it reads each sequence once, before the first epoch.
    streams = itertools.cycle([each.batches(1_000) for each in sequences])
    batches = (next(next(streams)) for _ in range(240))
    parts = [(model.predict_on_batch(inputs), targets) for inputs, targets in batches]
    states, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    model.compile(make_optimizer("adam", epochs * len(states) // 500, learning_rate=0.001))
    model.fit(states, targets, batch_size=500, epochs=epochs, verbose=2)
    model.fit_spread(*sequences[0].sample(15_000)[:2])
    return model


def writer_sampler() -> keras.Model:
    images, labels, writers = by_writers()
    sequences = [
        DigitSequences(images, labels, digit_windows(length, wrap=True), pairing=writers, seed=0)
        for length in (4, 9, 19)
    ]
    return sampler("writer", sequences, epochs=20, start="sampler")


MODELS = {  # how to train it, on which backend, and the bits of its weights
    "digit_classifier": (
        lambda: train_classifier(*load_mnist()[0], others=other_digits()[0]),
        "tensorflow",
        10,
    ),
    "next_image": (predictor, "tensorflow", 10),
    "endless": (lambda: predictor(windows=digit_windows(wrap=True)), "tensorflow", 10),
    "writer": (lambda: train_on_writers(*by_writers()), "jax", 10),
    "sampler": (
        lambda: sampler("next_image", [DigitSequences(*load_mnist()[0], seed=0)], 120),
        "jax",
        7,
    ),
    "writer_sampler": (writer_sampler, "jax", 7),
}


def rounded(model: keras.Model, bits: int) -> keras.Model:
    """A copy without the optimizer's state, its weights rounded, which compresses better.

    10 binary digits after the first are as precise as `float16`, 7 as `bfloat16`.
    """
    copy, weights = type(model).from_config(model.get_config()), []
    for values in model.get_weights():
        parts, exponents = np.frexp(values)  # 0.5 to 1, and powers of two
        parts = np.round(parts * 2 ** (bits + 1)) / 2 ** (bits + 1)
        weights.append(np.ldexp(parts, exponents).astype(values.dtype))
    copy.set_weights(weights)
    return copy


def compress(model: Path, written: Path) -> None:
    """Writes a model's file again, which is a ZIP file that Keras does not compress. (Of weights,
    the widespread DEFLATE leaves a third more.)"""
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(written, "w") as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name), zipfile.ZIP_BZIP2)


def release_model(path: Path) -> None:
    train, _, bits = MODELS[path.stem]
    model = rounded(train(), bits)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, path.name))
        written = path.with_name("unfinished.keras")
        compress(Path(folder, path.name), written)
        os.replace(written, path)


def main(arguments: list[str] | None = None) -> None:
    files = [f"models/{name}.keras" for name in MODELS]  # first what others need
    notebooks = sorted(f"studies/{path.name}" for path in ROOT.glob("studies/*.ipynb"))
    files += ["main.ipynb", *notebooks, "imgs/pad.png"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(files)}, or their stems")
    names = parser.parse_args(arguments).names
    if unknown := set(names) - {name for file in files for name in (file, Path(file).stem)}:
        parser.error(f"no {', '.join(unknown)}; there are {', '.join(files)}")
    for path in (ROOT / file for file in files if {file, Path(file).stem} & set(names or files)):
        if path.suffix == ".keras":
            in_processes(release_model, [path], KERAS_BACKEND=MODELS[path.stem][1])
        elif path.suffix == ".ipynb":
            release_notebook(path)
        else:  # a test draws on the pad, in a browser
            test = [sys.executable, "-m", "pytest", "tests/test_browser.py", "-k", "notebook"]
            subprocess.run(test, cwd=ROOT, env={**os.environ, "PAD_PICTURE": str(path)}, check=True)
        print(f"Wrote {path.relative_to(ROOT)}.", flush=True)


if __name__ == "__main__":
    main()
