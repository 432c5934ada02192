"""Reading run folders and comparison folders.

A broken `run.json` or `scoreboard.json` is an error; anything else that is missing or damaged is
remembered with its reason, so that the page can say what it does not show.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
PICTURES = ("samples", "nearest_train", "nearest_heldout", "real")

Array = NDArray[Any]
Json = dict[str, Any]
Check = Callable[[Path], None]


@dataclass(frozen=True)
class Run:
    """What one run folder holds; `absent` names the parts it lacks, with the reason."""

    info: Json
    metrics: Json
    log: list[Json]
    gallery: dict[str, Array]
    snapshots: list[tuple[int, Array]]
    absent: dict[str, str]

    @property
    def spec(self) -> Json:
        """The Spec as JSON: `shape`, `levels`, `classes`."""
        return mapping(mapping(self.info.get("model")).get("spec"))


@dataclass(frozen=True)
class Entry:
    """A row of the scoreboard and the run behind it, if there is one."""

    row: Json
    run: Run | None

    @property
    def name(self) -> str:
        """The row's name."""
        return str(self.row.get("name", "unnamed"))


@dataclass(frozen=True)
class Board:
    """Everything one page shows: facts about the comparison, and its entries in order."""

    entries: list[Entry]
    facts: dict[str, list[str]]
    notes: list[str]
    explain: dict[str, str]
    spec: Json = field(default_factory=dict)
    codecs: list[Json] = field(default_factory=list)

    @property
    def rows(self) -> list[Json]:
        """The scoreboard's rows."""
        return [entry.row for entry in self.entries]


def mapping(value: object) -> Json:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def words(value: object) -> str:
    """A JSON value as a short phrase.

    >>> words({"train": 1437, "test": 180, "extra": None})
    'train 1,437, test 180'
    """
    if isinstance(value, dict):
        return ", ".join(f"{key} {words(item)}" for key, item in value.items() if words(item))
    if isinstance(value, list):
        return ", ".join(words(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def read_json(path: Path) -> Json:
    """The JSON object in `path`.

    Raises:
        ValueError: not readable, not JSON, not an object, or of a newer format.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot be read as JSON ({error}); restore it, or leave this folder out of the "
            "report"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(
            f"{path} holds a JSON {type(found).__name__}, and the report needs an object {{…}}"
        )
    version = found.get("format", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise ValueError(
            f"{path} has format {version!r}; this dalm reads formats up to {FORMAT}: install a "
            "newer dalm to report on it"
        )
    return found


def unchecked(folder: Path) -> None:
    """Take a folder as it is."""


def read_board(folders: Sequence[Path], check: Check = unchecked) -> Board:
    """Read comparison folders and run folders into one board.

    Args:
        folders: runs and comparisons.
        check: called with each of them, and with each run inside a comparison.

    Raises:
        ValueError: no folder given, a folder that holds neither `run.json` nor `scoreboard.json`,
            or one of these is broken or newer, or `check` refuses it. A run inside a comparison
            fails alone: its row says why.
    """
    if not folders:
        raise ValueError(
            "a report needs at least one run folder or comparison folder; none was given"
        )
    return _merge([_read_folder(Path(folder), check) for folder in folders])


def _read_folder(folder: Path, check: Check) -> Board:
    if (folder / "scoreboard.json").is_file():
        return _comparison(folder, check)
    if (folder / "run.json").is_file():
        return _single(folder, check)
    state = "holds neither run.json nor scoreboard.json" if folder.is_dir() else "is not a folder"
    raise ValueError(
        f"cannot report on {folder}: it {state}; give a folder that `dalm fit` or `dalm compare` "
        "wrote"
    )


def _comparison(folder: Path, check: Check) -> Board:
    check(folder)
    scores = read_json(folder / "scoreboard.json")
    rows = scores.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{folder / 'scoreboard.json'} has no list of rows; run `dalm compare` again to write "
            "it"
        )
    entries = [_entry(folder, row, check) for row in rows]
    split = next((mapping(entry.run.info.get("data")) for entry in entries if entry.run), {})
    told = {**scores, "date": scores.get("date") or _date(folder / "scoreboard.json")}
    codecs = [row for row in scores.get("codecs") or [] if isinstance(row, dict)]
    return Board(
        entries,
        _facts(told, split),
        _notes(scores, split),
        _explain(scores),
        mapping(scores.get("spec")),
        codecs,
    )


def _entry(folder: Path, row: Json, check: Check) -> Entry:
    path = folder / str(row["run"]) if row.get("run") else None
    if not path or not (path / "run.json").is_file():
        return Entry(row, None)
    try:
        check(path)
        return Entry(row, read_run(path))
    except ValueError as error:  # one damaged run must not lose the others
        return Entry(
            row | {"bits_per_dim": None, "metrics": {}, "error": row.get("error") or str(error)},
            None,
        )


def _single(folder: Path, check: Check) -> Board:
    check(folder)
    run = read_run(folder)
    info = run.info
    fit = mapping(run.info.get("fit"))
    model = mapping(run.info.get("model"))
    kept = {
        key: run.metrics.get(key)
        for key in ("likelihood", "bits_per_dim", "metrics", "samples_per_second")
    }
    costs = {key: run.metrics.get(key, info.get(key)) for key in ("seconds", "parameters")}
    name = folder.resolve().name
    state = info.get("state")
    failed = info.get("error") or ("no reason was recorded" if state == "failed" else None)
    row = {"name": name, "family": model.get("family"), "error": failed, **kept, **costs}
    budget = {key: fit.get(key) for key in ("seconds", "steps") if fit.get(key)}
    told = {
        **info,
        "seed": fit.get("seed"),
        "budget": budget,
        "date": info.get("date") or _date(folder / "run.json"),
    }
    data = mapping(info.get("data"))
    unfinished = (
        [f"{name} is not finished: its state is {state}."]
        if state in ("running", "stopped")
        else []
    )
    return Board(
        [Entry(row, run)],
        _facts(told, data),
        unfinished + _notes(info, data),
        _explain(run.metrics),
        run.spec,
    )


CONDITIONAL = "families that can learn each class apart; their bits/dim are of the data without the label, summed over classes"


def _facts(told: Json, split: Json) -> dict[str, list[str]]:
    data = {**mapping(told.get("data")), **split}
    budget = told.get("budget")
    named = {
        "Data": told["data"] if isinstance(told.get("data"), str) else data.get("source"),
        "Machine": told.get("machine"),
        "Budget": ", ".join(f"{value:,} {unit}" for unit, value in budget.items() if value)
        if isinstance(budget, dict)
        else budget,
        "Classes": CONDITIONAL if told.get("conditional") else None,
        "Seed": told.get("seed"),
        "Date": told.get("date"),
        "Splits": data.get("splits"),
        "Options": data.get("options"),
        "Fingerprint": data.get("fingerprint"),
    }
    return {key: [words(value)] for key, value in named.items() if words(value)}


def _notes(*sources: Json) -> list[str]:
    found = [source.get("notes") or [] for source in sources]
    return _unique(
        str(note) for notes in found for note in (notes if isinstance(notes, list) else [notes])
    )


def _explain(source: Json) -> dict[str, str]:
    return {str(name): str(sentence) for name, sentence in mapping(source.get("explain")).items()}


def _date(path: Path) -> str:
    # The file's own date, not today's: the same folders must give the same page.
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d")


def _merge(boards: list[Board]) -> Board:
    facts = {
        key: _unique(value for board in boards for value in board.facts.get(key, []))
        for board in boards
        for key in board.facts
    }
    notes = _unique(note for board in boards for note in board.notes)
    if len(facts.get("Fingerprint", [])) > 1:
        notes.insert(
            0,
            "These runs saw different data or splits (their fingerprints differ): do not compare "
            "their figures.",
        )
    explain = {name: sentence for board in boards for name, sentence in board.explain.items()}
    entries = [entry for board in boards for entry in board.entries]
    return Board(entries, facts, notes, explain, boards[0].spec, boards[0].codecs)


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def read_run(folder: Path) -> Run:
    """Read a run folder; only `run.json` must be there.

    Raises:
        ValueError: `run.json` or `metrics.json` is broken or newer.
    """
    absent: dict[str, str] = {}
    info = read_json(folder / "run.json")
    shape = tuple(mapping(mapping(info.get("model")).get("spec")).get("shape", ()))
    metrics = read_json(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
    if not metrics:
        absent["metrics"] = "it has no metrics.json: run `dalm score` on it"
    return Run(
        info,
        metrics,
        _log(folder, absent),
        _gallery(folder, shape, absent),
        _snapshots(folder, shape, absent),
        absent,
    )


def _log(folder: Path, absent: dict[str, str]) -> list[Json]:
    path = folder / "log.jsonl"
    lines = (
        path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    )
    entries = [entry for entry in map(_line, lines) if "step" in entry]
    if not any("loss" in entry or "validation" in entry for entry in entries):
        absent["log"] = (
            "no loss was logged: it learns without steps"
            if path.is_file()
            else "it has no log.jsonl"
        )
    return entries


def _line(line: str) -> Json:
    # A killed fit may leave half a line behind; the rest of the log is still good.
    try:
        return mapping(json.loads(line))
    except ValueError:
        return {}


def _gallery(folder: Path, shape: tuple[int, ...], absent: dict[str, str]) -> dict[str, Array]:
    path = folder / "gallery.npz"
    if not path.is_file():
        absent["gallery"] = "it has no gallery.npz: run `dalm score` on it"
        return {}
    try:
        # numpy leaves a damaged archive open when it is given a path.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = {name: _checked(stored[name], shape) for name in PICTURES if name in stored}
    except (
        OSError,
        ValueError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        absent["gallery"] = f"its gallery.npz cannot be shown ({error})"
        return {}
    return found


def _snapshots(
    folder: Path, shape: tuple[int, ...], absent: dict[str, str]
) -> list[tuple[int, Array]]:
    frames = []
    for path in sorted((folder / "samples").glob("step-*.npy")):
        try:
            frames.append(
                (
                    int(path.stem.removeprefix("step-")),
                    _checked(np.load(path, mmap_mode="r", allow_pickle=False), shape),
                )
            )
        except (OSError, ValueError, EOFError) as error:
            absent["snapshots"] = f"{path.name} cannot be shown ({error})"
    if not frames:
        absent.setdefault("snapshots", "it kept no snapshots")
    return frames


def _checked(x: Array, shape: tuple[int, ...]) -> Array:
    if x.ndim == 0 or x.shape[1:] != shape or x.dtype.kind not in "biuf":
        raise ValueError(
            f"an array of shape {x.shape} and type {x.dtype}, where data of shape {shape} were "
            "expected"
        )
    return x
