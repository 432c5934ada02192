"""The plan of another run, followed step by step instead of a clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dalm.core import Generative
from dalm.errors import DalmError
from dalm.records import read_meta
from dalm.train.options import FitOptions

WAY = (
    *("precision", "layout", "threads", "compile"),
    *("batch_size", "lr", "weight_decay", "clip", "ema", "schedule"),
)
"""How a run computed and learned: options that decide its bits, whether they were said or found. A
recipe may change from one dalm to the next.
"""


def followed_run(asked: FitOptions, model: Generative) -> dict[str, Any] | None:
    """The description of the run whose plan is to be followed, if one is.

    Args:
        asked: what the user wants.
        model: what is to be fitted.

    Raises:
        DalmError: there is no such run, or none that such a model can follow.
    """
    if asked.plan is None:
        return None
    for name in ("seconds", "steps"):
        if (value := getattr(asked, name)) is not None:
            raise DalmError(
                f"the budget is that of the plan in {asked.plan}; leave {name}={value} out"
            )
    meta = read_meta(Path(asked.plan))
    family = meta["model"]["family"]
    if family != model.family:
        raise DalmError(
            f"{asked.plan} is a run of {family}, whose plan a {model.family} cannot follow; give a "
            f"run of {model.family}"
        )
    if meta["state"] != "done":
        raise DalmError(
            f"{asked.plan} is not done ({meta['state']}), so its plan may still change; finish it "
            "by --resume (resume=True) first"
        )
    return meta


def by_plan(asked: FitOptions, meta: dict[str, Any]) -> FitOptions:
    """Options with the budget of a run that is followed, and its way to compute and learn.

    Args:
        asked: what the user wants.
        meta: the description of that run.
    """
    fit = meta["fit"]
    stages = meta.get("stages", [])
    passes = meta.get("passes")
    steps = fit["steps"] or passes or sum(s["steps"] + s.get("passes", 0) for s in stages)
    looks = {name: fit[name] for name in ("validations", "snapshots")}
    way = {
        name: fit[name]
        for name in WAY
        if fit.get(name) is not None and getattr(asked, name) is None
    }
    if asked.shards is None and (fit.get("shards") or 1) > 1:  # one is as many as processes
        way["shards"] = fit["shards"]
    both = {"passes": passes} if fit["steps"] and passes else {}
    return asked.replace(steps=max(1, steps), **looks, **way, **both)
