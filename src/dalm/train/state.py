"""The moving parts of a fit: what changes at each step, and must come back after a kill."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dalm.core import Learner, restore
from dalm.train.options import Diverged, Options
from dalm.train.run import read_tensors, write_tensors

HINT = "A smaller lr or clip=1 may help"
AVERAGE_EVERY = 8  # steps between updates of the weight average: as good, and an eighth of the cost


def derive_seed(seed: int, role: str, index: int) -> int:
    """The seed of one source of randomness, a function of the run's seed alone.

    >>> derive_seed(0, "noise", 1) != derive_seed(0, "noise", 2)
    True
    """
    return int.from_bytes(
        hashlib.blake2b(f"{seed}/{role}/{index}".encode(), digest_size=7).digest(), "big"
    )


class Batches:
    """Rows of training data in an order that depends on seed and step alone.

    Args:
        x: (N, *shape).
        y: (N,) or None.
        size: rows in a batch, at most N.
        seed: of the order.
        device: where batches go.
    """

    def __init__(self, x: Tensor, y: Tensor | None, size: int, seed: int, device: str) -> None:
        keep = device != "cpu" and x.nbytes < 2**31  # small enough to live on the accelerator
        self.x, self.y = (x.to(device), None if y is None else y.to(device)) if keep else (x, y)
        self.size = size
        self.seed = seed
        self.device = device
        self.epoch = -1
        self.order = torch.empty(0, dtype=torch.long)

    def __call__(self, step: int) -> tuple[Tensor, Tensor | None]:
        """The batch of a step."""
        epoch, place = divmod(step, len(self.x) // self.size)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
            self.order = torch.randperm(len(self.x), generator=generator).to(self.x.device)
            self.epoch = epoch
        index = self.order[place * self.size : (place + 1) * self.size]
        return self.x[index].to(self.device), None if self.y is None else self.y[index].to(
            self.device
        )


def learning_rate(options: Options, step: int) -> float:
    """Learning rate of a step.

    >>> learning_rate(Options(steps=100, lr=1.0, schedule="cosine"), 4)
    1.0
    """
    assert options.lr is not None and options.steps is not None
    warm = min(500, max(1, options.steps // 20))
    if options.schedule == "constant":
        return options.lr
    return (
        options.lr
        * min((step + 1) / warm, 1.0)
        * (1 + math.cos(math.pi * max(0, step - warm) / max(1, options.steps - warm)))
        / 2
    )


class State:
    """Weights, their average, the best average yet, and the optimisers."""

    def __init__(self, model: Learner, options: Options) -> None:
        self.model = model
        self.options = options
        self.step = 0
        self.seconds = 0.0
        self.average = copy.deepcopy(model).eval().requires_grad_(False) if options.ema else model
        self.best: dict[str, Tensor] = {}
        self.best_value = math.inf
        self.since_best = 0
        self.optimisers: list[torch.optim.AdamW] = []
        self.loaded: dict[str, dict[str, Tensor]] = {}

    def optimiser(self, player: int, parameters: list[nn.Parameter]) -> torch.optim.AdamW:
        """The optimiser of a player, made on first use, with the moments of a loaded checkpoint."""
        if player == len(self.optimisers):
            o = self.options
            betas = self.model.recipe.betas
            made = torch.optim.AdamW(
                parameters,
                lr=o.lr or 0.0,
                betas=betas,
                weight_decay=o.weight_decay or 0.0,
                fused=True,
            )
            moments: dict[int, dict[str, Tensor]] = {}
            for name, value in self.loaded.pop(f"optimiser.{player}", {}).items():
                index, _, moment = name.partition(".")
                moments.setdefault(int(index), {})[moment] = value
            made.load_state_dict(
                {"state": moments, "param_groups": made.state_dict()["param_groups"]}
            )
            self.optimisers.append(made)
        return self.optimisers[player]

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the average towards the weights; buffers such as batch statistics are taken as they
        are.
        """
        if self.average is self.model or (
            self.step % AVERAGE_EVERY and self.step != self.options.steps
        ):
            return
        decay = min(self.options.ema or 0.0, (1 + self.step) / (10 + self.step)) ** (
            self.step % AVERAGE_EVERY or AVERAGE_EVERY
        )
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.model.parameters()), 1 - decay
        )
        for mine, live in zip(self.average.buffers(), self.model.buffers(), strict=True):
            mine.copy_(live)

    def early_stop(self, value: float) -> bool:
        """Keep the average if it is the best by validation; true when patience has run out."""
        if value < self.best_value:
            self.best_value = value
            self.since_best = 0
            self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
        else:
            self.since_best += 1
        return 0 < self.options.patience <= self.since_best

    def result(self) -> dict[str, Tensor]:
        """The weights to keep: the best average, or the last one where nothing was validated."""
        return self.best or self.average.state_dict()

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        parts: list[tuple[str, dict[str, Any]]] = [
            ("model", self.model.state_dict()),
            ("best", self.best),
        ]
        if self.average is not self.model:
            parts.append(("average", self.average.state_dict()))
        for k, optimiser in enumerate(self.optimisers):
            moments = optimiser.state_dict()["state"].items()
            parts.append(
                (
                    f"optimiser.{k}",
                    {f"{i}.{name}": value for i, state in moments for name, value in state.items()},
                )
            )
        parts += [
            (name, part) for name, part in self.loaded.items() if name.startswith("optimiser.")
        ]  # of players not stepped yet
        for prefix, part in parts:
            yield from ((f"{prefix}/{name}", value) for name, value in part.items())

    def check(self) -> None:
        """Raise Diverged if a weight is not finite: a finite loss can have an infinite gradient."""
        for name, weight in self.model.named_parameters():
            if not torch.isfinite(weight).all():
                raise Diverged(
                    f"the weights {name} were not finite at step {self.step}; the last good ones "
                    f"are kept. {HINT}"
                )

    def save(self, path: Path) -> None:
        """Write all of it, if it is sound."""
        self.check()
        note = {
            "step": self.step,
            "seconds": self.seconds,
            "best_value": repr(self.best_value),
            "since_best": self.since_best,
        }
        write_tensors(path, dict(self._tensors()), note)

    def load(self, path: Path) -> None:
        """Come back to where `save` was."""
        tensors, note = read_tensors(path)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            prefix, _, rest = name.partition("/")
            parts.setdefault(prefix, {})[rest] = value
        self.step = note["step"]
        self.seconds = note["seconds"]
        self.best_value = float(note["best_value"])
        self.since_best = note["since_best"]
        self.best = parts.get("best", {})
        restore(self.model, parts["model"])
        if self.average is not self.model:
            restore(self.average, parts["average"])
        self.loaded = parts
