"""Claims of likelihood, and what speaks for them: a file, or a quick check of an exact one.

A density could claim anything, since nobody sees what it should be. But all of it must be one:

- of few data, all are counted up;
- of a model that predicts entry by entry, the coder's tables, which sum to one, must give the
  probability that is claimed;
- of real numbers the integral is estimated by importance from a density that is known: a normal, a
  Student distribution and kernels, all fitted to the model's own samples. Where its effective
  sample size is small, as in many dimensions, nothing is concluded.
"""

from __future__ import annotations

import io
import itertools
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dalm.codec import CodeLength, Settings, by_bits_back
from dalm.codec import compress as write_archive
from dalm.core import Autoregressive, Bound, Density, Generative
from dalm.core.scaler import Scaler
from dalm.data import Data
from dalm.errors import DalmError
from dalm.probability.kernels import RealKernel, log_kernel_sums
from dalm.probability.student import student_log_prob, student_sample

MOST_RATIO = 1.001
"""The coder's tables ask for at most this many times the claim, and a file for this many times what
the tables ask for: what rounding costs, and what the coder does.
"""
LEAST_RATIO = 0.5
"""A file of less than this share of the claim is of another model. It may be smaller, since tables
give nothing less than 2⁻²⁴ and a likelihood may: then the file's figure is the true one.
"""
ARCHIVE_BYTES = 192
"""Header, checksums and the coder's last words, which no likelihood speaks of."""
SIGMAS = 6
"""Standard errors by which the draws of a bound may make its file differ from its claim."""
COUNTED = 4096
"""Data of which there are at most so many are all counted up."""
CODED_ROWS = 8
DRAWN = 8000
"""Points at which a density of real numbers is looked at."""
FEWEST_EFFECTIVE = 100
CLOSE = 0.02
"""How far a sum or a code length may be from what it must be, relatively."""


class Checked(NamedTuple):
    """What speaks for an exact claim, and how that was found."""

    status: Literal["guarded", "unchecked", "impossible"]
    how: str


@torch.no_grad()
def check_claim(model: Generative, data: Data, seed: int = 0) -> Checked | None:
    """Check an exact claim in little time; `None` for a model that makes none.

    Args:
        model: any.
        data: whose test rows are scored.
        seed: of samples and points.

    >>> from dalm.data import load_data
    >>> from dalm.models import Noise
    >>> data = load_data("digits")
    >>> check_claim(Noise(data.spec), data).status
    'guarded'
    """
    if not isinstance(model, Density) or model.likelihood != "exact":
        return None
    spec = model.spec
    if spec.levels is None:
        return _integrated(model, seed)
    if spec.levels ** min(spec.dims, 64) <= COUNTED:
        return _counted(model)
    if isinstance(model, Autoregressive):
        return _coded(model, data.test.x[:CODED_ROWS])
    return Checked("unchecked", "no coder, and too many data to count")


def _judged(total: float, error: float, what: str) -> Checked:
    """A total that must be one, with its standard error."""
    if abs(total - 1) <= CLOSE + 5 * error:
        return Checked("guarded", f"{what} {total:.3g}")
    return Checked("impossible", f"{what} {total:.3g}, not to 1")


def _counted(model: Density) -> Checked:
    spec = model.spec
    rows = itertools.product(range(spec.levels or 0), repeat=spec.dims)
    x = torch.tensor(list(rows), dtype=spec.dtype).view(-1, *spec.shape)
    return _judged(model.log_prob(x).double().exp().sum().item(), 0.0, "all masses sum to")


def _coded(model: Density, x: Tensor) -> Checked:
    tally = CodeLength()
    try:
        by_bits_back(model)
        write_archive(model, x.cpu().numpy(), None, io.BytesIO(), Settings(), tally=tally)
    except DalmError as error:
        return Checked("unchecked", str(error))
    claim = claim_of(model, x, 1)[0]
    coded = tally.bits / 8
    words = f"{len(x)} rows: {claim:,.1f} bytes claimed, {coded:,.1f} by the coder's tables"
    # Tables give nothing less than 2⁻²⁴, so they may ask for less than the claim, never for more.
    return Checked("impossible" if coded > claim * (1 + CLOSE) + 1 else "guarded", words)


def _known_density(z: Tensor, factor: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points of a density that reaches wherever the samples z may be, and its log: a third normal,
    a third Student, a third kernels about samples, which see what is narrow.
    """
    n, dims = z.shape
    noise = torch.randn(DRAWN, dims, generator=generator, dtype=torch.float64)
    normal = noise @ factor.T
    wide = student_sample(DRAWN, z, generator) @ factor.T
    width = 0.3 * n ** (-1 / (dims + 4))
    near = z[torch.randint(n, (DRAWN,), generator=generator)] + width * noise.flip(0)
    turn = torch.arange(DRAWN)[:, None] % 3
    points = torch.where(turn == 0, normal, torch.where(turn == 1, wide, near))

    back = torch.linalg.solve_triangular(factor, points.T, upper=False).T
    volume = factor.diagonal().log().sum()
    gauss = -back.square().sum(1) / 2 - dims / 2 * math.log(2 * math.pi) - volume
    kernel = RealKernel(width, z, torch.eye(dims, dtype=torch.float64))
    kernels = log_kernel_sums(kernel, points, z) - math.log(n)
    parts = torch.stack([gauss, student_log_prob(back) - volume, kernels])
    return points, parts.logsumexp(0) - math.log(3)


def _integrated(model: Density, seed: int) -> Checked:
    generator = torch.Generator(model.device).manual_seed(seed)
    samples = model.sample(2000, generator=generator).double()
    scaler = Scaler.of(samples, model.spec)
    if len(scaler.rules):
        return Checked("unchecked", "entries that others determine have no density")
    z = scaler.standard(samples).flatten(1)
    dims = z.shape[1]
    factor, failed = torch.linalg.cholesky_ex(1.2 * z.T @ z / len(z) + 1e-6 * torch.eye(dims))
    if failed:
        return Checked("unchecked", "the samples span too few directions")
    points, known = _known_density(z, factor, generator)
    x = scaler.own(points, model.spec.shape)
    weights = (model.log_prob(x).double() - known + scaler.scale.log().sum()).exp()
    effective = (weights.sum().square() / weights.square().sum()).item()
    if not effective >= FEWEST_EFFECTIVE:
        return Checked("unchecked", f"{effective:.0f} effective points say too little")
    return _judged(weights.mean().item(), weights.std().item() / DRAWN**0.5, "it integrates to")


def refusal(size: int, coded: float, claim: float, noise: float) -> str | None:
    """Why a file does not prove a claim, `None` if it does; all in bytes.

    The tables of a coder sum to one, so what they ask for is a likelihood that nobody can deny; the
    claim must be that one, and the file must be of that size. Each comparison has an allowance of
    its own, or a small file could hide a wrong claim in what an archive costs.

    Args:
        size: of the file.
        coded: what the tables of the coder ask for.
        claim: what the likelihood asks for.
        noise: by how much the draws of a bound may make them differ.
    """
    most = MOST_RATIO * claim + noise
    if not (math.isfinite(claim) and coded <= most):
        return (
            f"the tables that code the data ask for {coded:,.0f} bytes; the likelihood claims "
            f"{claim:,.0f}, which allows {most:,.0f}"
        )
    if coded < LEAST_RATIO * claim - noise:
        return (
            f"the tables that code the data ask for {coded:,.0f} bytes only, and the likelihood "
            f"for {claim:,.0f}: they are not of the same model"
        )
    room = MOST_RATIO * coded + ARCHIVE_BYTES
    if size > room:
        return f"the file has {size:,} bytes, and its tables allow {room:,.0f}"
    return None


@torch.no_grad()
def claim_of(model: Generative, x: Tensor, samples: int) -> tuple[float, float]:
    """Bytes that the likelihood of data asks for, and by how many a file may differ because a bound
    draws its noise, by the spread of two draws.

    Args:
        model: with a likelihood.
        x: data.
        samples: importance samples of a bound.
    """
    first, second = (
        torch.cat([_log_prob(model, part, samples, seed) for part in x.split(500)]).double()
        for seed in (None, 1)
    )
    spread = (first - second).square().sum().item() / 2
    draws = getattr(model, "samples", 1) if samples == 1 else 1
    noise = SIGMAS * math.sqrt((draws + 1) * spread)
    return -first.sum().item() / math.log(2) / 8, noise / math.log(2) / 8


def _log_prob(model: Generative, x: Tensor, samples: int, seed: int | None) -> Tensor:
    noise = None if seed is None else torch.Generator(model.device).manual_seed(seed)
    if isinstance(model, Bound) and samples > 1:
        return model.importance_bound(x, samples=samples, generator=noise)
    assert isinstance(model, Density)
    return model.log_prob(x, generator=noise)
