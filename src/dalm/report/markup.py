"""HTML elements that escape whatever they are given, so that no text from a file can become markup."""

from __future__ import annotations

import base64
from html import escape


class Html(str):
    """A string that is markup already."""


def tag(element: str, *children: object, **attributes: object) -> Html:
    """One HTML element; children and attributes are escaped, save those that are `Html`.

    A trailing underscore frees an attribute from Python's keywords, and other underscores become
    hyphens; None leaves it out.

    >>> tag("p", "1 < 2", tag("b", "!"), class_="wide")
    '<p class="wide">1 &lt; 2<b>!</b></p>'
    """
    pairs = {
        key.rstrip("_").replace("_", "-"): item
        for key, item in attributes.items()
        if item is not None
    }
    opening = "".join(f' {key}="{escape(str(item))}"' for key, item in pairs.items())
    if element in ("img", "meta"):
        return Html(f"<{element}{opening}>")
    return Html(f"<{element}{opening}>{join(*children)}</{element}>")


def join(*children: object) -> Html:
    """Children one after another, escaped save those that are `Html`."""
    return Html(
        "".join(child if isinstance(child, Html) else escape(str(child)) for child in children)
    )


def png(data: bytes, alt: str, width: int) -> Html:
    """An inline picture, shown `width` CSS pixels wide where there is room."""
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return tag("img", src=source, alt=alt, style=f"width:{width}px")
