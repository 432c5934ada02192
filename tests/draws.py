"""Draws that tests of measures share."""

from __future__ import annotations

import torch
from torch import Tensor


def normals(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def number(value: float | None) -> float:
    """The value, which a measure must have given."""
    assert value is not None
    return value
