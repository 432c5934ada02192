"""How a budget is shared out among the stages of a family, and what a run notes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dalm.core import Estimator, Generative, Learner
from dalm.data import Data
from dalm.train.budget import Reckoning, reckon
from dalm.train.estimation import seen
from dalm.train.following import WAY
from dalm.train.group import Group
from dalm.train.options import FitOptions, with_recipe
from dalm.train.plan import Plan
from dalm.train.state import resolved_players

COUNTS = ("steps", "validations", "snapshots")
"""What a plan says of how often."""
STAGE_FACTS = (*COUNTS, *WAY)
"""What a run notes of each of several stages; of a single one, `fit` says it."""


def share_of(options: FitOptions, stages: int) -> FitOptions:
    """The options of one of several stages: an equal share of the budget.

    Args:
        options: of the whole fit.
        stages: how many there are.

    >>> share_of(FitOptions(steps=100), 2).steps
    50
    """
    if stages == 1:
        return options
    if options.steps is not None:
        return options.replace(steps=max(1, options.steps // stages))
    return options.replace(seconds=(options.seconds or 0.0) / stages)


def learner_of(family: Generative, index: int) -> Learner:
    """The model of a stage that takes steps.

    Args:
        family: the whole model.
        index: which of its stages.
    """
    model = family.stages()[index].model
    assert isinstance(model, Learner)
    return model


def adapt_stage(
    family: Generative,
    data: Data,
    options: FitOptions,
    index: int,
    group: Group,
    wanted: FitOptions,
    followed: Mapping[str, Any] | None = None,
) -> Reckoning:
    """Let a learner take units and scales from the data; returns its plan, with its steps.

    Args:
        family: the whole model.
        data: what it learns from.
        options: of the whole fit.
        index: which of its stages.
        group: the processes that train together.
        wanted: what the user asked for, which overrules a run that is followed.
        followed: the description of a run whose plan is followed.
    """
    stages = family.stages()
    model = learner_of(family, index)
    rows = seen(data.train, stages[index], torch.device("cpu"))  # they may not fit elsewhere
    model.measure(rows.x)
    model.adapt(model.standard(rows.x), model.condition(rows.y))
    share = stage_share(options, family, index)
    if followed is not None:
        way = [name for name in WAY if getattr(wanted, name) is None]
        share = share.replace(**_facts(followed, index, (*way, *COUNTS)))
    filled = with_recipe(share, model, len(data.train))
    return reckon(family, data, filled, index, group) if filled.timed else Reckoning(filled)


def stage_share(options: FitOptions, family: Generative, index: int) -> FitOptions:
    """The budget of the steps of a stage.

    Args:
        options: of the whole fit.
        family: the whole model.
        index: which of its stages.
    """
    stages = family.stages()
    share = share_of(options, len(stages))
    if isinstance(stages[index].model, Estimator) and share.seconds is not None:
        return share.replace(seconds=share.seconds / 2)  # the rest was for its passes
    return share


def _facts(meta: Mapping[str, Any], index: int, names: Sequence[str]) -> dict[str, Any]:
    """What a run noted of a stage, as far as it did."""
    noted = meta["stages"][index] if "stages" in meta else meta["fit"]
    return {name: noted[name] for name in names if name in noted}


def noted_plan(meta: Mapping[str, Any], index: int) -> Plan | None:
    """The plan of a stage that a run noted, if it did.

    Args:
        meta: the run's description.
        index: which of the stages.
    """
    noted = meta["stages"][index] if "stages" in meta else meta
    return Plan.of(noted["plan"]) if noted.get("plan") else None


def plan_notes(meta: Mapping[str, Any], index: int, plan: Plan) -> dict[str, Any]:
    """What a run notes of a plan that was made anew.

    Args:
        meta: the run's description so far.
        index: which of the stages.
        plan: all of its legs.
    """
    facts = {name: getattr(plan.legs[-1], name) for name in COUNTS}
    if "stages" not in meta:
        return {"fit": meta["fit"] | facts, "plan": plan.to_json()}
    stages = list(meta["stages"])
    stages[index] = stages[index] | facts | {"plan": plan.to_json()}
    return {"stages": stages}


def stage_notes(
    family: Generative, found: Reckoning, index: int, meta: Mapping[str, Any], plan: Plan | None
) -> dict[str, Any]:
    """What a run notes of a stage that takes steps.

    Args:
        family: the whole model.
        found: its options, and the ways to compute that were tried.
        index: which of the stages.
        meta: the run's description so far.
        plan: its legs, if it has more than a number of steps.
    """
    stages = family.stages()
    model = learner_of(family, index)
    options = found.options
    players: dict[str, Any] = {
        "players": resolved_players(model, options),
        "units": dict(model.units),
    }
    if found.trials:
        players["speed"] = found.trials
    if plan is not None:
        players["plan"] = plan.to_json()
    if len(stages) == 1:
        return players
    facts = {name: getattr(options, name) for name in STAGE_FACTS}
    noted = meta.get("stages", [])
    own = noted[index] if index < len(noted) else {"name": stages[index].name}
    return {"stages": [*noted[:index], own | facts | players]}


def noted_options(
    family: Generative, options: FitOptions, index: int, meta: Mapping[str, Any], rows: int
) -> FitOptions:
    """The options of a stage that began before, by what the run noted.

    Args:
        family: the whole model.
        options: of the whole fit.
        index: which of the stages.
        meta: the run's description.
        rows: of training data.
    """
    if len(family.stages()) == 1:
        return options
    known = _facts(meta, index, STAGE_FACTS)
    shared = stage_share(options, family, index)
    return with_recipe(shared, learner_of(family, index), rows).replace(**known)
