"""A comparison's scoreboard: begun, or gone on with."""

from __future__ import annotations

import datetime
from pathlib import Path

import dalm
from dalm.data import Data
from dalm.errors import DalmError
from dalm.metrics import meanings
from dalm.records import (
    Json,
    is_reference,
    machine,
    read_scoreboard,
    require_absent,
    score_records,
)
from dalm.records.scoreboard import FILE, FORMAT
from dalm.train import FitOptions
from dalm.verbs.sizes import few_tested


def new_board(data: Data, training: FitOptions, conditional: bool) -> Json:
    """What a scoreboard says of a comparison, still without rows.

    Args:
        data: what all rows are fitted to.
        training: how, but for what each family's own recipe decides.
        conditional: whether each family that can learns each class.
    """
    budget = {
        name: getattr(training, name) for name in ("seconds", "steps") if getattr(training, name)
    }
    return {
        "format": FORMAT,
        "dalm": dalm.__version__,
        "data": data.name,
        "spec": data.spec.to_json(),
        "fingerprint": data.fingerprint,
        "seed": training.seed,
        "conditional": conditional,
        "fit": training.to_dict(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(training.place),
        "budget": budget,
        "notes": list(data.notes),
        "warnings": [*data.warnings, *(f"{one}." for one in few_tested(data))],
        "rows": [],
        "explain": meanings(),
    }


def rows_there(folder: Path, board: Json, resume: bool) -> list[Json]:
    """The rows that a folder holds already.

    Args:
        folder: the comparison.
        board: what is asked for now.
        resume: whether to go on with what is there.

    Raises:
        DalmError: the folder is taken, or holds another comparison.
    """
    if not (resume and (folder / FILE).exists()):
        require_absent(folder)
        return []
    before = read_scoreboard(folder)
    asked_before = _identity(before)
    for name, value in _identity(board).items():
        if name != "device" and asked_before.get(name) != value:
            known = f"{folder} holds a comparison with {name} {asked_before.get(name)}, not {value}"
            raise DalmError(f"{known}; ask for the same, or choose another folder")
    return [_row_of_today(row) for row in before["rows"]]


def _identity(board: Json) -> Json:
    """What makes a comparison another one."""
    names = ("fingerprint", "conditional")
    identity: Json = {name: board[name] for name in names}
    fit = board.get("fit", {})
    compiled = {"compile": fit.get("compile") or None}  # once False where nothing was said
    return identity | fit | compiled


def _row_of_today(row: Json) -> Json:
    """A row of any format as it is written now."""
    kind = "reference" if is_reference(row) else "model"
    rest = {name: row[name] for name in row if name not in ("bits_per_dim", "metrics")}
    return {"kind": kind} | rest | {"scores": score_records(row)}
