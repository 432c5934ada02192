"""A verb and a family from outside the package, as a user would write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from dalm.verbs.groups import OptionsOf
from dalm.verbs.results import Listing


def toy(
    count: int,
    word: Literal["one", "two"] = "one",
    *,
    place: str | Path | Callable[[], Path] = "here",
    listener: Callable[[int], None] | None = None,
) -> int:
    """Twice a number. Only the first sentence is a summary.

    Args:
        count: what is doubled.
        word: what it is not.
        place: where it is not.
        listener: Python's alone.
    """
    return 2 * count


def toys(names: list[str], **options: Annotated[Any, OptionsOf(("train",))]) -> Listing:
    """Things with names."""
    return Listing([{"name": name} | options for name in names])
