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
    import keras  # only here: tests of the data do without

    from model import NextImagePredictor, make_optimizer, summed_squared_error

    keras.utils.set_random_seed(0)
    model = NextImagePredictor(units=(64, 64))
    model.adapt(train.mean_target())
    model.compile(make_optimizer("adam"), loss=summed_squared_error)
    model.fit(train.batches(256), steps_per_epoch=250, shuffle=False, verbose=0)
    return model
