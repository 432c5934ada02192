"""Networks in exact arithmetic: independent of batch and threads, near the networks themselves, and
refused where they could not be exact.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dalm.errors import DalmError
from dalm.exact import ExactArithmetic


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(2, 8, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(72, 5),
        nn.Sigmoid(),
    ]
    return nn.Sequential(*layers).double()


def test_exact_arithmetic_does_not_see_the_batch_or_the_threads():
    model = net()
    x = torch.randn(50, 2, 8, 8, dtype=torch.float64)
    with torch.no_grad(), ExactArithmetic(model):
        whole = model(x)
        parts = [torch.cat([model(part) for part in x.split(size)]) for size in (1, 7, 20)]
        threads = torch.get_num_threads()
        torch.set_num_threads(3 - min(2, threads))
        other = model(x)
        torch.set_num_threads(threads)
    assert all(torch.equal(other, whole) for other in (*parts, other))
    with torch.no_grad():
        assert (whole - model(x)).abs().max() < 2e-3
        assert not torch.equal(whole, model(x)), "this ran in ordinary arithmetic"


def test_exact_sums_are_whole_numbers_of_one_unit():
    layer = nn.Linear(300, 4, bias=False).double()
    with torch.no_grad(), ExactArithmetic(layer):
        out = layer(torch.randn(9, 300, dtype=torch.float64))
    assert torch.equal((out * 2.0**40).round(), out * 2.0**40)
    assert out.abs().max() * 2.0**40 < 2.0**53


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda x: x.softmax(1), "no exact form"),
        (lambda x: x.mean(), "no exact form"),
        (lambda x: x @ x.T, "multiplies something else"),
    ],
)
def test_exact_arithmetic_refuses_what_it_does_not_know(network, reason):
    with torch.no_grad(), ExactArithmetic(net()), pytest.raises(DalmError, match=reason):
        network(torch.ones(3, 3, dtype=torch.float64))


def test_exact_arithmetic_checks_its_bounds():
    layer = nn.Linear(1000, 1).double()
    nn.init.constant_(layer.weight, 1e5)
    with pytest.raises(DalmError, match="too large for exact arithmetic"):
        ExactArithmetic(layer)
    with pytest.raises(DalmError, match="double precision"):
        ExactArithmetic(nn.Linear(3, 3))


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [((5, 3, 2, 7), (2, 3), (0, 1)), ((4, 2, 6, 5), (3, 3), (1, 1)), ((1, 1, 4, 4), (4, 1), 0)],
)
def test_exact_convolutions_are_convolutions(shape, kernel, padding):
    torch.manual_seed(0)
    layer = nn.Conv2d(shape[1], 6, kernel, padding=padding).double()
    x = torch.randn(shape, dtype=torch.float64)
    with torch.no_grad(), ExactArithmetic(layer):
        exact = layer(x)
    with torch.no_grad():
        assert exact.shape == layer(x).shape
        assert (exact - layer(x)).abs().max() < 1e-3
