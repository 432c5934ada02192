"""The Fréchet distance against closed forms and known expectations.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import pytest
import torch
from draws import normals, number

from dalm.errors import DalmError
from dalm.metrics.frechet import frechet, frechet_distance


def test_frechet_closed_forms() -> None:
    a = torch.tensor([1.0, 4.0, 9.0]).double()
    b = torch.tensor([4.0, 1.0, 0.0]).double()
    turn, _ = torch.linalg.qr(normals(3, 3))
    expected = 14 + (a.sqrt() - b.sqrt()).square().sum().item()
    mean = torch.tensor([1.0, 2.0, 3.0]).double()
    assert frechet_distance(
        turn @ mean, turn @ a.diag() @ turn.T, mean * 0, turn @ b.diag() @ turn.T
    ) == pytest.approx(expected)


def test_frechet_null_floor() -> None:
    """E ≈ d²/2n for two equal Gaussians; its SD at d = 64, n = 1000 is 0.04: five of them fail less
    than once in a million seeds.
    """
    assert number(frechet(normals(1000, 64), normals(1000, 64, seed=1)).value) == pytest.approx(
        2.18, abs=0.2
    )


def test_frechet_interval_is_that_of_repeated_samples() -> None:
    """SDs over 40 repeats and 25 resamples err by 11 % and 14 %: a ratio beyond 2 is 4 SE off."""
    values = [
        frechet(normals(300, 3, seed=i), 1 + normals(300, 3, seed=999 - i)) for i in range(40)
    ]
    spread = torch.tensor([number(m.value) for m in values]).std().item()
    assert 0.5 < spread / ((number(values[0].high) - number(values[0].value)) / 1.96) < 2


def test_frechet_refuses_fewer_rows_than_a_covariance_needs() -> None:
    with pytest.raises(DalmError, match="at least 9 rows"):
        frechet(normals(8, 8), normals(100, 8))
    assert frechet(torch.ones(50, 3), torch.ones(50, 3)).value == 0
