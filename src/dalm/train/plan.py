"""How a budget is shared out among the stages of a family, and what a run notes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dalm.core import Estimator, Generative, Learner
from dalm.data import Data
from dalm.train.budget import budget_to_steps
from dalm.train.estimation import seen
from dalm.train.group import Group
from dalm.train.options import FitOptions, with_recipe
from dalm.train.state import resolved_players

STAGE_FACTS = ("steps", "batch_size", "lr", "validations", "snapshots", "precision")
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
    family: Generative, data: Data, options: FitOptions, index: int, group: Group
) -> FitOptions:
    """Let a learner take units and scales from the data; its options with a number of steps.

    Args:
        family: the whole model.
        data: what it learns from.
        options: of the whole fit.
        index: which of its stages.
        group: the processes that train together.
    """
    stages = family.stages()
    model = learner_of(family, index)
    rows = seen(data.train, stages[index], torch.device("cpu"))  # they may not fit elsewhere
    model.measure(rows.x)
    model.adapt(model.standard(rows.x), model.condition(rows.y))
    share = share_of(options, len(stages))
    if isinstance(model, Estimator) and share.seconds is not None:
        share = share.replace(seconds=share.seconds / 2)  # the rest was for its passes
    filled = with_recipe(share, model, len(data.train))
    return budget_to_steps(family, data, filled, index, group)


def stage_notes(
    family: Generative, options: FitOptions, index: int, meta: Mapping[str, Any]
) -> dict[str, Any]:
    """What a run notes of a stage that takes steps.

    Args:
        family: the whole model.
        options: of the stage.
        index: which of the stages.
        meta: the run's description so far.
    """
    stages = family.stages()
    model = learner_of(family, index)
    players = {"players": resolved_players(model, options), "units": dict(model.units)}
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
    stages = family.stages()
    if len(stages) == 1:
        return options
    known = {name: meta["stages"][index][name] for name in STAGE_FACTS}
    shared = share_of(options, len(stages))
    return with_recipe(shared, learner_of(family, index), rows).replace(seconds=None, **known)
