"""Trains one predictor and measures it, for the benchmarks beside this file."""

import time

from data import load_mnist
from evaluation import evaluate, evaluate_chains
from model import NextImagePredictor, make_optimizer
from preprocessing import Damage, DigitSequences
from quiet import keras


def train_and_measure(
    optimizer="adam", seed=0, steps=1_875, damage=0.3, rate=None, **model
) -> dict:
    """Trains on fresh sequences; measures 6,000 test sequences and 1,000 six-step chains."""
    (x_train, y_train), (x_test, y_test) = load_mnist()
    train = DigitSequences(x_train, y_train, damage=Damage(damage), seed=seed)
    test = DigitSequences(x_test, y_test, seed=1)
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
    return {
        "error": f"{scores['mse']:.5f}",
        "ratio to floor": f"{scores['ratio']:.5f}",
        "right digits": f"{scores['right']:.2%}",
        "whole chains": f"{evaluate_chains(predictor, test)['chains']:.1%}",
        "seconds": round(seconds),
    }
