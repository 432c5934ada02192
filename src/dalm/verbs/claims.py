"""Claims of likelihood, and what speaks for them in a second or so, where a proof takes minutes.

Whatever is claimed must sum to one. The first guard that applies and is conclusive decides.

- **Mass.** No datum of levels has a probability above one. (A noisy estimate of one may: by
  Markov's inequality it exceeds k with a chance of 1/k at most.)
- **All data.** Where there are few thousand, their probabilities are added up.
- **Tables.** The coder's own tables sum to one by construction; a few rows coded with them, in
  memory, must be as long as the likelihood says.
- **Importance.** The mean of p(x) / r(x) over draws from a density r is the sum of p, if r reaches
  wherever p does (Kahn & Harris 1951). r is fitted to the model's own samples. It is conclusive
  only where the effective sample size is large (Kong 1992); else the claim is unchecked.

A bound stands for its importance weight w here, whose mean over draws of z is p(x).
"""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dalm.codec import CodeLength, Settings, code_lengths, exact_copy
from dalm.codec import compress as write_archive
from dalm.core import Autoregressive, Bound, Density, Generative, Variational
from dalm.data import Data
from dalm.errors import DalmError
from dalm.verbs.agreement import ARITHMETIC, Claim, claim_of, contradiction, is_too_much
from dalm.verbs.proposals import importance

SAMPLES = 2000
"""Of real numbers, to which densities are fitted."""
MASS = 1e-3
"""Nats by which rounding may raise a probability of 1."""
CHANCE = 1e-4
"""How often the noise of an honest bound may raise the alarm of mass."""
MOST_DATA = 4096
"""Data that are added up one by one."""
CODED_ROWS = 16
NOISY_ROWS = (32, 256)
"""Data of a bound that tell its noise, and the most that are coded."""
VAGUE = 0.1
"""Share of a claim from which on noise hides too much of it."""
CODED_SHARE = 3 * ARITHMETIC
"""Of a few rows rounding does not average out: as in the conformance suite."""
DRAWS = 64
"""Draws of a bound's weight that are averaged over when all data are added up."""
TIGHTER_ROWS = 100
TIGHTER_SAMPLES = 16
SIGMAS = 5
TIGHT_SAMPLES = 8
"""Importance samples with which a few rows are coded, beside one."""
OFF = 0.01
"""By how much a sum may be off one."""


class Checked(NamedTuple):
    """What speaks for a claim, and how that was found."""

    status: Literal["guarded", "unchecked", "impossible"]
    how: str


@torch.no_grad()
def check_claim(
    model: Generative, data: Data, seed: int = 0, samples: Tensor | None = None
) -> Checked | None:
    """Check a claim in little time; `None` for a model that makes none.

    Args:
        model: any.
        data: whose test rows are scored.
        seed: of everything random.
        samples: (m, *shape) of the model, if there are any already.

    >>> from dalm.data import load_data
    >>> from dalm.models import Noise
    >>> data = load_data("digits")
    >>> check_claim(Noise(data.spec), data).status
    'guarded'
    """
    if not isinstance(model, Density) or model.likelihood == "estimate":
        return None
    try:
        return _first(model, samples, data.test.x, seed)
    except DalmError as error:
        return Checked("unchecked", str(error))


def _first(model: Density, samples: Tensor | None, heldout: Tensor, seed: int) -> Checked:
    """What the first conclusive guard says."""
    rows = SAMPLES if model.spec.levels is None else NOISY_ROWS[1] // 2
    if samples is None or len(samples) < rows // 2:
        generator = torch.Generator(model.device).manual_seed(seed)
        samples = model.sample(rows, generator=generator)
    alarm = _by_tighter(model, heldout) if isinstance(model, Bound) else None
    if alarm is None and model.spec.levels is not None:
        alarm = _by_mass(model, samples, heldout)
    if alarm:
        return alarm
    if model.spec.levels and model.spec.levels**model.spec.dims <= MOST_DATA:
        return _by_all_data(model)
    if model.spec.levels and isinstance(model, Autoregressive | Variational):
        return _by_tables(model, samples, heldout)
    return _by_importance(model, samples, seed)


def _by_tighter(model: Bound, heldout: Tensor) -> Checked | None:
    """Alarm if a bound is above the one that importance samples tighten."""
    x = heldout[:TIGHTER_ROWS]
    noise = torch.Generator(model.device).manual_seed(0)
    gaps = model.log_prob(x) - model.importance_bound(x, None, TIGHTER_SAMPLES, noise)
    mean = gaps.double().mean().item()
    error = gaps.double().std().item() / math.sqrt(len(x))
    if not mean > SIGMAS * error + MASS:
        return None
    return Checked(
        "impossible", f"the bound is {mean:.3g} nats above the one that it is to be below"
    )


def _by_mass(model: Density, samples: Tensor, heldout: Tensor) -> Checked | None:
    """Alarm if a datum of levels has a probability above one."""
    x = _some(samples, heldout, 2 * CODED_ROWS)
    nats = model.log_prob(x)
    most = MASS if model.likelihood == "exact" else math.log(len(x) / CHANCE)
    above = int((nats > most).sum())
    if not above:
        return None
    return Checked("impossible", f"{above} of {len(x)} data get a probability above 1")


def _by_all_data(model: Density) -> Checked:
    """Add up the probabilities of all data."""
    axes = [torch.arange(model.spec.levels or 0)] * model.spec.dims
    x = torch.cartesian_prod(*axes).view(-1, *model.spec.shape).to(model.spec.dtype)
    total, error = _sum(model, x)
    how = f"all {len(x):,} data sum to {total:.4f}"
    if error:
        how += f" ± {2 * error:.4f}"
    return Checked("impossible" if total - SIGMAS * error > 1 + OFF else "guarded", how)


def _sum(model: Density, x: Tensor) -> tuple[float, float]:
    """The sum of all probabilities, and its standard error."""
    if not isinstance(model, Bound):
        return model.log_prob(x).double().exp().sum().item(), 0.0
    noise = torch.Generator(model.device).manual_seed(0)
    weights = [model.importance_bound(x, None, 1, noise).double().exp() for _ in range(DRAWS)]
    sums = torch.stack(weights).sum(1)
    return sums.mean().item(), sums.std().item() / math.sqrt(DRAWS)


def _by_tables(model: Autoregressive | Variational, samples: Tensor, heldout: Tensor) -> Checked:
    """Code a few rows with the coder's tables, half of them the model's own."""
    if not isinstance(model, Variational):
        return _by_code(model, _some(samples, heldout, CODED_ROWS), 1)
    for draws in (1, TIGHT_SAMPLES):
        rows = _rows_for(model, samples, heldout, draws)
        checked = _by_code(model, _some(samples, heldout, rows), draws)
        if checked.status == "impossible":  # a rare draw that the noise did not show would do it
            checked = _by_code(model, _some(samples, heldout, NOISY_ROWS[1]), draws)
        if checked.status != "guarded":
            break
    return checked


def _rows_for(model: Variational, samples: Tensor, heldout: Tensor, draws: int) -> int:
    """How many data to code so that the noise of a bound hides little of what it claims."""
    claim = claim_of(model, _some(samples, heldout, NOISY_ROWS[0]), draws)
    least, most = NOISY_ROWS
    needed = least * (claim.allowed / (0.8 * VAGUE * abs(claim.bits) + 1e-9)) ** 2
    return min(most, max(CODED_ROWS, math.ceil(needed)))


def _some(samples: Tensor, heldout: Tensor, n: int) -> Tensor:
    """At most n data, half of them samples."""
    return torch.cat([heldout[: n // 2], samples[: n // 2].to(heldout)]).cpu()


def _by_code(model: Autoregressive | Variational, x: Tensor, samples: int) -> Checked:
    claim = claim_of(model, x, samples)
    length = _length(model, x, samples)
    wider = claim.allowed + (CODED_SHARE - ARITHMETIC) * abs(claim.bits)
    reason = contradiction(replace(claim, allowed=wider), length)
    if reason:
        too_much = is_too_much(claim, length)
        return Checked("impossible" if too_much else "unchecked", f"of {len(x)} data {reason}")
    if _is_vague(claim):
        return Checked("unchecked", f"the noise of the bound hides what {len(x)} data would show")
    how = f"{len(x)} data have the length under the coder's tables that it claims"
    return Checked("guarded", how)


def _is_vague(claim: Claim) -> bool:
    """Whether noise hides too much of the claim."""
    return claim.allowed > VAGUE * abs(claim.bits)


def _length(model: Autoregressive | Variational, x: Tensor, samples: int) -> CodeLength:
    if isinstance(model, Autoregressive):
        return code_lengths(exact_copy(model), x)
    length = CodeLength()
    write_archive(model, x.numpy(), None, io.BytesIO(), Settings(samples=samples), tally=length)
    return length


def _by_importance(model: Density, samples: Tensor, seed: int) -> Checked:
    estimate = importance(model, samples, seed)
    if not estimate.is_conclusive:
        return Checked("unchecked", f"no density near enough to this one was found ({estimate})")
    is_more = estimate.mean - SIGMAS * estimate.error > 1 + OFF
    return Checked("impossible" if is_more else "guarded", f"by importance it sums to {estimate}")
