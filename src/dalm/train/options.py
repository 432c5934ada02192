"""What a user may ask of `fit`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import torch

from dalm.core import Learner
from dalm.errors import DalmError, check_seed, did_you_mean, is_integer


class Diverged(RuntimeError):  # noqa: N818
    """Training met NaN or infinity. The run keeps its last good weights."""


POSITIVE = ("steps", "seconds", "batch_size", "lr", "checkpoint")
NATURAL = (
    "clip",
    "ema",
    "validations",
    "patience",
    "snapshots",
    "weight_decay",
)  # zero turns these off
CHOICES = {
    "schedule": (None, "cosine", "constant"),
    "precision": (None, "float32", "bfloat16"),
    "learn_from": ("train", "val"),
}
WHOLE = ("steps", "batch_size", "validations", "patience", "snapshots")


@dataclass(frozen=True)
class Options:
    """Options of `fit`. Those left at `None` come from the family's own recipe.

    Args:
        seconds: budget of time, 60 if neither this nor steps is given; it becomes a number of steps
            after a short measured warm-up.
        steps: budget of optimiser steps; gives the same run on every call.
        seed: of everything random.
        batch_size: data per step.
        lr: peak learning rate.
        weight_decay: decoupled weight decay of AdamW.
        clip: largest gradient norm, 0 for none.
        ema: decay of the weight average, 0 for none.
        schedule: learning rate: "cosine" (short warm-up, then to zero) or "constant".
        validations: how often the validation data are scored.
        patience: stop after so many validations without a better one; 0 never stops early.
        snapshots: how often 64 samples are kept.
        checkpoint: seconds between checkpoints.
        precision: "float32", or "bfloat16" where the machine has it.
        compile: compile the model first; pays for long runs, and needs a C++ compiler.
        device: such as "cpu" or "cuda"; the best there is by default.
        learn_from: the split that a model without steps learns from, "train" or "val": how held-out
            data become a reference row.
    """

    seconds: float | None = None
    steps: int | None = None
    seed: int = 0
    batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    clip: float | None = None
    ema: float | None = None
    schedule: Literal["cosine", "constant"] | None = None
    validations: int = 20
    patience: int = 10
    snapshots: int = 8
    checkpoint: float = 30.0
    precision: Literal["float32", "bfloat16"] | None = None
    compile: bool = False
    device: str | None = None
    learn_from: Literal["train", "val"] = "train"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise DalmError(
                    f"{name} is {' or '.join(filter(None, choices))}, got {getattr(self, name)!r}"
                )
        given = {name: value for name, value in asdict(self).items() if value is not None}
        for name in given.keys() & {*POSITIVE, *NATURAL}:
            if not (
                is_integer(given[name]) or (name not in WHOLE and isinstance(given[name], float))
            ):
                raise DalmError(
                    f"{name} is a {'whole ' if name in WHOLE else ''}number, got {given[name]!r}"
                )
            if not 0 <= given[name] < math.inf or (name in POSITIVE and not given[name]):
                raise DalmError(
                    f"{name} must {'be positive' if name in POSITIVE else 'not be negative'}, got "
                    f"{given[name]}"
                )
        if given.get("ema", 0) >= 1:
            raise DalmError(f"ema is a decay below 1, got {self.ema}; 0.999 is usual")
        check_seed(self.seed)
        for name, value in given.items():
            if is_integer(value):  # JSON does not take NumPy's numbers
                object.__setattr__(self, name, int(value))


def options(**given: Any) -> Options:
    """Options from keywords, refusing unknown ones with the nearest right one.

    >>> options(steps=10).steps
    10
    """
    known = [field.name for field in fields(Options)]
    for name in given:
        if name not in known:
            raise DalmError(f"fit has no option {name!r}. {did_you_mean(name, known)}")
    return Options(**given)


def resolve(asked: Options, model: torch.nn.Module, rows: int) -> Options:
    """Fill every gap: from the family's recipe, the machine, and a default budget of 60 seconds."""
    if asked.steps is not None and asked.seconds is not None:
        raise DalmError(
            f"the budget is steps or seconds, not both; got steps={asked.steps} and "
            f"seconds={asked.seconds}"
        )
    device = available(str(asked.device or ("cuda" if torch.cuda.is_available() else "cpu")))
    resolved = replace(asked, device=device)
    if asked.steps is None and asked.seconds is None:
        resolved = replace(resolved, seconds=60.0)
    if isinstance(model, Learner):
        if asked.learn_from != "train":
            raise DalmError(
                f"{model.family} takes steps, and learns from the training split alone; leave "
                f"learn_from={asked.learn_from!r} out"
            )
        recipe = {
            name: value
            for name, value in asdict(model.recipe).items()
            if name in asdict(asked) and getattr(asked, name) is None
        }
        resolved = replace(resolved, **recipe)
        resolved = replace(
            resolved,
            batch_size=min(resolved.batch_size or rows, rows),
            precision=supported(resolved.precision, device),
        )
    return resolved


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
    """The precision asked for if the machine computes in it, else float32."""
    if precision != "bfloat16":
        return "float32"
    here = (
        torch.cuda.is_bf16_supported()
        if device.startswith("cuda")
        else torch.cpu.get_capabilities().get("avx512_bf16", False)
    )
    return "bfloat16" if here else "float32"
