"""The probability that a real variable falls into the bin of an integer level.

Level v owns the interval (v - 1/2, v + 1/2]; the lowest and the highest bin reach to infinity, so
the masses of all levels sum to one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def log_logistic_mass(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    r"""Log mass of level `x` under a logistic variable (Salimans et al. 2017), in nats.

    Uses the identity σ(b) - σ(a) = σ(b) σ(-a) (1 - e^{a-b}), which is exact and stable in the
    tails.

    Args:
        x: levels 0 … levels - 1, any shape, floating point.
        mean: location in levels, broadcastable to `x`.
        log_scale: log of the scale in levels, likewise.
        levels: how many levels there are.

    >>> x = torch.arange(5.)
    >>> round(log_logistic_mass(x, torch.tensor(1.3), torch.tensor(0.2), 5).exp().sum().item(), 6)
    1.0
    """
    inverse = torch.exp(-log_scale)
    centred = (x - mean) * inverse
    above = logsigmoid(centred + inverse / 2).where(x < levels - 1, 0.0)
    below = logsigmoid(inverse / 2 - centred).where(x > 0, 0.0)
    inside = torch.log(-torch.expm1(-inverse)).where((x > 0) & (x < levels - 1), 0.0)
    return above + below + inside


def log_normal_mass(x: Tensor, mean: Tensor, std: Tensor, levels: int) -> Tensor:
    """Log mass of level `x` under a normal variable, in nats.

    Args:
        x: levels 0 … levels - 1, any shape, floating point.
        mean: of the variable, in levels, broadcastable to `x`.
        std: its standard deviation in levels, likewise.
        levels: how many levels there are.

    >>> x = torch.arange(3., dtype=torch.float64)
    >>> round(log_normal_mass(x, torch.tensor(40.), torch.tensor(1.5), 3)[0].item(), 3)
    -350.913
    """
    low = ((x - 0.5 - mean) / std).where(x > 0, -torch.inf)
    high = ((x + 0.5 - mean) / std).where(x < levels - 1, torch.inf)
    flip = low + high > 0  # measure in the lower tail, where log_ndtr keeps its precision
    outer = torch.special.log_ndtr(torch.where(flip, -low, high))
    inner = torch.special.log_ndtr(torch.where(flip, -high, low))
    return outer + torch.log1p(-torch.exp(inner - outer))
