"""The public names of each room, and what their docstrings leave out."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dalm

NAMED = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)
"""The kinds of parameter that a caller fills one by one."""

FUNCTIONS = (types.FunctionType, classmethod, staticmethod)
"""What a class holds where it defines a method."""


@dataclass(frozen=True)
class Public:
    """A name of a room's `__all__`, or a method of a class there."""

    path: str
    value: Any

    @property
    def documentable(self) -> bool:
        """Whether it carries a docstring of its own; constants have a string below them."""
        kinds = (inspect.isclass, inspect.ismodule, inspect.isroutine)
        return any(is_kind(self.value) for is_kind in kinds)


def rooms() -> dict[str, tuple[str, ...]]:
    """Every module of the package's first level that lists its public names, then the face."""
    names = [f"dalm.{module.name}" for module in pkgutil.iter_modules(dalm.__path__)]
    listed = {name: getattr(importlib.import_module(name), "__all__", ()) for name in names}
    return {name: tuple(public) for name, public in listed.items() if public} | {
        "dalm": tuple(dalm.__all__)
    }


def missing_names() -> list[str]:
    """Names that a room lists and does not have."""
    return [
        f"{room}.{name}"
        for room, names in rooms().items()
        for name in names
        if not hasattr(importlib.import_module(room), name)
    ]


def public_names() -> list[Public]:
    """All public names; what one room only shows again is left out."""
    found: dict[int | str, Public] = {}
    for room, names in rooms().items():
        module = importlib.import_module(room)
        for name in names:
            public = Public(f"{room}.{name}", getattr(module, name, None))
            found.setdefault(id(public.value) if public.documentable else public.path, public)
    return list(found.values())


def methods(public: Public) -> list[Public]:
    """The public methods that a class adds to those of its bases."""
    if not inspect.isclass(public.value):
        return []
    inherited = {name for base in public.value.__mro__[1:] for name in vars(base)}
    return [
        Public(f"{public.path}.{name}", getattr(public.value, name))
        for name, value in vars(public.value).items()
        if isinstance(value, FUNCTIONS) and not name.startswith("_") and name not in inherited
    ]


def has_docstring(public: Public) -> bool:
    """Whether it is explained where it is defined; what a class inherits does not count."""
    if not public.documentable:
        return public.path.rpartition(".")[2] in documented_constants(room_of(public))
    text = (
        vars(public.value).get("__doc__") if inspect.isclass(public.value) else public.value.__doc__
    )
    if not text or not text.strip():
        return False
    return not text.startswith(f"{public.path.rpartition('.')[2]}(")  # a dataclass writes its own


def room_of(public: Public) -> str:
    """`dalm.core` of `dalm.core.Json`."""
    return public.path.rpartition(".")[0]


def documented_constants(room: str) -> set[str]:
    """The constants of a room's modules that are followed by a string."""
    names = set()
    for source in sources(room):
        statements = ast.parse(source).body
        for statement, following in itertools.pairwise(statements):
            if is_text(following):
                names |= set(targets(statement))
    return names


def sources(room: str) -> Iterator[str]:
    """The source of each module of a room."""
    module = importlib.import_module(room)
    folders = getattr(module, "__path__", None)
    paths = Path(folders[0]).rglob("*.py") if folders else [Path(str(module.__file__))]
    return (path.read_text() for path in paths)


def is_text(statement: ast.stmt) -> bool:
    """A string that stands alone."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def targets(statement: ast.stmt) -> list[str]:
    """The names that an assignment gives a value."""
    if isinstance(statement, ast.AnnAssign):
        places = [statement.target]
    else:
        places = statement.targets if isinstance(statement, ast.Assign) else []
    return [place.id for place in places if isinstance(place, ast.Name)]


def parameters(public: Public) -> list[str]:
    """The parameters that a caller gives: those of a constructor, for a class of its own one."""
    if inspect.isclass(public.value) and "__init__" not in vars(public.value):
        return []
    try:
        signature = inspect.signature(public.value)
    except (TypeError, ValueError):
        return []
    named = [name for name, p in signature.parameters.items() if p.kind in NAMED]
    return [name for name in named if name not in ("self", "cls")]


def explained(text: str) -> set[str]:
    """The names under `Args:`, several of which may share a line."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(text), re.M | re.S)
    entries = re.findall(r"^    (\S[^:\n]*):", section[1] if section else "", re.M)
    return {name.strip(" `*") for entry in entries for name in entry.split(",")}


def unexplained(public: Public) -> list[str]:
    """The parameters that its docstring should name and does not: of two or more, each."""
    if not public.documentable or inspect.ismodule(public.value):
        return []
    names = parameters(public)
    known = explained(public.value.__doc__ or "")
    return [name for name in names if name not in known] if len(names) > 1 else []
