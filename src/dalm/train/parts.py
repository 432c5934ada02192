"""Tensors of a fit under names, as a checkpoint holds them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def joined(parts: Mapping[str, Mapping[str, Tensor]]) -> Tensors:
    """Named groups of tensors as one, by names with a slash.

    >>> list(joined({"best": {"mean": torch.zeros(1)}}))
    ['best/mean']
    """
    return {f"{part}/{name}": value for part, own in parts.items() for name, value in own.items()}


def parted(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """The opposite of `joined`."""
    parts: dict[str, Tensors] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
    return parts


def moments(optimiser: torch.optim.Optimizer) -> Tensors:
    """What an optimiser remembers of each parameter, by number and name."""
    states = optimiser.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def set_moments(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """The opposite of `moments`.

    Args:
        optimiser: gets them.
        tensors: what it is to remember.
    """
    known: dict[int, Tensors] = {}
    owners = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for name, value in tensors.items():
        index, _, moment = name.partition(".")
        owner = owners[int(index)]
        if value.shape == owner.shape:  # a fused step wants the strides of its parameter
            value = torch.empty_like(owner, dtype=value.dtype).copy_(value)
        known.setdefault(int(index), {})[moment] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": known, "param_groups": groups})
