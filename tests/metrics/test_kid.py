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


def test_kid_has_expectation_zero_and_an_honest_interval() -> None:
    """The mean of 200 null values is within 4 standard errors of 0 (fails once in 16,000 seeds);
    there and off the null, mean SE and SD agree.

    The SD of 200 values errs by 5 %, so 25 % is five of its standard errors.
    """
    null = torch.tensor(
        [
            number(kid(normals(60, 4, seed=i), normals(80, 4, seed=1000 + i)).value)
            for i in range(200)
        ]
    )
    assert abs(null.mean()) < 4 * null.std() / math.sqrt(200)
    nulls = [kid(normals(60, 4, seed=i), normals(80, 4, seed=1000 + i)) for i in range(200)]
    assert _error(nulls) == pytest.approx(null.std().item(), rel=0.35)
    shifted = [kid(normals(60, 4, seed=i) + 0.7, normals(80, 4, seed=1000 + i)) for i in range(200)]
    spread = torch.tensor([number(m.value) for m in shifted]).std().item()
    assert _error(shifted) == pytest.approx(spread, rel=0.25)


def _error(scores):
    """Mean standard error."""
    return sum((number(m.high) - number(m.value)) / 2.06 for m in scores) / len(scores)
