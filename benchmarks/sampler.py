"""How good is the sampler, and what does each of its parts buy?

KERAS_BACKEND=jax python -m benchmarks.sampler [--quick]
"""

import argparse
import time
from unittest.mock import patch

import numpy as np

from benchmarks import report
from data import load_mnist
from evaluation import evaluate_chains, realism
from model import make_optimizer
from preprocessing import DigitSequences
from quiet import keras
from sampler import NextImageSampler

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="train for fifty steps")
arguments = parser.parse_args()
steps, n, draws = (50, 300, 2) if arguments.quick else (13_000, 3_000, 4)
guidances = (1, 1.4, 1.7, 2)

(x_train, y_train), (x_test, y_test) = load_mnist()
train, test = DigitSequences(x_train, y_train, seed=0), DigitSequences(x_test, y_test, seed=1)
inputs, _, digits = test.sample(n)
predictor = keras.saving.load_model("models/next_image.keras")
# Real training images of the digits that are to be drawn.
of_digit = [np.flatnonzero(y_train == digit) for digit in range(10)]
rng = np.random.default_rng(0)
real = np.stack([x_train[rng.choice(of_digit[digit], draws)] for digit in digits[:, -1]])
means = np.stack([x_train[own].mean(axis=0) / 255 for own in of_digit])[digits[:, -1]]
soft = predictor.predict(inputs, batch_size=1_000, verbose=0)


def row(name: str, answers, training="", drawing="", chains="") -> dict:
    scores = realism(answers, test)
    return {
        "answers": name,
        "Fréchet distance": f"{scores['frechet']:.3f}",
        "right digits": f"{scores['right']:.2%}",
        "diversity": f"{scores['diversity']:.3f}",
        "sharpness": f"{scores['sharpness']:.3f}",
        "nearest": f"{scores['nearest']:.2f}, {scores['nearest_ratio']:.3f}",
        "worst step of six": chains,
        "training": training,
        "1,000 samples": drawing,
    }


rows = [
    row("real training images", real),
    row("mean image", means[:, None]),
    row(
        "predictor",
        soft[:, None],
        chains=f"{evaluate_chains(predictor, test)['steps'].min():.1%}",
    ),
]
variants = {
    "default": (128, 6, 0.5),
    "64 codes, three blocks": (64, 3, 0.5),
    "codes not whitened": (128, 6, 0),
}
for variant, (codes, blocks, whitening) in variants.items():
    keras.utils.set_random_seed(0)
    sampler = NextImageSampler(predictor, codes=codes, blocks=blocks)
    sampler.adapt(*train.sample(30_000)[:2], whitening)
    sampler.compile(make_optimizer("adam", steps=steps))
    start = time.perf_counter()
    sampler.fit(train.batches(128), steps_per_epoch=steps, shuffle=False, verbose=0)
    training = f"{time.perf_counter() - start:.0f} s"
    sampler.sample(inputs[:1_000])  # compiles
    start = time.perf_counter()
    sampler.sample(inputs[:1_000])
    drawing = f"{time.perf_counter() - start:.1f} s"
    worst = evaluate_chains(sampler, test, seed=0)["steps"].min()
    for guidance in guidances:
        drawn = sampler.sample(inputs, draws, guidance=guidance, seed=0)
        chains = f"{worst:.1%}" if guidance == 1.7 else ""
        rows.append(row(f"{variant}, guidance {guidance}", drawn, training, drawing, chains))
    if variant != "default":
        continue
    with patch("sampler.AUTOGUIDANCE", 1):  # read when the copy is compiled
        alone = NextImageSampler.from_config(sampler.get_config())
        alone.set_weights(sampler.get_weights())
        for guidance in guidances:
            drawn = alone.sample(inputs, draws, guidance=guidance, seed=0)
            rows.append(row(f"without the novice, guidance {guidance}", drawn))

notes = (
    f"Means over {draws} draws for each of {n:,} test sequences. Chains: 1,000, at the default "
    "guidance."
)
report.save("sampler", "The sampler beside real and average images", rows, notes, arguments.quick)
