"""Scoreboards of both formats, and references known by what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dalm.errors import DalmError
from dalm.records import is_reference, read_scoreboard, with_digest, write_scoreboard
from dalm.records.scoreboard import held_out_reference

OLD: list[dict[str, Any]] = [
    {"name": "vae", "family": "vae", "reference": False},
    {"name": "held-out real data", "family": "copycat", "reference": True},
    {"name": "copycat", "family": "copycat", "reference": True},
    {"name": "noise", "family": "noise", "reference": True},
]
NEW: list[dict[str, Any]] = [
    {"name": "copycat", "family": "copycat", "kind": "model", "reference": False},
    {"name": "remembered", "family": "copycat", "kind": "reference", "learn_from": "train"},
    {"name": "real rows", "family": "copycat", "kind": "reference", "learn_from": "val"},
    {"name": "copy that", "family": "noise", "kind": "reference"},
]


def test_a_board_comes_back(tmp_path):
    write_scoreboard(tmp_path, {"data": "digits", "rows": NEW})
    board = read_scoreboard(tmp_path)
    assert (board["format"], board["data"], board["rows"]) == (2, "digits", NEW)


def test_format_1_is_read(tmp_path):
    board = {"format": 1, "rows": OLD}
    (tmp_path / "scoreboard.json").write_text(json.dumps(with_digest(board)))
    assert read_scoreboard(tmp_path)["rows"] == OLD


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 2, "rows": []}', "was edited or damaged"),
        ("{", "was edited or damaged"),
        (json.dumps(with_digest({"format": 3, "rows": []})), "format 3.*update dalm"),
        (json.dumps(with_digest({"rows": [1]})), "no list of rows"),
    ],
)
def test_a_damaged_board_is_refused(tmp_path, content, message):
    (tmp_path / "scoreboard.json").write_text(content)
    with pytest.raises(DalmError, match=message):
        read_scoreboard(tmp_path)


def test_references_are_known_by_what_they_are():
    assert [is_reference(row) for row in OLD] == [False, True, True, True]
    assert [is_reference(row) for row in NEW] == [False, True, True, True]


def test_real_data_are_known_by_what_they_learned_from():
    assert held_out_reference(OLD) is OLD[1]
    assert held_out_reference(NEW) is NEW[2]
    assert held_out_reference(OLD[:1]) is None
