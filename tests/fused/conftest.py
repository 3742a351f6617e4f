"""The operators, without which there is nothing to test here."""

import pytest
import torch

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch sees")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]


@pytest.fixture(scope="module", autouse=True)
def loaded(operators: None) -> None:
    """Every test here wants the operators."""
