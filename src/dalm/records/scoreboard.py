"""Scoreboards: the rows of a comparison, models and references, on disk.

A row is a plain JSON object: `name`, `family`, `kind`, `likelihood`, `scores` (records), its costs,
`run` (its folder in the comparison's), `error`, and `suits`, which is false where that error says
that the family is not for such data. Format 1 had a boolean `reference` in place of
`kind`, and `bits_per_dim` and `metrics` in place of `scores`; `score_records` reads both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dalm.errors import DalmError
from dalm.records.digest import Json, read_object, read_signed, with_digest
from dalm.records.files import write

Row = TypeVar("Row", bound=Mapping[str, Any])

FORMAT = 2
FILE = "scoreboard.json"
NOT_FOR_THESE = "not for these data"
"""What is said of a family that does not apply."""
REMEDY = "Restore it, or compare again in another folder"


def write_scoreboard(folder: Path, board: Json) -> Json:
    """Write `scoreboard.json`, closed by a digest; returns it as written.

    Args:
        folder: the comparison.
        board: its facts and `rows`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_scoreboard(Path(folder), {"rows": [{"name": "kde", "kind": "model"}]})
    ...     read_scoreboard(Path(folder))["rows"]
    [{'name': 'kde', 'kind': 'model'}]
    """
    signed = with_digest(board | {"format": FORMAT})
    write(folder / FILE, json.dumps(signed, indent=1))
    return signed


def read_scoreboard(folder: Path, trusting: bool = False) -> Json:
    """The scoreboard in a folder.

    Args:
        folder: the comparison.
        trusting: read it without its digest.

    Raises:
        DalmError: it is damaged, edited or newer, or has no rows.
    """
    path = folder / FILE
    if not trusting:
        read_signed(path, REMEDY)

    board = read_object(path, "a scoreboard", FORMAT)
    rows = board.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DalmError(f"{path} has no list of rows. {REMEDY}")
    return board


def is_reference(row: Any) -> bool:
    """Whether a row is there to compare with, and no model that competes.

    >>> is_reference({"kind": "reference"}), is_reference({"reference": True}), is_reference({})
    (True, True, False)
    """
    kind = row.get("kind")
    return kind == "reference" if kind is not None else bool(row.get("reference"))


def suits(row: Any) -> bool:
    """Whether a row's family can learn such data at all; if not, `error` says what it needs.

    >>> suits({"error": "pixelcnn needs discrete data", "suits": False}), suits({"error": "nan"})
    (False, True)
    """
    return bool(row.get("suits", True))


def suited_first(rows: Iterable[Row]) -> list[Row]:
    """The rows in their order, but last those whose family is not for the data."""
    return sorted(rows, key=lambda row: not suits(row))


def held_out_reference(rows: Iterable[Any]) -> Any | None:
    """The row of held-out real data: the reference that remembers the validation split.

    >>> rows = [{"name": "copycat", "family": "copycat", "kind": "reference"},
    ...         {"name": "real", "family": "copycat", "kind": "reference", "learn_from": "val"}]
    >>> held_out_reference(rows)["name"]
    'real'
    """
    return next((row for row in rows if _remembers(row, "val")), None)


def _remembers(row: Any, split: str) -> bool:
    plain = row.get("family") == "copycat" and not row.get("options")
    return is_reference(row) and plain and _learned_from(row) == split


def _learned_from(row: Any) -> str:
    """The split that a row learned from, `train` or `val`.

    Rows that don't say it bear the name of their family, unless they are held-out data.
    """
    default = "train" if row.get("name") == row.get("family") else "val"
    return str(row.get("learn_from") or default)
