"""Proven bits per dimension: the size of a file that another process decoded.

    bits/dim = 8 bytes / (data dims)

`dalm prove` writes the file with the model, decodes it elsewhere and makes the score; it is
declared here so that tables know its place and its meaning.
"""

from __future__ import annotations

from dalm.errors import DalmError
from dalm.metrics.evidence import Evidence
from dalm.metrics.measure import Measure
from dalm.records.score import Score


def _compute(evidence: Evidence) -> Score:
    raise DalmError("a proof is a file: `dalm prove RUN` writes it and weighs it")


PROVEN = Measure(
    name="proven",
    title="proven",
    unit="bits/dim",
    direction="lower",
    meaning="Bits for each number in a file that was written with the model and decoded by another "
    "process: the likelihood, proven.",
    needs={"proof"},
    compute=_compute,
)
