"""A progress bar for verbs that tell how far they are."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any, get_origin


@contextlib.contextmanager
def progress_bar(name: str, verb: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """A bar on standard error, in a terminal, as the keyword `progress` of a verb that takes a
    callback of that name: told how much is done, and how much in all.

    Args:
        name: beside the bar.
        verb: the verb; one that takes no such callback gets no keyword.
    """
    parameter = inspect.signature(verb, eval_str=True).parameters.get("progress")
    if parameter is None or get_origin(parameter.annotation) is not Callable:
        yield {}
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        yield {"progress": lambda done, total: bar.update(task, completed=done, total=total)}
