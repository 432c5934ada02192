"""What commands print of results that are no table, and `prove`, which in the shell takes many
runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dalm.errors import DalmError
from dalm.verbs.results import Json


class Exit(int):
    """The exit code of a command that has said everything itself."""


def prove(runs: Sequence[str], *, samples: int = 1) -> Exit:
    """Compress the test split with each run, decode it in another process, and write the seal into
    metrics.json.

    Args:
        runs: folders of runs, or folders above them; the exit code is 1 if one was not proven.
        samples: importance samples of a latent-variable model.
    """
    failed = False
    for run in _runs(runs):
        try:
            words, good = _proof(run, samples)
        except DalmError as error:
            words = f"not proven: {error}"
            good = False
        print(f"{run}  {words}", flush=True)
        failed |= not good
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


def _proof(run: Path, samples: int) -> tuple[str, bool]:
    """What came of a run's proof, in words, and whether all is well; so it is where there is no
    likelihood to be proven.
    """
    import dalm

    record: Any = dalm.prove(run, samples=samples)
    if not record["sealed"]:
        return f"not proven: {record['reason']}", "bytes" not in record
    many = f", {samples} samples" if samples > 1 and record["samples"] > 1 else ""
    return (
        f"proven: {record['bytes']:,} bytes, {record['file']:.4f} bits/dim, claimed "
        f"{record['claimed']:.4f}{many}",
        True,
    )


def say_fit(values: Json, run: Any) -> int:
    """One line about a fitted run; 130 if it was stopped."""
    if run.meta["state"] == "stopped":
        print(
            f"Stopped. {run.path} is saved; go on with the same command and --resume",
            file=sys.stderr,
        )
        return 130
    print(
        f"{run.path}  {run.model.family} on {run.meta['data']['name']}: "
        f"{run.meta['parameters']:,} parameters, {run.meta['seconds']:.1f} s"
    )
    return 0


def say_compressed(values: Json, found: Json) -> int:
    """One line about an archive."""
    model = f", of which the model {found['model']:,}" if found["model"] else ""
    print(
        f"{values['out']}  {found['count']:,} data: {found['original']:,} bytes to "
        f"{found['bytes']:,} ({1 / found['ratio']:.1%}){model}, "
        f"{found['bits_per_dim']:.4f} bits/dim, {found['seconds']:.1f} s"
    )
    return 0


def say_decompressed(values: Json, found: Json) -> int:
    """One line about what an archive held."""
    kind = f"{found['dtype']} with labels" if found["labels"] else found["dtype"]
    print(
        f"{values['out']}  {found['count']:,} data of shape {found['shape']}, {kind}; checksum "
        f"right, {found['seconds']:.3f} s"
    )
    return 0


def say_codecs(values: Json, rows: list[Json]) -> int:
    """The table of coders."""
    from rich.console import Console

    from dalm.verbs.results import Listing

    class Coders(Listing):
        columns = ("name", "kind", "bytes", "bits/dim", "alone", "MB/s")

    Console(width=None if sys.stdout.isatty() else 120).print(
        Coders([_coder(row) for row in rows if not row["error"]])
    )
    print(*_legend(rows), sep="\n")
    return 0


def _legend(rows: list[Json]) -> Iterator[str]:
    """What the table of coders does not say by itself."""
    yield (
        "bytes, bits/dim: the whole test split as a file, for a model without its weights "
        "(compress --embed puts them in)."
    )
    yield "alone: bits/dim where each datum is a file of its own. MB/s: encoding."
    yield from (f"Not listed: {row['name']}: {row['error']}" for row in rows if row["error"])
    if not any(row["kind"] == "model" for row in rows):
        yield (
            "No run on these data is proven yet: dalm prove RUN does it, and --runs says where to "
            "look."
        )


def _coder(row: Json) -> Json:
    """A row of `codecs` for a narrow table."""
    return {
        "name": row["name"],
        "kind": row["kind"],
        "bytes": f"{row['bytes']:,.0f}",
        "bits/dim": _rounded(row["bits_per_dim"], ".4f"),
        "alone": _rounded(row["alone"], ".4f"),
        "MB/s": _rounded(row["encode_mb_s"], ".3g"),
    }


def _rounded(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


WORDS: dict[str, Callable[[Json, Any], int]] = {
    "fit": say_fit,
    "prove": lambda values, code: int(code),
    "compress": say_compressed,
    "decompress": say_decompressed,
    "codecs": say_codecs,
}
"""What is printed of a verb's result where that is no `Result`; each gives the exit code."""
OTHER_VERBS: dict[str, Callable[..., Any]] = {"prove": prove}
"""Verbs that take more in the shell than in Python."""
