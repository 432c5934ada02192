"""Bits per dimension: how many bits a perfect coder with this model spends on each number of
held-out data.

    bits/dim = -E[log P(x)] / (dims ln 2)

Shannon 1948. Unit: bits per dimension of the original data. Lower is better; for real data it is a
density's and may be negative. Interval: mean ± 1.96 SE over the data. The label says whether log P
is exact, a bound or an estimate; the three do not compare.
"""

from __future__ import annotations

import math

from torch import Tensor

from dalm.metrics.record import Metric, Scale, normal

LIKELIHOOD = Scale("bits/dim", "lower")


def likelihood(nats: Tensor, dims: int, label: str) -> Metric:
    """Bits per dimension from the log probabilities of held-out data.

    A datum of probability zero makes the value infinite, as it must: the note counts such data and
    gives the value over the others.

    Args:
        nats: log probability of each datum in nats, (B,), as `log_prob` gives it.
        dims: numbers per datum, `spec.dims`.
        label: `"exact"`, `"bound"` or `"estimate"`.

    >>> import torch
    >>> round(likelihood(torch.tensor([-2.0, -2.0]) * math.log(2), dims=2, label="exact").value, 6)
    1.0
    """
    bits = -nats.double().cpu() / (dims * math.log(2))
    finite = bits[bits.isfinite()]
    if len(finite) == len(bits) > 0:
        return Metric(*normal(bits), len(bits), *LIKELIHOOD, label=label)
    if len(bits) == 0 or bits.isnan().any():
        note = (
            f"{int(bits.isnan().sum())} of {len(bits)} log probabilities are NaN"
            if len(bits)
            else "there are no data"
        )
        return Metric(None, None, None, len(bits), *LIKELIHOOD, label=label, note=note)
    zeros = int((bits == math.inf).sum())
    rest = f"{finite.mean().item():.4g} bits/dim over the others" if len(finite) else "no others"
    what = (
        f"{zeros} of {len(bits)} data have probability zero"
        if zeros
        else f"{len(bits) - len(finite)} of {len(bits)} data have infinite density"
    )
    return Metric(
        math.inf if zeros else -math.inf,
        None,
        None,
        len(bits),
        *LIKELIHOOD,
        label=label,
        note=f"{what}; {rest}",
    )
