"""Every coder beside every proven model, on one test split."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from dalm.codec import extra
from dalm.codec.baselines import BASELINES, Baseline, order0_entropy
from dalm.codec.classic import CODERS, Adaptive, Coder
from dalm.core import Batch, Work
from dalm.data import Data, load_data
from dalm.errors import DalmError
from dalm.models import Histogram
from dalm.records import Json, check_weights, read_meta, read_scores, runs_below
from dalm.verbs.groups import OptionsOf
from dalm.verbs.results import Result

MOST_ALONE = 500
"""Data that are compressed one by one."""

Kind = Literal["entropy", "coder", "baseline", "model"]


@dataclass(frozen=True)
class CodecRow:
    """What became of a test split.

    Args:
        name: of the coder, compressor or run.
        kind: what that is.
        bytes: of the whole split; `None` if it failed.
        bits_per_dim: of the whole split.
        alone: bits/dim of files of single data, the first `MOST_ALONE`.
        encode_mb_s: megabytes of data written in a second.
        error: why it failed.
    """

    name: str
    kind: Kind
    bytes: float | None
    bits_per_dim: float | None
    alone: float | None = None
    encode_mb_s: float | None = None
    error: str | None = None


@dataclass(frozen=True, repr=False)
class CodecTable(Result):
    """Coders and models, the largest file first; what failed comes before all.

    Args:
        rows: one for each.
    """

    rows: tuple[CodecRow, ...]

    def __iter__(self) -> Iterator[CodecRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """All that did not fail."""
        headings = ("name", "kind", "bytes", "bits/dim", "alone", "MB/s")
        return headings, [_cells(row) for row in self.rows if not row.error]

    @property
    def legend(self) -> list[str]:
        """What the table does not say by itself, in lines."""
        lines = [
            "bytes, bits/dim: the whole test split as a file, for a model without its weights "
            "(compress --embed puts them in).",
            "alone: bits/dim where each datum is a file of its own. MB/s: encoding.",
        ]
        lines += [f"Not listed: {row.name}: {row.error}" for row in self.rows if row.error]
        if not any(row.kind == "model" for row in self.rows):
            lines.append(
                "No run on these data is proven yet: dalm prove RUN does it, and --runs says where "
                "to look."
            )
        return lines

    def to_json(self) -> list[Json]:
        """Every row."""
        return [asdict(row) for row in self.rows]


def _cells(row: CodecRow) -> Sequence[str]:
    return (
        row.name,
        row.kind,
        _figure(row.bytes, ",.0f"),
        _figure(row.bits_per_dim, ".4f"),
        _figure(row.alone, ".4f"),
        _figure(row.encode_mb_s, ".3g"),
    )


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def codecs(
    data: str | Path | Data,
    *,
    runs: str | Path = "runs",
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Annotated[Any, OptionsOf(("data",))],
) -> CodecTable:
    """Compress the test split of data with every classical coder and baseline, and list them with
    the proven models, best last.

    Args:
        data: data with levels, or what `load_data` takes.
        runs: a folder; the proven runs below it that were fitted to the same data are listed, and
            those whose proof failed.
        progress: told how many rows of how many are found.
        **options: of `load_data`.

    Raises:
        DalmError: the data are real numbers, or the extra `dalm[codecs]` is not installed.
    """
    extra.require_all()
    loaded = data if isinstance(data, Data) else load_data(data, **options)
    if loaded.spec.levels is None:
        raise DalmError(
            f"{loaded.name} holds real numbers, and coders take levels: whole numbers, or images "
            "from 0 to 1 with levels=256 (--levels 256)"
        )
    rows = list(_proven(loaded, Path(runs)))
    coders = _coder_names()
    total = len(rows) + 2 + len(coders) + len(BASELINES)
    for row in itertools.chain(_entropies(loaded), _coders(loaded, coders), _baselines(loaded)):
        rows.append(row)
        progress(len(rows), total)
    return CodecTable(tuple(sorted(rows, key=lambda row: -(row.bits_per_dim or math.inf))))


def _row(kind: Kind, name: str, data: Data, size: float, seconds: float | None = None) -> CodecRow:
    """The row of a file of so many bytes."""
    x = data.test.x
    speed = None if seconds is None else x.numpy().nbytes / 1e6 / seconds
    return CodecRow(name, kind, size, 8 * size / x.numel(), encode_mb_s=speed)


def _failed(kind: Kind, name: str, error: str) -> CodecRow:
    return CodecRow(name, kind, bytes=None, bits_per_dim=None, error=error)


def _entropies(data: Data) -> Iterator[CodecRow]:
    x = data.test.x
    size = order0_entropy(x.numpy()) * x.numel() / 8
    yield _row("entropy", "entropy of single values", data, size)

    histogram = Histogram(data.spec)
    histogram.passes(Work(Batch(data.train.x)))
    nats = -sum(histogram.log_prob(part).sum().item() for part in x.split(1000))
    yield _row("entropy", "histogram of each entry", data, nats / math.log(2) / 8)


def _coder_names() -> dict[str, Coder]:
    """Every classical coder, and the adaptive one with each order."""
    coders: dict[str, Coder] = {
        coder.name: coder() for coder in CODERS if not issubclass(coder, Adaptive)
    }
    orders = {f"{Adaptive.name}, order {order}": Adaptive(order=order) for order in (0, 1, 2)}
    return coders | orders


def _coders(data: Data, coders: dict[str, Coder]) -> Iterator[CodecRow]:
    symbols = data.test.x.numpy().ravel()
    for name, coder in coders.items():
        yield _timed("coder", name, data, partial(coder.encode, symbols, data.spec.levels or 0))


def _baselines(data: Data) -> Iterator[CodecRow]:
    x = data.test.x.numpy()
    first = x[:MOST_ALONE]
    for name in BASELINES:
        try:
            baseline = Baseline(name, data.spec.levels or 0)
            row = _timed("baseline", name, data, partial(baseline.whole, x))
            alone = sum(map(len, baseline.each(first)))
            yield replace(row, alone=8 * alone / first.size)
        except DalmError as error:
            yield _failed("baseline", name, str(error))


def _timed(kind: Kind, name: str, data: Data, encode: Callable[[], bytes]) -> CodecRow:
    began = time.perf_counter()
    size = len(encode())
    return _row(kind, name, data, size, time.perf_counter() - began)


def _proven(data: Data, runs: Path) -> Iterator[CodecRow]:
    """Runs on the same data whose likelihood became a file, or should have."""
    for path in runs_below(runs):
        with contextlib.suppress(DalmError):
            meta = read_meta(path)
            if meta["data"]["fingerprint"] == data.fingerprint:
                folder = str(path.relative_to(runs))
                family = meta["model"]["family"]
                name = family if folder in (family, ".") else f"{family} ({folder})"
                yield from _proof_row(name, path, meta, data)


def _proof_row(name: str, path: Path, meta: Json, data: Data) -> Iterator[CodecRow]:
    """The row of a run's proof, if a file was written."""
    try:
        proof = (read_scores(path, meta) or {}).get("proof") or {}
        if not proof.get("bytes"):
            return
        check_weights(path, meta)
    except DalmError as error:
        yield _failed("model", name, str(error))
        return
    speed = proof["encode_mb_s"]
    if proof["sealed"] and proof.get("n", len(data.test)) < len(data.test):
        reason = f"{proof['n']:,} of {len(data.test):,} rows were proven; all with prove --full"
        yield replace(_failed("model", name, reason), encode_mb_s=speed)
    elif proof["sealed"]:
        yield replace(_row("model", name, data, proof["bytes"]), encode_mb_s=speed)
    else:
        yield replace(_failed("model", name, proof["reason"]), encode_mb_s=speed)
