import os

import pytest

# Tests compile many networks and compute little with each; at level 0, draws are slow. Before
# TensorFlow or JAX is imported.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=1 " + os.environ.get("XLA_FLAGS", "")

from data import load_mnist
from preprocessing import DigitSequences


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
def images(test):
    """Six contexts as uint8 images, (6, 4, 28, 28)."""
    return test.images[test.draw(6)[1][:, :-1]]
