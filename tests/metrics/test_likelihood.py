"""Bits per dimension: units, intervals, and reasons for what is infinite or absent."""

from __future__ import annotations

import math

import pytest
import torch
from draws import number

from dalm.metrics.likelihood import bits_per_dim


def test_likelihood_in_bits_with_its_interval() -> None:
    score = bits_per_dim(torch.tensor([-1.0, -3.0]).double() * math.log(2) * 64, 64, "bound")
    assert (score.value, score.label, score.n) == (2.0, "bound", 2)
    assert number(score.high) == pytest.approx(2 + 12.706205)


def test_likelihood_says_why_it_is_infinite_or_absent() -> None:
    impossible = bits_per_dim(torch.tensor([-math.log(2), -math.inf]), 1, "exact")
    assert impossible.value == math.inf
    assert "1 of 2 data have probability zero; 1 bits/dim over the others" in impossible.note
    assert impossible.to_json()["value"] is None
    assert bits_per_dim(torch.tensor([math.inf, 0.0]), 1, "exact").value == -math.inf
    assert bits_per_dim(torch.tensor([math.nan, 0.0]), 1, "exact").value is None
    assert bits_per_dim(torch.zeros(0), 1, "exact").value is None
