r"""Densities of kernels over remembered rows, and how well a bandwidth suits rows left out.

On real data a share ε of one Student distribution, as wide as the data, may stand beside the
kernels: P(x) = (1 - ε) (1/n) Σ_j n_j k(x - c_j) + ε t₃(x).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from dalm.probability.kernels import Kernel, LevelKernel, RealKernel, Rows, log_kernel_sums
from dalm.probability.student import best_share, student_log_prob


class Choice(NamedTuple):
    """What is to be chosen.

    Args:
        width: h.
        factor: L of the kernel's covariance h² L Lᵀ, (D, D); unused on levels.
        share: ε of the wide distribution, 0 on levels.
    """

    width: float
    factor: Tensor
    share: float = 0.0


def make_kernel(choice: Choice, rows: Tensor, levels: int | None) -> Kernel:
    """The kernel of a choice.

    Args:
        choice: says how wide it is.
        rows: what was remembered, (N, D).
        levels: how many an entry has, or `None` for real numbers.
    """
    if levels is None:
        return RealKernel(choice.width, rows, choice.factor)
    return LevelKernel(choice.width, levels)


def log_density(kernel: Kernel, choice: Choice, x: Tensor, rows: Rows) -> Tensor:
    """Log P of flat data, (B, D) -> (B,) nats.

    Args:
        kernel: as `make_kernel` makes it.
        choice: says the share of the wide distribution.
        x: data.
        rows: what was remembered.
    """
    sums = log_kernel_sums(kernel, x, rows.x, counts=rows.counts) - rows.counts.sum().log()
    return _mixed(sums, student_log_prob(x.double()), choice.share) if choice.share else sums


def left_out(choice: Choice, rows: Rows, picked: Tensor, levels: int | None) -> tuple[float, float]:
    """Total log likelihood of rows that are left out one by one, and the share of the wide
    distribution that is best for it.

    Args:
        choice: a bandwidth that is tried.
        rows: what was remembered; each class is a density of its own.
        picked: places of those to be left out, a place as often as its row counts.
        levels: how many an entry has, or `None` for real numbers.
    """
    kernel = make_kernel(choice, rows.x, levels)
    total = 0.0
    logs = []
    seen = []
    for k in rows.labels.unique().tolist():
        members = (rows.labels == k).nonzero()[:, 0]
        mine = picked[torch.isin(picked, members)]
        if not len(mine) or len(members) == 1:
            continue
        among = rows.of(k)
        own = torch.searchsorted(members, mine)
        sums = log_kernel_sums(kernel, rows.x[mine], among.x, own, among.counts)
        total += sums.sum().item()
        logs.append(sums - (among.counts.sum() - among.counts[own]).log())
        seen.append(rows.x[mine])
    if levels is not None or not logs:
        return total, 0.0
    alone = torch.cat(logs)
    wide = student_log_prob(torch.cat(seen).double())
    share = best_share(alone, wide)
    return _mixed(alone, wide, share).sum().item(), share


def _mixed(own: Tensor, other: Tensor, share: float) -> Tensor:
    """Log density of a mixture of two."""
    return torch.logaddexp(own + math.log1p(-share), other + math.log(share))
