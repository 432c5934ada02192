"""The folder of a run: what its files are called, what they say, and whether to believe them.

`docs/design.md` describes the format. All of it is read and written here, but for the weights,
whose tensors need torch (`dalm.train.run`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dalm.errors import DalmError
from dalm.records.digest import (
    Json,
    check_digest,
    mapping,
    read_object,
    read_signed,
    with_digest,
)
from dalm.records.each import read_each
from dalm.records.files import write
from dalm.records.lines import read_lines
from dalm.records.pictures import read_gallery, read_snapshots
from dalm.records.score import score_records

if TYPE_CHECKING:
    from dalm.records.pictures import Array, Frame

FORMAT = 1
"""Of `run.json`."""
SCORES_FORMAT = 2
"""Of `metrics.json`; format 1 is read too."""
DESCRIPTION = "the description of a run"


@dataclass(frozen=True)
class RunFolder:
    """A run folder as it stands, read part by part when a part is asked for, and once.

    Nothing is trusted and nothing is required but `run.json`: a missing or damaged part is empty,
    and `absent` says why. `check_run` says whether all is as it was written.

    Args:
        path: the folder.

    >>> RunFolder(Path("no run")).log
    []
    """

    path: Path

    @cached_property
    def meta(self) -> Json:
        """What `run.json` says.

        Raises:
            DalmError: it is no JSON object, or of a newer format.
        """
        return read_object(self.path / "run.json", DESCRIPTION, FORMAT)

    @cached_property
    def metrics(self) -> Json:
        """What `metrics.json` says, or nothing if the run was not scored.

        Raises:
            DalmError: it is no JSON object, or of a newer format.
        """
        path = self.path / "metrics.json"
        if not path.is_file():
            return {}
        return read_object(path, "the scores of a run", SCORES_FORMAT)

    @property
    def scores(self) -> list[Json]:
        """The records of its scores, as `dalm.records.score.Score` writes them."""
        return score_records(self.metrics)

    @cached_property
    def each(self) -> dict[str, Array]:
        """What each row scored, by measure and split; see `dalm.records.each`."""
        return read_each(self.path, self.metrics.get("each"))

    @property
    def spec(self) -> Json:
        """What one datum is: `shape`, `levels`, `classes`."""
        return mapping(mapping(self.meta.get("model")).get("spec"))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one datum."""
        return tuple(self.spec.get("shape", ()))

    @cached_property
    def log(self) -> list[Json]:
        """The lines of `log.jsonl` that name their step."""
        return [line for line in read_lines(self.path / "log.jsonl") if "step" in line]

    @cached_property
    def events(self) -> list[Json]:
        """The lines of `events.jsonl`; see `dalm.records.status.append_event`."""
        return read_lines(self.path / "events.jsonl")

    @property
    def gallery(self) -> dict[str, Array]:
        """Arrays (N, *shape) by name: `samples`, `real` and the nearest rows to the samples."""
        return self._gallery[0]

    @property
    def snapshots(self) -> list[Frame]:
        """Samples (N, *shape) as they were at some steps, with the step."""
        return self._snapshots[0]

    @cached_property
    def absent(self) -> dict[str, str]:
        """The parts that can't be shown, among metrics, log, gallery and snapshots, and why."""
        reasons = {
            "metrics": None if self.metrics else "it has no metrics.json: run `dalm score` on it",
            "log": self._no_log(),
            "gallery": self._gallery[1],
            "snapshots": self._snapshots[1],
        }
        return {part: reason for part, reason in reasons.items() if reason}

    @cached_property
    def _gallery(self) -> tuple[dict[str, Array], str | None]:
        return read_gallery(self.path, self.shape)

    @cached_property
    def _snapshots(self) -> tuple[list[Frame], str | None]:
        return read_snapshots(self.path, self.shape)

    def _no_log(self) -> str | None:
        if any("loss" in line or "validation" in line for line in self.log):
            return None
        if (self.path / "log.jsonl").is_file():
            return "no loss was logged: it learns without steps"
        return "it has no log.jsonl"


def write_meta(folder: Path, meta: Json) -> Json:
    """Write `run.json`, closed by a digest; returns it as written.

    Args:
        folder: the run.
        meta: its description.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_meta(Path(folder), {"format": FORMAT, "state": "running"})
    ...     read_meta(Path(folder))["state"]
    'running'
    """
    signed = with_digest(meta)
    write(folder / "run.json", json.dumps(signed, indent=1))
    return signed


def read_meta(folder: Path) -> Json:
    """The description in a run folder, checked for version and edits.

    Raises:
        DalmError: there is none, it is of another format, or it was edited.
    """
    path = folder / "run.json"
    if not path.exists():
        raise DalmError(f"{folder} is not a run: it has no run.json. Runs are made by `dalm fit`")

    meta = read_object(path, DESCRIPTION, FORMAT)
    return check_digest(path, meta, "Restore it, or fit again")


def write_scores(folder: Path, scores: Json, weights: str | None) -> Json:
    """Write `metrics.json`, closed by a digest; returns it as written.

    Args:
        folder: the run.
        scores: what was found.
        weights: SHA-256 of the weights that were scored.
    """
    signed = with_digest(scores | {"weights": weights})
    write(folder / "metrics.json", json.dumps(signed, indent=1))
    return signed


def read_scores(folder: Path, meta: Json) -> Json | None:
    """What `metrics.json` says of the run in a folder, or None if it was not scored.

    Args:
        folder: the run.
        meta: its description.

    Raises:
        DalmError: it was edited, or is of other weights than those described.
    """
    path = folder / "metrics.json"
    if not path.exists():
        return None

    remedy = f"Restore it, or score the run again: dalm score {folder}"
    scores = read_signed(path, remedy)
    if scores.get("weights") != meta["weights"]:
        raise DalmError(f"{path} was measured on other weights than those in {folder}. {remedy}")
    return scores


def check_weights(folder: Path, meta: Json) -> Path:
    """The file of a run's weights.

    Args:
        folder: the run.
        meta: its description, which says their hash.

    Raises:
        DalmError: there are none, or others.
    """
    path = folder / "weights.safetensors"
    if meta["weights"] is None or not path.exists():
        raise DalmError(
            f"the run {folder} is incomplete (state {meta['state']!r}, no weights); finish it with "
            "--resume, or restore them"
        )

    with path.open("rb") as file:
        sha = hashlib.file_digest(file, "sha256").hexdigest()
    if sha != meta["weights"]:
        raise DalmError(
            f"{path} is not what the run wrote: it was edited or damaged. Restore it, or fit again"
        )
    return path


def check_run(folder: Path) -> None:
    """Check that a run, finished or not, and its scores are as they were written.

    Raises:
        DalmError: they are not.
    """
    meta = read_meta(folder)
    if meta["weights"] is not None:
        check_weights(folder, meta)
    read_scores(folder, meta)


def runs_below(folder: Path) -> list[Path]:
    """The folders of all runs at or below a folder, but for those that are being begun.

    >>> runs_below(Path("no such folder"))
    []
    """
    paths = [path.parent for path in sorted(folder.glob("**/run.json")) if path.is_file()]
    return [path for path in paths if not path.name.startswith(".")]


def remove_scores(folder: Path) -> None:
    """Remove what was found of a run, since its weights are about to change."""
    for name in ("metrics.json", "scores.npz", "gallery.npz"):
        (folder / name).unlink(missing_ok=True)
