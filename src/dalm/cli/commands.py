"""A command from a verb: its typed signature says what may be asked, its docstring what it means.

Parameters without a default are positional, the others flags. What no shell can say, such as a
callback or a model, stays Python's alone.
"""

from __future__ import annotations

import inspect
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from dalm.cli.fields import Field, Given, flag, has_shell_kind, parse, positional
from dalm.cli.show import progress_bar, show
from dalm.cli.signals import work_begins
from dalm.cli.words import OTHER_VERBS
from dalm.errors import DalmError
from dalm.options import REQUIRED, Option
from dalm.verbs import load_verb, summary
from dalm.verbs.groups import (
    Groups,
    clash,
    declared_by,
    family_defaults,
    homes,
    options_of,
    short_name,
    signature_groups,
)

DEFAULTS = {
    ("sample", "out"): "samples.png",
    ("compress", "out"): "data.dalm",
    ("decompress", "out"): "data.npz",
}
"""Where the shell writes if nothing is said; Python gives the result back, or asks."""
NAMES = {"label": "class"}
"""What Python cannot call by its name."""
SHORTER = {"start_from": "--from"}
"""Flags that Python has no word for."""
LETTERS = {"n": "-n", "out": "-o", "quiet": "-q"}
JSON = Option("print as JSON", False, name="json", kind=bool)
THREADS = Option(
    "threads to compute with, 0 chooses", 0, at_least=0, at_most=256, name="threads", kind=int
)
ALLOW = Option(
    "a module whose families runs and archives may name; several with commas between them",
    "",
    name="allow",
    kind=str,
)
QUIET = Option("print the result alone: no notes, no progress", False, name="quiet", kind=bool)
COMPUTED = {"run", "runs", "data", "archive"}
"""A verb that takes one of these computes, and so may be told its threads and which modules it may
import.
"""


@dataclass(frozen=True)
class Command:
    """A verb as the shell sees it.

    Args:
        name: of the verb.
        function: what it calls.
        own: its parameters that a shell can say, by name.
        groups: the groups of options that it takes.
        extra: options of the shell alone.
    """

    name: str
    function: Callable[..., Any]
    own: dict[str, Option]
    groups: tuple[str, ...]
    extra: dict[str, Option]

    @property
    def takes(self) -> set[str]:
        """Every parameter of the function."""
        return set(inspect.signature(self.function).parameters)


def command_of(name: str) -> Command:
    """The command of a verb."""
    function = OTHER_VERBS.get(name) or load_verb(name)
    parameters = declared_by(function)
    own = {key: option for key, option in parameters.items() if has_shell_kind(option)}
    groups = tuple(signature_groups(function))
    extra = {}
    if has_json(get_type_hints(function).get("return")):
        extra["json"] = JSON
    if COMPUTED & parameters.keys() and "train" not in groups:  # those know threads themselves
        extra["threads"] = THREADS
    if COMPUTED & parameters.keys():
        extra |= {"allow": ALLOW, "quiet": QUIET}
    return Command(name, function, own, groups, extra)


def has_json(kind: Any) -> bool:
    """Whether results of a type can be printed as JSON."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    plain = [getattr(kind, "__origin__", kind) for kind in kinds]
    return any(kind in (dict, list) or hasattr(kind, "to_json") for kind in plain)


def run(name: str, word: str, arguments: list[str]) -> int:
    """Run a command; returns the exit code.

    Args:
        name: of the verb.
        word: what the user called it.
        arguments: what follows that word.
    """
    command = command_of(name)
    if "allow" in command.extra:
        _allow_modules(arguments)
    family = _family(command, arguments)
    groups = {group: options_of(group, family) for group in command.groups}
    _refuse_clashes(command, groups, arguments)
    if family is not None and "model" in groups:
        _refuse_foreign(command, family, groups, arguments)
    fields = _fields(command, groups, family_defaults(family))
    if {"-h", "--help"} & set(arguments):
        arguments = ["--help"]  # tyro leaves out of its help what it has read before
    given = parse(f"dalm {word}", _about(command, family), fields, arguments)

    as_json = bool(given.own.pop("json", False))
    quiet = bool(given.own.pop("quiet", False)) or as_json
    given.own.pop("allow", None)
    trained = given.grouped.get("train", {}).get("threads")
    _use_threads(given.own.pop("threads", trained or 0))
    work_begins()
    values = _values(command, given, quiet)
    with progress_bar(name, command.function, quiet) as callback:
        result = command.function(**values, **callback)
    return show(name, result, as_json)


def _allow_modules(arguments: list[str]) -> None:
    """Allow the modules that `--allow` names, before the family's own options are asked for. Those
    of the current folder are found too, last of all, so that they shadow nothing.
    """
    from dalm.core import allow

    words = [part for word in arguments for part in word.split("=", 1)]
    values = [word for flag, word in itertools.pairwise(words) if flag == "--allow"]
    outside = [word for word in words if ":" in word]
    if values or outside:
        sys.path.append(os.getcwd())
    allow(*(module for value in values for module in value.split(",")))


def _family(command: Command, arguments: list[str]) -> Any:
    """The family whose options may be given: that of the run, or the one that is named."""
    if "sampling" in command.groups:
        return _family_of_run(arguments)
    return _named_family(arguments) if "model" in command.groups else None


def _family_of_run(arguments: list[str]) -> Any:
    """The family of the first argument that is a run."""
    from dalm.records import read_meta
    from dalm.verbs.models import family_in

    for word in arguments:
        if (Path(word) / "run.json").is_file():
            return family_in(read_meta(Path(word))["model"])
    return None


def _named_family(arguments: list[str]) -> Any:
    """The first argument, or the first name of a family that is no option's value."""
    from dalm.core import families
    from dalm.verbs.models import family_of

    if arguments and not arguments[0].startswith("-"):
        return family_of(arguments[0])
    for before, word in itertools.pairwise(arguments):
        is_value = before.startswith("-") and "=" not in before
        if word in families and not is_value:
            return families[word]
    return None


def _about(command: Command, family: Any) -> str:
    about = summary(command.name)
    if "model" in command.groups and family is None:
        return f"{about} A family's own options show with: dalm {command.name} FAMILY --help"
    return about


def _refuse_clashes(command: Command, groups: Groups, arguments: list[str]) -> None:
    """Refuse a short name that two groups share."""
    flags = {word.partition("=")[0] for word in arguments}
    for name, places in homes(groups).items():
        is_own = name in command.own
        if len(places) > 1 and not is_own and f"--{name.replace('_', '-')}" in flags:
            raise clash(name, places)


def _refuse_foreign(command: Command, family: Any, groups: Groups, arguments: list[str]) -> None:
    """Refuse an option that other families have, and this one has not."""
    from dalm.core import families
    from dalm.data.reading import few

    known = {*command.own, *command.extra, *(name for group in groups.values() for name in group)}
    flags = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    for given in flags:
        name = given.removeprefix("--").removeprefix("model.").replace("-", "_")
        having = [other for other, kind in families.items() if name in options_of("model", kind)]
        if name not in known and having:
            verb = "has" if len(having) == 1 else "have"
            raise DalmError(
                f"{family.family} has no option {name}, as {few(having)} {verb}; its own are "
                f"{few(list(groups['model'])) or 'none'}"
            )


def _fields(command: Command, groups: Groups, defaults: dict[str, Any]) -> dict[str, list[Field]]:
    """The fields of a command by group, its own under no name."""
    own = [_own_field(command, name, option) for name, option in command.own.items()]
    own += [
        flag(option, name, option.default, _letters(name)) for name, option in command.extra.items()
    ]
    fields = {"": sorted(own, key=lambda field: field.default is not REQUIRED)}
    places = homes(groups)
    for group, options in groups.items():
        fields[group] = []
        for name, option in options.items():
            short = short_name(group, name)
            is_free = len(places[short]) == 1 and short not in command.own
            aliases = [f"--{short.replace('_', '-')}"] if is_free else []
            aliases += [SHORTER[name]] if name in SHORTER else []
            family_default = defaults.get(name) if group == "train" else None
            if has_shell_kind(option):
                fields[group].append(flag(option, name, option.default, aliases, family_default))
    return fields


def _own_field(command: Command, name: str, option: Option) -> Field:
    default = DEFAULTS.get((command.name, name), option.default)
    if default is REQUIRED:
        return positional(option, name)
    return flag(option, NAMES.get(name, name), default, _letters(name))


def _letters(name: str) -> list[str]:
    return [LETTERS[name]] if name in LETTERS else []


def _use_threads(threads: int) -> None:
    THREADS.check("dalm", threads)
    if threads:
        import torch

        torch.set_num_threads(threads)


def _values(command: Command, given: Given, quiet: bool) -> dict[str, Any]:
    """What the verb is called with. Data are loaded here, and what was done to them is said."""
    values = dict(given.own)
    if quiet and "progress" in command.own:
        values["progress"] = False
    grouped = dict(given.grouped)
    if "data" in command.groups:
        values["data"] = _load(values["data"], grouped.pop("data"), quiet)
    for group, options in grouped.items():
        if f"{group}_options" in command.takes:
            values[f"{group}_options"] = options
        else:
            values |= options
    return values


def _load(source: str | Path, options: dict[str, Any], quiet: bool) -> Any:
    from dalm.data import load_data

    data = load_data(source, **options)
    if not quiet:
        for note in data.notes:
            print(note)
        for warning in data.warnings:
            print(f"Warning: {warning}", file=sys.stderr)
        sizes = f"{len(data.train)} train, {len(data.val)} val, {len(data.test)} test"
        print(f"{data.name}: {data.spec}, {sizes}", flush=True)
    return data
