"""Records on disk: runs, scores, scoreboards, and how they are written; imports nothing heavy.

Training writes them, the report reads them, and neither knows the other.
"""

from dalm.records.digest import Json, digest, read_signed, with_digest
from dalm.records.files import atomic_write, is_empty, require_absent, write
from dalm.records.machine import machine
from dalm.records.run import (
    RunFolder,
    check_run,
    check_weights,
    read_meta,
    read_scores,
    runs_below,
    write_meta,
    write_scores,
)
from dalm.records.score import Score, find_score, score_records
from dalm.records.scoreboard import is_reference, read_scoreboard, write_scoreboard
from dalm.records.status import (
    Status,
    append_event,
    hold,
    read_status,
    run_state,
    write_status,
)

__all__ = [
    "Json",
    "RunFolder",
    "Score",
    "Status",
    "append_event",
    "atomic_write",
    "check_run",
    "check_weights",
    "digest",
    "find_score",
    "hold",
    "is_empty",
    "is_reference",
    "machine",
    "read_meta",
    "read_scoreboard",
    "read_scores",
    "read_signed",
    "read_status",
    "require_absent",
    "run_state",
    "runs_below",
    "score_records",
    "with_digest",
    "write",
    "write_meta",
    "write_scoreboard",
    "write_scores",
    "write_status",
]
