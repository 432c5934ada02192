"""What a command shows: a bar while its verb works, then its result, and the exit code."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, get_origin

from dalm.cli.words import WORDS
from dalm.verbs.results import Result

WIDTH = 120
"""Characters of a line where there is no terminal to say it."""


@contextlib.contextmanager
def progress_bar(
    name: str, verb: Callable[..., Any], quiet: bool = False
) -> Iterator[dict[str, Any]]:
    """A bar on standard error, in a terminal, as the keyword `progress` of a verb that takes a
    callback of that name: told how much is done, and how much in all.

    Args:
        name: beside the bar.
        verb: the verb; one that takes no such callback gets no keyword.
        quiet: whether to show nothing.
    """
    parameter = inspect.signature(verb, eval_str=True).parameters.get("progress")
    if parameter is None or get_origin(parameter.annotation) is not Callable:
        yield {}
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        yield {"progress": lambda done, total: bar.update(task, completed=done, total=total)}


def show(verb: str, result: Any, as_json: bool) -> int:
    """Print a result; returns the exit code.

    Args:
        verb: name of the verb.
        result: what it gave back.
        as_json: whether to print JSON.
    """
    if as_json:
        plain = result.to_json() if hasattr(result, "to_json") else result
        print(json.dumps(plain, indent=1))
        return 0
    if verb in WORDS:
        return WORDS[verb](result)
    if isinstance(result, Result):
        _show_result(result)
    else:
        print(result)
    return 0


def _show_result(result: Result) -> None:
    """One line if that is all, else the table, what it does not say, and the file to open."""
    if result.summary is not None:
        print(result.summary)
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDTH).print(result)
    for line in [*result.legend, *filter(None, [result.written])]:
        print(line)
