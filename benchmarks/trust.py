"""Every fault that was found, as it was, as it is now, and what is right: rows A1 to J12.

    python benchmarks/trust.py [--only A1 B2 …]

Each row tries its fault again by running the software, against a closed form or a reference library
in the same run where there is one. Rows of budgets take minutes, and keep both cores busy.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator

from common import Json, arguments, save, table  # isort: skip
from trust import (
    board,
    budgets,
    claims,
    columns,
    expected,
    folders,
    hints,
    intervals,
    numbers,
    pages,
    people,
    shells,
    splits,
)
from trust.rows import answer

PARTS = (
    splits,
    numbers,
    claims,
    board,
    intervals,
    budgets,
    people,
    expected,
    pages,
    folders,
    columns,
    shells,
    hints,
)


def rows(only: list[str]) -> Iterator[Json]:
    for part in PARTS:
        for probe in part.ROWS:
            name = _fault(probe)
            if not only or any(one in name.replace(",", "").split() for one in only):
                yield tried(probe, name)


def _fault(probe: Callable[[], Json]) -> str:
    """The faults that a probe is about, as its docstring opens."""
    return (getattr(probe, "func", probe).__doc__ or "").partition(":")[0]


def tried(probe: Callable[[], Json], name: str) -> Json:
    """A row, and how long it took; a probe that breaks is a row that is not right."""
    began = time.perf_counter()
    try:
        row = probe()
    except Exception as error:
        traceback.print_exc()
        row = answer(name, "", f"{type(error).__name__}: {error}", "", False)
    mark = "ok " if row["ok"] else "NOT"
    print(f"{mark} {row['fault']:7} {row['now']}", flush=True)
    return row | {"seconds": round(time.perf_counter() - began, 1)}


def main() -> None:
    options = arguments(__doc__, only=("",))
    found = list(rows([one for one in options.only if one]))
    headings = ["fault", "before", "now", "reference", "ok"]
    table("trust", headings, [[row[name] for name in headings] for row in found])
    right = sum(row["ok"] for row in found)
    print(f"{right} of {len(found)} rows are right")
    if not any(options.only):
        save("trust", {"rows": found, "right": right}, options.quick)


if __name__ == "__main__":
    main()
