"""Fit a model: open its run, go through its stages, close it.

Everything random in step t is a function of the seed and t, and all that a clock decides is noted
in the plan of the run. So a run can be repeated from its `run.json`, and one that was killed ends
with the same bits as one that was not, on the same machine with the same threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from dalm.core import Generative
from dalm.data import Data
from dalm.errors import DalmError
from dalm.records import is_empty, require_absent
from dalm.records.status import hold, run_state
from dalm.train.checks import check_group, check_listeners
from dalm.train.fitting import Fitting
from dalm.train.following import by_plan, followed_run
from dalm.train.group import Group
from dalm.train.listeners import built_in
from dalm.train.options import FitOptions, resolve
from dalm.train.run import Run
from dalm.train.session import Listener
from dalm.train.speed import threads_kept


def fit(
    model: Generative,
    data: Data,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    listeners: Sequence[Listener] = (),
    **asked: Any,
) -> Run:
    """Fit a model to the training split and write a run folder.

    A `Learner` takes gradient steps, an `Estimator` makes passes or learns at once. Ctrl-C saves
    and stops; `resume=True` with the same call goes on, bit for bit. Started by `torchrun`, several
    processes train one model together.

    Args:
        model: any family; it is trained in place, except when resuming.
        data: from `load_data`; its Spec must be the model's.
        out: the run folder, which must not exist yet, or be empty; by default `runs/FAMILY-DATA`,
            numbered.
        resume: continue the run in `out` if there is one, start it if there is none.
        progress: show a progress bar.
        listeners: told of what happens, after those of every fit; see `dalm.train.Listener`.
        **asked: see `dalm.train.FitOptions`.

    Raises:
        DalmError: options, data or folder do not suit.
        Diverged: the loss became NaN or infinite; the run keeps its last good weights.
    """
    wanted = FitOptions(**asked)
    if model.spec != data.spec:
        raise DalmError(
            f"the model was built for {model.spec}, but the data are {data.spec}; build it from "
            "data.spec"
        )
    model.logarithmic = bool(data.options.get("log"))
    check_listeners(listeners)
    followed = followed_run(wanted, model)
    budgeted = wanted if followed is None else by_plan(wanted, followed)
    options = resolve(budgeted, model, len(data.train))
    group = Group.here(options.place)
    options = options.replace(shards=options.shards or group.size)
    check_group(model, group)
    name = f"{model.family}-{data.name}"
    if resume and out is None:
        raise DalmError(_say_which(name))
    with contextlib.ExitStack() as stack, torch.random.fork_rng(), threads_kept():
        folder = stack.enter_context(_reserved(out, resume, name, group))
        told = [*built_in(progress), *listeners] if group.leads else []
        fitting = Fitting(folder, model, data, options, told, group, wanted, followed)
        if resume and _there(folder):
            fitting.reopen(wanted)
        else:
            fitting.start()
        if fitting.run.meta["state"] != "done":
            fitting.go_on()
    fitting.run.model.eval()
    return fitting.run


@contextlib.contextmanager
def _reserved(out: str | Path | None, resume: bool, name: str, group: Group) -> Iterator[Path]:
    """The folder of a run, which no other process writes meanwhile."""
    if not group.leads:
        yield Path(out or f"runs/{name}")
        return
    if out is not None:
        folder = Path(out)
        if not (resume and _there(folder)):
            require_absent(folder)
        with hold(folder):
            if not (resume and _there(folder)):
                require_absent(folder)  # another process may have made it while this one waited
            yield folder
        return
    with contextlib.ExitStack() as stack:
        yield next(path for k in range(1, 10**6) if (path := _free(stack, f"runs/{name}-{k}")))


def _there(folder: Path) -> bool:
    """Whether something is there that could be gone on with."""
    return folder.exists() and not is_empty(folder)


def _say_which(name: str) -> str:
    """What to do about a call that is to go on with a run, and does not say with which."""
    runs = sorted(Path("runs").glob(f"{name}-*"))
    unfinished = [run.as_posix() for run in runs if run_state(run) in ("stopped", "crashed")]
    found = f"; not finished: {', '.join(unfinished)}" if unfinished else ""
    return f"to resume is to go on with the run in a folder; say which one: out, --out{found}"


def _free(stack: contextlib.ExitStack, name: str) -> Path | None:
    """The folder if it is unused and nobody is about to use it."""
    path = Path(name)
    if path.exists():
        return None
    try:
        stack.enter_context(hold(path))
    except DalmError:
        return None
    return None if path.exists() else path
