"""What the tests of studies share: scikit-learn's digits and one small network, traced once."""

import pytest

from lrrt import Loops
from pipeline.digits_example import build_model, load_data
from studies import Trainer


@pytest.fixture(scope="session")
def digits():
    return load_data()


@pytest.fixture(scope="session")
def loops(digits):
    return Loops(build_model, digits["train"], optimizers=["sgd", "adam"], validation_data=digits["validation"])


@pytest.fixture(scope="session")
def trainer(loops):
    return Trainer(loops, epochs=4, patience=None)
