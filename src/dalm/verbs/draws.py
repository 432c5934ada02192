"""Samples for the metrics and for the gallery."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from dalm.core import Generative
from dalm.models import Copycat

AT_ONCE = 500


def draw(model: Generative, seed: int, count: int, **options: Any) -> tuple[Tensor, float]:
    """Samples on the CPU, and how many came in a second.

    Args:
        model: draws them.
        seed: of the samples.
        count: how many; never so many of a copycat that a row comes twice.
        **options: of the family's sampling.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    model.sample(1, generator=generator)  # the first call pays for what the others reuse

    whole, rest = divmod(count, AT_ONCE)
    sizes = [AT_ONCE] * whole + [rest] * bool(rest)
    # A row drawn twice would tell a copycat from fresh data.
    if isinstance(model, Copycat) and model.share == 1:
        sizes = [min(count, len(model.rows))]
    began = time.perf_counter()
    parts = [model.sample(size, generator=generator, **options).cpu() for size in sizes]
    return torch.cat(parts), sum(map(len, parts)) / (time.perf_counter() - began)


def means(model: Generative, seed: int, count: int, shown: int) -> Tensor | None:
    """What a model expects where `draw` drew: of the same codes, without the noise that it adds to
    each entry; `None` for families that do not tell the two apart.

    Args:
        model: one.
        seed: of the samples.
        count: how many were drawn.
        shown: how many means are wanted, at most 500.
    """
    if "mean" not in model.sampling.declared():
        return None
    return draw(model, seed, min(count, AT_ONCE), mean=True)[0][:shown]
