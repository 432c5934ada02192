"""The commands that make files of likelihoods: compress, decompress, prove, codecs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dalm.cli.fields import (
    Field,
    data_fields,
    load,
    option,
    parse,
    positional,
    positionals,
    show_list,
)

MOST_THREADS = 256


def compress(arguments: list[str]) -> int:
    """Compress data with the model of a run: dalm compress RUN DATA.npz -o DATA.dalm."""
    fields = [
        *positionals(["run", "data"]),
        option("out", Path, Path("data.dalm"), "the archive", "-o"),
        option(
            "samples",
            int,
            1,
            "importance samples of a latent-variable model: of many data more make a smaller file, "
            "more slowly",
        ),
        option("chunk", int, 0, "data that are decoded together; 0 chooses"),
        option(
            "embed",
            bool,
            False,
            "put the model into the archive, its weights in as few bits as pay for themselves",
        ),
        *_code_fields(),
    ]
    asked = parse("compress", fields, arguments, "Compress data with the model of a run.")
    from dalm import verbs

    _threads(asked)
    keep = {name: asked[name] for name in ("samples", "chunk", "embed", "batch", "force")}
    with _bar("compress") as tell:
        found = verbs.compress(asked["run"], asked["data"], asked["out"], **keep, progress=tell)
    print(found.summary)
    return 0


def decompress(arguments: list[str]) -> int:
    """Give back what an archive holds: dalm decompress DATA.dalm -o DATA.npz (or .npy)."""
    fields = [
        *positionals(["archive"]),
        option("out", Path, Path("data.npz"), "the data", "-o"),
        option(
            "run",
            Path | None,
            None,
            "the run it was written with, or a folder above it; by default the model inside, or a "
            "run below here",
        ),
        *_code_fields(),
    ]
    asked = parse("decompress", fields, arguments, "Give back what an archive holds.")
    from dalm import verbs

    _threads(asked)
    keep = {name: asked[name] for name in ("run", "batch", "force")}
    with _bar("decompress") as tell:
        found = verbs.decompress(asked["archive"], asked["out"], **keep, progress=tell)
    print(found.summary)
    return 0


def prove(arguments: list[str]) -> int:
    """Prove the likelihood of runs by files of that size that decode."""
    fields = [
        positional("runs", tuple[str, ...]),
        option("samples", int, 1, "importance samples of a latent-variable model"),
    ]
    about = (
        "Compress the test split with each run (or with all runs below a folder), decode it in "
        "another process, write the seal into "
        "metrics.json. Exit code 1 if a likelihood was not proven."
    )
    asked = parse("prove", fields, arguments, about)
    from dalm.errors import DalmError

    failed = False
    for run in _runs(asked["runs"]):
        try:
            told, good = _proof(run, asked["samples"])
        except DalmError as error:
            told = f"not proven: {error}"
            good = False
        print(f"{run}  {told}", flush=True)
        failed |= not good
    return 1 if failed else 0


def _runs(positionals: tuple[str, ...]) -> list[Path]:
    from dalm.errors import DalmError
    from dalm.records import runs_below

    found = {positional: runs_below(Path(positional)) for positional in positionals}
    if empty := [positional for positional, runs in found.items() if not runs]:
        raise DalmError(
            f"{empty[0]} is not a run, and holds none: it has no run.json. Runs are made by `dalm "
            "fit`; nothing was proven"
        )
    if not found:
        raise DalmError(
            "say which runs to prove, such as runs/vae, or runs for all below that folder"
        )
    return [run for runs in found.values() for run in runs]


def _proof(run: Path, samples: int) -> tuple[str, bool]:
    """What came of a run's proof, in words, and whether all is well; so it is where there is no
    likelihood to be proven.
    """
    from dalm import verbs

    proof = verbs.prove(run, samples=samples)
    return proof.summary, not proof.failed


def codecs(arguments: list[str]) -> int:
    """Entropy and every classical coder beside every proven model."""
    fields = [
        *positionals(["data"]),
        option("runs", Path, Path("runs"), "the folder below which proven runs are looked for"),
        option("json", bool, False, "as JSON"),
        *data_fields(),
    ]
    asked = parse(
        "codecs",
        fields,
        arguments,
        "Compress a test split with every coder, and list the proven models beside them.",
    )
    from dalm import verbs

    loaded = load(asked, quiet=asked["json"])
    with _bar("codecs") as tell:
        table = verbs.codecs(loaded, runs=asked["runs"], progress=tell)
    if asked["json"]:
        return show_list(table.to_json(), (), as_json=True)
    print(table, *table.legend, sep="\n")
    return 0


def _code_fields() -> list[Field]:
    """What `compress` and `decompress` share; none of it changes the data."""
    return [
        option("batch", int, 0, "how many data a network is asked about at once; 0 chooses"),
        option("threads", int, 0, "threads to compute with; 0 chooses"),
        option("force", bool, False, "write over a file that is there"),
    ]


def _threads(asked: dict[str, Any]) -> None:
    import torch

    from dalm.errors import check_count

    check_count("dalm", 0, MOST_THREADS, threads=asked["threads"])
    if asked["threads"]:
        torch.set_num_threads(asked["threads"])


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, in a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
