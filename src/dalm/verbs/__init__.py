"""The verbs that cross rooms, each named once in `VERBS`.

What stands there is a function of `dalm`, a command of the shell and a line of `dalm --help`: a
verb takes names or objects (`"vae"` or a model, `"digits"` or data, a folder or a run), and its
typed signature and docstring are all that the shell needs to know.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

VERBS: tuple[str, ...] = (
    "dalm.verbs.models:fit",
    "dalm.verbs.samples:sample",
    "dalm.verbs.scores:score",
    "dalm.verbs.comparison:compare",
    "dalm.verbs.pages:report",
    "dalm.verbs.proof:prove",
    "dalm.verbs.archives:compress",
    "dalm.verbs.archives:decompress",
    "dalm.verbs.codecs:codecs",
    "dalm.verbs.listings:families",
    "dalm.verbs.listings:sources",
)
"""Module and function of every verb, in the order in which help shows them."""


def verb_places() -> dict[str, str]:
    """Module and function of each verb, by its name.

    >>> verb_places()["fit"]
    'dalm.verbs.models:fit'
    """
    return {place.rpartition(":")[2]: place for place in VERBS}


def load_verb(name: str) -> Callable[..., Any]:
    """The function of a verb; only now is its module imported."""
    module, _, function = verb_places()[name].rpartition(":")
    verb: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return verb


def summary(name: str) -> str:
    """The first sentence of a verb's docstring, read without importing its module.

    >>> summary("sources")
    'The data that have a name; files and folders work too.'
    """
    module, _, function = verb_places()[name].rpartition(":")
    docstring = _docstrings(module)[function]
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    sentence, dot, _ = paragraph.partition(". ")
    return sentence + dot.strip()


@functools.cache
def _docstrings(module: str) -> dict[str, str]:
    """The docstrings of a module's functions, by name."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    with open(spec.origin, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in functions}


class Face(ModuleType):
    """A package whose verbs are loaded at first use.

    Importing the module `dalm.report` would bind it to the name `report` of `dalm`. Where a verb
    has the name of a module, the verb keeps it; `from dalm.report import …` finds the module still.
    """

    def __getattr__(self, name: str) -> Any:
        if name in verb_places():
            return load_verb(name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in verb_places()):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = Face
