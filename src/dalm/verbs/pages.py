"""The page about runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dalm.errors import DalmError
from dalm.records import check_run, read_scoreboard
from dalm.records.scoreboard import FILE
from dalm.report import build
from dalm.verbs.outputs import writable


def report(runs: str | Path | Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Build the page from run folders or a comparison alone.

    Args:
        runs: folders of runs, or of one comparison.
        out: the page, by default `report.html` in the first folder.

    Raises:
        DalmError: a folder is neither a run nor a comparison, cannot be read, or was edited.
    """
    folders = [Path(runs)] if isinstance(runs, str | Path) else [Path(run) for run in runs]
    if not folders:
        raise DalmError("a report needs at least one run folder, or a comparison; none was given")
    page = writable(out) if out is not None else folders[0] / "report.html"
    try:
        return build(folders, page, _check)
    except ValueError as error:
        raise DalmError(str(error)) from None


def _check(folder: Path) -> None:
    """Raise DalmError unless a comparison or a run is as it was written."""
    if (folder / FILE).exists():
        read_scoreboard(folder)
    else:
        check_run(folder)
