"""What a run says of single rows: how probable each is, and which class it has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from dalm.core import Density
from dalm.data import rows_as
from dalm.data.dataset import Grades
from dalm.errors import DalmError
from dalm.records import write
from dalm.train import Run
from dalm.verbs.outputs import table, writable
from dalm.verbs.results import Json, Result

AT_ONCE = 500
PRINTED = 10
"""Rows of the table that is printed."""
DIGITS = 7


@dataclass(frozen=True, repr=False)
class RowScores(Result):
    """What `score(run, rows=…)` found, one line for each row.

    Args:
        columns: names of the figures: `nats`, `bits_per_dim`, and of a conditional model `class`
            and `probability`.
        lines: the figures of each row.
        path: the CSV file that holds them, if one was asked for.
    """

    columns: Sequence[str]
    lines: list[list[Any]]
    path: Path | None

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, column: str) -> list[Any]:
        """The figures of a column, one for each row."""
        place = list(self.columns).index(column)
        return [line[place] for line in self.lines]

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """The first ten rows."""
        shown = [[str(figure) for figure in line] for line in self.lines[:PRINTED]]
        return self.columns, [*shown]

    @property
    def legend(self) -> Sequence[str]:
        """How many more there are."""
        more = len(self.lines) - PRINTED
        where = "" if self.path else "; out (--out FILE.csv) writes all"
        return [f"and {more:,} more rows{where}"] if more > 0 else []

    @property
    def written(self) -> Path | None:
        """The file."""
        return self.path

    def to_json(self) -> Json:
        """Columns by name."""
        return {column: self[column] for column in self.columns}


def score_rows(
    run: Run, rows: str | Path | NDArray[Any], out: str | Path | None = None, seed: int = 0
) -> RowScores:
    """The log probability of each row, and of a conditional model its class.

    Args:
        run: whose model it is.
        rows: data like those that it was fitted to: an array, or a file of arrays whose `x` they
            are.
        out: a CSV file to write.
        seed: of the noise of a bound.

    Raises:
        DalmError: the family has no likelihood, or the rows do not suit.
    """
    model = run.model
    if not isinstance(model, Density):
        raise DalmError(f"{model.family} has no likelihood, so it cannot score rows")
    if out is not None and Path(out).suffix.lower() != ".csv":
        raise DalmError(f"scores of rows are written as .csv, got {Path(out).name!r}")
    target = None if out is None else writable(out)
    about = run.meta["data"]
    grades = about.get("grades")
    x = rows_as(rows, about["options"], model.spec, grades and Grades(**grades))
    names = about.get("classes") or [str(y) for y in range(model.spec.classes)]
    generator = torch.Generator(model.device).manual_seed(seed)

    columns = ["row", "nats", "bits_per_dim"] + ["class", "probability"] * model.conditional
    lines: list[list[Any]] = []
    with torch.no_grad():
        for part in x.split(AT_ONCE):
            lines += _lines(model, part, names, generator)
    lines = [[place, *line] for place, line in enumerate(lines)]
    if target:
        write(target, table([columns, *lines]))
    return RowScores(columns, lines, target)


def _lines(
    model: Density, x: torch.Tensor, names: Sequence[str], generator: torch.Generator
) -> list[list[Any]]:
    if not model.conditional:
        return [_density(nats, model) for nats in model.log_prob(x, generator=generator).tolist()]
    joint = model.class_log_probs(x, generator=generator).cpu()
    whole = joint.logsumexp(1)
    best, y = (joint - whole[:, None]).exp().max(1)
    return [
        [*_density(nats, model), names[k], round(p, DIGITS)]
        for nats, k, p in zip(whole.tolist(), y.tolist(), best.tolist(), strict=True)
    ]


def _density(nats: float, model: Density) -> list[Any]:
    bits = -nats / (model.spec.dims * math.log(2))
    return [round(nats, DIGITS), round(bits, DIGITS)]
