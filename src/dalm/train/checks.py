"""What is refused before a fit begins or goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dalm.core import Estimator, Generative, Learner, config, restore, without_places
from dalm.data import Data
from dalm.errors import DalmError
from dalm.train.group import Group
from dalm.train.options import FitOptions
from dalm.train.run import Run
from dalm.train.session import Listener


def check_labels(model: Generative, data: Data, split: str) -> None:
    """Raise DalmError if a conditional model would meet rows without a label.

    Args:
        model: what is to be fitted; a family says by `partial_labels` that it takes such rows.
        data: what it would learn from.
        split: which part of them.
    """
    y = getattr(data, split).y
    if y is None or not model.conditional or model.partial_labels or not bool((y < 0).any()):
        return
    missing = int((y < 0).sum())
    raise DalmError(
        f"{model.family} needs a label for each row, and {missing:,} of {len(y):,} rows of {split} "
        "have none; leave them out, or use a family that learns from unlabelled rows too"
    )


def check_same(
    folder: Path,
    meta: dict[str, Any],
    model: Generative,
    data: Data,
    wanted: FitOptions,
    resolved: FitOptions,
) -> None:
    """Raise DalmError unless a run is the one that is asked for again.

    Args:
        folder: of the run.
        meta: its description.
        model: what is asked for.
        data: likewise.
        wanted: the options as the user gave them.
        resolved: the same, filled.
    """
    _check_data(folder, meta["data"], data)
    _check_model(folder, meta["model"], json.loads(json.dumps(config(model))))
    names = {"seed", "learn_from", *wanted.given()} - {"device"}
    planned = {"validations", "snapshots"} if wanted.seconds else set()
    for name in sorted(names - planned):
        started = meta["fit"].get(name, getattr(FitOptions(), name))
        now = getattr(resolved, name)
        if started != now:
            raise DalmError(
                f"{folder} was started with {name}={started}, not {now}; ask for the same, or "
                "choose another folder"
            )


def inherit(model: Generative, parent: str | None) -> None:
    """Give a model the weights of a run, if there is one to start from.

    Args:
        model: gets them.
        parent: the folder of the run.

    Raises:
        DalmError: the run holds another model, or the model takes no steps.
    """
    if parent is None:
        return
    if not any(isinstance(stage.model, Learner) for stage in model.stages()):
        raise DalmError(
            f"{model.family} takes no steps, so it cannot learn further from the weights of "
            f"{parent}; leave start_from out"
        )
    run = Run.open(parent)
    asked = json.loads(json.dumps(config(model)))
    _check_model(Path(parent), run.meta["model"], asked)
    restore(model, run.model.state_dict())


def _check_data(folder: Path, before: dict[str, Any], data: Data) -> None:
    if before["fingerprint"] != data.fingerprint:
        raise DalmError(
            f"{folder} was fitted to other data ({before['name']}, {before['fingerprint']}), not "
            f"to {data.fingerprint}"
        )


def _check_model(folder: Path, before: dict[str, Any], asked: dict[str, Any]) -> None:
    before = without_places(before)
    asked = without_places(asked)
    differ = [f"{name}={before.get(name)}" for name in asked if before.get(name) != asked[name]]
    if before != asked:
        raise DalmError(
            f"{folder} holds another model: there {', '.join(differ)}; ask for the same, or choose "
            "another folder"
        )


def check_group(model: Generative, group: Group) -> None:
    """Raise DalmError if several processes would train what one process must.

    Args:
        model: what is to be fitted.
        group: the processes.
    """
    if group.size > 1 and any(isinstance(stage.model, Estimator) for stage in model.stages()):
        raise DalmError(
            f"{model.family} learns by passes of its own, in one process; start it without torchrun"
        )


def check_listeners(listeners: Sequence[Listener]) -> None:
    """Raise DalmError unless all are listeners, and no two keep their states under one name."""
    if not isinstance(listeners, list | tuple):
        raise DalmError(f"listeners are a list of them, got {type(listeners).__name__}")
    for one in listeners:
        if not isinstance(one, Listener):
            raise DalmError(
                f"a listener is an object of a class that inherits dalm.train.Listener, got {one!r}"
            )
    names = [one.name for one in listeners if type(one).state is not Listener.state]
    for name in names:
        if names.count(name) > 1:
            raise DalmError(
                f"two listeners are called {name!r}, and the state of one would come back to the "
                "other; give each its own `name`"
            )
