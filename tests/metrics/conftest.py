"""Data that tests of measures share."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training, validation and test rows of the digits, and the labels of all."""
    bunch = load_digits()
    x = torch.tensor(bunch.images).to(torch.uint8)[:, None]
    return x[:1100], x[1100:1297], x[1297:], torch.tensor(bunch.target)
