"""Training rows that are left out, to show what an unseen row would be like: which of them repeat,
and whether by chance.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dalm.core.repetition import by_chance
from dalm.metrics.evidence import Evidence


def shared_kinds(evidence: Evidence) -> tuple[Tensor, Tensor]:
    """The kinds of training rows, for `evidence.once`; see `kinds`."""
    return kinds(evidence.plain_sets.train)


def shared_left_out(evidence: Evidence) -> Tensor:
    """The training rows among which each is left out, for `evidence.once`; see `left_out`."""
    return left_out(evidence.plain_sets.train, *evidence.once(shared_kinds))


def left_out(rows: Tensor, first: Tensor, equal: Tensor) -> Tensor:
    """Places of the rows among which each is left out: all where rows repeat by chance, since a new
    row would equal one of them as often, else one of each kind.

    Args:
        rows: (N, ...).
        first: where each kind is first, (K,).
        equal: how many are equal to each row, (N,).

    >>> coins = torch.tensor([[0.0], [1.0]]).repeat(9, 1)
    >>> len(left_out(coins, *kinds(coins)))
    18
    """
    once = rows[first].cpu().numpy()
    chance = len(first) == len(rows) or by_chance(once, equal[first].numpy())
    return torch.arange(len(rows)) if chance else first


def kinds(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Where each kind of equal rows is first, (K,), and how many are equal to each row, (N,).

    Args:
        rows: (N, ...).

    >>> kinds(torch.tensor([[0.0], [1.0], [-0.0]]))
    (tensor([0, 1]), tensor([2, 1, 2]))
    """
    flat = np.ascontiguousarray(rows.flatten(1).cpu().numpy() + 0)  # -0 as 0
    whole = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1])))[:, 0]
    _, first, place, counts = np.unique(
        whole, return_index=True, return_inverse=True, return_counts=True
    )
    return torch.as_tensor(np.sort(first)), torch.as_tensor(counts[place])
