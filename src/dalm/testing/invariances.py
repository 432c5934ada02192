"""What must not matter to a density of real data: units, offsets, copies and order."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dalm.core import Density, Spec
from dalm.testing.cases import TestCase, examples, learn
from dalm.testing.general import generator_of

VECTOR = Spec((3,), classes=2)
SAME = 1e-6
"""Nats that rounding may add."""
COPIED = 0.05
"""Nats an entry by which copies of all rows may change a held-out datum, since some priors count
rows."""
SCALES = torch.tensor([1e6, 1e-6, 3.0], dtype=torch.float64)
OFFSETS = torch.tensor([-2e6, 5e-6, 4e3], dtype=torch.float64)


def units_do_not_matter(case: TestCase) -> None:
    """In other units, x → a x + b, every log density is lower by Σ log a, and nothing else."""
    x, y = examples(VECTOR, 200)
    new, _ = examples(VECTOR, 20, seed=9)
    plain = _scores(case, x, y, new)
    other = _scores(case, x * SCALES + OFFSETS, y, new * SCALES + OFFSETS)
    off = (plain - other - SCALES.log().sum()).abs().max().item()
    assert off <= SAME, f"in other units log densities are off by {off:.3g} nats"


def a_constant_entry_does_not_matter(case: TestCase) -> None:
    """An entry that is always the same, or a sum of others, adds nothing to a log density."""
    x, y = examples(VECTOR, 200)
    new, _ = examples(VECTOR, 20, seed=9)
    plain = _scores(case, x, y, new)
    wide = [
        torch.cat([a, torch.full((len(a), 1), 7.0), a[:, :1] - 2 * a[:, 2:]], 1) for a in (x, new)
    ]
    more = _scores(case, wide[0], y, wide[1])
    assert torch.allclose(plain, more, atol=SAME), (
        f"entries that others determine change log densities by {(plain - more).abs().max():.3g}"
    )


def copies_change_little(case: TestCase) -> None:
    """Every row twice is the same distribution."""
    x, y = examples(VECTOR, 200)
    new, _ = examples(VECTOR, 200, seed=9)
    once = _scores(case, x, y, new).mean().item()
    twice = _scores(case, x.repeat(2, 1), y.repeat(2), new).mean().item()
    limit = COPIED * VECTOR.dims
    assert abs(once - twice) <= limit, (
        f"with every row twice held-out data get {twice:.3f} nats, {once:.3f} with every row once"
    )


def order_does_not_matter(case: TestCase) -> None:
    """Neither the order of the rows nor that of the entries changes a log density."""
    x, y = examples(VECTOR, 200)
    new, _ = examples(VECTOR, 20, seed=9)
    plain = _scores(case, x, y, new)
    rows = torch.randperm(len(x), generator=generator_of())
    entries = torch.tensor([2, 0, 1])
    shuffled = _scores(case, x[rows], y[rows], new)
    turned = _scores(case, x[:, entries], y, new[:, entries])
    for what, other in (("rows", shuffled), ("entries", turned)):
        off = (plain - other).abs().max().item()
        assert off <= SAME, f"another order of the {what} changes log densities by {off:.3g} nats"


def _scores(case: TestCase, x: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """Log densities of new data by a model that learned from others."""
    spec = Spec(tuple(x.shape[1:]), classes=VECTOR.classes)
    model = case.make(spec).double()
    learn(model, x, y, case.steps)
    assert isinstance(model, Density)
    with torch.no_grad():
        scores = model.eval().log_prob(new, generator=generator_of()).double()
    assert math.isfinite(scores.sum().item()), "a log density is not finite"
    return scores
