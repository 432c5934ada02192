"""Ways to compute the same steps, and which of them is the fastest here and now.

Threads, precision and memory layout decide how fast a step is, and no rule knows which is best: two
threads wait for each other beside a busy neighbour, half precision may be slower than none. So a
budget that can pay for it measures them on a copy of the model, in turns, and goes by the medians.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dalm.core import Generative, Learner
from dalm.data import Data
from dalm.train import clock
from dalm.train.group import Group
from dalm.train.options import FitOptions, supported
from dalm.train.state import State
from dalm.train.step import Stepper

SHARE = 0.08
"""Of a budget of seconds, what measuring ways to compute may take, about."""
ROUNDS = 15
"""Measured steps of each way, at most."""
SLOWER = 2.0
"""How many times as long as the best one's a first step may take before it is cut short."""
GRACE = 0.1
"""Seconds that a first step may always take: it allocates."""
GAIN = 0.95
"""The share of the best time yet below which another way replaces it."""
REPAID = 1800.0
"""Seconds of a budget from which compiling is tried: it takes about 70 s on two idle cores, twice
as long on busy ones, cannot be cut short, and then saves a third of each step.
"""


@dataclass(frozen=True)
class Way:
    """A way to compute.

    Args:
        threads: on the CPU.
        precision: of the arithmetic.
        layout: of images in memory.
        compile: whether the model is compiled.
    """

    threads: int
    precision: str
    layout: str
    compile: bool = False


class TimeUp(Exception):  # noqa: N818
    """Something took longer than it was allowed to."""


class Deadline(TorchDispatchMode):
    """Raises TimeUp at the first operation of torch after some seconds.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.until = clock.now() + seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation, if there is time for it."""
        if clock.now() > self.until:
            raise TimeUp
        return func(*args, **(kwargs or {}))


def duration(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    start = clock.now()
    action()
    return clock.now() - start


def within(seconds: float, action: Callable[[], object]) -> float | None:
    """Seconds that an action takes, `None` if it was cut short after so many.

    Args:
        seconds: that it may take.
        action: made of operations of torch; what it would have changed is lost.
    """
    try:
        with Deadline(seconds):
            return duration(action)
    except TimeUp:
        return None


@contextlib.contextmanager
def threads_kept() -> Iterator[None]:
    """Leave the number of threads as it was."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        use_threads(before)


def use_threads(threads: int | None) -> None:
    """Compute with so many threads; `None` leaves them as they are."""
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)


def lay_out(model: nn.Module, layout: str | None) -> None:
    """Bring the weights of convolutions into a memory layout; their values stay as they are.

    Args:
        model: with its weights.
        layout: `"channels_last"`, else contiguous.
    """
    last = layout == "channels_last"
    form = torch.channels_last if last else torch.contiguous_format
    model.to(memory_format=form)  # type: ignore[call-overload]  # which torch's own types forget


class Trial:
    """A copy of a stage that is computed in one way.

    Args:
        family: the whole model, left as it is.
        data: what it learns from.
        options: of the stage.
        stage: which of the family's stages.
        group: the processes that train together.
        way: to compute.

    Attributes:
        times: seconds of the measured steps.
        slow: seconds of the first step, which allocates.
    """

    def __init__(
        self,
        family: Generative,
        data: Data,
        options: FitOptions,
        stage: int,
        group: Group,
        way: Way,
    ) -> None:
        self.way = way
        copied = copy.deepcopy(family)
        lay_out(copied, way.layout)
        filled = options.replace(steps=10**9, **asdict(way))
        self.state = State(copied, filled, stage)
        part = copied.stages()[stage]
        compile_parts(part.model.train(), filled)
        self.stepper = Stepper(self.state, part, data.train, group)
        self.times: list[float] = []
        self.slow = 0.0

    def first(self, limit: float | None = None) -> bool:
        """Take the first step, which allocates; false if it was cut short."""
        use_threads(self.way.threads)
        seconds = duration(self._step) if limit is None else within(limit, self._step)
        self.slow = seconds or 0.0
        return seconds is not None

    def measure(self) -> float:
        """Take another step; returns its seconds."""
        use_threads(self.way.threads)
        self.times.append(duration(self._step))
        return self.times[-1]

    def _step(self) -> None:
        for turn in self.stepper():
            turn.loss.item()

    @property
    def typical(self) -> float:
        """Seconds of a step: the median."""
        return statistics.median(self.times)

    def to_json(self) -> dict[str, Any]:
        """The way, and how many steps a second it makes; `None` for one that was cut short."""
        rate = round(1 / self.typical, 3) if self.times else None
        return asdict(self.way) | {"steps_per_second": rate}


def compile_parts(model: nn.Module, options: FitOptions) -> None:
    """Compile whatever the model calls, where that was asked for.

    Args:
        model: of the stage.
        options: say whether.
    """
    if options.compile:
        for part in (model, *model.children()):
            part.compile()


def decompile(model: nn.Module) -> None:
    """Let a model compute as it did before: what comes after its training has other shapes, each of
    which would be compiled anew.

    Args:
        model: that `compile_parts` was given.
    """
    for part in (model, *model.children()):
        part._compiled_call_impl = None


def race(leader: Trial, others: Sequence[Callable[[], Trial]], seconds: float) -> list[Trial]:
    """Let others run against the best way yet; returns all, the fastest first.

    Args:
        leader: has made its first step.
        others: make the other ways.
        seconds: that all of it may take, about.
    """
    began = clock.now()
    runners = [leader]
    dropped: list[Trial] = []
    for make in others:
        step = leader.typical
        expected = leader.slow / 2 + 3 * step  # it allocates too, and finds some of it made
        if clock.now() - began + expected > seconds:
            break
        trial = make()
        fits = trial.first(max(SLOWER * step, GRACE))
        (runners if fits else dropped).append(trial)
    return _ranked(leader, runners, began + seconds) + dropped


def compiled(leader: Trial, make: Callable[[Way], Trial], seconds: float) -> list[Trial]:
    """The best way yet against the same one compiled; both, the faster first.

    Args:
        leader: the best way yet.
        make: makes another one.
        seconds: that it may take, about, once it is compiled.
    """
    trial = make(replace(leader.way, compile=True))
    try:
        trial.first()
        return _ranked(leader, [leader, trial], clock.now() + seconds)
    except Exception:  # no compiler, or a model that it cannot compile
        trial.times.clear()
        return [leader, trial]


def _ranked(leader: Trial, runners: list[Trial], until: float) -> list[Trial]:
    """Ways measured in turns, the fastest first, a leader before what is hardly faster."""
    rounds = 0
    while len(runners) > 1 and rounds < ROUNDS and (not rounds or clock.now() < until):
        order = runners if rounds % 2 else runners[::-1]
        for trial in order:
            trial.measure()
        rounds += 1
    best = min(runners, key=lambda trial: trial.typical if trial.times else 0.0)
    if best is not leader and best.typical > GAIN * leader.typical:
        best = leader
    return [best, *(trial for trial in runners if trial is not best)]


def ways(model: Learner, options: FitOptions) -> tuple[list[Way], list[Way]]:
    """What there is to choose from: first threads, the safest at the head, then the rest.

    Args:
        model: whose recipe says whether half precision may be tried, and which has images or not.
        options: those that were said leave nothing to choose.
    """
    every = torch.get_num_threads()
    cpu = options.place == "cpu"
    counts = [options.threads] if options.threads else sorted({1, every} if cpu else {every})
    half = supported(model.recipe.precision, options.place)
    precisions = [options.precision] if options.precision else list({half: 0, "float32": 0})
    layouts: list[str] = [options.layout] if options.layout else ["contiguous"]
    convolves = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in model.modules())
    if options.layout is None and convolves:
        layouts.append("channels_last")
    pairs = [(p, layout) for p in precisions for layout in layouts]
    by_threads = [Way(count, *pairs[0]) for count in counts]
    return by_threads, [Way(counts[0], *pair) for pair in pairs[1:]]
