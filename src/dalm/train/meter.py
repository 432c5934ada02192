"""The losses of the steps since the last line of the log, read as seldom as may be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dalm.train.options import Diverged
from dalm.train.state import HINT
from dalm.train.step import Played


class Meter:
    """Remembers losses without waiting for the accelerator, and averages them when asked."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, Sequence[Played]]] = []
        self.losses: dict[str, list[float]] = {}
        self.terms: dict[str, list[float]] = {}
        self.count = 0

    def add(self, step: int, played: Sequence[Played]) -> None:
        """Remember the turns of a step.

        Args:
            step: how many steps are done.
            played: its turns.
        """
        self.waiting.append((step, played))

    def read(self) -> None:
        """Take in what waits; raise Diverged if a loss is not finite."""
        names: list[tuple[int, bool, str]] = []
        scalars: list[Tensor] = []
        for step, played in self.waiting:
            for turn in played:
                names.append((step, True, turn.player))
                scalars.append(turn.loss)
                names += [(step, False, term) for term in turn.terms]
                scalars += turn.terms.values()
        if not scalars:
            return
        self.count += len(self.waiting)
        self.waiting = []
        for (step, is_loss, name), value in zip(names, numbers(scalars), strict=True):
            self._take(step, is_loss, name, value)

    def _take(self, step: int, is_loss: bool, name: str, value: float) -> None:
        if not is_loss:
            self.terms.setdefault(name, []).append(value)
            return
        if not math.isfinite(value):
            raise Diverged(
                f"the loss of {name} was {value} at step {step}; the last good weights are kept. "
                f"{HINT}"
            )
        self.losses.setdefault(name, []).append(value)

    def means(self) -> tuple[dict[str, float], dict[str, float | None]]:
        """Mean loss of each player and mean of each term since the last `reset`."""
        losses = {name: _mean(values) for name, values in self.losses.items()}
        terms = {name: _finite(_mean(values)) for name, values in self.terms.items()}
        return losses, terms

    def reset(self) -> None:
        """Begin anew."""
        self.losses = {}
        self.terms = {}
        self.count = 0


def numbers(scalars: Sequence[Tensor]) -> list[float]:
    """The values of tensors of one element; those on an accelerator are waited for once.

    >>> numbers([torch.tensor(0.5), torch.tensor([2])])
    [0.5, 2.0]
    """
    away = [scalar.float().reshape(()) for scalar in scalars if not scalar.is_cpu]
    arrived = iter(torch.stack(away).tolist() if away else ())
    return [float(scalar) if scalar.is_cpu else next(arrived) for scalar in scalars]


def _mean(values: Sequence[float]) -> float:
    return round(math.fsum(values) / len(values), 6)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
