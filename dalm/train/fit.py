"""The training loop, one for all families.

Everything random in step t is a function of the seed and t, and a time budget is turned into steps before the first one. So
a run can be repeated from its `run.json`, and one that was killed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from dalm.core import Absorber, DalmError, Density, Generative, Learner, build, config, evaluating
from dalm.data import Data
from dalm.train.options import Diverged, Options, options, resolve
from dalm.train.run import Run, read_meta, write
from dalm.train.state import Batches, State, rate, stream

CHECK_EVERY = 10  # steps between looks at the loss: each look waits for the accelerator
SCORED = 512  # validation rows scored during training
CHEAP = 0.1  # largest share of a time budget that goes into validation and snapshots


def fit(model: Generative, data: Data, *, out: str | Path | None = None, resume: bool = False, progress: bool = True, **asked: Any) -> Run:
    """Fit a model to the training split and write a run folder.

    A `Learner` takes gradient steps, an `Absorber` learns at once. Ctrl-C saves and stops; `resume=True` with the same call
    goes on, bit for bit.

    Args:
        model: any family; it is trained in place, except when resuming.
        data: from `load_data`; its Spec must be the model's.
        out: the run folder, which must not exist yet; by default `runs/FAMILY-DATA`, numbered.
        resume: continue the run in `out` if there is one, start it if there is none.
        progress: show a progress bar.
        **asked: see `dalm.train.Options`.

    Raises:
        DalmError: options, data or folder do not suit.
        Diverged: the loss became NaN or infinite; the run keeps its last good weights.
    """
    wanted = options(**asked)
    if model.spec != data.spec:
        raise DalmError(f"the model was built for {model.spec}, but the data are {data.spec}; build it from data.spec")
    folder = Path(out) if out is not None else _fresh(f"runs/{model.family}-{data.name}")
    if resume and folder.exists():
        run = _reopen(folder, model, data, wanted)
        if run.meta["state"] == "done":
            return Run.open(folder, run.meta["fit"]["device"])
    else:
        run = _start(folder, model, data, resolve(wanted, model, len(data.train)))
    chosen = Options(**run.meta["fit"])
    if isinstance(run.model, Learner):
        _learn(run, data, chosen, progress)
    else:
        _absorb(run, data, chosen)
    run.model.eval()
    return run


def _fresh(stem: str) -> Path:
    """The first unused folder of this name."""
    return next(path for k in range(1, 10**6) if not (path := Path(f"{stem}-{k}")).exists())


def _start(folder: Path, model: Generative, data: Data, chosen: Options) -> Run:
    """A new run folder, with a first checkpoint of a model that learns."""
    if folder.exists():
        raise DalmError(f"{folder} exists already; nothing was changed. Choose another folder, or resume the run that is in it")
    model.to(chosen.device)
    if not isinstance(model, Learner):
        run = Run.create(folder, model, data, chosen)
        run.appear()
        return run
    model.prepare(data.train.x, data.train.y if model.conditional else None)
    chosen = measured(model, data, chosen)
    run = Run.create(folder, model, data, chosen)
    State(model, chosen).save(folder.with_name(f".{folder.name}.partial") / "checkpoint.safetensors")
    run.appear()
    return run


def _reopen(folder: Path, model: Generative, data: Data, wanted: Options) -> Run:
    """The run in a folder, if it is the one that was asked for."""
    meta = read_meta(folder)
    if meta["data"]["fingerprint"] != data.fingerprint:
        raise DalmError(
            f"{folder} was fitted to other data ({meta['data']['name']}, {meta['data']['fingerprint']}), not {data.fingerprint}"
        )
    if meta["model"] != json.loads(json.dumps(config(model))):
        differ = [f"{k}={meta['model'].get(k)}" for k, v in config(model).items() if meta["model"].get(k) != json.loads(json.dumps(v))]
        raise DalmError(f"{folder} holds another model: there {', '.join(differ)}; ask for the same, or choose another folder")
    asked = {
        name: value for name, value in asdict(wanted).items() if value != getattr(Options(), name) and name not in ("seconds", "device")
    }
    for name, value in asked.items():
        if meta["fit"][name] != value:
            raise DalmError(
                f"{folder} was started with {name}={meta['fit'][name]}, not {value}; ask for the same, or choose another folder"
            )
    return Run(folder, build(meta["model"]).to(meta["fit"]["device"]), meta)


def measured(model: Learner, data: Data, chosen: Options) -> Options:
    """Turn a budget of seconds into steps, by taking a few on a copy of the model."""
    if chosen.steps is not None:
        return chosen
    assert chosen.seconds is not None
    began = time.perf_counter()
    trial = replace(chosen, steps=10**9)
    state, batches = State(copy.deepcopy(model), trial), _batches(model, data, trial)
    compile_parts(state.model, trial)
    times: list[float] = []
    while len(times) < 5 or (sum(times) < 0.02 * chosen.seconds and len(times) < 200):
        start = time.perf_counter()
        losses = take_step(state, batches, trial)
        losses[0].item()
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    validate(state, data, trial)
    look = time.perf_counter() - start
    start = time.perf_counter()
    snapshot(state, trial)
    show = time.perf_counter() - start
    validations = min(chosen.validations, max(1, int(CHEAP / 2 * chosen.seconds / max(look, 1e-6))))
    snapshots = min(chosen.snapshots, int(CHEAP / 2 * chosen.seconds / max(show, 1e-6)))
    left = chosen.seconds - (time.perf_counter() - began) - validations * look - snapshots * show
    steps = max(1, int(left / float(np.median(times[len(times) // 5 :]))))
    return replace(chosen, steps=steps, validations=validations, snapshots=snapshots)


def compile_parts(model: Learner, chosen: Options) -> None:
    """Compile whatever the model calls, where that was asked for."""
    if chosen.compile:
        for part in (model, *model.children()):
            part.compile()


def _absorb(run: Run, data: Data, chosen: Options) -> None:
    began = time.perf_counter()
    assert isinstance(run.model, Absorber)
    device = chosen.device or "cpu"
    generator = torch.Generator().manual_seed(stream(chosen.seed, "absorb", 0))
    labels = None if data.train.y is None else data.train.y.to(device)
    try:
        run.model.absorb(data.train.x.to(device), labels, generator)
    except DalmError:
        shutil.rmtree(run.path)
        raise
    run.finish("done", run.model.state_dict(), time.perf_counter() - began)


def _learn(run: Run, data: Data, chosen: Options, progress: bool) -> None:
    """Take the remaining steps, and close the run."""
    assert isinstance(run.model, Learner)
    state = State(run.model.train(), chosen)
    state.load(run.path / "checkpoint.safetensors")
    _forget_after(run.path / "log.jsonl", state.step)
    compile_parts(run.model, chosen)
    before = torch.get_rng_state()
    try:
        with deterministic(chosen), _polite() as stopping, (run.path / "log.jsonl").open("a") as log, _bar(run, progress) as bar:
            ended = _steps(run, state, data, chosen, _Journal(log, bar, state), stopping)
        state.model.eval()
        weights = state.result()
        run.finish(ended, weights, state.seconds)
        run.model.load_state_dict(weights)
    except Diverged as error:
        state.load(run.path / "checkpoint.safetensors")
        run.finish("failed", state.result(), state.seconds, str(error))
        raise
    finally:
        torch.set_rng_state(before)


def _steps(run: Run, state: State, data: Data, chosen: Options, journal: _Journal, stopping: threading.Event) -> str:
    """The loop. Returns how it ended: `done` or `stopped`."""
    assert chosen.steps is not None
    batches = _batches(state.model, data, chosen)
    looks, shows = evenly(chosen.steps, chosen.validations), evenly(chosen.steps, chosen.snapshots)
    began, saved, earlier = time.perf_counter(), time.perf_counter(), state.seconds
    while state.step < chosen.steps and not stopping.is_set():
        journal.add(take_step(state, batches, chosen))
        now = time.perf_counter()
        state.seconds = earlier + now - began
        if state.step % CHECK_EVERY == 0 or state.step in looks or state.step == chosen.steps:
            journal.look()
        if state.step in shows:
            np.save(_made(run.path / "samples") / f"step-{state.step:08d}.npy", snapshot(state, chosen))
        if state.step in looks and (value := validate(state, data, chosen)) is not None:
            journal.validation(value)
            if state.consider(value):
                break
        if now - saved > chosen.checkpoint:
            journal.look()
            state.save(run.path / "checkpoint.safetensors")
            saved = now
    if stopping.is_set() and state.step < chosen.steps:
        journal.look()
        state.save(run.path / "checkpoint.safetensors")
        return "stopped"
    return "done"


def _batches(model: Learner, data: Data, chosen: Options) -> Batches:
    labels = data.train.y if model.conditional else None
    return Batches(data.train.x, labels, chosen.batch_size or 1, chosen.seed, chosen.device or "cpu")


def take_step(state: State, batches: Batches, chosen: Options) -> list[Tensor]:
    """One optimiser step of each player; returns their losses."""
    seed = stream(chosen.seed, "noise", state.step)
    torch.manual_seed(seed)  # for layers that take no generator, such as dropout
    generator = torch.Generator(chosen.device or "cpu").manual_seed(seed)
    x, y = batches(state.step)
    lr, losses = rate(chosen, state.step), []
    with autocast(chosen):
        players = state.model.losses(x, y, generator)
    for k, (parameters, closure) in enumerate(players):
        optimiser = state.optimiser(k, parameters)
        with autocast(chosen):
            loss = closure()
        optimiser.zero_grad()
        loss.backward(inputs=parameters)
        if chosen.clip:
            torch.nn.utils.clip_grad_norm_(parameters, chosen.clip)
        optimiser.param_groups[0]["lr"] = lr
        optimiser.step()
        losses.append(loss.detach())
    state.step += 1
    state.blend()
    return losses


def autocast(chosen: Options) -> torch.autocast:
    """Half precision where it was chosen."""
    kind = torch.device(chosen.device or "cpu").type
    return torch.autocast(kind, torch.bfloat16, enabled=chosen.precision == "bfloat16")


@torch.no_grad()
def validate(state: State, data: Data, chosen: Options) -> float | None:
    """Mean negative log probability of the first validation rows in nats per datum, or None for a model without one."""
    model = state.average
    if not isinstance(model, Density):
        return None
    x, y = data.val.x[:SCORED], data.val.y[:SCORED] if data.val.y is not None and model.conditional else None
    with autocast(chosen):
        scores = [
            model.log_prob(part, label) for part, label in zip(x.split(128), y.split(128) if y is not None else [None] * 4, strict=False)
        ]
    return -torch.cat(scores).double().mean().item()


def snapshot(state: State, chosen: Options) -> Any:
    """64 samples of the average, from the same noise each time, as an array."""
    generator = torch.Generator(chosen.device or "cpu").manual_seed(stream(chosen.seed, "snapshot", 0))
    with evaluating(state.average):
        return state.average.sample(64, generator=generator).cpu().numpy()


def evenly(steps: int, times: int) -> set[int]:
    """Steps at which something happens `times` times, the last step among them.

    >>> sorted(evenly(10, 2))
    [5, 10]
    """
    return {math.ceil(steps * (k + 1) / times) for k in range(times)}


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _forget_after(log: Path, step: int) -> None:
    """Drop the lines of a log that a resumed run will write again."""
    if log.exists():
        lines = [line for line in log.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] <= step]
        write(log, "".join(line + "\n" for line in lines))


class _Journal:
    """Writes the log and moves the bar."""

    def __init__(self, log: Any, bar: Progress, state: State) -> None:
        self.log, self.bar, self.state = log, bar, state
        self.total, self.count = [0.0], 0
        self.waiting: list[list[Tensor]] = []
        self.every = max(1, (state.options.steps or 1) // 400)
        self.task = bar.add_task("", total=state.options.steps, completed=state.step, loss="", rate="")

    def add(self, losses: list[Tensor]) -> None:
        """Remember the losses of a step, without waiting for the accelerator."""
        self.waiting.append(losses)

    def look(self) -> None:
        """Read the waiting losses; raise Diverged if one is not finite."""
        if not self.waiting:
            return
        rows = torch.stack([torch.stack(losses).float() for losses in self.waiting]).cpu()
        bad = (~torch.isfinite(rows)).any(1).nonzero()[:, 0]
        if len(bad):
            step = self.state.step - len(rows) + int(bad[0]) + 1
            raise Diverged(
                f"the loss was {rows[bad[0]].tolist()} at step {step}; the last good weights are kept. A smaller lr or clip=1 may help"
            )
        self.waiting = []
        self.total = [a + b for a, b in zip(self.total, rows.sum(0).tolist(), strict=False)] if self.count else rows.sum(0).tolist()
        self.count += len(rows)
        losses = [round(total / self.count, 6) for total in self.total]
        speed = f"{self.state.step / max(self.state.seconds, 1e-9):.3g}"
        self.bar.update(self.task, completed=self.state.step, loss=" ".join(f"{loss:.4f}" for loss in losses), rate=speed)
        if self.count >= self.every:
            self._line(loss=losses, lr=rate(self.state.options, self.state.step - 1))
            self.count = 0

    def validation(self, value: float) -> None:
        """Log a validation."""
        self._line(validation=round(value, 6))

    def _line(self, **content: Any) -> None:
        self.log.write(json.dumps({"step": self.state.step, "seconds": round(self.state.seconds, 3)} | content) + "\n")
        self.log.flush()


def _bar(run: Run, progress: bool) -> Progress:
    columns = (
        TextColumn(run.model.family),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
        TextColumn("loss {task.fields[loss]}"),
    )
    return Progress(*columns, TextColumn("{task.fields[rate]} steps/s"), TimeRemainingColumn(), disable=not progress, transient=True)


@contextlib.contextmanager
def _polite() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a request to stop after the step under way."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def deterministic(chosen: Options) -> Iterator[None]:
    """Ask an accelerator for the same bits every time."""
    if (chosen.device or "cpu") == "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
