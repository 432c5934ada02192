"""Entropy, divergences and mutual information, exact for tables of probabilities.

    H(p) = -Σ p log p        H(p, q) = -Σ p log q        KL(p‖q) = H(p, q) - H(p)
    I(X; Y) = KL(p(x, y) ‖ p(x) p(y))

Shannon 1948; Kullback and Leibler 1951; Lin 1991 for the Jensen–Shannon divergence. Names without
an ending take probabilities. In `dalm.probability.monte_carlo` those that end in `_of` take log
probabilities as functions and average over samples; `dalm.probability.counted` and
`dalm.probability.neighbours` know samples alone. All take a unit.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import Tensor

Unit = Literal["nats", "bits"]
SUM_TOLERANCE = 1e-5
"""How far a sum of float32 probabilities may fall from one."""
NATS = {"nats": 1.0, "bits": math.log(2)}
"""Nats in a unit."""

Amount = TypeVar("Amount", float, Tensor)


def in_unit(nats: Amount, unit: Unit) -> Amount:
    """An amount of information in another unit.

    Args:
        nats: the amount, a number or a tensor.
        unit: of the result; ValueError if it is not known.

    >>> round(in_unit(math.log(8), "bits"), 9)
    3.0
    """
    if unit not in NATS:
        raise ValueError(f"information is measured in {' or '.join(NATS)}, got {unit!r}")
    return nats / NATS[unit]


def entropy(p: Tensor, unit: Unit = "nats") -> Tensor:
    """Entropy H(p) of discrete distributions, (..., K) -> (...), float64.

    Args:
        p: probabilities along the last axis, normalised again in float64; ValueError where they are
            negative or do not sum to one.
        unit: of the result.

    >>> entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), "bits")
    tensor([1., 0.], dtype=torch.float64)
    """
    return cross_entropy(p, p, unit)


def cross_entropy(p: Tensor, q: Tensor, unit: Unit = "nats") -> Tensor:
    """Mean code length of data from p under a code for q, (..., K) and (..., K) -> (...).

    Infinite where q makes impossible what p does not.

    Args:
        p: probabilities of the data, as in `entropy`.
        q: probabilities of the code, likewise.
        unit: of the result.

    >>> cross_entropy(torch.tensor([0.5, 0.5]), torch.tensor([[0.25, 0.75], [1.0, 0.0]]), "bits")
    tensor([1.2075,    inf], dtype=torch.float64)
    """
    p, q = _alike(p, q)
    return in_unit(-torch.xlogy(p, q).sum(-1), unit) + 0.0  # a sum of zeros loses its minus sign


def kl(p: Tensor, q: Tensor, unit: Unit = "nats") -> Tensor:
    """Kullback–Leibler divergence KL(p‖q), (..., K) and (..., K) -> (...).

    Infinite where q makes impossible what p does not.

    Args:
        p: probabilities, as in `entropy`.
        q: probabilities, likewise.
        unit: of the result.

    >>> kl(torch.tensor([0.5, 0.5]), torch.tensor([[0.25, 0.75], [1.0, 0.0]]), "bits")
    tensor([0.2075,    inf], dtype=torch.float64)
    """
    p, q = _alike(p, q)
    return in_unit((torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1).clamp_min(0), unit)


def jensen_shannon(p: Tensor, q: Tensor, unit: Unit = "nats") -> Tensor:
    """Jensen–Shannon divergence, (..., K) and (..., K) -> (...), from 0 to one bit.

    The mean divergence of p and of q from their equal mixture. Its square root is a metric (Endres
    and Schindelin 2003).

    Args:
        p: probabilities, as in `entropy`.
        q: probabilities, likewise.
        unit: of the result.

    >>> jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "bits")
    tensor([0., 1.], dtype=torch.float64)
    """
    p, q = _alike(p, q)
    middle = (p + q) / 2
    return (kl(p, middle, unit) + kl(q, middle, unit)) / 2


def conditional_entropy(joint: Tensor, unit: Unit = "nats") -> Tensor:
    """H(Y|X) = H(X, Y) - H(X), (..., X, Y) -> (...), float64.

    H(X|Y) is that of the transposed table, `joint.mT`.

    Args:
        joint: the table p(x, y), normalised again as in `entropy`.
        unit: of the result.

    >>> conditional_entropy(torch.tensor([[0.25, 0.25], [0.5, 0.0]]), "bits")
    tensor(0.5000, dtype=torch.float64)
    """
    joint = _probabilities(joint, axes=2)
    lengths = torch.xlogy(joint, joint.sum(-1, keepdim=True)) - torch.xlogy(joint, joint)
    return in_unit(lengths.sum((-2, -1)), unit)


def mutual_information(joint: Tensor, unit: Unit = "nats") -> Tensor:
    """I(X; Y), (..., X, Y) -> (...), float64.

    Args:
        joint: the table p(x, y), normalised again as in `entropy`.
        unit: of the result.

    >>> copied, apart = torch.eye(2) / 2, torch.full((2, 2), 0.25)
    >>> mutual_information(torch.stack([copied, apart]), "bits")
    tensor([1., 0.], dtype=torch.float64)
    """
    joint = _probabilities(joint, axes=2)
    # Logs one by one: the product of the marginals may be too small for float64.
    terms = (
        torch.xlogy(joint, joint)
        - torch.xlogy(joint, joint.sum(-1, keepdim=True))
        - torch.xlogy(joint, joint.sum(-2, keepdim=True))
    )
    return in_unit(terms.sum((-2, -1)).clamp_min(0), unit)


def _alike(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Both as probabilities of the same outcomes."""
    p = _probabilities(p)
    q = _probabilities(q)
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(
            f"expected two distributions over the same outcomes, got {p.shape[-1]} and "
            f"{q.shape[-1]} of them"
        )
    try:
        torch.broadcast_shapes(p.shape, q.shape)
    except RuntimeError:
        raise ValueError(
            f"expected as many distributions p as q, got shapes {tuple(p.shape)} and "
            f"{tuple(q.shape)}"
        ) from None
    return p, q


def _probabilities(p: Tensor, axes: int = 1) -> Tensor:
    """In float64, normalised over the last axes, or ValueError."""
    if p.ndim < axes or not p.numel() or p.is_complex():
        raise ValueError(
            f"expected probabilities along the last {axes} axes, got a tensor of shape "
            f"{tuple(p.shape)} and type {p.dtype}"
        )
    p = p.double()
    total = p.sum(tuple(range(-axes, 0)), keepdim=True)
    if not (p.min() >= 0 and (total - 1).abs().max() <= SUM_TOLERANCE):  # so NaN is refused too
        sums = f"sums from {total.min().item():.6g} to {total.max().item():.6g}"
        raise ValueError(
            "probabilities are not negative and sum to one; got a smallest entry of "
            f"{p.min().item():.3g} and {sums}"
        )
    return p / total
