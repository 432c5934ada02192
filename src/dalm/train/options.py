"""What a user may ask of `fit`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import torch

from dalm.core import Generative, Learner
from dalm.errors import DalmError, check_seed
from dalm.options import Options, option

DEFAULT_SECONDS = 60.0


class Diverged(RuntimeError):  # noqa: N818
    """Training met NaN or infinity. The run keeps its last good weights."""


class FitOptions(Options, owner="fit"):
    """Options of `fit`. Those left at `None` come from the family's own recipe."""

    seconds: float | None = option(
        "budget of time, 60 if neither this nor steps is given: a deadline; measured steps plan "
        "how many fit, and the plan is made anew where the machine gets faster or slower",
        default=None,
        above=0,
    )
    steps: int | None = option(
        "budget of optimiser steps, or of an estimator's passes; gives the same run on every call",
        default=None,
        at_least=1,
    )
    passes: int | None = option(
        "most passes of an estimator that takes steps afterwards; of one that does not, `steps` "
        "says it",
        default=None,
        at_least=1,
    )
    plan: str | None = option(
        "a run whose recorded plan is followed instead of a clock: as many steps or passes, by "
        "the same recipe, threads, precision and layout, so the same call ends with the same bits",
        default=None,
    )
    start_from: str | None = option(
        "a run whose weights the first step begins with, to train them further; its own stay",
        default=None,
    )
    seed: int = option("of everything random", default=0)
    batch_size: int | None = option("data per step", default=None, at_least=1)
    shards: int | None = option(
        "parts of a batch that are worked on one after another, or shared out among the processes "
        "of torchrun; as many as there are processes if nothing is said",
        default=None,
        at_least=1,
    )
    lr: float | None = option("peak learning rate", default=None, above=0)
    weight_decay: float | None = option("decoupled weight decay", default=None, at_least=0)
    clip: float | None = option("largest gradient norm, 0 for none", default=None, at_least=0)
    ema: float | None = option(
        "decay of the weight average, 0 for none", default=None, at_least=0, below=1
    )
    schedule: Literal["cosine", "constant"] | None = option(
        "learning rate: short warm-up, then to zero, or constant", default=None
    )
    validations: int = option("how often the validation data are scored", default=20, at_least=0)
    patience: int = option(
        "stop after so many validations without a better one; 0 never stops early",
        default=10,
        at_least=0,
    )
    snapshots: int = option("how often 64 samples are kept", default=8, at_least=0)
    checkpoint: float = option("seconds between checkpoints", default=30.0, above=0)
    threads: int | None = option(
        "that compute on the CPU; within a budget of seconds the fastest of one and all, else all",
        default=None,
        at_least=1,
    )
    precision: Literal["float32", "bfloat16"] | None = option(
        "of the arithmetic; half precision where the machine has it, and within a budget of "
        "seconds only where it is faster",
        default=None,
    )
    layout: Literal["contiguous", "channels_last"] | None = option(
        "of images in memory; within a budget of seconds the faster one, else contiguous",
        default=None,
    )
    compile: bool | None = option(
        "compile the model first, which takes a minute and a C++ compiler; within a budget of "
        "seconds that can repay it, where it is faster, else not",
        default=None,
    )
    device: str | None = option(
        'such as "cpu" or "cuda"; the best there is by default', default=None
    )
    learn_from: Literal["train", "val"] = option(
        "the split that a model without steps learns from: how held-out data become a reference "
        "row",
        default="train",
    )

    def validate(self) -> None:
        """Refuse a seed that some library here does not take."""
        check_seed(self.seed)

    @property
    def timed(self) -> bool:
        """Whether the budget is one of seconds that was not made a number of steps yet."""
        return self.seconds is not None and self.steps is None

    @property
    def place(self) -> str:
        """The device, once it is known."""
        return self.device or "cpu"


def resolve(asked: FitOptions, model: Generative, rows: int) -> FitOptions:
    """Fill every gap: from the family's recipe, the machine, and a default budget of 60 seconds.

    Args:
        asked: what the user wants.
        model: whose recipe counts.
        rows: of training data.

    Raises:
        DalmError: two budgets, an absent device, or an option that the model has no use for.
    """
    if asked.steps is not None and asked.seconds is not None:
        raise DalmError(
            f"the budget is steps or seconds, not both; got {asked.steps} steps and "
            f"{asked.seconds:g} seconds"
        )
    best = "cuda" if torch.cuda.is_available() else "cpu"
    resolved = asked.replace(device=available(asked.device or best))
    if asked.steps is None and asked.seconds is None:
        resolved = resolved.replace(seconds=DEFAULT_SECONDS)
    if not any(isinstance(stage.model, Learner) for stage in model.stages()):
        return resolved
    if asked.learn_from != "train":
        raise DalmError(
            f"{model.family} takes steps, and learns from the training split alone; leave "
            f"learn_from={asked.learn_from!r} out"
        )
    return with_recipe(resolved, model, rows)


def with_recipe(options: FitOptions, model: Generative, rows: int) -> FitOptions:
    """Fill what is left open from the recipe of a model; a batch has at most all rows.

    Args:
        options: some of them perhaps `None`.
        model: a learner, or a family whose first learner counts.
        rows: of training data.
    """
    learners = [stage.model for stage in model.stages() if isinstance(stage.model, Learner)]
    recipe = asdict(learners[0].recipe)
    gaps = {name: value for name, value in recipe.items() if getattr(options, name) is None}
    if options.timed:  # what is fastest here is found by measuring
        gaps.pop("precision", None)
    filled = options.replace(**gaps)
    changes: dict[str, Any] = {"batch_size": min(filled.batch_size or rows, rows)}
    if filled.precision is not None:
        changes["precision"] = supported(filled.precision, filled.place)
    if not options.timed:
        changes["layout"] = filled.layout or "contiguous"
        changes["compile"] = bool(filled.compile)
    return filled.replace(**changes)


def available(device: str) -> str:
    """The device, or DalmError if it is not here."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise DalmError(
            f"there is no device {device!r} here: {str(error).splitlines()[0]}. 'cpu' always works"
        ) from None
    return device


def supported(precision: str | None, device: str) -> Literal["float32", "bfloat16"]:
    """The precision asked for if the machine computes in it, else float32.

    Args:
        precision: as in `FitOptions`.
        device: where.
    """
    if precision != "bfloat16":
        return "float32"
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "float32"
