"""What `fit` prints, and `prove`, which in the shell takes many runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dalm
from dalm.errors import DalmError


class Exit(int):
    """The exit code of a command that has said everything itself."""


def prove(runs: Sequence[str], *, samples: int = 1, full: bool = False) -> Exit:
    """Compress the test split with each run, decode it in another process, and write the seal into
    metrics.json.

    Args:
        runs: folders of runs, or folders above them; the exit code is 1 if a file did not prove
            what its model claims. Densities of real numbers have no file.
        samples: importance samples of a latent-variable model.
        full: prove all rows, however long it takes; else as many as take about two minutes.
    """
    failed = False
    for run in _runs(runs):

        def announce(words: str, run: Path = run) -> None:
            print(f"{run}  {words}", flush=True)

        try:
            proof = dalm.prove(run, samples=samples, full=full, announce=announce)
            words = "; ".join([proof.summary, *proof.legend])
            failed |= proof.failed
        except DalmError as error:
            words = f"not proven: {error}"
            failed = True
        print(f"{run}  {words}", flush=True)
    return Exit(failed)


def _runs(places: Sequence[str]) -> list[Path]:
    from dalm.records import runs_below

    below = {place: runs_below(Path(place)) for place in places}
    empty = [place for place, runs in below.items() if not runs]
    if empty:
        raise DalmError(
            f"{empty[0]} is not a run, and holds none: it has no run.json. Runs are made by `dalm "
            "fit`; nothing was proven"
        )
    if not below:
        raise DalmError(
            "say which runs to prove, such as runs/vae, or runs for all below that folder"
        )
    return [run for runs in below.values() for run in runs]


def say_fit(run: Any) -> int:
    """One line about a fitted run; 130 if it was stopped."""
    if run.meta["state"] == "stopped":
        print(
            f"Stopped. {run.path} is saved; go on with the same command and --resume",
            file=sys.stderr,
        )
        return 130
    if run.meta.get("ended"):
        print(f"Ended early, {run.meta['ended']}")
    if run.meta.get("warning"):
        print(f"Mind: {run.meta['warning']}")
    print(run.summary)
    return 0


WORDS: dict[str, Callable[[Any], int]] = {"fit": say_fit, "prove": int}
"""What is printed of a verb's result where that is no `Result`; each gives the exit code."""
OTHER_VERBS: dict[str, Callable[..., Any]] = {"prove": prove}
"""Verbs that take more in the shell than in Python."""
