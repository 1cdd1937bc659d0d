"""How good are the sampler's draws, and what do guidance and the novice buy?

KERAS_BACKEND=jax python -m benchmarks.sampler [--quick]
"""

import numpy as np

import sampler  # noqa: F401  # tells Keras how to load one
from benchmarks import report
from benchmarks.timing import command_line
from data import load_mnist
from evaluation import evaluate_chains, realism
from preprocessing import DigitSequences
from quiet import keras

quick = command_line(__doc__, "a tenth of the sequences").quick
n, draws = (300, 2) if quick else (3_000, 4)
(x_train, y_train), (x_test, y_test) = load_mnist()
test = DigitSequences(x_test, y_test, seed=1)
inputs, _, digits = test.sample(n)
predictor = keras.saving.load_model("models/next_image.keras")
# Real training images of the digits that are to be drawn.
of_digit = [np.flatnonzero(y_train == digit) for digit in range(10)]
rng = np.random.default_rng(0)
real = np.stack([x_train[rng.choice(of_digit[digit], draws)] for digit in digits[:, -1]])
means = np.stack([x_train[own].mean(axis=0) / 255 for own in of_digit])[digits[:, -1]]
rows = []


def row(name, answers, chains=None) -> None:
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
        }
    )
    print(rows[-1], flush=True)


row("real training images", real)
row("mean image of the right digit", means[:, None])
row("predictor", predictor.predict_next(inputs)[:, None], evaluate_chains(predictor, test))
drawer = keras.saving.load_model("models/sampler.keras")
for guidance in (1, 1.4, 1.7, 2):
    chains = evaluate_chains(drawer, test, seed=0) if guidance == 1.7 else None
    drawn = drawer.sample(inputs, draws, guidance=guidance, seed=0)
    row(f"sampler, guidance {guidance}", drawn, chains)
for guidance in (1.4, 1.7):
    drawn = drawer.sample(inputs, draws, guidance=guidance, autoguidance=1, seed=0)
    row(f"without the novice, guidance {guidance}", drawn)

notes = (
    f"Means over {draws} draws for each of {n:,} test sequences. Chains: 1,000, at guidance 1.7. "
    "The sampler is the one in `models/`, which notebooks/sharp.ipynb trains."
)
report.save("sampler", "The sampler beside real and average images", rows, notes, quick)
