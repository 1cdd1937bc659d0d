"""Trains one predictor and measures everything about it, for the benchmarks beside this file."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from data import load_mnist
from evaluation import evaluate, evaluate_chains
from model import NextImagePredictor, make_optimizer
from preprocessing import Damage, DigitSequences, digit_windows
from quiet import keras

DAMAGE = Damage(0.3)


def train_and_measure(
    optimizer="adam", seed=0, steps=1_875, damage=DAMAGE, wrap=False, chain=6, rate=None, **model
) -> dict:
    """Trains a predictor on fresh sequences and measures it on 6,000 test ones and 1,000 chains."""
    (x_train, y_train), (x_test, y_test) = load_mnist()
    windows = digit_windows(wrap=wrap)
    train = DigitSequences(x_train, y_train, windows, damage=damage, seed=seed)
    test = DigitSequences(x_test, y_test, windows, seed=1)
    keras.utils.set_random_seed(seed)
    predictor = NextImagePredictor(**model)
    predictor.adapt(train.mean_target())
    predictor.compile(optimizer=make_optimizer(optimizer, steps=steps))
    if rate:
        predictor.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    start = time.perf_counter()
    predictor.fit(train.batches(256), steps_per_epoch=steps, shuffle=False, verbose=0)
    seconds = time.perf_counter() - start
    scores = evaluate(predictor, test, 6_000)
    chains = evaluate_chains(predictor, test, steps=chain, n=1_000)
    return {
        "error": f"{scores['mse']:.5f}",
        "ratio to floor": f"{scores['ratio']:.5f}",
        "right digits": f"{scores['right']:.2%}",
        "whole chains": f"{chains['chains']:.1%}",
        "seconds": round(seconds),
        "predictor": predictor,
        "chains": chains,
    }
