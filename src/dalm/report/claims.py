"""What speaks for the likelihoods of a scoreboard, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dalm.records.scoreboard import is_reference
from dalm.report.facts import listing, name
from dalm.report.score import Finding, Row, record, tightest

WORDS = {
    "sealed": "proven by a file that decodes",
    "guarded": "guarded by a quick check that they are probabilities",
    "unchecked": "unchecked, and so after those that are",
}


def checked(row: Row, metric: str) -> str:
    """What speaks for a row's likelihood: `sealed`, `guarded`, `unchecked`, or nothing.

    Args:
        row: of a scoreboard.
        metric: name of the measure.

    >>> checked({"scores": [{"metric": "kid", "split": "test", "subset": None}]}, "kid")
    ''
    """
    word = str((record(row, metric) or {}).get("checked") or "")
    return word if word in WORDS else ""


def claims(rows: Sequence[Row]) -> Iterator[Finding]:
    """Which likelihoods were checked, and how; nothing of older records, which do not say."""
    models = [row for row in rows if not is_reference(row)]
    by_word = {
        word: [name(row) for row in models if checked(row, tightest(row)) == word] for word in WORDS
    }
    sentences = [f"{listing(names)}: {WORDS[word]}." for word, names in by_word.items() if names]
    if sentences:
        yield "Claims of likelihood", " ".join(sentences)
