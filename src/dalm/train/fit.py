"""The training loop, one for all families.

Everything random in step t is a function of the seed and t, and a time budget is turned into steps
before the first one. So a run can be repeated from its `run.json`, and one that was killed ends
with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dalm.core import Density, Estimator, Generative, Learner, build, config, evaluating
from dalm.data import Data, Split
from dalm.errors import DalmError
from dalm.records import read_meta, require_absent, write
from dalm.train.journal import RunLog, forget_after, handle_interrupt, run_log_of
from dalm.train.options import Diverged, Options, options, resolve
from dalm.train.run import Run
from dalm.train.state import Batches, State, derive_seed, learning_rate

CHECK_EVERY = 10  # steps between looks at the loss: each look waits for the accelerator
SCORED = 512  # validation rows scored during training
CHEAP = 0.1  # largest share of a time budget that goes into validation and snapshots


def fit(
    model: Generative,
    data: Data,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    **asked: Any,
) -> Run:
    """Fit a model to the training split and write a run folder.

    A `Learner` takes gradient steps, an `Estimator` learns at once. Ctrl-C saves and stops;
    `resume=True` with the same call goes on, bit for bit.

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
        raise DalmError(
            f"the model was built for {model.spec}, but the data are {data.spec}; build it from "
            "data.spec"
        )
    folder = Path(out) if out is not None else _fresh(f"runs/{model.family}-{data.name}")
    with torch.random.fork_rng():
        run = (
            _reopen(folder, model, data, wanted)
            if resume and folder.exists()
            else _start(folder, model, data, wanted)
        )
        if isinstance(run.model, Learner) and run.meta["state"] != "done":
            _learn(run, data, Options(**run.meta["fit"]), progress)
    run.model.eval()
    return run


def _fresh(stem: str) -> Path:
    """The first unused folder of this name."""
    return next(path for k in range(1, 10**6) if not (path := Path(f"{stem}-{k}")).exists())


def _start(folder: Path, model: Generative, data: Data, wanted: Options) -> Run:
    """A new run: finished if the model absorbs, else with a first checkpoint to go on from."""
    require_absent(folder)
    chosen = resolve(wanted, model, len(data.train))
    model.to(chosen.device)
    labels = data.train.y if model.conditional else None
    if isinstance(model, Learner):
        model.adapt(data.train.x, labels)  # on the CPU: the data may be larger than the accelerator
        chosen = budget_to_steps(model, data, chosen)
        run = Run.create(folder, model, data, chosen)
        State(model, chosen).save(run.path / "checkpoint.safetensors")
    else:
        took = duration(lambda: _absorb(model, getattr(data, chosen.learn_from), chosen))
        run = Run.create(folder, model, data, chosen)
        run.finish("done", model.state_dict(), took)
    return run.publish(folder)


def _absorb(model: Generative, split: Split, chosen: Options) -> None:
    assert isinstance(model, Estimator)
    generator = torch.Generator().manual_seed(derive_seed(chosen.seed, "absorb", 0))
    labels = split.y if model.conditional else None
    model.passes(
        split.x.to(model.device), None if labels is None else labels.to(model.device), generator
    )


def _reopen(folder: Path, model: Generative, data: Data, wanted: Options) -> Run:
    """The run in a folder, if it is the one that was asked for."""
    meta = read_meta(folder)
    if meta["data"]["fingerprint"] != data.fingerprint:
        raise DalmError(
            f"{folder} was fitted to other data ({meta['data']['name']}, "
            f"{meta['data']['fingerprint']}), not {data.fingerprint}"
        )
    if meta["model"] != json.loads(json.dumps(config(model))):
        differ = [
            f"{k}={meta['model'].get(k)}"
            for k, v in config(model).items()
            if meta["model"].get(k) != json.loads(json.dumps(v))
        ]
        raise DalmError(
            f"{folder} holds another model: there {', '.join(differ)}; ask for the same, or choose "
            "another folder"
        )
    started = meta["fit"]
    now = asdict(resolve(wanted, model, len(data.train)))
    asked = {"seed", "learn_from"} | {
        name for name, value in asdict(wanted).items() if value != getattr(Options(), name)
    }
    for name in asked - {"device"} - ({"validations", "snapshots"} if wanted.seconds else set()):
        if (there := started.get(name, getattr(Options(), name))) != now[name]:
            raise DalmError(
                f"{folder} was started with {name}={there}, not {now[name]}; ask for the same, or "
                "choose another folder"
            )
    device = meta["fit"]["device"]
    return (
        Run.open(folder, device)
        if meta["state"] == "done"
        else Run(folder, build(meta["model"]).to(device), meta)
    )


def budget_to_steps(model: Learner, data: Data, chosen: Options) -> Options:
    """Turn a budget of seconds into steps, by taking a few on a copy of the model."""
    if chosen.steps is not None:
        return chosen
    assert chosen.seconds is not None
    began = time.perf_counter()
    trial = replace(chosen, steps=10**9)
    state = State(copy.deepcopy(model), trial)
    batches = _batches(model, data, trial)
    compile_parts(state.model, trial)
    times: list[float] = []
    take_step(state, batches, trial)  # compiles and allocates, unlike those to come
    while len(times) < 5 or (sum(times) < 0.02 * chosen.seconds and len(times) < 200):
        times.append(duration(lambda: take_step(state, batches, trial)[0].item()))
    look = duration(lambda: validate(state, data, trial))
    show = duration(lambda: snapshot(state, trial))
    validations = min(chosen.validations, max(1, int(CHEAP / 2 * chosen.seconds / look)))
    snapshots = min(chosen.snapshots, int(CHEAP / 2 * chosen.seconds / show))
    left = chosen.seconds - (time.perf_counter() - began) - validations * look - snapshots * show
    steps = max(1, int(left / float(np.median(times[len(times) // 5 :]))))
    return replace(chosen, steps=steps, validations=validations, snapshots=snapshots)


def duration(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compile_parts(model: Learner, chosen: Options) -> None:
    """Compile whatever the model calls, where that was asked for."""
    if chosen.compile:
        for part in (model, *model.children()):
            part.compile()


def _learn(run: Run, data: Data, chosen: Options, progress: bool) -> None:
    """Take the remaining steps, and close the run."""
    assert isinstance(run.model, Learner)
    state = State(run.model.train(), chosen)
    state.load(run.path / "checkpoint.safetensors")
    forget_after(run.path / "log.jsonl", state.step)
    compile_parts(run.model, chosen)
    try:
        with (
            deterministic(chosen),
            handle_interrupt() as stopping,
            run_log_of(run, state, progress) as journal,
        ):
            ended = _steps(run, state, data, chosen, journal, stopping)
        state.check()
        state.model.eval()
        weights = state.result()
        run.finish(ended, weights, state.seconds)
        run.model.load_state_dict(weights)
    except Diverged as error:
        best = state.best
        seconds = state.seconds
        state.load(run.path / "checkpoint.safetensors")
        run.finish("failed", best or state.result(), seconds, str(error))
        raise


def _steps(
    run: Run, state: State, data: Data, chosen: Options, journal: RunLog, stopping: threading.Event
) -> str:
    """The loop. Returns how it ended: `done` or `stopped`."""
    assert chosen.steps is not None
    batches = _batches(state.model, data, chosen)
    looks = evenly(chosen.steps, chosen.validations)
    shows = evenly(chosen.steps, chosen.snapshots)
    began = time.perf_counter()
    saved = time.perf_counter()
    earlier = state.seconds
    while state.step < chosen.steps and not stopping.is_set():
        journal.add(take_step(state, batches, chosen))
        now = time.perf_counter()
        state.seconds = earlier + now - began
        if state.step % CHECK_EVERY == 0 or state.step in looks or state.step == chosen.steps:
            journal.flush()
        if state.step in shows:
            keep_snapshot(run.path / "samples", state, chosen)
        if state.step in looks and (value := validate(state, data, chosen)) is not None:
            journal.validation(value)
            if state.early_stop(value):
                break
        if now - saved > chosen.checkpoint:
            journal.flush()
            state.save(run.path / "checkpoint.safetensors")
            saved = now
    if stopping.is_set() and state.step < chosen.steps:
        journal.flush()
        state.save(run.path / "checkpoint.safetensors")
        return "stopped"
    return "done"


def _batches(model: Learner, data: Data, chosen: Options) -> Batches:
    labels = data.train.y if model.conditional else None
    return Batches(
        data.train.x, labels, chosen.batch_size or 1, chosen.seed, chosen.device or "cpu"
    )


def take_step(state: State, batches: Batches, chosen: Options) -> list[Tensor]:
    """One optimiser step of each player; returns their losses."""
    seed = derive_seed(chosen.seed, "noise", state.step)
    device = chosen.device or "cpu"
    # For layers that take no generator, such as dropout. torch.manual_seed would note the whole
    # call stack for each absent accelerator.
    (torch.default_generator if device == "cpu" else torch).manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed)
    x, y = batches(state.step)
    lr = learning_rate(chosen, state.step)
    losses = []
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
    state.update_ema()
    return losses


def autocast(chosen: Options) -> torch.autocast:
    """Half precision where it was chosen."""
    kind = torch.device(chosen.device or "cpu").type
    return torch.autocast(kind, torch.bfloat16, enabled=chosen.precision == "bfloat16")


@torch.no_grad()
def validate(state: State, data: Data, chosen: Options) -> float | None:
    """Mean negative log probability of some validation rows in nats per datum, or None for a model
    without one.
    """
    model = state.average
    if not isinstance(model, Density):
        return None
    held = data.val.subset(SCORED)
    labels = held.y if model.conditional else None
    with autocast(chosen):
        scores = [
            model.log_prob(held.x[k : k + 128], None if labels is None else labels[k : k + 128])
            for k in range(0, len(held), 128)
        ]
    return -torch.cat(scores).double().mean().item()


def snapshot(state: State, chosen: Options) -> Any:
    """64 samples of the average, from the same noise each time, as an array."""
    generator = torch.Generator(chosen.device or "cpu").manual_seed(
        derive_seed(chosen.seed, "snapshot", 0)
    )
    with evaluating(state.average):
        return state.average.sample(64, generator=generator).cpu().numpy()


def keep_snapshot(folder: Path, state: State, chosen: Options) -> None:
    """Write a snapshot under the step's number."""
    folder.mkdir(exist_ok=True)
    content = io.BytesIO()
    np.save(content, snapshot(state, chosen))
    write(folder / f"step-{state.step:08d}.npy", content.getvalue())


def evenly(steps: int, times: int) -> set[int]:
    """Steps at which something happens `times` times, the last step among them.

    >>> sorted(evenly(10, 2))
    [5, 10]
    """
    return {math.ceil(steps * (k + 1) / times) for k in range(times)}


@contextlib.contextmanager
def deterministic(chosen: Options) -> Iterator[None]:
    """Ask an accelerator for the same bits every time."""
    if (chosen.device or "cpu") == "cpu":
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
