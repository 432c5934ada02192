"""How models learn: by turns of gradient steps, by passes over the data, or in stages.

A *learner* says how a step goes, as a generator that the training loop drives:

    def turns(self, step):
        for _ in range(5):                            # five critic steps, then the generator's
            x, y, _ = step.batch()
            yield Turn("critic", ...)
        yield Turn("generator", ...)

The loop steps a player before it resumes the generator, so what follows a `yield` runs after the
update. Code between two yields runs under the loop's precision; a context manager must not be held
open across a `yield`.

An *estimator* learns in closed form or by passes of its own, and yields after each.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from dalm.core.batch import Batch, Stream
from dalm.core.model import Generative


class Step(Protocol):
    """One step of the training loop, as a learner sees it."""

    @property
    def number(self) -> int:
        """How many steps came before."""

    @property
    def progress(self) -> float:
        """The share of the fit's plan that came before, from 0 to 1."""

    @property
    def generator(self) -> torch.Generator:
        """Randomness of this step, on the model's device."""

    def batch(self, stream: Stream = "train") -> Batch:
        """The next rows of a stream, as often as it is asked for."""


class Turn(NamedTuple):
    """One player's turn in a step.

    Args:
        player: whose parameters are stepped.
        loss: what they minimise, a scalar.
        log: further terms to be logged, by name, scalars; the learner's `units` says their units.
    """

    player: str
    loss: Tensor
    log: Mapping[str, Tensor] = {}


@dataclass(frozen=True)
class Player:
    """Who is optimised, and how.

    Args:
        parameters: what is stepped.
        optimiser: a class of `torch.optim` by name.
        lr: its learning rate, as a multiple of the run's.
        betas: decays of the moments; `None` for optimisers that take none.
        clip: largest gradient norm, 0 for none; `None` takes the run's.
        ema: decay of the averaged weights that are kept as the result, 0 for none; `None` takes the
            run's.
        weight_decay: of the optimiser; `None` takes the run's.

    >>> len(Player(nn.Linear(2, 1).parameters(), lr=4.0).parameters)
    2
    """

    parameters: Iterable[nn.Parameter]
    optimiser: str = "AdamW"
    lr: float = 1.0
    betas: tuple[float, float] | None = (0.9, 0.999)
    clip: float | None = None
    ema: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))


@dataclass(frozen=True)
class Recipe:
    """How a family likes to be trained: the defaults of `fit`, kept beside the paper.

    Args:
        lr: peak learning rate.
        weight_decay: decoupled weight decay.
        batch_size: data per step.
        clip: largest gradient norm; 0 turns clipping off.
        ema: decay of the averaged weights that are kept as the result; 0 keeps the last weights.
        schedule: `"cosine"` (short linear warm-up, then to zero) or `"constant"`.
        precision: `"bfloat16"` where half precision pays and the machine has it, else `"float32"`.
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    batch_size: int = 64
    clip: float = 1.0
    ema: float = 0.999
    schedule: Literal["cosine", "constant"] = "cosine"
    precision: Literal["float32", "bfloat16"] = "float32"


class Learner(Generative):
    """A model that learns by gradients."""

    recipe = Recipe()
    units: ClassVar[Mapping[str, str]] = {}
    """The unit of `loss` and of each further term that a turn logs."""

    def adapt(self, x: Tensor, y: Tensor | None) -> None:
        """Take scales and class frequencies from the training data, once, before the first step.

        Args:
            x: all training data as the model sees them, (N, *inner.shape).
            y: their labels (N,), or `None`.
        """
        self.count_classes(y)

    def count_classes(self, y: Tensor | None) -> None:
        """Take the class frequencies of a conditional model from labels (N,); -1 counts nowhere."""
        if self.conditional and y is not None:
            counts = torch.bincount(y[y >= 0].long(), minlength=self.spec.classes)
            self.prior = counts.to(self.prior) / int(counts.sum())

    def players(self) -> dict[str, Player]:
        """Who is optimised, by name: one player with all parameters, unless a family says else."""
        return {"model": Player(p for p in self.parameters() if p.requires_grad)}

    @abc.abstractmethod
    def turns(self, step: Step) -> Iterator[Turn]:
        """One step: yield a loss for each turn of a player, who is stepped before the next."""


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _unbounded() -> float | None:
    """No end is set."""
    return None


@dataclass
class Work:
    """What an estimator learns from, and where it stands.

    What it needs from one pass to the next is in its own state or in `memory`, so that one that was
    stopped goes on where it was.

    Args:
        train: all training data as the model sees them, on its device.
        validation: all validation data, likewise; `None` where there are none.
        number: how many passes came before.
        generator: randomness of the pass under way, on the CPU.
        memory: what it wants to know again in later passes, but is no part of the model.
        left: asks how many seconds of the budget are left, `None` where it is no budget of seconds.
            A pass that may be long sizes its work by that; what it decides so goes into `memory`.

    >>> Work(Batch(torch.zeros(1, 2))).left() is None
    True
    """

    train: Batch
    validation: Batch | None = None
    number: int = 0
    generator: torch.Generator = field(default_factory=_seeded)
    memory: dict[str, Tensor] = field(default_factory=dict)
    left: Callable[[], float | None] = _unbounded


class Estimator(Generative):
    """A model that learns in closed form, by remembering, or by passes such as those of EM."""

    units: ClassVar[Mapping[str, str]] = {}
    """The unit of each number that a pass logs."""
    seeded: ClassVar[bool] = True
    """Whether another seed may give another model."""

    @abc.abstractmethod
    def passes(self, work: Work) -> Iterable[Mapping[str, float]]:
        """Learn; yield after each pass what is to be logged. A closed form returns nothing: `()`.

        The caller may stop after any pass, and go on later with a new call whose `work.number`
        counts those that were made.
        """
