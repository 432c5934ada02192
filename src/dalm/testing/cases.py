"""A family under test: small models of it, and data small enough to be enumerated."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dalm.core import Batch, Estimator, Generative, Learner, Spec, Work, conditions
from dalm.data import Split
from dalm.errors import DalmError
from dalm.train.options import FitOptions, with_recipe
from dalm.train.state import State
from dalm.train.step import Stepper

TINY = Spec((1, 2, 2), levels=3, classes=2)
"""Discrete data of which there are only 81."""
SMALL = Spec((1, 4, 4), levels=3, classes=2)
"""For families that refuse the tiny Spec."""
PLANE = Spec((2,), classes=2)
"""Real data."""
REAL = (Spec((1,), classes=2), PLANE, Spec((1, 1, 3), classes=2))
"""Real data of one, two and three dimensions."""
RATE = 1e-2
"""Learning rate of the small models."""


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
        return conditions(self.family)

    @property
    def always_conditional(self) -> bool:
        """Whether it is conditional without being asked."""
        return "conditional" not in self.family.declared() and self.takes_classes

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
        """A new model with weights from a fixed seed.

        Args:
            spec: what one datum is.
            conditional: learn each class, if the family can be asked to.
        """
        asked = conditional and "conditional" in self.family.declared()
        extra = {"conditional": True} if asked else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return self.family(spec, **self.options, **extra)

    def trained(self, spec: Spec, conditional: bool = False) -> Generative:
        """A model in double precision that has learned from `examples`; one fit serves all checks.

        Args:
            spec: what one datum is.
            conditional: as in `make`.
        """
        key = (self.family, repr(self.options), self.steps, spec, conditional)
        if key not in _trained:
            model = self.make(spec, conditional).double()
            x, y = examples(spec)
            learn(model, x, y, self.steps)
            _trained[key] = model.eval()
        return copy.deepcopy(_trained[key])


_trained: dict[tuple[Any, ...], Generative] = {}


def learn(model: Generative, x: Tensor, y: Tensor | None, steps: int) -> None:
    """Teach a model by the loop that `fit` drives, without a run.

    Args:
        model: changed in place.
        x: data, (N, *spec.shape).
        y: their labels (N,).
        steps: of a learner.
    """
    model.measure(x)
    seen = model.standard(x)
    if isinstance(model, Estimator):
        work = Work(Batch(seen, y), generator=torch.Generator().manual_seed(2))
        for _ in model.passes(work):
            work.number += 1
    if not isinstance(model, Learner):
        return
    model.adapt(seen, model.condition(y))
    stepper = stepper_of(model.train(), x, y, steps)
    for _ in range(steps):
        stepper()


def stepper_of(model: Learner, x: Tensor, y: Tensor | None, steps: int) -> Stepper:
    """What takes the steps of a small model.

    Args:
        model: changed in place.
        x: data, (N, *spec.shape).
        y: their labels (N,).
        steps: of the whole run.
    """
    plain = FitOptions(
        steps=steps,
        seed=2,
        lr=RATE,
        clip=0.0,
        ema=0.0,
        weight_decay=0.0,
        batch_size=64,
        schedule="constant",
        precision="float32",
        device="cpu",
    )
    options = with_recipe(plain, model, len(x))
    return Stepper(State(model, options), model.stages()[0], Split(x, y))
