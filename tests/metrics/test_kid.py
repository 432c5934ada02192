"""The kernel distance against its formula and known expectations.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import math

import pytest
import torch
from draws import normals, number
from torch import Tensor

from dalm.metrics.kid import kid


def test_kid_is_the_unbiased_estimator_of_the_formula() -> None:
    x = normals(7, 3)
    y = normals(5, 3, seed=1)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / 3 + 1) ** 3

    inside = sum(
        (k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))
    )
    assert number(kid(x, y).value) == pytest.approx(float(inside - 2 * kernel(x, y).mean()))
    assert number(kid(normals(3000, 3), normals(2500, 3)).value) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.7])
def test_kid_is_unbiased_and_has_an_honest_interval(shift):
    """The mean of 200 values is within 4 standard errors of the truth (fails once in 16,000 seeds),
    which for equal distributions is 0 and else the mean of others; 190 ± 3 intervals hold it, fewer
    than 180 once in 2,000 seeds.
    """
    scores = [
        kid(normals(60, 4, seed=i) + shift, normals(80, 4, seed=1000 + i)) for i in range(200)
    ]
    values = torch.tensor([number(score.value) for score in scores])
    error = values.std() / math.sqrt(200)
    truth = number(kid(normals(6000, 4) + shift, normals(6000, 4, seed=1)).value) if shift else 0.0
    assert abs(values.mean() - truth) < 4 * error + 0.1 * abs(truth)
    assert sum(number(s.low) <= truth <= number(s.high) for s in scores) >= 180
