"""A family under test: small models of it, and data small enough to be enumerated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dalm.core import Estimator, Generative, Learner, Spec, signature
from dalm.errors import DalmError

TINY = Spec((1, 2, 2), levels=3, classes=2)
"""Discrete data of which there are only 81."""
SMALL = Spec((1, 4, 4), levels=3, classes=2)
"""For families that refuse the tiny Spec."""
PLANE = Spec((2,), classes=2)
"""Real data."""


def everything(spec: Spec) -> Tensor:
    """All data of a tiny discrete Spec, (levels ** dims, *shape).

    >>> len(everything(TINY))
    81
    """
    assert spec.levels is not None
    rows = list(itertools.product(range(spec.levels), repeat=spec.dims))
    return torch.tensor(rows, dtype=spec.dtype).view(-1, *spec.shape)


def examples(spec: Spec, n: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Data with structure: entries depend on one another and on the class; (n, *shape) and (n,)."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(max(spec.classes, 1), (n,), generator=generator)
    common = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    x = (
        0.8 * common
        + 0.7 * torch.randn(n, spec.dims, generator=generator, dtype=torch.float64)
        + y[:, None]
    )
    # Real data lie far from unit scale, so that a forgotten Jacobian shows.
    x = (
        3 * x + 5
        if spec.levels is None
        else (x + spec.levels / 2 - 0.5).round().clamp(0, spec.levels - 1)
    )
    return x.view(n, *spec.shape).to(spec.dtype), y


@dataclass(frozen=True)
class TestCase:
    """A family and how to make it small.

    Args:
        family: the class.
        options: constructor options of a small model.
        steps: gradient steps for a model that learns.
    """

    __test__ = False  # pytest takes every class called Test… for one of its own

    family: type[Generative]
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 60

    @property
    def takes_classes(self) -> bool:
        """Whether the family can be conditional, by option or always."""
        return "conditional" in signature(self.family) or self.always_conditional

    @property
    def always_conditional(self) -> bool:
        """Whether it is conditional without being asked."""
        return "conditional" not in signature(self.family) and self.make(PLANE).conditional

    def suits(self, spec: Spec) -> bool:
        """Whether the family takes data of this Spec."""
        try:
            self.make(spec)
        except DalmError:
            return False
        return True

    @property
    def discrete(self) -> Spec:
        """The smallest discrete Spec that the family takes."""
        return TINY if self.suits(TINY) else SMALL

    def make(self, spec: Spec, conditional: bool = False) -> Generative:
        """A new model with weights from a fixed seed."""
        extra = (
            {"conditional": True} if conditional and "conditional" in signature(self.family) else {}
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return self.family(spec, **self.options, **extra)

    def trained(self, spec: Spec, conditional: bool = False) -> Generative:
        """A model in double precision that has learned from `examples`."""
        model = self.make(spec, conditional).double()
        x, y = examples(spec)
        learn(
            model,
            x.double() if spec.levels is None else x,
            y if model.conditional else None,
            self.steps,
        )
        return model.eval()


def learn(model: Generative, x: Tensor, y: Tensor | None, steps: int) -> None:
    """Teach a model without the trainer: the contract must suffice."""
    generator = torch.Generator().manual_seed(2)
    if isinstance(model, Estimator):
        model.passes(x, y, generator)
    if not isinstance(model, Learner):
        return
    model.adapt(x, y)
    optimisers: dict[int, torch.optim.Optimizer] = {}
    model.train()
    for _ in range(steps):
        index = torch.randint(len(x), (64,), generator=generator)
        for k, (parameters, closure) in enumerate(
            model.losses(x[index], None if y is None else y[index], generator)
        ):
            optimiser = optimisers.setdefault(k, torch.optim.Adam(parameters, lr=1e-2))
            optimiser.zero_grad()
            closure().backward(inputs=parameters)
            optimiser.step()
