"""Bits per dimension: how many bits a perfect coder with this model spends on each number of
held-out data.

    bits/dim = -E[log P(x)] / (dims ln 2)

Shannon 1948. Unit: bits per dimension of the original data. Lower is better; for real data it is a
density's and may be negative. Interval: mean ± 1.96 SE over the data, marked where the tail of the
costs is too heavy for it (`tails`); the note has the median with the interval of order statistics,
which holds for every distribution (Thompson 1936). The label says whether log P is exact, a bound
or an estimate. With importance samples a bound is tightened (Burda et al. 2016).
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from dalm.metrics.evidence import Evidence
from dalm.metrics.intervals import mean_interval, median_interval
from dalm.metrics.measure import Measure
from dalm.metrics.tails import doubt
from dalm.records.score import Score

MASS = 1e-3
"""Nats by which rounding may raise a probability of 1."""
CHANCE = 1e-4
"""How often the noise of a bound may raise one of n data above 1: an unbiased estimate of a
probability is k or more with a chance of 1 / k at most (Markov).
"""
RECORDED = "values that are recorded with a step have masses, and this is a density"


def _compute(evidence: Evidence, nats: Tensor, measure: Measure) -> Score:
    score = bits_per_dim(nats, evidence.spec.dims, evidence.density.likelihood, measure)
    status, how = evidence.checked or (None, "")
    above = _above_one(evidence, nats)
    if above:
        status = "impossible"
        how = f"{above} of {len(nats)} data get a probability above 1"
    if status:
        note = "; ".join(filter(None, [score.note, f"{status}: {how}"]))
        score = replace(score, checked=status, note=note)
    if status == "impossible":
        return replace(score, flag="impossible", unranked=how)
    return replace(score, unranked=RECORDED) if evidence.recorded else score


def _above_one(evidence: Evidence, nats: Tensor) -> int:
    """How many masses are above one, beyond what rounding and the noise of a bound explain."""
    if evidence.spec.levels is None:
        return 0
    is_exact = evidence.density.likelihood == "exact"
    most = MASS if is_exact else math.log(max(1, len(nats)) / CHANCE)
    return int((nats > most).sum())


BITS_PER_DIM: Measure = Measure(
    name="bits_per_dim",
    title="bits/dim",
    unit="bits/dim",
    direction="lower",
    meaning="How many bits a perfect coder with this model needs for each number of held-out data; "
    "lower is better.",
    needs={"likelihood"},
    chooses=True,
    compute=lambda evidence: _compute(evidence, evidence.log_probs, BITS_PER_DIM),
)
IMPORTANCE_BITS_PER_DIM: Measure = Measure(
    name="importance_bits_per_dim",
    title="bits/dim, tightened",
    unit="bits/dim",
    direction="lower",
    meaning="The same bound tightened with importance samples, nearer to the model's true "
    "likelihood.",
    needs={"bound"},
    chooses=True,
    compute=lambda evidence: _compute(
        evidence, evidence.importance_bounds, IMPORTANCE_BITS_PER_DIM
    ),
)


def bits_per_dim(nats: Tensor, dims: int, label: str, measure: Measure = BITS_PER_DIM) -> Score:
    """Bits per dimension from the log probabilities of held-out data.

    A datum of probability zero makes the value infinite, as it must: the note counts such data and
    gives the value over the others.

    Args:
        nats: log probability of each datum in nats, (B,), as `log_prob` gives it.
        dims: numbers per datum, `spec.dims`.
        label: `"exact"`, `"bound"` or `"estimate"`.
        measure: what the score is a score of.

    >>> import torch
    >>> nats = torch.tensor([-2.0, -2.0]) * math.log(2)
    >>> round(bits_per_dim(nats, dims=2, label="exact").value, 6)
    1.0
    """
    n = len(nats)
    bits = -nats.double().cpu() / (dims * math.log(2))
    undefined = int(bits.isnan().sum())
    if n == 0:
        return measure.score(None, n=n, label=label, note="there are no data")
    if undefined:
        note = f"{undefined} of {n} log probabilities are NaN"
        return measure.score(None, n=n, label=label, note=note)
    if bits.isfinite().all():
        return measure.score(
            mean_interval(bits), n=n, label=label, note=_median(bits), unreliable=doubt(bits)
        )

    zeros = int((bits == math.inf).sum())
    value = math.inf if zeros else -math.inf
    return measure.score(value, n=n, label=label, note=_why_infinite(bits, zeros))


def rows_of(evidence: Evidence) -> dict[tuple[str, str], Tensor]:
    """Bits per dimension of each row, and the places of the rows, by measure and ending of a name.

    Args:
        evidence: of one model; what was not computed is left out.
    """
    found: dict[tuple[str, str], Tensor] = {}
    computed = vars(evidence)
    for measure, nats, rows in (
        (BITS_PER_DIM, "log_probs", "scored"),
        (IMPORTANCE_BITS_PER_DIM, "importance_bounds", "tightened"),
    ):
        if nats in computed:
            bits = -computed[nats].double().cpu() / (evidence.spec.dims * math.log(2))
            found |= {(measure.name, ""): bits, (measure.name, ".rows"): computed[rows]}
    return found


def _median(bits: Tensor) -> str:
    middle, low, high = median_interval(bits)
    return f"median {middle:.4g} ({low:.4g} to {high:.4g})"


def _why_infinite(bits: Tensor, zeros: int) -> str:
    """How many data are to blame, and the value over the others."""
    finite = bits[bits.isfinite()]
    others = "no others"
    if len(finite):
        others = f"{finite.mean().item():.4g} bits/dim over the others"
    if zeros:
        return f"{zeros} of {len(bits)} data have probability zero; {others}"
    return f"{len(bits) - len(finite)} of {len(bits)} data have infinite density; {others}"
