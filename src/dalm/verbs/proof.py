"""Proof: the seal on a run whose likelihood became a file of that size."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dalm.codec import CodeLength, Settings, by_bits_back, pack_model
from dalm.codec import compress as write_archive
from dalm.data import Data, load_data
from dalm.errors import DalmError
from dalm.metrics import MEASURES
from dalm.metrics.proven import PROVEN
from dalm.records import Json, atomic_write, read_scores
from dalm.records.score import Score, score_records
from dalm.train import Run
from dalm.verbs.claims import claim_of, refusal
from dalm.verbs.results import Result
from dalm.verbs.scores import same, score

WRITE_BATCH = 2500
READ_BATCH = 1000
"""Data at once when a proof is written, and when it is read."""


@dataclass(frozen=True)
class ProofFile:
    """A likelihood as a file.

    Args:
        claimed: bits/dim of the likelihood.
        file: bits/dim of the file.
        ratio: of the two.
        bytes: of the file.
        rounding: share that exact arithmetic adds to the claim.
        overhead: share that coder and archive add to that; `None` for a file of no bits.
        with_weights: bytes of the file and of the model, its weights as they are.
        n: how many data.
        samples: importance samples.
        batch: data at once when it was written, and when it was read.
        threads: likewise.
        encode_mb_s: megabytes of data written in a second.
        decode_mb_s: megabytes of data read in a second.
    """

    claimed: float
    file: float
    ratio: float
    bytes: int
    rounding: float
    overhead: float | None
    with_weights: int
    n: int
    samples: int
    batch: tuple[int, int]
    threads: tuple[int, int]
    encode_mb_s: float
    decode_mb_s: float


@dataclass(frozen=True, repr=False)
class Proof(Result):
    """Whether a likelihood is proven.

    Args:
        sealed: whether it is.
        reason: why not; `None` if it is.
        coded: the file, if one was written; a model without a likelihood has none.
    """

    sealed: bool
    reason: str | None
    coded: ProofFile | None = None

    @property
    def failed(self) -> bool:
        """Whether a file was written that proves nothing."""
        return self.coded is not None and not self.sealed

    @property
    def summary(self) -> str:
        """The proof in one line.

        >>> Proof(False, "noise has no likelihood").summary
        'not proven: noise has no likelihood'
        """
        if self.coded is None or not self.sealed:
            return f"not proven: {self.reason}"
        samples = f", {self.coded.samples} samples" if self.coded.samples > 1 else ""
        return (
            f"proven: {self.coded.bytes:,} bytes, {self.coded.file:.4f} bits/dim, claimed "
            f"{self.coded.claimed:.4f}{samples}"
        )

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """The verdict, and what is known of the file."""
        rows: list[Sequence[str]] = [("proven", "yes" if self.sealed else f"no: {self.reason}")]
        if self.coded is not None:
            rows += [
                ("claimed", f"{self.coded.claimed:.4f} bits/dim"),
                ("file", f"{self.coded.file:.4f} bits/dim, {self.coded.bytes:,} bytes"),
                ("with the weights", f"{self.coded.with_weights:,} bytes"),
                ("file / claim", f"{self.coded.ratio:.4f}"),
            ]
        return ("proof", ""), rows

    def to_json(self) -> Json:
        """As `proof` in `metrics.json`."""
        verdict: Json = {"sealed": self.sealed, "reason": self.reason}
        if self.coded is None:
            return verdict
        lists = {"batch": list(self.coded.batch), "threads": list(self.coded.threads)}
        return verdict | asdict(self.coded) | lists


def prove(run: Run | str | Path, data: Data | None = None, *, samples: int = 1) -> Proof:
    """Compress the test split with a run's model, decode it in another process with another batch
    size and thread count, compare.

    The archive stays in the run folder as `proof.dalm`; the seal, or the reason for its absence,
    goes into `metrics.json` as `proof`. Both take the place of an earlier proof.

    Args:
        run: a run or its folder.
        data: the data it was fitted to; by default they are loaded again from where they came.
        samples: importance samples of a latent-variable model; more than one prove the tighter
            bound.

    Raises:
        DalmError: the data are not those of the run.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    source = run.meta["data"]
    data = same(run, data or load_data(source["source"], **source["options"]))
    try:
        by_bits_back(run.model)
    except DalmError as refusal:
        proof = Proof(False, str(refusal))
    else:
        proof = _weigh(run, data.test.x, samples)
    _record(run, data, proof)
    return proof


def _weigh(run: Run, x: Tensor, samples: int) -> Proof:
    """Write the proof, read it elsewhere, and compare both the data and the size."""
    write_threads = torch.get_num_threads()
    read_threads = 1 if write_threads > 1 else 2
    exact_bits, write_seconds = _write(run, x, samples)
    damage, read_seconds = _read_elsewhere(run.path, x, read_threads)
    claim, noise = claim_of(run.model, x, samples)
    size = (run.path / "proof.dalm").stat().st_size

    megabytes = x.nbytes / 1e6
    reason = damage or refusal(size, exact_bits / 8, claim, noise)
    coded = ProofFile(
        claimed=8 * claim / x.numel(),
        file=8 * size / x.numel(),
        ratio=size / claim,
        bytes=size,
        rounding=exact_bits / 8 / claim - 1,
        overhead=8 * size / exact_bits - 1 if exact_bits else None,
        with_weights=size + len(pack_model(run.model)),
        n=len(x),
        samples=samples,
        batch=(WRITE_BATCH, READ_BATCH),
        threads=(write_threads, read_threads),
        encode_mb_s=megabytes / write_seconds,
        decode_mb_s=megabytes / read_seconds,
    )
    return Proof(reason is None, reason, coded)


def _write(run: Run, x: Tensor, samples: int) -> tuple[float, float]:
    """Write the archive; returns the code length of the exact model in bits, and the seconds."""
    began = time.perf_counter()
    tally = CodeLength()
    settings = Settings(samples=samples, batch=WRITE_BATCH)
    with atomic_write(run.path / "proof.dalm") as file:
        write_archive(run.model, x.numpy(), None, file, settings, tally=tally)
    return tally.bits, time.perf_counter() - began


def _read_elsewhere(run: Path, x: Tensor, threads: int) -> tuple[str | None, float]:
    """Why another process with another batch size and `threads` threads does not read the data from
    a run's proof, `None` if it does; and the seconds that it took.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.npy"
        options = ["--batch", str(READ_BATCH), "--threads", str(threads)]
        module = ["-P", "-m", "dalm.verbs.decoding"]  # -P: nothing of the current folder
        command = [sys.executable, *module, str(run), str(out), *options]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            reason = process.stderr.strip()
            return f"the file did not decode in another process: {reason}", math.inf
        seconds = float(json.loads(process.stdout)["seconds"])
        alike = np.array_equal(np.load(out), x.numpy())
    return (None if alike else "the file decodes to something else"), seconds


def _record(run: Run, data: Data, proof: Proof) -> None:
    """Put a proof, and its size as a score, into `metrics.json`."""
    if read_scores(run.path, run.meta) is None:
        score(run, data)
    scores = read_scores(run.path, run.meta) or {}
    others = [other for other in score_records(scores) if other.get("metric") != PROVEN.name]
    record = _score(proof, len(data.test)).to_json()
    kept = {key: value for key, value in scores.items() if key != "metrics"}  # of format 1
    places = {measure.name: place for place, measure in enumerate(MEASURES)}
    scores_in_order = sorted(
        [*others, record], key=lambda one: places.get(str(one.get("metric")), len(places))
    )
    kept |= {"format": 2, "scores": scores_in_order, "proof": proof.to_json()}
    run.keep_scores(kept)


def _score(proof: Proof, n: int) -> Score:
    """The proof as a figure of the scoreboard."""
    if not proof.sealed or proof.coded is None:
        return PROVEN.score(None, n=n, note=str(proof.reason))
    coded = proof.coded
    note = (
        f"{coded.bytes:,} bytes, {coded.ratio:.4f} of the claim; with all weights as they are "
        f"{coded.with_weights:,} bytes"
    )
    if coded.samples > 1:
        note += f"; bits-back with {coded.samples} samples"
    return PROVEN.score(coded.file, n=n, note=note)
