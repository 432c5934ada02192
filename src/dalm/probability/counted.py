"""Entropy, divergences and mutual information from discrete samples alone, each with a standard
error.

Each row is a symbol, and the bias of observed frequencies is corrected. The standard error is the
first-order one, somewhat too large at independence, equality or uniformity, where the first order
vanishes; it knows nothing of bias. All estimates may fall below zero, and all samples count as
independent. Bad input raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from dalm.probability.information import Unit
from dalm.probability.monte_carlo import Estimate

Correction = Literal["none", "miller-madow", "zhang"]


def plug_in(counts: Tensor) -> Tensor:
    """Code lengths -log p of symbols by their frequencies, (K,) -> (K,) nats."""
    return counts.sum().log() - counts.log()


def miller_madow(counts: Tensor) -> Tensor:
    """Code lengths whose mean has the first-order correction, (K,) -> (K,) nats."""
    return plug_in(counts) + (len(counts) - 1) / (2 * counts.sum())


def zhang(counts: Tensor) -> Tensor:
    """Code lengths whose mean is Zhang's series, (K,) -> (K,) nats."""
    return counts.sum().digamma() - counts.digamma()


CORRECTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": plug_in,
    "miller-madow": miller_madow,
    "zhang": zhang,
}
"""Estimates of the code length of each symbol, from the counts (K,) of all that occur."""


def counted_entropy(
    x: Tensor, unit: Unit = "nats", correction: Correction = "miller-madow"
) -> Estimate:
    """Entropy of discrete data.

    Args:
        x: (n, *shape), each row one symbol.
        unit: of the result.
        correction: of the plug-in estimate, which is too low: `"miller-madow"` adds (K - 1) / 2n
            for K symbols that occur (Miller 1955); `"zhang"` is the sum of Zhang 2012, whose bias
            falls exponentially with n, in the closed form of Schürmann 2015.

    >>> counted_entropy(torch.tensor([0, 1, 0, 1]), "bits", correction="none")
    Estimate(value=1.0, error=0.0, n=4, unit='bits')
    """
    return Estimate.mean(_lengths(_symbols(x), correction), unit=unit)


def counted_mutual_information(
    x: Tensor, y: Tensor, unit: Unit = "nats", correction: Correction = "miller-madow"
) -> Estimate:
    """Mutual information of discrete pairs, each of its three entropies corrected as in
    `counted_entropy` (Roulston 1999).

    Args:
        x: (n, *shape), each row one symbol.
        y: (n, *shape), likewise, of any shape of its own.
        unit: of the result.
        correction: as in `counted_entropy`.

    >>> x = torch.arange(100) % 2
    >>> round(counted_mutual_information(x, x + 7, "bits", correction="none").value, 9)
    1.0
    """
    check_pairs(x, y)
    of_x = _symbols(x)
    of_y = _symbols(y)
    of_both = _symbols(torch.stack([of_x, of_y], 1))
    apart = _lengths(of_x, correction) + _lengths(of_y, correction)
    return Estimate.mean(apart - _lengths(of_both, correction), unit=unit)


def counted_jensen_shannon(
    x: Tensor, y: Tensor, unit: Unit = "nats", correction: Correction = "miller-madow"
) -> Estimate:
    """Jensen–Shannon divergence of the distributions of two discrete samples of equal size.

    It is the mutual information between a symbol and the sample that it is from.

    Args:
        x: (n, *shape), each row one symbol.
        y: (n, *shape), likewise.
        unit: of the result.
        correction: as in `counted_entropy`.

    >>> x, y = torch.tensor([0, 1]), torch.tensor([2, 3])
    >>> round(counted_jensen_shannon(x, y, "bits", correction="none").value, 9)
    1.0
    """
    check_pairs(x, y)
    source = torch.arange(2, device=x.device).repeat_interleave(len(x))
    return counted_mutual_information(pooled(x, y), source, unit, correction)


def counted_kl(x: Tensor, y: Tensor, unit: Unit = "nats") -> Estimate:
    """KL(p‖q) from discrete samples, by Zhang and Grabchak 2014 in digamma functions: its bias
    falls exponentially with both sizes.

    The estimate is finite even where the divergence is not: a symbol that `y` lacks counts as rare
    in q, not as impossible.

    Args:
        x: samples of p, (n, *shape), each row one symbol.
        y: samples of q, (m, *shape).
        unit: of the result.

    >>> x, y = torch.tensor([0, 1] * 500), torch.tensor([0, 1, 1, 1] * 250)
    >>> round(counted_kl(x, y, "bits").value, 3)  # 0.2075 for these probabilities
    0.206
    """
    symbols = _symbols(pooled(x, y))
    of_x = symbols[: len(x)]
    of_y = symbols[len(x) :]
    size = int(symbols.max()) + 1
    in_x = of_x.bincount(minlength=size).double()
    in_y = of_y.bincount(minlength=size).double()
    n = in_x.sum()
    m = in_y.sum()
    values = (m + 1).digamma() - (in_y + 1).digamma() + in_x.digamma() - n.digamma()
    ratios = (in_x / n / (in_y / m))[of_y]  # the slope of the divergence in q, for the error alone
    return Estimate.mean(values[of_x], ratios.mean() - ratios, unit=unit)


def _symbols(x: Tensor) -> Tensor:
    """Number the distinct rows: (n, *shape) -> (n,), from 0."""
    return torch.unique(finite_rows(x), dim=0, return_inverse=True)[1]


def _lengths(symbols: Tensor, correction: Correction) -> Tensor:
    """Estimated code length of each of the symbols (n,), in nats."""
    if correction not in CORRECTIONS:
        raise ValueError(f"corrections are {', '.join(CORRECTIONS)}; got {correction!r}")
    counts = symbols.bincount().double()
    return CORRECTIONS[correction](counts)[symbols]


def pooled(x: Tensor, y: Tensor) -> Tensor:
    """Two samples as one, (n + m, *shape).

    Args:
        x: (n, *shape).
        y: (m, *shape).

    Raises:
        ValueError: their shapes differ.
    """
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"expected two samples of the same kind of data, got shapes {tuple(x.shape)} and "
            f"{tuple(y.shape)}"
        )
    return torch.cat([x, y])


def check_pairs(x: Tensor, y: Tensor) -> None:
    """Raise ValueError unless there are as many rows of one as of the other.

    Args:
        x: (n, *shape).
        y: (n, *shape), of any shape of its own.
    """
    if x.shape[:1] != y.shape[:1]:
        raise ValueError(
            f"expected as many rows of x as of y, got shapes {tuple(x.shape)} and {tuple(y.shape)}"
        )


def finite_rows(x: Tensor) -> Tensor:
    """One row for each datum, (n, D), or ValueError if there are none or one is not finite."""
    if x.ndim < 1 or not x.numel():
        raise ValueError(f"expected samples (n, *shape), got shape {tuple(x.shape)}")
    if not x.isfinite().all():
        raise ValueError(f"expected finite samples, got NaN or infinity among {len(x)}")
    return x.flatten(1) if x.ndim > 1 else x[:, None]
