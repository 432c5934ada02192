"""What speaks for a likelihood stands on the board, and decides whether it ranks first."""

from __future__ import annotations

from typing import Any

import pytest

from dalm.report.claims import checked, claims
from dalm.report.ranking import rank_densities, unranked
from dalm.report.verdict import verdict


def row(name: str, bits: float, word: str | None, **more: Any) -> dict[str, Any]:
    score = {"metric": "bits_per_dim", "split": "test", "subset": None, "value": bits}
    score |= {"low": bits - 0.01, "high": bits + 0.01, "direction": "lower", "label": "exact"}
    return {"name": name, "kind": "model", "scores": [score | {"checked": word} | more]}


SEALED = row("sealed", 1.8, "sealed")
GUARDED = row("guarded", 1.9, "guarded")
UNCHECKED = row("unchecked", 1.0, "unchecked")
IMPOSSIBLE = row("cheat", -2.0, "impossible", flag="impossible", unranked="sums to 1.5")
UNSEALED = row("loose", 0.5, "unsealed", unranked="not proven: the code has 90 bits")
OLD = row("old", 1.7, None)


def test_what_was_checked_ranks_first() -> None:
    rows = rank_densities([UNCHECKED, IMPOSSIBLE, GUARDED, UNSEALED, SEALED]).rows
    assert [one["name"] for one in rows] == ["sealed", "guarded", "unchecked"]


@pytest.mark.parametrize("one", [IMPOSSIBLE, UNSEALED])
def test_what_cannot_be_is_named_with_its_reason_and_never_ranks(one) -> None:
    assert unranked(one, "bits_per_dim") == one["scores"][0]["unranked"]
    words = dict(verdict([one, GUARDED]))
    assert words["Density not ranked"] == f"{one['name']}: {one['scores'][0]['unranked']}."
    assert "guarded" in words.get("Density", words.get("Best density", ""))


def test_the_verdict_says_how_claims_were_checked() -> None:
    [(heading, words)] = claims([SEALED, GUARDED, UNCHECKED, IMPOSSIBLE, OLD])
    assert heading == "Claims of likelihood"
    for name in ("sealed: proven by a file", "guarded: guarded by", "unchecked: unchecked"):
        assert name in words
    assert "cheat" not in words
    assert dict(verdict([SEALED, IMPOSSIBLE]))["Alarm"].startswith("cheat: impossible")


def test_older_records_say_nothing_of_it() -> None:
    assert list(claims([OLD])) == []
    assert checked(OLD, "bits_per_dim") == ""
    assert [one["name"] for one in rank_densities([OLD, SEALED]).rows] == ["old", "sealed"]
