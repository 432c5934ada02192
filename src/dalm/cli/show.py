"""What a command prints of a verb's result, and its exit code."""

from __future__ import annotations

import json
import sys
from typing import Any

from dalm.cli.words import WORDS
from dalm.verbs.results import Result

WIDTH = 120
"""Characters of a line where there is no terminal to say it."""


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
