"""What a command asks of the shell: its fields, parsed by tyro, and the data and lists that
commands share.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

Field = tuple[str, Any, Any]
"""Name, type with its help, default."""


def option(name: str, kind: Any, default: Any, about: str, *aliases: str) -> Field:
    """A flag with its default."""
    import tyro

    return (
        name,
        Annotated[kind, tyro.conf.arg(name=name, help=about, aliases=aliases or None)],
        default,
    )


def positional(name: str, kind: Any = str) -> Field:
    """An argument without a flag."""
    import tyro

    return (
        name,
        Annotated[kind, tyro.conf.Positional, tyro.conf.arg(metavar=name.upper())],
        dataclasses.MISSING,
    )


def positionals(names: list[str]) -> list[Field]:
    """Arguments without flags, in order."""
    return [positional(name) for name in names]


def options(target: Callable[..., Any], skip: tuple[str, ...] = ()) -> list[Field]:
    """The parameters of a function or class as fields, explained by its docstring."""
    from docstring_parser import parse

    about = {p.arg_name: p.description or "" for p in parse(inspect.getdoc(target) or "").params}
    if hasattr(target, "declared"):
        return [
            option(name, one.kind, one.default, one.meaning)
            for name, one in target.declared().items()
            if name not in skip
        ]
    parameters = inspect.signature(target, eval_str=True).parameters.items()
    return [
        option(name, p.annotation, p.default, about.get(name, ""))
        for name, p in parameters
        if name not in skip
    ]


def run_fields(skip: tuple[str, ...] = ()) -> list[Field]:
    """What `fit` and `compare` share: where to write, how to train, how to load the data."""
    from dalm.train import FitOptions

    return [
        option("out", Path | None, None, "the folder to write"),
        option("resume", bool, False, "go on with what is in --out"),
        *options(FitOptions, skip),
        *data_fields(),
    ]


def data_fields() -> list[Field]:
    """How to load the data."""
    from dalm.data import load_data

    seed = option("data_seed", int, 0, "of the split, of --binary and of toy samples")
    return [*options(load_data, skip=("source", "cache", "seed")), seed]


def parse(command: str, fields: list[Field], arguments: list[str], about: str) -> dict[str, Any]:
    """Parse arguments into a value for each field; tyro explains what is wrong and exits with 2."""
    import tyro

    positionals = [(name, kind) for name, kind, default in fields if default is dataclasses.MISSING]
    rest = [
        (name if name != "class" else "class_", kind, dataclasses.field(default=default))
        for name, kind, default in fields
        if default is not dataclasses.MISSING
    ]
    form = dataclasses.make_dataclass("Arguments", [*positionals, *rest])
    form.__doc__ = about
    asked: Any = tyro.cli(form, args=arguments, prog=f"dalm {command}", description=about)
    return {name.rstrip("_"): getattr(asked, name) for name, *_ in [*positionals, *rest]}


def load(asked: dict[str, Any], quiet: bool = False) -> Any:
    """The data asked for; what was done to them is printed, unless the output is for a program."""
    from dalm.data import load_data

    known = inspect.signature(load_data).parameters
    given = {name: value for name, value in asked.items() if name in known and name != "seed"}
    loaded = load_data(asked["data"], seed=asked["data_seed"], **given)
    for note in () if quiet else loaded.notes:
        print(note)
    return loaded


def show_list(entries: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> int:
    """Print entries as JSON, or some of their columns as a table; returns the exit code."""
    if as_json:
        print(json.dumps(entries, indent=1))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for entry in entries:
        table.add_row(*(_words(entry[column]) for column in columns))
    Console().print(table)
    return 0


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return (
        {None: "–", True: "yes", False: "no"}.get(value, str(value))
        if not isinstance(value, int) or isinstance(value, bool)
        else str(value)
    )
