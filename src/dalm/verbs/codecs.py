"""Every coder beside every proven model, on one test split."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch

from dalm.codec.baselines import BASELINES, Baseline, order0_entropy
from dalm.codec.classic import CODERS, Adaptive, Coder
from dalm.data import Data, load_data
from dalm.errors import DalmError
from dalm.models import Histogram
from dalm.records import Json, check_weights, read_meta, read_scores, runs_below
from dalm.verbs.groups import OptionsOf

ALONE = 500  # data that are compressed one by one


def codecs(
    data: str | Path | Data,
    *,
    runs: str | Path = "runs",
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Annotated[Any, OptionsOf(("data",))],
) -> list[Json]:
    """Compress the test split of data with every classical coder and baseline, and list them with
    the proven models, best last.

    Args:
        data: data with levels, or what `load_data` takes.
        runs: a folder; the proven runs below it that were fitted to the same data are listed, and
            those whose proof failed.
        progress: told how many rows of how many are found.
        **options: of `load_data`.

    Returns:
        For each: `name`, `kind` (`entropy`, `coder`, `baseline` or `model`), `bytes` of the whole
            split, `bits_per_dim`, `alone` (bits/dim
        of files of single data, the first 500), `encode_mb_s`, `error`.

    Raises:
        DalmError: the data are real numbers.
    """
    loaded = data if isinstance(data, Data) else load_data(data, **options)
    if loaded.spec.levels is None:
        raise DalmError(
            f"{loaded.name} holds real numbers, and coders take levels; load the data with levels"
        )
    rows = list(_proven(loaded, Path(runs)))
    total = len(rows) + 2 + len(CODERS) + 2 + len(BASELINES)
    for row in itertools.chain(_entropies(loaded), _coders(loaded), _baselines(loaded)):
        rows.append(row)
        progress(len(rows), total)
    return sorted(rows, key=lambda row: -(row["bits_per_dim"] or math.inf))


def _row(kind: str, name: str, data: Data, size: float | None, **more: Any) -> Json:
    bits = None if size is None else 8 * size / data.test.x.numel()
    return {
        "name": name,
        "kind": kind,
        "bytes": size,
        "bits_per_dim": bits,
        "alone": None,
        "encode_mb_s": None,
        "error": None,
    } | more


def _entropies(data: Data) -> Iterator[Json]:
    x = data.test.x
    yield _row(
        "entropy", "entropy of single values", data, order0_entropy(x.numpy()) * x.numel() / 8
    )
    histogram = Histogram(data.spec)
    histogram.passes(data.train.x, None, torch.Generator())
    nats = -sum(histogram.log_prob(part).sum().item() for part in x.split(1000))
    yield _row("entropy", "histogram of each entry", data, nats / math.log(2) / 8)


def _coders(data: Data) -> Iterator[Json]:
    every: list[Coder] = [coder() for coder in CODERS if coder is not Adaptive]
    symbols = data.test.x.numpy().ravel()
    for coder in [*every, *(Adaptive(order=order) for order in (0, 1, 2))]:
        name = f"{coder.name}, order {coder.order}" if isinstance(coder, Adaptive) else coder.name
        yield _timed("coder", name, data, partial(coder.encode, symbols, data.spec.levels or 0))


def _baselines(data: Data) -> Iterator[Json]:
    x = data.test.x.numpy()
    for name in BASELINES:
        try:
            baseline = Baseline(name, data.spec.levels or 0)
            row = _timed("baseline", name, data, partial(baseline.whole, x))
            yield row | {"alone": 8 * sum(map(len, baseline.each(x[:ALONE]))) / x[:ALONE].size}
        except DalmError as error:
            yield _row("baseline", name, data, None, error=str(error))


def _timed(kind: str, name: str, data: Data, encode: Callable[[], bytes]) -> Json:
    began = time.perf_counter()
    size = len(encode())
    speed = data.test.x.numpy().nbytes / 1e6 / (time.perf_counter() - began)
    return _row(kind, name, data, size, encode_mb_s=speed)


def _proven(data: Data, runs: Path) -> Iterator[Json]:
    """Runs on the same data whose likelihood became a file, or should have."""
    for path in runs_below(runs):
        with contextlib.suppress(DalmError):
            meta = read_meta(path)
            if meta["data"]["fingerprint"] == data.fingerprint:
                folder = str(path.relative_to(runs))
                family = meta["model"]["family"]
                yield from _weighed(
                    family if folder in (family, ".") else f"{family} ({folder})", path, meta, data
                )


def _weighed(name: str, path: Path, meta: Json, data: Data) -> Iterator[Json]:
    try:
        proof = (read_scores(path, meta) or {}).get("proof") or {}
        if proof.get("bytes"):
            check_weights(path, meta)
            size = proof["bytes"] if proof["sealed"] else None
            yield _row(
                "model", name, data, size, encode_mb_s=proof["encode_mb_s"], error=proof["reason"]
            )
    except DalmError as error:
        yield _row("model", name, data, None, error=str(error))
