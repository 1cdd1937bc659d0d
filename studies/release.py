"""Writes what ships: models/, executed notebooks, and their pictures in imgs/.

`python -m studies.demo` then writes demo.html, from models/.

python -m studies.release                        # everything, in two to three hours
python -m studies.release sampler                # models/sampler.keras, studies/sampler.ipynb
python -m studies.release models/sampler.keras   # one of them

Each file is written once all the work for it is done: an interruption leaves it as it was.
"""

import argparse
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
from classifier import train_classifier
from data import load_mnist
from model import load
from preprocessing import Corruption, DigitSequences, digit_windows
from sampling.sampler import train_sampler
from studies.report import ROOT, in_processes
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
        shown = ROOT / "imgs" / made.name  # what no page shows stays where it was made
        if shown.exists() and made.stat().st_mtime >= start:
            shutil.copy(made, shown)
    shutil.copy(folder / path.name, path)


def other_digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Digits and labels for the classifier to learn from: Semeion's, and those of UNIPEN's writers
    of even numbers. Then those of its other writers, for a test."""
    images, labels, _ = load_other_digits("semeion")
    more, their_labels, writers = load_other_digits("unipen")
    even = writers % 2 == 0
    seen = np.concatenate([images, more[even]]), np.concatenate([labels, their_labels[even]])
    return seen, (more[~even], their_labels[~even])


def predictor(**changes) -> keras.Model:
    changes |= {"corruption": Corruption(0.3), "augmentation": AUGMENTATION, "seed": 0}
    return train_predictor(DigitSequences(*load_mnist()[0], **changes), steps=3_000)


def sampler() -> keras.Model:
    return train_sampler(load("next_image"), DigitSequences(*load_mnist()[0], seed=0))


def writer_sampler() -> keras.Model:
    images, labels, writers = by_writers()
    sequences = [
        DigitSequences(images, labels, digit_windows(length, wrap=True), writers=writers, seed=0)
        for length in (4, 9, 19)
    ]
    return train_sampler(load("writer"), sequences, epochs=20, start=load("sampler"))


MODELS = {  # how to train it, on which backend, and the bits of its weights
    "digit_classifier": (
        lambda: train_classifier(*load_mnist()[0], others=other_digits()[0]),
        "tensorflow",
        10,
    ),
    "next_image": (predictor, "tensorflow", 10),
    "endless": (lambda: predictor(world=digit_windows(wrap=True)), "tensorflow", 10),
    "writer": (lambda: train_on_writers(*by_writers()), "jax", 10),
    "sampler": (sampler, "jax", 7),
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
