"""One step of training, for every family: the turns of its players, driven one after another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dalm.core import Batch, Learner, Stage, Stream, Turn
from dalm.data import Split
from dalm.errors import DalmError, did_you_mean
from dalm.train.batches import Streams
from dalm.train.group import Group
from dalm.train.options import FitOptions
from dalm.train.seeds import derive_seed
from dalm.train.state import State

SMALL = 1e-6
"""What torch adds to a gradient norm that it divides by; more than float32 rounds off 1."""


class Played(NamedTuple):
    """A turn that was played.

    Args:
        player: who was stepped.
        loss: averaged over shards and processes.
        terms: what else was logged, averaged likewise.
    """

    player: str
    loss: Tensor
    terms: dict[str, Tensor]


class Shard:
    """What a learner sees of a step: one shard of each batch, and randomness of its own.

    Args:
        state: of the stage.
        streams: of batches.
        index: which shard.
        count: how many there are.
        stage: says how batches are seen.
    """

    def __init__(
        self, state: State, streams: Streams, index: int, count: int, stage: Stage
    ) -> None:
        self.number = state.step
        self.progress = state.plan.progress(state.step)
        self.streams = streams
        self.index = index
        self.count = count
        self.see = stage.see
        self.standard = stage.model.standard
        self.drawn = dict(state.drawn)
        role = "noise" if not state.stage else f"{stage.name}/noise"
        options = state.options
        self.seed = derive_seed(options.seed, f"{role}/{index}" if index else role, state.step)
        self.generator = torch.Generator(options.place).manual_seed(self.seed)
        self.cpu = options.place == "cpu"
        self.begun = False
        self.globals: Tensor | None = None
        self.buffers: list[Tensor] = []

    def batch(self, stream: Stream = "train") -> Batch:
        """The next rows of a stream."""
        count = self.drawn.get(stream, 0)
        self.drawn[stream] = count + 1
        batch = self.streams[stream](count, self.index, self.count)
        if self.see is not None:
            batch = self.see(batch)
        return batch._replace(x=self.standard(batch.x))

    def enter(self) -> None:
        """Seed the global generator, for layers such as dropout that take none of their own.

        torch.manual_seed would note the whole call stack for each accelerator that is absent.
        """
        if self.globals is not None:
            (torch if self.cpu else torch.cuda).set_rng_state(self.globals)
        elif not self.begun:
            (torch.default_generator if self.cpu else torch).manual_seed(self.seed)
        self.begun = True

    def leave(self) -> None:
        """Keep the global generator's state for this shard's next turn, after those of others."""
        self.globals = (torch if self.cpu else torch.cuda).get_rng_state()


class Stepper:
    """Takes steps of one stage of a fit.

    Args:
        state: what a step changes.
        stage: the part of the family that is fitted.
        rows: what it learns from.
        group: the processes that train together.
    """

    def __init__(self, state: State, stage: Stage, rows: Split, group: Group = Group()) -> None:
        self.state = state
        self.stage = stage
        self.options = state.options
        self.group = group
        self.shards = self.options.shards or group.size
        self.mine = group.shards(self.shards)
        size = self.options.batch_size or 1
        if size % self.shards:
            raise DalmError(
                f"a batch of {size} cannot be cut into {self.shards} equal shards; ask for a "
                f"multiple of {self.shards}"
            )
        order = "" if not state.stage else f"{stage.name}/"
        self.streams = Streams(rows, size, self.shards, self.options, order)

    def __call__(self) -> list[Played]:
        """Take a step; returns the turns that were played."""
        state = self.state
        lr = state.rate(state.step)
        shards = [Shard(state, self.streams, index, self.shards, self.stage) for index in self.mine]
        buffers = self._buffers_of(shards)
        iterators = [state.model.turns(shard) for shard in shards]
        played: list[Played] = []
        while turn := self._turn(shards, iterators, lr):
            played.append(turn)
        state.drawn = shards[0].drawn
        if buffers:
            average_buffers(buffers, [shard.buffers for shard in shards])
            exchange_buffers(state.model, buffers)
        self.group.average_buffers(state.model)
        state.step += 1
        state.update_ema()
        return played

    def _buffers_of(self, shards: Sequence[Shard]) -> list[Tensor]:
        """The model's buffers, of which each of several shards gets its own; none for one shard."""
        if len(shards) == 1:
            return []
        buffers = list(self.state.model.buffers())
        for shard in shards:
            shard.buffers = [buffer.clone() for buffer in buffers]
        return buffers

    def _turn(
        self, shards: Sequence[Shard], iterators: Sequence[Iterator[Turn]], lr: float
    ) -> Played | None:
        """One turn of every shard, and the step of its player; none when all are over."""
        turns: list[Turn] = []
        for shard, iterator in zip(shards, iterators, strict=True):
            turn = self._resume(shard, iterator)
            if turn is None:
                continue
            if not turns:
                self._optimiser(turn).zero_grad()
            loss = turn.loss / len(self.mine) if len(self.mine) > 1 else turn.loss
            loss.backward(inputs=self.state.leaves[turn.player])
            turns.append(turn)
        if len(turns) not in (0, len(shards)) or len({turn.player for turn in turns}) > 1:
            raise DalmError(
                f"{self.state.model.family} takes other turns on one shard than on another; which "
                "turns there are must not depend on the rows of a batch"
            )
        return self._step(turns, lr) if turns else None

    def _resume(self, shard: Shard, iterator: Iterator[Turn]) -> Turn | None:
        """The next turn of a shard, under its own randomness and the run's precision."""
        shard.enter()
        if len(self.mine) > 1:
            exchange_buffers(self.state.model, shard.buffers)
        with autocast(self.options):
            turn = next(iterator, None)
        if len(self.mine) > 1:
            shard.leave()
            shard.buffers = list(self.state.model.buffers())
        if turn is not None:
            check_turn(self.state, turn)
        return turn

    def _optimiser(self, turn: Turn) -> torch.optim.Optimizer:
        return self.state.optimisers[turn.player]

    def _step(self, turns: Sequence[Turn], lr: float) -> Played:
        """Average the gradients of a turn, and step its player."""
        first = turns[0]
        player = self.state.players[first.player]
        parameters = self.state.parameters[first.player]
        loss, *terms = self.group.average(parameters, self._scalars(turns))
        if clip := self.state.clip(player):
            clip_gradients(parameters, clip)
        optimiser = self._optimiser(first)
        optimiser.param_groups[0]["lr"] = lr * player.lr
        optimiser.step()
        return Played(first.player, loss, dict(zip(first.log, terms, strict=True)))

    def _scalars(self, turns: Sequence[Turn]) -> list[Tensor]:
        """The loss and what else the turns log, averaged over this process's shards."""
        for name in turns[0].log:
            if name not in self.state.model.units:
                known = ", ".join(self.state.model.units) or "none"
                raise DalmError(
                    f"{self.state.model.family} logs {name!r}, and its `units` do not say in which "
                    f"unit; they know {known}"
                )
        rows = [[turn.loss.detach(), *map(_detached, turn.log.values())] for turn in turns]
        if len(rows) == 1:
            return rows[0]
        return [torch.stack(column).mean() for column in zip(*rows, strict=True)]


def _detached(term: Tensor | float) -> Tensor:
    return term.detach() if isinstance(term, Tensor) else torch.tensor(float(term))


def check_turn(state: State, turn: Turn) -> None:
    """Raise DalmError unless a turn is a player's, with a loss that can be followed back.

    Args:
        state: knows the players.
        turn: that was yielded.
    """
    family = state.model.family
    if turn.player not in state.players:
        known = did_you_mean(turn.player, state.players)
        raise DalmError(f"{family} has no player {turn.player!r}, whose turn it is. {known}")
    loss = turn.loss
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        what = f"{tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise DalmError(
            f"the loss of {family}'s player {turn.player!r} is a scalar that depends on its "
            f"parameters; got {what}"
        )


def clip_gradients(parameters: Sequence[torch.nn.Parameter], clip: float) -> None:
    """Scale gradients down until their common norm is at most `clip`.

    The bits are those of `torch.nn.utils.clip_grad_norm_`, which multiplies by 1 where nothing is
    to be scaled: a pass over all gradients, spared where asking costs no wait for an accelerator.

    Args:
        parameters: whose `grad` is scaled, in place.
        clip: the largest norm.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if norm.is_cpu and clip / (norm.item() + SMALL) > 1 + SMALL:
        return
    torch.nn.utils.clip_grads_with_norm_(parameters, clip, norm)


def exchange_buffers(model: Learner, buffers: Sequence[Tensor]) -> None:
    """Put other tensors in the place of a model's buffers, such as batch statistics.

    Nothing is copied: a graph that waits for its backward pass may hold what was there.

    Args:
        model: whose buffers they become.
        buffers: in the order of `model.buffers()`.
    """
    names = [name for name, _ in model.named_buffers()]
    for name, buffer in zip(names, buffers, strict=True):
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, buffer)


def average_buffers(buffers: Sequence[Tensor], shards: Sequence[Sequence[Tensor]]) -> None:
    """Give buffers the means of what shards made of them; counts are those of one.

    Args:
        buffers: changed in place.
        shards: the buffers of each.
    """
    for buffer, *mine in zip(buffers, *shards, strict=True):
        mean = torch.stack(mine).mean(0) if buffer.is_floating_point() else mine[0]
        buffer.copy_(mean)


def autocast(options: FitOptions) -> contextlib.AbstractContextManager[None]:
    """Half precision where it was chosen, and nowhere else, even where the caller chose it."""
    kind = torch.device(options.place).type
    half = options.precision == "bfloat16"
    if half or torch.is_autocast_enabled(kind):
        return torch.autocast(kind, torch.bfloat16, enabled=half)
    return contextlib.nullcontext()
