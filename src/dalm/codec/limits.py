"""Building a model that a stranger's file describes, within what the file can account for.

A configuration is a few bytes and can ask for a million layers. What an option does only its family
knows, so nothing here knows options: it counts what the constructor registers. Every tensor of a
model takes bytes in its file, so a constructor that registers far more than the bytes can tell of
is stopped while it runs. It runs first on torch's meta device, where numbers take no memory.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks

from dalm.core import Generative, build, config
from dalm.errors import DalmError, is_integer

MOST_NUMBERS = 1 << 28
"""Numbers in a model."""
MOST_OPTION = 1 << 16
"""A whole number in a configuration: bounds loops and allocations that register nothing."""
REGISTRATIONS_PER_TENSOR = 8
"""Parameters, buffers and modules that a constructor may register for each tensor that it leaves:
activations have no tensors, some buffers are not saved, some parameters are replaced.
"""


def build_within(configuration: Mapping[str, Any], most_tensors: int) -> Generative:
    """The model of a configuration, with initial weights.

    Args:
        configuration: of `dalm.core.config`, from a file that is not trusted.
        most_tensors: how many parameters the file can account for.

    Raises:
        DalmError: the model is larger than that, or than fits into memory.
    """
    if _most_option(configuration) > MOST_OPTION:
        raise DalmError(f"the model inside the archive has an option beyond {MOST_OPTION:,}")

    options = dict(configuration)
    with torch.device("meta"), at_most_registered(REGISTRATIONS_PER_TENSOR * most_tensors):
        sketch = build(options)
    if len(list(sketch.parameters())) > most_tensors:
        raise _too_many()
    size = sum(value.numel() for value in sketch.state_dict().values())
    if size > MOST_NUMBERS:
        raise DalmError(
            f"the model inside the archive has {size:,} numbers, more than {MOST_NUMBERS:,}"
        )
    return build(options)


def check_readable(model: Generative) -> None:
    """Refuse to put a model into an archive from which nobody would read it.

    Raises:
        DalmError: an option or the model is larger than a reader allows.
    """
    most = _most_option(config(model))
    if most > MOST_OPTION:
        raise DalmError(
            f"{model.family} has an option of {most:,}, and from an archive none beyond "
            f"{MOST_OPTION:,} is read; leave embed out, and give the run when decompressing"
        )
    size = sum(value.numel() for value in model.state_dict().values())
    if size > MOST_NUMBERS:
        raise DalmError(
            f"{model.family} has {size:,} numbers, and from an archive no more than "
            f"{MOST_NUMBERS:,} are read; leave embed out, and give the run when decompressing"
        )


def _most_option(configuration: Mapping[str, Any]) -> int:
    return max(map(abs, _whole_numbers(configuration)), default=0)


def _too_many() -> DalmError:
    return DalmError(
        "the model inside the archive has more layers and tensors than its bytes can tell of"
    )


def _whole_numbers(options: Mapping[str, Any]) -> Iterator[int]:
    """The whole numbers among options, and among those of models that are options. A Spec is
    bounded by the size of what is built for it.
    """
    for value in options.values():
        if isinstance(value, Mapping) and "family" in value:
            yield from _whole_numbers(value)
        for entry in value if isinstance(value, list | tuple) else [value]:
            if is_integer(entry):
                yield entry


@contextlib.contextmanager
def at_most_registered(most: int) -> Iterator[None]:
    """A context in which modules that this thread makes register at most so many parameters,
    buffers and modules in all.

    Raises:
        DalmError: inside, as soon as there is one more.

    >>> with at_most_registered(2):
    ...     layer = nn.Linear(3, 3)  # a weight and a bias
    """
    thread = threading.get_ident()
    registered = 0

    def count(owner: nn.Module, name: str, value: object) -> None:
        nonlocal registered
        if threading.get_ident() != thread:  # torch's hooks are those of all threads
            return
        registered += 1
        if registered > most:
            raise _too_many()

    with contextlib.ExitStack() as stack:
        for register in (
            hooks.register_module_parameter_registration_hook,
            hooks.register_module_buffer_registration_hook,
            hooks.register_module_module_registration_hook,
        ):
            stack.callback(register(count).remove)
        yield
