"""The commands that make files of likelihoods: compress, decompress, prove, codecs."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dalm.cli.fields import Field, data_fields, load, option, parse, place, places, show_list


def compress(arguments: list[str]) -> int:
    """Compress data with the model of a run: dalm compress RUN DATA.npz -o DATA.dalm."""
    fields = [
        *places(["run", "data"]),
        option("out", Path, Path("data.dalm"), "the archive", "-o"),
        option("samples", int, 1, "importance samples of a latent-variable model: more make a smaller file, more slowly"),
        option("chunk", int, 0, "data that are decoded together; 0 chooses"),
        option("embed", bool, False, "put the model into the archive, its weights in as few bits as pay for themselves"),
        *_code_fields(),
    ]
    asked = parse("compress", fields, arguments, "Compress data with the model of a run.")
    from dalm import verbs

    _threads(asked)
    keep = {name: asked[name] for name in ("samples", "chunk", "embed", "batch")}
    with _bar("compress") as tell:
        found = verbs.compress(asked["run"], asked["data"], asked["out"], **keep, progress=tell)
    print(
        f"{asked['out']}  {found['count']:,} data: {found['original']:,} bytes to {found['bytes']:,}, "
        f"{found['ratio']:.2f} times smaller, {found['bits_per_dim']:.4f} bits/dim, {found['seconds']:.1f} s"
    )
    return 0


def decompress(arguments: list[str]) -> int:
    """Give back what an archive holds: dalm decompress DATA.dalm -o DATA.npz (or .npy)."""
    fields = [
        *places(["archive"]),
        option("out", Path, Path("data.npz"), "the data", "-o"),
        option("run", Path | None, None, "the run it was written with; by default the model inside, or a run below this folder"),
        *_code_fields(),
    ]
    asked = parse("decompress", fields, arguments, "Give back what an archive holds.")
    from dalm import verbs

    _threads(asked)
    began = time.perf_counter()
    with _bar("decompress") as tell:
        path = verbs.decompress(asked["archive"], asked["out"], run=asked["run"], batch=asked["batch"], progress=tell)
    print(f"{path}  {time.perf_counter() - began:.3f} s")
    return 0


def prove(arguments: list[str]) -> int:
    """Prove the likelihood of runs by files of that size that decode."""
    fields = [place("runs", tuple[str, ...]), option("samples", int, 1, "importance samples of a latent-variable model")]
    asked = parse("prove", fields, arguments, "Compress the test split, decode it in another process, write the seal into metrics.json.")
    from dalm import verbs

    sealed = []
    for run in asked["runs"]:
        record = verbs.prove(run, samples=asked["samples"])
        size = f"{record['bytes']:,} bytes, {record['file']:.4f} bits/dim, claimed {record['claimed']:.4f}" if "bytes" in record else ""
        print(f"{run}  {'proven' if record['sealed'] else 'not proven: ' + record['reason']}  {size}".rstrip(), flush=True)
        sealed.append(record["sealed"] or "bytes" not in record)
    return 0 if all(sealed) else 1


def codecs(arguments: list[str]) -> int:
    """Entropy and every classical coder beside every proven model."""
    fields = [
        *places(["data"]),
        option("runs", Path, Path("runs"), "the folder below which proven runs are looked for"),
        option("json", bool, False, "as JSON"),
        *data_fields(),
    ]
    asked = parse("codecs", fields, arguments, "Compress a test split with every coder, and list the proven models beside them.")
    from dalm import verbs

    loaded, columns = load(asked, quiet=asked["json"]), ("name", "kind", "bytes", "bits/dim", "alone", "MB/s")
    with _bar("codecs") as tell:
        rows = verbs.codecs(loaded, runs=asked["runs"], progress=tell)
    return show_list(rows if asked["json"] else list(map(_short, rows)), columns, asked["json"])


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `codecs` for a narrow table."""
    figures = {"bits/dim": row["bits_per_dim"], "alone": row["alone"], "MB/s": row["encode_mb_s"]}
    told = {key: "–" if value is None else f"{value:.4f}" if key != "MB/s" else f"{value:.3g}" for key, value in figures.items()}
    size = row["error"] or f"{row['bytes']:,.0f}"
    return {"name": row["name"], "kind": row["kind"], "bytes": size} | told


def _code_fields() -> list[Field]:
    """What `compress` and `decompress` share; none of it changes the data."""
    return [
        option("batch", int, 0, "how many data a network is asked about at once; 0 chooses"),
        option("threads", int, 0, "threads to compute with; 0 chooses"),
    ]


def _threads(asked: dict[str, Any]) -> None:
    import torch

    if asked["threads"]:
        torch.set_num_threads(asked["threads"])


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, in a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
