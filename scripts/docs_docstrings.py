"""Makes the reference read docstrings as they are written here: an extension of griffe.

- A declared option, `name: type = option("meaning", default=…)`, is an attribute with that default
  and that docstring.
- An example that starts with `>>>` is shown as code.
- Names that share a line of an Args section, `low, high: …`, each get that line.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

BOUNDS = {"at_least": "at least", "above": "above", "at_most": "at most", "below": "below"}
EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.M)
SHARED = re.compile(r"^    (\w+(?:, \w+)+):(.*(?:\n {8}.*)*)", re.M)


class Docstrings(griffe.Extension):
    """Called by griffe when it has read a package."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Mend one docstring."""
        if obj.is_attribute and isinstance(obj, griffe.Attribute):
            explain_option(obj)
        if obj.docstring:
            text = EXAMPLE.sub(fenced, obj.docstring.value)
            obj.docstring.value = SHARED.sub(apart, text)


def explain_option(attribute: griffe.Attribute) -> None:
    """Give a declared option its meaning and its range as docstring, its default as value."""
    call = attribute.value
    if not isinstance(call, griffe.ExprCall) or str(call.function) != "option":
        return
    meaning = spoken(str(call.arguments[0]))
    keywords = [argument for argument in call.arguments if isinstance(argument, griffe.ExprKeyword)]
    settings = {keyword.name: keyword.value for keyword in keywords}
    bounds = [f"{word} {settings[name]}" for name, word in BOUNDS.items() if name in settings]
    text = f"{meaning}; {' and '.join(bounds)}." if bounds else f"{meaning}."
    attribute.docstring = griffe.Docstring(text, parent=attribute)
    attribute.value = settings.get("default")


def spoken(literal: str) -> str:
    """The text of a literal; of an f-string, with its names as they stand."""
    if literal.startswith("f"):
        literal = re.sub(r"\{(\w+)[^}]*\}", r"\1", literal[1:])
    return str(ast.literal_eval(literal))


def fenced(example: re.Match[str]) -> str:
    """A doctest as a block of code."""
    return f"```pycon\n{example[0]}\n```"


def apart(entry: re.Match[str]) -> str:
    """A line for each of the names that shared one."""
    return "\n".join(f"    {name}:{entry[2]}" for name in entry[1].split(", "))
