"""The board against cheats: which are named, and by which alarm."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from cheats import SOURCES, flags_of
from planted import CHEATS, IMAGES, honest, mixed, rows_of

import dalm
from dalm.data import Data, load_data
from dalm.report.board import read_board
from dalm.report.verdict import verdict
from trust.rows import Json, answer, quietly

BOTH = ("digits", "ring8")


@functools.cache
def data_of(name: str) -> Data:
    """Data of a name, split by seed 0."""
    return SOURCES[name](0)


def caught(name: str, cheat: Callable[..., Any]) -> list[str]:
    """The alarms that a cheat raises."""
    return flags_of(data_of(name), cheat(data_of(name), torch.Generator().manual_seed(0)), 0)


def named(cheats: dict[tuple[str, str], Callable[..., Any]]) -> tuple[str, bool]:
    """Which of some cheats are named, in words, and whether all are."""
    found = {where: caught(where[0], cheat) for where, cheat in cheats.items()}
    missed = [f"{cheat} on {data}" for (data, cheat), alarms in found.items() if not alarms]
    seen = len(found) - len(missed)
    words = f"{seen} of {len(found)} named"
    return words + (f"; not: {', '.join(missed)}" if missed else ""), not missed


def partial_copies() -> Json:
    """D1: 18 and 43 % of exact copies among noise or honest samples."""
    shares = ("20% copies, honest", "40% copies, noise")
    now, ok = named({(name, cheat): CHEATS[cheat] for name in BOTH for cheat in shares})
    return answer("D1", "not flagged; best samples", now, "named", ok)


def poses() -> Json:
    """D2: copies shifted, mirrored, turned, inverted, with another contrast and with noise."""
    cheats = {name: draw for name, draw in IMAGES.items() if name != "patch swapped"}
    cheats |= {"copies, noise 10%": CHEATS["copies, noise 10%"]}
    now, ok = named({("digits", name): draw for name, draw in cheats.items()})
    return answer("D2", "not flagged, some best samples", now, "named", ok)


def collapse() -> Json:
    """D3: one mode, half of the modes, all but one, one row, twenty rows."""
    names = ("one mode", "half of the modes", "all modes but one")
    names += ("one row repeated", "20 rows repeated")
    cheats = {(data, name): CHEATS[name] for data in (*BOTH, "grid25") for name in names}
    now, ok = named(cheats)
    return answer("D3", "not flagged; best precision", now, "named", ok)


def zeros() -> Json:
    """D3: a model of the class of zeros alone: what the board calls missing."""
    data = data_of("digits")
    zeros = data.train.x[data.train.y == 0]  # type: ignore[index]
    samples = rows_of(zeros, torch.Generator().manual_seed(0))
    alarms = flags_of(data, samples, 0)
    missing = any("missing" in alarm for alarm in alarms)
    return answer("D3", "best precision, no word", ", ".join(alarms), "missing classes", missing)


def test_rows() -> Json:
    """D4: the test rows themselves."""
    now, ok = named({(name, "test rows"): CHEATS["test rows"] for name in BOTH})
    return answer("D4", "best samples, classifier test 0.376", now, "named", ok)


def says_what_it_sees() -> Json:
    """D5: what the page says of its own alarms."""
    with quietly() as folder:
        board = dalm.compare("ring8", families=["gaussian"], out=folder / "board", progress=False)
        found = read_board([board.path])
    words = dict(verdict(found.rows)).get("What the alarms see here", "")
    ok = "noisy copycat" in words and "as it should" not in words
    return answer("D5", "as it should, beside all of these", words, "what it sees and what not", ok)


def limits() -> Json:
    """D6: patches, averages with the nearest row, and 10 % of copies among honest samples."""
    cheats: dict[tuple[str, str], Callable[..., Any]] = {
        ("digits", "patch swapped"): IMAGES["patch swapped"],
        ("digits", "10% copies, honest"): mixed(0.1, honest),
        ("ring8", "10% copies, honest"): mixed(0.1, honest),
        ("digits", "averaged"): CHEATS["averaged"],
    }
    now, ok = named(cheats)
    return answer("D6", "see how far you get", now, "named, or said on the page", ok)


def other_writers() -> Json:
    """E6: digits, whose test rows are by other writers."""
    warnings = load_data("digits").warnings
    now = warnings[0] if warnings else "not a word"
    return answer(
        "E6", "classifier test 0.70 of real data, not a word", now, "said", bool(warnings)
    )


ROWS: tuple[Callable[[], Json], ...] = (
    partial_copies,
    poses,
    collapse,
    zeros,
    test_rows,
    says_what_it_sees,
    limits,
    other_writers,
)
