import pytest

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
