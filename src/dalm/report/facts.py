"""What a page says of data, machine and budget, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dalm.records.digest import Json, mapping

Facts = dict[str, list[str]]
"""What is said under each heading: one entry for each different thing that folders say."""

CONDITIONAL = (
    "families that can learn each class apart; their bits/dim are of the data without the label, "
    "summed over classes"
)


def words(value: object) -> str:
    """A JSON value as a short phrase.

    >>> words({"train": 1437, "test": 180, "extra": None})
    'train 1,437, test 180'
    """
    if isinstance(value, dict):
        parts = [f"{key} {words(item)}" for key, item in value.items() if words(item)]
        return ", ".join(parts)
    if isinstance(value, list):
        return ", ".join(words(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def facts(record: Json, data: Json) -> Facts:
    """The facts of a comparison or a run, those that it has.

    Args:
        record: what its `scoreboard.json` or `run.json` says.
        data: what its run says of its data.

    >>> facts({"data": "digits", "budget": {"seconds": 60}}, {"splits": {"train": 1437}})
    {'Data': ['digits'], 'Budget': ['60 seconds'], 'Splits': ['train 1,437']}
    """
    about = mapping(record.get("data")) | data
    name = record["data"] if isinstance(record.get("data"), str) else about.get("source")
    values = {
        "Data": name,
        "Machine": record.get("machine"),
        "Budget": _budget(record.get("budget")),
        "Classes": CONDITIONAL if record.get("conditional") else None,
        "Seed": record.get("seed"),
        "Date": record.get("date"),
        "Splits": about.get("splits"),
        "Options": about.get("options"),
        "Fingerprint": about.get("fingerprint"),
    }
    return {key: [words(value)] for key, value in values.items() if words(value)}


def _budget(budget: object) -> object:
    if not isinstance(budget, dict):
        return budget
    return ", ".join(f"{value:,} {unit}" for unit, value in budget.items() if value)


def notes(*sources: Json, key: str = "notes") -> list[str]:
    """What the sources remark, each thing once.

    Args:
        *sources: what a comparison, a run or its data say of themselves.
        key: `"notes"` or `"warnings"`.

    >>> notes({"notes": ["a", "b"]}, {"notes": "a"}, {})
    ['a', 'b']
    """
    remarks: list[str] = []
    for source in sources:
        value = source.get(key) or []
        remarks += map(str, value if isinstance(value, list) else [value])
    return unique(remarks)


def explanations(source: Json) -> dict[str, str]:
    """The sentence about each metric."""
    return {str(name): str(text) for name, text in mapping(source.get("explain")).items()}


def date_of(path: Path) -> str:
    """The date of a file; not today's, since the same folders must give the same page."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d")


def unique(values: Iterable[str]) -> list[str]:
    """The values without repetitions, in their order.

    >>> unique(["b", "a", "b"])
    ['b', 'a']
    """
    return list(dict.fromkeys(values))


def name(row: Mapping[str, Any]) -> str:
    """The row's name."""
    return str(row.get("name", "unnamed"))


def need(row: Mapping[str, Any]) -> str:
    """What a family asks for that these data are not, without its name.

    >>> need({"name": "dcgan", "error": "dcgan needs images, got shape (13,)."})
    'needs images, got shape (13,)'
    """
    return str(row.get("error")).removeprefix(f"{name(row)} ").rstrip(".")


def listing(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listing(["a"]), listing(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
