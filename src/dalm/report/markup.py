"""HTML elements that escape what they are given, so that no text from a file can become markup."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from dalm.report.facts import listing

VOID = ("img", "input", "meta")  # elements without an end tag


class Html(str):
    """A string that is markup already."""


def tag(element: str, *children: object, **attributes: object) -> Html:
    """One HTML element; children and attributes are escaped, save those that are `Html`.

    Args:
        element: its name.
        *children: what it holds.
        **attributes: a trailing underscore frees one from Python's keywords, and other underscores
            become hyphens; None leaves it out.

    >>> tag("p", "1 < 2", tag("b", "!"), class_="wide")
    '<p class="wide">1 &lt; 2<b>!</b></p>'
    """
    opening = element
    for key, value in attributes.items():
        if value is not None:
            name = key.rstrip("_").replace("_", "-")
            opening += f' {name}="{escape(str(value))}"'
    if element in VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{join(*children)}</{element}>")


def join(*children: object) -> Html:
    """Children one after another, escaped save those that are `Html`.

    >>> join("a & b", Html("<br>"))
    'a &amp; b<br>'
    """
    parts = [child if isinstance(child, Html) else escape(str(child)) for child in children]
    return Html("".join(parts))


def png(data: bytes, alt: str, width: int) -> Html:
    """An inline picture.

    Args:
        data: of a PNG file.
        alt: what to read in its place.
        width: CSS pixels, where there is room.
    """
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return tag("img", src=source, alt=alt, style=f"width:{width}px")


def section(title: str, lead: str, *children: object) -> Html:
    """A headed part of the page.

    Args:
        title: its heading.
        lead: what it shows.
        *children: the rest.
    """
    return tag("section", tag("h2", title), tag("p", lead, class_="lead"), *children)


def absent(opening: str, reasons: Sequence[tuple[str, str]]) -> Html:
    """One paragraph that says for which models something is missing, and why; the same reason is
    told once.

    Args:
        opening: what is missing.
        reasons: pairs of a model and its reason.

    >>> absent("Not shown", [("a", "it failed"), ("b", "it failed")])
    '<p class="absent">Not shown. It failed (a and b).</p>'
    """
    models: dict[str, list[str]] = {}
    for model, reason in reasons:
        models.setdefault(reason, []).append(model)
    if not models:
        return Html()

    sentences = []
    for reason, names in models.items():
        sentences.append(f"{reason[:1].upper()}{reason[1:]} ({listing(names)}).")
    return tag("p", f"{opening}. {' '.join(sentences)}", class_="absent")
