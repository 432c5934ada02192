"""Looks at a model while it learns: validation rows scored, samples drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.core import Batch, Density, Stage, evaluating
from dalm.data import Data
from dalm.train.plan import SCORED
from dalm.train.seeds import derive_seed
from dalm.train.state import State
from dalm.train.step import autocast

SCORED_AT_ONCE = 128
SHOWN = 64
"""Samples in a snapshot."""


@torch.no_grad()
def validate(state: State, stage: Stage, data: Data, most: int = SCORED) -> float | None:
    """Mean negative log probability of validation rows, or None for a model without one.

    Each part of the rows gets the same noise each time, so that validations compare.

    Args:
        state: whose average is scored.
        stage: says how data are seen.
        data: its validation split is scored.
        most: rows that are scored.

    Returns:
        Nats per datum.
    """
    model = state.average
    if not isinstance(model, Density):
        return None
    rows = data.val.subset(most)
    labelled = rows.y is not None and not bool((rows.y < 0).any())
    scores = []
    with autocast(state.options):
        for start in range(0, len(rows), SCORED_AT_ONCE):
            part = slice(start, start + SCORED_AT_ONCE)
            batch = Batch(rows.x[part], rows.y[part] if labelled and rows.y is not None else None)
            x, y, _ = batch if stage.see is None else stage.see(batch)
            noise = torch.Generator(model.device).manual_seed(0)
            scores.append(model.log_prob(x, known_labels(model.condition(y)), noise))
    return -torch.cat(scores).double().mean().item()


def known_labels(y: Tensor | None) -> Tensor | None:
    """The labels if all rows have one, else none: then the likelihood sums over classes."""
    return None if y is None or bool((y < 0).any()) else y


def snapshot(state: State) -> Tensor:
    """Samples of the average, from the same noise each time, on the CPU."""
    options = state.options
    seed = derive_seed(options.seed, "snapshot", 0)
    generator = torch.Generator(options.place).manual_seed(seed)
    with evaluating(state.averaged):
        return state.averaged.sample(SHOWN, generator=generator).cpu()
