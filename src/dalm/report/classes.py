"""Classes, one by one: how many rows of each a model names rightly, and what it takes the others
for.
"""

from __future__ import annotations

from collections.abc import Sequence

from dalm.records.score import find_score, score_records
from dalm.records.scoreboard import is_reference
from dalm.report.facts import name
from dalm.report.markup import Html, section, tag
from dalm.report.score import Record, Row, value

LEAD = (
    "Of conditional models: the share of each class's test rows that they name rightly, and what "
    "they take the others for."
)


def classes(rows: Sequence[Row]) -> Html:
    """The section, if any model classifies.

    Args:
        rows: of a scoreboard.

    >>> classes([{"name": "kde", "scores": []}])
    ''
    """
    models = [row for row in rows if not is_reference(row) and _subsets(row)]
    subsets = list(dict.fromkeys(subset for row in models for subset in _subsets(row)))
    if not models:
        return Html()

    heads = [tag("th", heading, scope="col") for heading in ("class", *map(name, models))]
    lines = []
    for subset in subsets:
        cells = [_cell(_of(row, subset)) for row in models]
        lines.append(tag("tr", tag("th", subset.removeprefix("class "), scope="row"), *cells))
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines))
    return section("Classes, one by one", LEAD, tag("div", table, class_="scroll classes"))


def _subsets(row: Row) -> list[str]:
    """Which classes a row was scored on."""
    return [
        str(score["subset"])
        for score in score_records(row)
        if score.get("metric") == "accuracy" and score.get("subset") and score["split"] == "test"
    ]


def _of(row: Row, subset: str) -> Record | None:
    return find_score(score_records(row), "accuracy", subset=subset)


def _cell(score: Record | None) -> Html:
    if score is None:
        return tag("td", "–")
    middle, half = value(score)
    note = tag("small", str(score["note"]), class_="taken") if score.get("note") else ""
    return tag("td", middle, tag("small", f" ± {half} of {score['n']:,}"), note)
