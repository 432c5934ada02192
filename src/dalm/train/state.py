"""The moving parts of a fit: what changes at each step, and must come back after a kill."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dalm.core import Generative, Learner, Player, restore
from dalm.errors import DalmError, did_you_mean
from dalm.train.options import Diverged, FitOptions
from dalm.train.parts import Tensors, joined, moments, parted, set_moments
from dalm.train.plan import Leg, Plan
from dalm.train.run import read_tensors, write_tensors
from dalm.train.schedule import learning_rate

HINT = "A smaller lr or clip=1 may help"
AVERAGE_EVERY = 8
"""Steps between updates of the weight average: as good, and an eighth of the cost."""
FUSED = ("Adam", "AdamW", "SGD", "Adagrad")


def resolved_players(model: Learner, options: FitOptions) -> dict[str, dict[str, Any]]:
    """How each player is optimised, in full, as a run keeps it.

    Args:
        model: whose players they are.
        options: what decides where a player says nothing.
    """
    return {name: _resolved(player, options) for name, player in model.players().items()}


def _resolved(player: Player, options: FitOptions) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "optimiser": player.optimiser,
        "lr": player.lr * (options.lr or 0.0),
        "betas": None if player.betas is None else list(player.betas),
    }
    for name in ("clip", "ema", "weight_decay"):
        own = getattr(player, name)
        facts[name] = getattr(options, name) if own is None else own
    return facts


def make_optimiser(player: Player, options: FitOptions) -> torch.optim.Optimizer:
    """The optimiser of a player.

    Args:
        player: who is optimised.
        options: of the run.

    Raises:
        DalmError: torch has no such optimiser.
    """
    kind = getattr(torch.optim, player.optimiser, None)
    if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
        names = [name for name in torch.optim.__all__ if name[0].isupper()]
        raise DalmError(
            f"torch has no optimiser {player.optimiser!r}. {did_you_mean(player.optimiser, names)}"
        )
    facts = _resolved(player, options)
    wanted: dict[str, Any] = {
        "lr": facts["lr"],
        "weight_decay": facts["weight_decay"] or 0.0,
        "betas": player.betas,
        "fused": player.optimiser in FUSED or None,
    }
    takes = inspect.signature(kind).parameters
    settings = {name: value for name, value in wanted.items() if name in takes}
    given = {name: value for name, value in settings.items() if value is not None}
    return kind(list(player.parameters), **given)


def whole_plan(options: FitOptions) -> Plan:
    """As many steps as the options say, in one leg."""
    counts = (options.steps or 1, options.validations, options.snapshots)
    return Plan([Leg(0, *counts, threads=options.threads)])


def check_players(family: str, players: Mapping[str, Player]) -> None:
    """Raise DalmError unless each player has parameters, and none has another's.

    Args:
        family: whose they are, for the error.
        players: by name.
    """
    owners: dict[int, str] = {}
    for name, player in players.items():
        if not any(True for _ in player.parameters):
            raise DalmError(f"{family}'s player {name!r} has no parameters to be stepped")
        for parameter in player.parameters:
            if id(parameter) in owners:
                raise DalmError(
                    f"{family}'s players {owners[id(parameter)]!r} and {name!r} share a "
                    "parameter; each belongs to one of them"
                )
            owners[id(parameter)] = name


class State:
    """Weights, their average, the best average yet, and the optimisers, of one stage of a fit.

    Args:
        family: the whole model.
        options: of the stage, its number of steps among them.
        stage: which of the family's stages.
        plan: how many steps it takes; as many as the options say if nothing is said.

    Attributes:
        seconds: that the steps of this stage took.
        earlier: seconds of the stages before.
    """

    def __init__(
        self,
        family: Generative,
        options: FitOptions,
        stage: int = 0,
        plan: Plan | None = None,
    ) -> None:
        self.family = family
        self.options = options
        self.stage = stage
        self.plan = plan or whole_plan(options)
        self.step = 0
        self.seconds = 0.0
        self.earlier = 0.0
        self.drawn: dict[str, int] = {}
        self.model = self._part(family)
        self.players = self.model.players()
        check_players(self.model.family, self.players)
        self.parameters = {name: tuple(player.parameters) for name, player in self.players.items()}
        self.leaves = {name: self._leaves(own) for name, own in self.parameters.items()}
        self.optimisers = {name: make_optimiser(p, options) for name, p in self.players.items()}
        self.averaged = family
        if any(self.decay(player) for player in self.players.values()):
            self.averaged = copy.deepcopy(family).eval().requires_grad_(False)
        self.average = self._part(self.averaged)
        self.followers = self._followers()
        self.unowned = self._unowned()
        self.best: Tensors = {}
        self.best_value = math.inf
        self.notes: dict[str, Any] = {}

    def _part(self, family: Generative) -> Learner:
        model = family.stages()[self.stage].model
        assert isinstance(model, Learner)
        return model

    def _leaves(self, parameters: tuple[nn.Parameter, ...]) -> tuple[nn.Parameter, ...] | None:
        """What gets a gradient in a player's turn; `None`, which is faster, where that is all."""
        owned = {id(parameter) for parameter in parameters}
        others = [p for p in self.family.parameters() if p.requires_grad and id(p) not in owned]
        return parameters if others else None

    def _followers(self) -> dict[str, list[Tensor]]:
        """The averages of each player's parameters."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        averages = dict(self.average.named_parameters())
        return {
            player: [averages[names[id(parameter)]] for parameter in own]
            for player, own in self.parameters.items()
        }

    def _unowned(self) -> list[tuple[Tensor, Tensor]]:
        """The parameters that no player owns: each one's average, and itself."""
        owned = {id(parameter) for own in self.parameters.values() for parameter in own}
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        return [(mine, theirs) for mine, theirs in pairs if id(theirs) not in owned]

    def follow(self, leg: Leg) -> None:
        """Go on by a leg of the plan."""
        self.options = self.options.replace(
            steps=leg.steps, validations=leg.validations, snapshots=leg.snapshots
        )

    def rate(self, step: int) -> float:
        """The learning rate of the step after `step` others."""
        return learning_rate(self.options, self.plan.position(step))

    def decay(self, player: Player) -> float:
        """The decay of a player's average, 0 for none."""
        return (self.options.ema if player.ema is None else player.ema) or 0.0

    def clip(self, player: Player) -> float:
        """The largest gradient norm of a player, 0 for none."""
        return (self.options.clip if player.clip is None else player.clip) or 0.0

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the average towards the weights; buffers such as batch statistics are copied."""
        if self.averaged is self.family:
            return
        last = self.step == self.options.steps
        due = self.step % AVERAGE_EVERY == 0 or last
        since = self.step % AVERAGE_EVERY or AVERAGE_EVERY
        for name, player in self.players.items():
            decay = self.decay(player)
            if due or not decay:
                share = min(decay, (1 + self.step) / (10 + self.step)) ** since
                torch._foreach_lerp_(self.followers[name], self.parameters[name], 1 - share)
        if due:
            self._copy_the_rest()

    def _copy_the_rest(self) -> None:
        """Copy what no player owns: buffers, and parameters that a family moves by itself."""
        for mine, theirs in zip(self.average.buffers(), self.model.buffers(), strict=True):
            mine.copy_(theirs)
        for mine, theirs in self.unowned:
            mine.copy_(theirs)

    def keep_best(self, value: float) -> None:
        """Keep the average as the best one yet, by what validation gave."""
        self.best_value = value
        self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}

    def roll_back(self) -> None:
        """Go back to the best average, where this process keeps it; moments are forgotten."""
        if self.best:
            self.model.load_state_dict(self.best)
            self.average.load_state_dict(self.best)
        for optimiser in self.optimisers.values():
            optimiser.state.clear()

    def result(self) -> Tensors:
        """The weights to keep: the best average, or the last one where nothing was validated."""
        return self.best or self.average.state_dict()

    def check(self) -> None:
        """Raise Diverged if a weight is not finite: a finite loss can have an infinite gradient."""
        for name, weight in self.model.named_parameters():
            if not torch.isfinite(weight).all():
                raise Diverged(
                    f"the weights {name} were not finite at step {self.step}; the last good ones "
                    f"are kept. {HINT}"
                )

    def _parts(self) -> dict[str, Mapping[str, Tensor]]:
        parts: dict[str, Mapping[str, Tensor]] = {
            "model": self.family.state_dict(),
            "best": self.best,
        }
        if self.averaged is not self.family:
            parts["average"] = self.averaged.state_dict()
        for player, optimiser in self.optimisers.items():
            parts[f"optimiser.{player}"] = moments(optimiser)
        return parts

    def save(self, path: Path) -> None:
        """Write all of it, if it is sound."""
        self.check()
        note = {
            "stage": self.stage,
            "step": self.step,
            "seconds": self.seconds,
            "earlier": self.earlier,
            "best_value": repr(self.best_value),
            "drawn": self.drawn,
            "notes": self.notes,
        }
        write_tensors(path, joined(self._parts()), note)

    def load(self, path: Path) -> None:
        """Come back to where `save` was."""
        tensors, note = read_tensors(path)
        parts = parted(tensors)
        self.step = note["step"]
        self.seconds = note["seconds"]
        self.earlier = note.get("earlier", 0.0)
        self.best_value = float(note["best_value"])
        self.drawn = note.get("drawn", {"train": self.step})
        # A checkpoint of an early version says this much of early stopping.
        early = {"early stopping": {"since_best": note.get("since_best", 0)}}
        self.notes = note.get("notes", early)
        self.best = parts.get("best", {})
        restore(self.family, parts["model"])
        if self.averaged is not self.family:
            restore(self.averaged, parts["average"])
        for k, (player, optimiser) in enumerate(self.optimisers.items()):
            # An early version counted players instead of naming them.
            known = parts.get(f"optimiser.{player}", parts.get(f"optimiser.{k}", {}))
            set_moments(optimiser, known)
