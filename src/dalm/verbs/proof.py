"""Proof: the seal on a run whose likelihood became a file of that size."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dalm.codec import CodeLength, Settings, by_bits_back, pack
from dalm.codec import compress as encode
from dalm.core import Bound, Density, Generative
from dalm.data import Data, load_data
from dalm.errors import DalmError
from dalm.metrics.proven import PROVEN
from dalm.records import Json, atomic_write, read_scores
from dalm.records.score import Score, score_records
from dalm.train import Run
from dalm.verbs.scores import same, score

ALLOWED = (1.001, 192)
"""A sealed file is at most this many times its claim, and this many bytes more."""
BATCHES = (2500, 1000)
"""Data at once when a proof is written, and when it is read."""


def prove(run: Run | str | Path, data: Data | None = None, *, samples: int = 1) -> Json:
    """Compress the test split with a run's model, decode it in another process with another batch
    size and thread count, compare.

    The archive stays in the run folder as `proof.dalm`; the seal, or the reason for its absence,
    goes into `metrics.json` as `proof`. Both take the place of an earlier proof.

    Args:
        run: a run or its folder.
        data: the data it was fitted to; by default they are loaded again from where they came.
        samples: importance samples of a latent-variable model; more than one prove the tighter
            bound.

    Returns:
        The record: `sealed`, `reason`, and if there is a file: `claimed` and `file` bits/dim,
            `ratio` of the two, of which `rounding` is
        what exact arithmetic adds to the claim and `overhead` what coder and archive add to that,
        `bytes`, `with_weights`, `n`, `encode_mb_s`, `decode_mb_s`, `batch` and `threads` of both
        sides, `samples`.

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
    path = run.path / "proof.dalm"
    threads = [torch.get_num_threads(), 1 if torch.get_num_threads() > 1 else 2]
    began = time.perf_counter()
    tally = CodeLength()
    with atomic_write(path) as file:
        encode(run.model, x.numpy(), None, file, Settings(samples, batch=BATCHES[0]), tally=tally)
    middle = time.perf_counter()
    wrong, seconds = _misread(run.path, x, threads[1])
    claim = _claim(run.model, x, samples)
    size = path.stat().st_size
    record: Json = {
        "claimed": 8 * claim / x.numel(),
        "file": 8 * size / x.numel(),
        "ratio": size / claim,
        "bytes": size,
    }
    record |= {
        "rounding": tally.bits / 8 / claim - 1,
        "overhead": 8 * size / tally.bits - 1 if tally.bits else None,
    }
    record |= {
        "with_weights": size + len(pack(run.model)),
        "n": len(x),
        "samples": samples,
        "batch": list(BATCHES),
        "threads": threads,
    }
    record |= {
        "encode_mb_s": x.nbytes / 1e6 / (middle - began),
        "decode_mb_s": x.nbytes / 1e6 / seconds,
    }
    return _verdict(wrong, size, claim) | record


def _verdict(wrong: str | None, size: int, claim: float) -> Json:
    if wrong:
        return {"sealed": False, "reason": wrong}
    if not (math.isfinite(claim) and size <= ALLOWED[0] * claim + ALLOWED[1]):
        most = ALLOWED[0] * claim + ALLOWED[1]
        reason = f"the file has {size:,} bytes; the likelihood claims {claim:,.0f}, which allows {most:,.0f} (0.1 % and {ALLOWED[1]} bytes more)"
        return {"sealed": False, "reason": reason}
    return {"sealed": True, "reason": None}


def _misread(run: Path, x: Tensor, threads: int) -> tuple[str | None, float]:
    """Why another process with another batch size and `threads` threads does not read the data from
    a run's proof; None if it does.

    Also how many seconds it took, with finding the model and without starting the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.npy"
        options = [
            "--run",
            str(run),
            "--out",
            str(out),
            "--batch",
            str(BATCHES[1]),
            "--threads",
            str(threads),
        ]
        command = [
            sys.executable,
            "-P",
            "-m",
            "dalm.cli",
            "decompress",
            str(run / "proof.dalm"),
            *options,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"the file did not decode in another process: {done.stderr.strip()}", math.inf
        wrong = (
            None
            if np.array_equal(np.load(out), x.numpy())
            else "the file decodes to something else"
        )
        return wrong, float(done.stdout.split()[-2])


def _seal(run: Run, data: Data, record: Json) -> Json:
    found = read_scores(run.path, run.meta) or score(run, data).to_json()
    others = [one for one in score_records(found) if one["metric"] != PROVEN.name]
    scores = [*others, _proven(record, len(data.test)).to_json()]
    run.keep_scores(found | {"format": 2, "scores": scores, "proof": record})
    return record


def _proven(record: Json, n: int) -> Score:
    """The seal as a figure of the scoreboard."""
    if not record["sealed"]:
        return PROVEN.score(None, n=n, note=record["reason"])
    told = f"{record['bytes']:,} bytes, {record['ratio']:.4f} of the claim; with all weights as they are {record['with_weights']:,} bytes"
    told += f"; bits-back with {record['samples']} samples" if record["samples"] > 1 else ""
    return PROVEN.score(record["file"], n=n, note=told)


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
