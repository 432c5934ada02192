"""What a command asks of the shell: a field for each option, parsed by tyro."""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dalm.options import REQUIRED, Option

SIMPLE = (int, float, bool, str, Path)
"""The types of single words."""
METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
GROUP_TITLES = {
    "model": "of the family, each also with its group: --model.NAME",
    "data": "of the data, each also with its group: --data.NAME",
    "train": "of training, each also with its group: --train.NAME",
    "sampling": "of the run's family, each also with its group: --sampling.NAME",
}


@dataclass(frozen=True)
class Field:
    """An option on its way to the shell.

    Args:
        option: what it is.
        kind: its type with all that tyro must know.
        default: its value where nothing is said, or REQUIRED.
    """

    option: Option
    kind: Any
    default: Any


@dataclass
class Given:
    """What the user gave.

    Args:
        own: values of the command's own options that are positional or differ from their defaults.
        grouped: those of each group that differ from their defaults.
    """

    own: dict[str, Any]
    grouped: dict[str, dict[str, Any]]


def shell_kind(kind: Any) -> Any:
    """A type as far as a shell can say it, or None.

    >>> shell_kind(str | Path | dict), shell_kind(dict | None)
    (<class 'str'>, None)
    """
    if kind in SIMPLE or get_origin(kind) is Literal:
        return kind
    if get_origin(kind) is Annotated:
        return shell_kind(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return _union(get_args(kind))
    if get_origin(kind) in (tuple, list, Sequence):
        inner = shell_kind(get_args(kind)[0])
        return inner and types.GenericAlias(tuple, (inner, ...))
    return None


def _union(kinds: Sequence[Any]) -> Any:
    """What a shell can say of several types: a list rather than its single entry, a word rather
    than a path.
    """
    sayable = [said for kind in kinds if (said := shell_kind(kind))]
    lists = [kind for kind in sayable if get_origin(kind) is tuple]
    if lists or not sayable:
        return lists[0] if lists else None
    if str in sayable:
        sayable = [kind for kind in sayable if kind is not Path]
    return functools.reduce(operator.or_, sayable)


def has_shell_kind(option: Option) -> bool:
    """Whether a shell can say an option."""
    return shell_kind(option.kind) is not None


def positional(option: Option, name: str) -> Field:
    """A field for an option that is given without a flag.

    Args:
        option: what it is.
        name: what stands for it in help.
    """
    import tyro

    note = tyro.conf.arg(metavar=name.upper(), help=_meaning(option))
    kind: Any = Annotated[shell_kind(option.kind), tyro.conf.Positional, note]
    return Field(option, kind, REQUIRED)


def flag(
    option: Option,
    name: str,
    default: Any,
    aliases: Sequence[str] = (),
    family_default: Any = None,
) -> Field:
    """A field for an option that is given by `--NAME`.

    Args:
        option: what it is.
        name: of its flag.
        default: its value where nothing is said, or REQUIRED.
        aliases: other names of its flag.
        family_default: what a family's own recipe makes of it where nothing is said.
    """
    import tyro

    kind = shell_kind(option.kind)
    if default is None and get_origin(kind) is tuple:
        default = ()
    if default is None and kind is bool:
        default = False  # which is not given, and so stays open
    note = tyro.conf.arg(
        name=name,
        help=_meaning(option),
        help_behavior_hint=_hint(default if family_default is None else family_default),
        aliases=list(aliases) or None,
        metavar=_metavar(kind),
    )
    optional: Any = kind if default is not None else kind | None
    flag_kind: Any = Annotated[optional, note]
    if default is False:
        flag_kind = Annotated[optional, tyro.conf.FlagCreatePairsOff, note]
    return Field(option, flag_kind, default)


def _meaning(option: Option) -> str:
    """What an option means, and its range."""
    return "; ".join(filter(None, [option.meaning, option.range]))


def _hint(default: Any) -> str:
    """The default in words; one that the meaning explains is not repeated."""
    if default is REQUIRED:
        return "(required)"
    is_plain = default is None or default is False or default in ((), "")
    return "" if is_plain else f"(default: {default})"


def _metavar(kind: Any) -> str | None:
    """What stands for the value in help; None leaves it to tyro."""
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    if get_origin(kind) in (Union, types.UnionType):
        return "|".join(METAVARS.get(part, "") for part in get_args(kind))
    return METAVARS.get(kind)


def parse(program: str, about: str, fields: dict[str, list[Field]], arguments: list[str]) -> Given:
    """Parse arguments; tyro explains what is wrong and exits with 2.

    Args:
        program: how the command is called.
        about: what it does.
        fields: by group, the command's own under no name, what is required first.
        arguments: of the shell.
    """
    import tyro

    entries: list[Any] = [_entry(field) for field in fields[""]]
    groups = {name: _form(name, members) for name, members in fields.items() if name and members}
    for group, form in groups.items():
        note = tyro.conf.arg(name=group, help=GROUP_TITLES[group])
        default = dataclasses.field(default_factory=form)
        entries.append((f"{group}_options", Annotated[form, note], default))
    command = dataclasses.make_dataclass("Command", entries)
    parsed: Any = tyro.cli(command, args=arguments, prog=program, description=about)
    grouped = {group: getattr(parsed, f"{group}_options") for group in groups}
    return Given(
        _given(parsed, fields[""]),
        {group: _given(values, fields[group]) for group, values in grouped.items()}
        | {group: {} for group in fields if group and group not in groups},
    )


def _form(name: str, fields: Sequence[Field]) -> Any:
    """A dataclass of a group's fields; tyro asks for those that are missing."""
    import tyro

    entries = []
    for field in fields:
        default = tyro.MISSING if field.default is REQUIRED else field.default
        entries.append((*_entry(field)[:2], dataclasses.field(default=default)))
    form = dataclasses.make_dataclass(name, entries)
    form.__doc__ = GROUP_TITLES[name]
    return form


def _entry(field: Field) -> Any:
    """A field of a dataclass. Its name has a tail, since an option may be called `class`."""
    name = f"{field.option.name}_"
    if field.default is REQUIRED:
        return name, field.kind
    return name, field.kind, dataclasses.field(default=field.default)


def _unsaid(value: Any) -> bool:
    """Whether this is what the shell makes of a list or a flag that was not given."""
    return value is False or value == ()


def _given(parsed: Any, fields: Sequence[Field]) -> dict[str, Any]:
    """What was given, and what the shell decides by a default of its own."""
    values = {field.option.name: getattr(parsed, f"{field.option.name}_") for field in fields}
    defaults = {field.option.name: field.option.default for field in fields}
    return {
        name: value
        for name, value in values.items()
        if value != defaults[name] and not (defaults[name] is None and _unsaid(value))
    }
