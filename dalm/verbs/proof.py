"""Proof: data to an archive and back by the model of a run, and the seal on a run whose likelihood became a file of that size."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dalm.codec import Header, Reader, Settings, Tally, by_bits_back, hash_of, pack
from dalm.codec import compress as encode
from dalm.codec import decompress as decode
from dalm.core import Bound, DalmError, Density, Generative
from dalm.data import Data, load_data
from dalm.data.files import read_arrays
from dalm.metrics import Metric
from dalm.train import Run
from dalm.train.run import Json, read_scores, written
from dalm.verbs.models import writable
from dalm.verbs.scores import same, score

ALLOWED = (1.001, 192)
"""A sealed file is at most this many times its claim, and this many bytes more."""
BATCHES = (1000, 300)
"""Data at once when a proof is written, and when it is read."""


def compress(
    run: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    samples: int = 1,
    chunk: int = 0,
    embed: bool = False,
    batch: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Json:
    """Compress the data of a file with the model of a run.

    Args:
        run: a run folder.
        data: a file with an array `x`, and perhaps labels `y`: .npz, .npy or IDX.
        out: the archive.
        samples: importance samples of a latent-variable model; more make a smaller file more slowly.
        chunk: data that are decoded together; 0 chooses.
        embed: put the model into the archive, its weights rounded to as few bits as pay for themselves.
        batch: how many data a network is asked about at once; 0 chooses.
        progress: told entries done and in all.

    Returns:
        `count`, `bytes`, `original` bytes, `ratio`, `bits_per_dim`, `seconds`.

    Raises:
        DalmError: the run, the data or the place do not suit.
    """
    target, (x, y) = writable(out), _arrays(Path(data))
    model = Run.open(run).model
    began = time.perf_counter()
    with written(target) as file:
        encode(model, x, y, file, Settings(samples, chunk, embed, batch), _counting(progress, lambda: x.size))
        size = file.seek(0, 2)
    original = x.nbytes + (0 if y is None else y.nbytes)
    return {
        "count": len(x),
        "bytes": size,
        "original": original,
        "ratio": original / size,
        "bits_per_dim": 8 * size / max(1, x.size),
        "seconds": time.perf_counter() - began,
    }


def _arrays(path: Path) -> tuple[Any, Any]:
    if not path.exists():
        raise DalmError(f"there is no file {path}; give a .npz, .npy or IDX file with the data to compress")
    arrays, _ = read_arrays(path)
    if "x" not in arrays:
        raise DalmError(f"{path} holds {', '.join(arrays)}; to be compressed it should hold x (and y)")
    return arrays["x"], arrays.get("y")


def _counting(progress: Callable[[int, int], None], total: Callable[[], int]) -> Callable[[int], None]:
    """Adds up the entries that a coder tells of."""
    done = 0

    def tell(entries: int) -> None:
        nonlocal done
        progress(done := done + entries, total())

    return tell


def decompress(
    archive: str | Path,
    out: str | Path,
    *,
    run: str | Path | None = None,
    batch: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the data of an archive to a .npz (with their labels) or .npy file.

    Args:
        archive: what `compress` wrote.
        out: the file.
        run: the run whose model it was written with; by default the model inside, or a run under the current folder with its hash.
        batch: how many data a network is asked about at once; any number gives the same data.
        progress: told entries done and in all.

    Raises:
        DalmError: the archive is damaged, or its model is not found.
    """
    path, target = Path(archive), writable(out)
    if not path.is_file():
        raise DalmError(f"there is no archive {path}")
    if target.suffix not in (".npz", ".npy"):
        raise DalmError(f"data are written as .npz or .npy, got {target.name!r}")

    tell = _counting(progress, lambda: reader.header.count * reader.coder.model.spec.dims)
    with path.open("rb") as file:
        reader = decode(file, path.stat().st_size, lambda header: _find(header, run), batch, tell)
        with tempfile.TemporaryDirectory(dir=target.absolute().parent) as folder:
            x, y = _unpacked(reader, Path(folder) / "x.npy")
            if target.suffix == ".npy":
                os.replace(Path(folder) / "x.npy", target)
            else:
                known: Json = {} if y is None else {"y": y}
                with written(target) as beside:
                    np.savez(beside, x=x, **known)
    return target


def _unpacked(reader: Reader, beside: Path) -> tuple[Any, Any]:
    """All data of an archive, in a memory-mapped file, and their labels."""
    x = np.lib.format.open_memmap(beside, "w+", reader.header.dtype, (reader.header.count, *reader.header.shape))
    labels, at = [], 0
    for rows, y in reader:
        x[at : at + len(rows)] = rows
        at += len(rows)
        labels += [] if y is None else [y]
    x.flush()
    return x, np.concatenate(labels) if labels else None


def _find(header: Header, run: str | Path | None) -> Generative:
    """The model with the archive's hash: of the run given, or of one under the current folder."""
    if run is not None:
        return Run.open(run).model
    for place in sorted(Path().glob("**/run.json")):
        try:
            model = Run.open(place.parent).model
        except DalmError:
            continue
        if hash_of(model) == header.model:
            return model
    raise DalmError(f"no run under {Path().absolute()} has the model {header.model.hex()} that wrote the archive; point at it with --run")


def prove(run: Run | str | Path, data: Data | None = None, *, samples: int = 1) -> Json:
    """Compress the test split with a run's model, decode it in another process with another batch size and thread count, compare.

    The archive stays in the run folder as `proof.dalm`; the seal, or the reason for its absence, goes into `metrics.json` as `proof`.

    Args:
        run: a run or its folder.
        data: the data it was fitted to; by default they are loaded again from where they came.
        samples: importance samples of a latent-variable model; more than one prove the tighter bound.

    Returns:
        The record: `sealed`, `reason`, and if there is a file: `claimed` and `file` bits/dim, `ratio` of the two, of which `rounding` is
        what exact arithmetic adds to the claim and `overhead` what coder and archive add to that, `bytes`, `with_weights`, `n`,
        `encode_mb_s`, `decode_mb_s`, `batch` and `threads` of both sides, `samples`.

    Raises:
        DalmError: the data are not those of the run.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    data = same(run, data or load_data(run.meta["data"]["source"], **run.meta["data"]["options"]))
    try:
        by_bits_back(run.model)
    except DalmError as refusal:
        return _seal(run, data, {"sealed": False, "reason": str(refusal)})
    return _seal(run, data, _weigh(run, data.test.x, samples))


def _weigh(run: Run, x: Tensor, samples: int) -> Json:
    """Write the proof, read it elsewhere, and compare both the data and the size."""
    path, threads = run.path / "proof.dalm", [torch.get_num_threads(), 1 if torch.get_num_threads() > 1 else 2]
    began, tally = time.perf_counter(), Tally()
    with written(path) as file:
        encode(run.model, x.numpy(), None, file, Settings(samples, batch=BATCHES[0]), tally=tally)
    middle = time.perf_counter()
    wrong, seconds = _misread(run.path, x, threads[1])
    claim, size = _claim(run.model, x, samples), path.stat().st_size
    record: Json = {"claimed": 8 * claim / x.numel(), "file": 8 * size / x.numel(), "ratio": size / claim, "bytes": size}
    record |= {"rounding": tally.bits / 8 / claim - 1, "overhead": 8 * size / tally.bits - 1 if tally.bits else None}
    record |= {"with_weights": size + len(pack(run.model)), "n": len(x), "samples": samples, "batch": list(BATCHES), "threads": threads}
    record |= {"encode_mb_s": x.nbytes / 1e6 / (middle - began), "decode_mb_s": x.nbytes / 1e6 / seconds}
    return _verdict(wrong, size, claim) | record


def _verdict(wrong: str | None, size: int, claim: float) -> Json:
    if wrong:
        return {"sealed": False, "reason": wrong}
    if size > ALLOWED[0] * claim + ALLOWED[1]:
        return {"sealed": False, "reason": f"the file has {size:,} bytes, and the likelihood claims {claim:,.0f}"}
    return {"sealed": True, "reason": None}


def _misread(run: Path, x: Tensor, threads: int) -> tuple[str | None, float]:
    """Why another process with another batch size and `threads` threads does not read the data from a run's proof; None if it does.

    Also how many seconds it took, with finding the model and without starting the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.npy"
        options = ["--run", str(run), "--out", str(out), "--batch", str(BATCHES[1]), "--threads", str(threads)]
        command = [sys.executable, "-m", "dalm.cli", "decompress", str(run / "proof.dalm"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"the file did not decode in another process: {done.stderr.strip()}", math.inf
        wrong = None if np.array_equal(np.load(out), x.numpy()) else "the file decodes to something else"
        return wrong, float(done.stdout.split()[-2])


def _seal(run: Run, data: Data, record: Json) -> Json:
    found = read_scores(run.path, run.meta) or score(run, data)
    metrics = found["metrics"] | {"proven": _metric(record, len(data.test)).to_json()}
    run.keep_scores(found | {"metrics": metrics, "proof": record})
    return record


def _metric(record: Json, n: int) -> Metric:
    """The seal as a figure of the scoreboard."""
    if not record["sealed"]:
        return Metric(None, None, None, n, "bits/dim", "lower", note=record["reason"])
    told = f"{record['bytes']:,} bytes, {record['ratio']:.4f} of the claim; with the weights {record['with_weights']:,} bytes"
    return Metric(record["file"], None, None, n, "bits/dim", "lower", note=told)


@torch.no_grad()
def _claim(model: Generative, x: Tensor, samples: int) -> float:
    """Bytes that the model's own likelihood of data asks for."""
    nats = torch.cat([_nats(model, part, samples) for part in x.split(500)])
    return -nats.sum(dtype=torch.float64).item() / math.log(2) / 8


def _nats(model: Generative, x: Tensor, samples: int) -> Tensor:
    if isinstance(model, Bound) and samples > 1:
        return model.importance_bound(x, samples=samples)
    assert isinstance(model, Density)
    return model.log_prob(x)
