"""Intervals against SciPy."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from dalm.metrics.intervals import wilson_interval


def test_wilson_agrees_with_scipy() -> None:
    for hits, n in [(0, 7), (3, 10), (250, 500), (500, 500)]:
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson_interval(torch.arange(n) < hits) == pytest.approx(
            (hits / n, expected.low, expected.high)
        )
