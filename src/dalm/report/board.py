"""Run folders and comparison folders, read into the one board that a page shows.

A broken `run.json` or `scoreboard.json` is an error; anything else that is missing or damaged is
remembered with its reason, so that the page can say what it does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dalm.errors import DalmError
from dalm.records.digest import Json, mapping
from dalm.records.run import RunFolder
from dalm.records.scoreboard import FILE, read_scoreboard
from dalm.records.status import read_status, run_state
from dalm.report.facts import Facts, date_of, explanations, facts, notes, unique

Check = Callable[[Path], None]


@dataclass(frozen=True)
class Entry:
    """A row of the scoreboard and the run behind it, if there is one."""

    row: Json
    run: RunFolder | None

    @property
    def name(self) -> str:
        """The row's name."""
        return str(self.row.get("name", "unnamed"))


@dataclass(frozen=True)
class Board:
    """Everything one page shows: facts about the comparison, and its entries in order."""

    entries: list[Entry]
    facts: Facts
    notes: list[str]
    explain: dict[str, str]
    spec: Json = field(default_factory=dict)
    codecs: list[Json] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[Json]:
        """The scoreboard's rows."""
        return [entry.row for entry in self.entries]

    @property
    def runs(self) -> list[tuple[Entry, RunFolder]]:
        """The entries with a run behind them, each with its run."""
        return [(entry, entry.run) for entry in self.entries if entry.run]


def unchecked(folder: Path) -> None:
    """Take a folder as it is."""


def read_board(folders: Sequence[Path], check: Check = unchecked) -> Board:
    """Read comparison folders and run folders into one board.

    Args:
        folders: runs and comparisons.
        check: called with each of them, and with each run inside a comparison; raises DalmError
            for one that is not as it was written.

    Raises:
        DalmError: no folder given, a folder that holds neither `run.json` nor `scoreboard.json`,
            or one of these is broken or newer, or `check` refuses it. A run inside a comparison
            fails alone: its row says why.
    """
    if not folders:
        raise DalmError(
            "a report needs at least one run folder or comparison folder; none was given"
        )
    return _merge([_read_folder(Path(folder), check) for folder in folders])


def _read_folder(folder: Path, check: Check) -> Board:
    if (folder / FILE).is_file():
        check(folder)
        return _comparison(folder, check)
    if (folder / "run.json").is_file():
        check(folder)
        return _single(folder)

    state = "holds neither run.json nor scoreboard.json" if folder.is_dir() else "is not a folder"
    raise DalmError(
        f"cannot report on {folder}: it {state}; give a folder that `dalm fit` or `dalm compare` "
        "wrote"
    )


def _comparison(folder: Path, check: Check) -> Board:
    board = read_scoreboard(folder, trusting=True)
    entries = [_entry(folder, row, check) for row in board["rows"]]
    runs = [entry.run for entry in entries if entry.run]
    data = mapping(runs[0].meta.get("data")) if runs else {}

    dated = board | {"date": board.get("date") or date_of(folder / FILE)}
    return Board(
        entries=entries,
        facts=facts(dated, data),
        notes=notes(board, data),
        warnings=notes(board, data, key="warnings"),
        explain=explanations(board),
        spec=mapping(board.get("spec")),
        codecs=[row for row in board.get("codecs") or [] if isinstance(row, dict)],
    )


def with_each(folder: Path, row: Json) -> Json:
    """A row and what each datum scored in its run, so that it can be compared with others.

    Args:
        folder: the comparison.
        row: one of its rows.
    """
    try:
        return row | {"each": RunFolder(folder / str(row.get("run"))).each}
    except DalmError:
        return row


def _entry(folder: Path, row: Json, check: Check) -> Entry:
    path = folder / str(row["run"]) if row.get("run") else None
    if not path or not (path / "run.json").is_file():
        return Entry(row, None)

    try:
        check(path)
        run = _open(path)
        return Entry(row | {"each": run.each}, run)
    except DalmError as error:  # one damaged run must not lose the others
        reason = row.get("error") or str(error)
        return Entry(row | {"scores": [], "error": reason}, None)


def _open(folder: Path) -> RunFolder:
    """A run whose JSON files can be read: if not, better now than in the middle of a page."""
    run = RunFolder(folder)
    _ = run.meta, run.metrics
    return run


def _single(folder: Path) -> Board:
    run = _open(folder)
    meta = run.meta
    fit = mapping(meta.get("fit"))
    data = mapping(meta.get("data"))
    row = _row(run)

    limits = {key: fit[key] for key in ("seconds", "steps") if fit.get(key)}
    date = meta.get("date") or date_of(folder / "run.json")
    told = meta | {"seed": fit.get("seed"), "budget": limits, "date": date}
    return Board(
        entries=[Entry(row, run)],
        facts=facts(told, data),
        notes=_unfinished(str(row["name"]), folder) + notes(meta, data),
        warnings=notes(data, key="warnings"),
        explain=explanations(run.metrics),
        spec=run.spec,
    )


def _row(run: RunFolder) -> Json:
    """The row of a run that stands in no comparison."""
    meta = run.meta
    metrics = run.metrics
    return {
        "name": run.path.resolve().name,
        "family": mapping(meta.get("model")).get("family"),
        "kind": "model",
        "error": _failure(run.path, meta),
        "likelihood": metrics.get("likelihood"),
        "scores": run.scores,
        "each": run.each,
        "samples_per_second": metrics.get("samples_per_second"),
        "seconds": metrics.get("seconds", meta.get("seconds")),
        "parameters": metrics.get("parameters", meta.get("parameters")),
    }


def _failure(folder: Path, meta: Json) -> str | None:
    """Why a run came to no good end, if so."""
    state = run_state(folder)
    if state == "crashed":
        return (
            f"it crashed{_progress(folder)}: its process died. Go on with it by the same fit and "
            "--resume (resume=True)"
        )

    unknown = "no reason was recorded" if state == "failed" else None
    return meta.get("error") or unknown


def _unfinished(name: str, folder: Path) -> list[str]:
    state = run_state(folder)
    if state not in ("running", "stopped"):
        return []
    return [f"{name} is not finished: its state is {state}{_progress(folder)}."]


def _progress(folder: Path) -> str:
    """How far a run is, where it says so."""
    status = read_status(folder)
    if status is None:
        return ""
    total = "" if status.steps is None else f" of {status.steps:,}"
    return f" at step {status.step:,}{total}"


def _merge(boards: list[Board]) -> Board:
    merged: Facts = {}
    for board in boards:
        for key, values in board.facts.items():
            merged[key] = unique([*merged.get(key, []), *values])

    remarks = unique(note for board in boards for note in board.notes)
    warnings = unique(warning for board in boards for warning in board.warnings)
    if len(merged.get("Fingerprint", [])) > 1:
        differ = (
            "These runs saw different data or splits (their fingerprints differ): do not compare "
            "their figures."
        )
        warnings.insert(0, differ)

    explain: dict[str, str] = {}
    for board in boards:
        explain |= board.explain
    entries = [entry for board in boards for entry in board.entries]
    return Board(entries, merged, remarks, explain, boards[0].spec, boards[0].codecs, warnings)
