"""How good is the sampler, and what does each of its parts buy?

KERAS_BACKEND=jax python -m benchmarks.sampler [--quick]
"""

import time

import numpy as np

from benchmarks import report
from benchmarks.timing import command_line
from data import load_mnist
from evaluation import evaluate_chains, realism
from model import make_optimizer
from preprocessing import DigitSequences
from quiet import keras
from sampler import NextImageSampler

quick = command_line(__doc__, "fifty steps of training, a tenth of the sequences").quick
steps, n, draws = (50, 300, 2) if quick else (13_000, 3_000, 4)
(x_train, y_train), (x_test, y_test) = load_mnist()
train, test = DigitSequences(x_train, y_train, seed=0), DigitSequences(x_test, y_test, seed=1)
inputs, _, digits = test.sample(n)
predictor = keras.saving.load_model("models/next_image.keras")
# Real training images of the digits that are to be drawn.
of_digit = [np.flatnonzero(y_train == digit) for digit in range(10)]
rng = np.random.default_rng(0)
real = np.stack([x_train[rng.choice(of_digit[digit], draws)] for digit in digits[:, -1]])
means = np.stack([x_train[own].mean(axis=0) / 255 for own in of_digit])[digits[:, -1]]
rows = []


def row(name, answers, chains=None, training="") -> None:
    scores = realism(answers, test)
    rows.append(
        {
            "answers": name,
            "Fréchet distance": f"{scores['frechet']:.2f}",
            "right digits": f"{scores['right']:.2%}",
            "diversity": f"{scores['diversity']:.2f}",
            "sharpness": f"{scores['sharpness']:.2f}",
            "nearest": f"{scores['nearest']:.2f}, ratio {scores['nearest_ratio']:.2f}",
            "worst step of six": f"{chains['steps'].min():.1%}" if chains else "",
            "training, seconds": training,
        }
    )
    print(rows[-1], flush=True)


row("real training images", real)
row("mean image of the right digit", means[:, None])
row("predictor", predictor.predict_next(inputs)[:, None], evaluate_chains(predictor, test))
default = keras.saving.load_model("models/sampler.keras")
for guidance in (1, 1.4, 1.7, 2):
    chains = evaluate_chains(default, test, seed=0) if guidance == 1.7 else None
    drawn = default.sample(inputs, draws, guidance=guidance, seed=0)
    row(f"default, guidance {guidance}", drawn, chains)
for guidance in (1.4, 1.7):
    drawn = default.sample(inputs, draws, guidance=guidance, autoguidance=1, seed=0)
    row(f"without the novice, guidance {guidance}", drawn)
for variant, (codes, blocks, whitening) in {
    "64 codes, three blocks": (64, 3, 0.5),
    "codes not whitened": (128, 6, 0),
}.items():
    keras.utils.set_random_seed(0)
    sampler = NextImageSampler(predictor, codes=codes, blocks=blocks)
    sampler.adapt(*train.sample(30_000)[:2], whitening)
    sampler.compile(make_optimizer("adam", steps=steps))
    start = time.perf_counter()
    sampler.fit(train.batches(128), steps_per_epoch=steps, shuffle=False, verbose=0)
    training = f"{time.perf_counter() - start:.0f}"
    drawn = sampler.sample(inputs, draws, guidance=1.7, seed=0)
    row(f"{variant}, guidance 1.7", drawn, evaluate_chains(sampler, test, seed=0), training)

notes = (
    f"Means over {draws} draws for each of {n:,} test sequences. Chains: 1,000, at guidance 1.7. "
    "The default sampler is the one in `models/`, which notebooks/sharp.ipynb trains; the other "
    f"two are trained here, as long: {steps:,} batches of 128."
)
report.save("sampler", "The sampler beside real and average images", rows, notes, quick)
