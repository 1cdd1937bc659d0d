import pytest
from hypothesis import settings

from data import load_mnist
from preprocessing import DigitSequences

# A busy machine is no fault of the code: only where a hang would be one do tests set a deadline.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def mnist():
    return load_mnist()


@pytest.fixture(scope="session")
def train(mnist):
    return DigitSequences(*mnist[0], seed=0)


@pytest.fixture(scope="session")
def test(mnist):
    return DigitSequences(*mnist[1], seed=1)


@pytest.fixture(scope="session")
def model(train):
    """A small predictor after a short fit: enough to have learned to count."""
    from model import NextImagePredictor  # only here: tests of the data need no Keras
    from quiet import keras

    keras.utils.set_random_seed(0)
    model = NextImagePredictor(units=(64, 64))
    model.adapt(train.mean_target())
    model.compile()
    model.fit(train.batches(256), steps_per_epoch=250, shuffle=False, verbose=0)
    return model
