"""What a model claims of data, and how far a code for them may be from that claim.

A code of length L proves a claim of C bits if L - C is no more than what coding is known to cost.
The parts, in bits:

- *Arithmetic.* Networks run with rounded weights and inputs, functions come from tables: at most
  0.1 % of the claim (the largest measured is 0.02 %).
- *Tables.* A table gives each of K levels one part of 2²⁴ before it shares out the others, whole:
  an entry costs at most K 2⁻²³ / ln 2 more, and code lengths are told in multiples of 2⁻²⁰.
- *Noise.* A bound is a mean over draws of z, and bits-back makes one draw of each datum: four
  standard deviations of the difference between two draws of all data, which are measured.

A code that is *shorter* than the claim by more than that is no code of the claim either. Since no
level costs more than 24 bits in a table, that happens to honest models too, which hold data to be
all but impossible; the code's length is then the true one, of the model with that floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dalm.codec import CodeLength
from dalm.core import Bound, Density, Spec

ARITHMETIC = 1e-3
"""Share of a claim that rounded arithmetic may add."""
SIGMAS = 4
NOISE_DIFFERENCES = 64
MOST_NOISE = 0.05
"""Share of a claim from which on a single draw of a bound proves nothing."""
FLOOR_SHARE = 0.1
"""Share of a claim by which a code may be shorter though no level at the floor is seen: a mixture
does not show those of its parts.
"""
ROWS = 500
"""Data that are scored at once."""


@dataclass(frozen=True)
class Claim:
    """What a likelihood says of data.

    Args:
        bits: that it claims to need.
        noise: standard deviation of the difference of two draws of that, in bits; 0 if exact.
        allowed: bits by which a code's length may differ.
        each: bits that it claims of each datum, (n,).
    """

    bits: float
    noise: float
    allowed: float
    each: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def is_too_noisy(self) -> bool:
        """Whether one draw says too little about the claim."""
        return SIGMAS * self.noise > MOST_NOISE * self.bits


@torch.no_grad()
def claim_of(model: Density, x: Tensor, samples: int = 1) -> Claim:
    """What a model claims of data (N, *shape).

    Args:
        model: with a likelihood.
        x: the data.
        samples: importance samples of a bound; one is the plain bound.
    """
    nats = torch.cat([_log_prob(model, part, samples) for part in x.split(ROWS)])
    each = -nats.double().cpu() / math.log(2)
    bits = each.sum().item()
    noise = _noise(model, x, samples) if isinstance(model, Bound) else 0.0
    allowed = rounding_bits(bits, model.spec, len(x)) + SIGMAS * noise
    return Claim(bits, noise, allowed, each)


def rounding_bits(bits: float, spec: Spec, n: int) -> float:
    """Bits that rounding may add to a claim, or take from it.

    Args:
        bits: claimed of all data.
        spec: of levels.
        n: how many data.

    >>> round(rounding_bits(10_000.0, Spec((64,), levels=256), n=100), 2)
    10.29
    """
    an_entry = (spec.levels or 0) * 2.0**-23 / math.log(2) + 2.0**-20
    share = ARITHMETIC * abs(bits) if math.isfinite(bits) else 0.0
    return share + n * spec.dims * an_entry


def _log_prob(model: Density, x: Tensor, samples: int) -> Tensor:
    if isinstance(model, Bound) and samples > 1:
        return model.importance_bound(x, samples=samples)
    return model.log_prob(x)


def _noise(model: Bound, x: Tensor, samples: int) -> float:
    """Standard deviation of the difference of two draws of the bound of all data, in bits: from as
    many pairs of draws as give some sixty differences.
    """
    noise = torch.Generator(model.device).manual_seed(0)

    def draw() -> Tensor:
        parts = [model.importance_bound(part, None, samples, noise) for part in x.split(ROWS)]
        return torch.cat(parts).double()

    pairs = max(1, NOISE_DIFFERENCES // len(x))
    squares = [(draw() - draw()).square().sum() for _ in range(pairs)]
    return torch.stack(squares).mean().sqrt().item() / math.log(2)


def contradiction(claim: Claim, length: CodeLength) -> str | None:
    """Why a code contradicts a claim, `None` if it does not.

    Data without a level near the floor must cost what is claimed; the others may cost less.

    Args:
        claim: of some data.
        length: of their code.
    """
    if math.isnan(claim.bits) or claim.bits == -math.inf:
        return f"the likelihood claims {claim.bits} bits, which no code has"
    longer = _longer(length.bits, claim.bits, claim.allowed)
    coded, claimed = _far_from_floor(claim, length)
    share = claimed / claim.bits if claim.bits else 1.0
    return longer or _differing(coded, claimed, claim.allowed * min(1.0, abs(share)))


def is_too_much(claim: Claim, length: CodeLength) -> bool:
    """Whether a claim that its code contradicts is of too much probability: the code is longer, in
    all or on the data that no floor makes cheaper.

    Args:
        claim: of some data.
        length: of their code.
    """
    coded, claimed = _far_from_floor(claim, length)
    return length.bits > claim.bits or coded > claimed


def _far_from_floor(claim: Claim, length: CodeLength) -> tuple[float, float]:
    """Bits of the code and of the claim, of data without a level near the floor."""
    if len(length.each) and len(claim.each):
        usual = length.rare_each == 0
        return length.each[usual].sum().item(), claim.each[usual].sum().item()
    return (0.0, 0.0) if length.rare else (length.bits, claim.bits)


def _longer(coded: float, claimed: float, allowed: float) -> str | None:
    if not coded > claimed + allowed:
        return None
    return (
        f"the code has {coded:,.0f} bits, {coded - claimed:,.1f} more than the likelihood "
        f"claims, where rounding and chance explain {allowed:,.1f}"
    )


def _differing(coded: float, claimed: float, allowed: float) -> str | None:
    """Of data whose levels are all far from the floor."""
    if coded >= claimed - allowed - FLOOR_SHARE * claimed:
        return _longer(coded, claimed, allowed)
    return (
        f"the code has {coded:,.0f} bits and the likelihood claims {claimed:,.0f}, though no level "
        "is so rare that a table makes it cheaper: the two are not of one model"
    )


def is_floored(claim: Claim, length: float) -> bool:
    """Whether a code is shorter than its claim, since in a file no level costs more than 24 bits.

    Args:
        claim: of the same data.
        length: of their code, in bits.
    """
    return claim.bits - length > claim.allowed
