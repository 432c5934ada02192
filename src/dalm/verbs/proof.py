"""Proof: the seal on a run whose likelihood became a file of that size.

A file proves a claim if three things hold. Another process, with another batch size and thread
count, decodes it to the same data. The file is its code and its frame, to the last word: header,
checksums, the words that a stack begins with (`dalm.codec.frame`); so nothing hides in an
allowance, however few the data are. And the code's length is the claim's, up to what rounding and
the noise of a bound explain (`dalm.verbs.agreement`), both ways: a code that is far shorter is no
code of that claim but of the model with the file's floor, and that model's length is then sealed.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dalm.codec import CodeLength, Settings, by_bits_back, frame_bytes, pack_model, slack_bits
from dalm.codec import compress as write_archive
from dalm.core import Density, config
from dalm.core.outside import places_in, search_path
from dalm.data import Data, load_data
from dalm.errors import DalmError
from dalm.metrics import MEASURES
from dalm.metrics.proven import PROVEN
from dalm.records import atomic_write, read_scores
from dalm.records.score import score_records
from dalm.train import Run
from dalm.verbs.agreement import Claim, claim_of, contradiction, is_floored
from dalm.verbs.proof_plan import ProofPlan, plan_proof
from dalm.verbs.scores import same, score
from dalm.verbs.seal import Proof, ProofFile, interval_of, proof_score, sealed_records

WRITE_BATCH = 2500
READ_BATCH = 1000
"""Data at once when a proof is written, and when it is read."""


@dataclass(frozen=True)
class Written:
    """An archive on disk.

    Args:
        length: what its tables make of the data.
        size: of the file, in bytes.
        frame: bytes of it that are no code.
        slack: bits by which it may differ from both.
        seconds: that writing took.
    """

    length: CodeLength
    size: int
    frame: int
    slack: float
    seconds: float


def prove(
    run: Run | str | Path,
    data: Data | None = None,
    *,
    samples: int = 1,
    full: bool = False,
    announce: Callable[[str], None] = lambda words: None,
) -> Proof:
    """Compress the test split with a run's model, decode it in another process with another batch
    size and thread count, compare.

    The archive stays in the run folder as `proof.dalm`; the seal, or the reason for its absence,
    goes into `metrics.json` as `proof`. Both take the place of an earlier proof. Where all rows
    would take more than about two minutes, as many are proven as do not, spread evenly, and the
    seal says how many.

    Args:
        run: a run or its folder.
        data: the data it was fitted to; by default they are loaded again from where they came.
        samples: importance samples of a latent-variable model; more than one prove the tighter
            bound.
        full: prove all rows, however long it takes.
        announce: told before a long proof how many rows it is of and how long it may take.

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
        plan = plan_proof(run.model, data.test.x, samples, full)
        if plan.words:
            announce(plan.words)
        proof = _weigh(run, data.test.subset(plan.rows).x, plan, samples)
    proof = replace(proof, warnings=data.warnings)
    _record(run, data, proof)
    return proof


def _weigh(run: Run, x: Tensor, plan: ProofPlan, samples: int) -> Proof:
    """Write the proof, read it elsewhere, and compare both the data and the size."""
    assert isinstance(run.model, Density)
    write_threads = torch.get_num_threads()
    read_threads = 1 if write_threads > 1 else 2
    written = _write(run, x, samples)
    damage, read_seconds = _read_elsewhere(run, x, read_threads)
    claim = claim_of(run.model, x, samples)
    low, high = interval_of(written.length.each, run.model.spec.dims)

    megabytes = x.nbytes / 1e6
    reason = damage or _refusal(written, claim)
    coded = ProofFile(
        claimed=claim.bits / x.numel(),
        model=written.length.bits / x.numel(),
        file=8 * written.size / x.numel(),
        ratio=8 * written.size / claim.bits if claim.bits else math.inf,
        bytes=written.size,
        frame=written.frame,
        allowed=claim.allowed / x.numel(),
        floored=is_floored(claim, written.length.bits),
        low=low,
        high=high,
        rounding=written.length.bits / claim.bits - 1 if claim.bits else 0.0,
        overhead=8 * written.size / written.length.bits - 1 if written.length.bits else None,
        with_weights=written.size + len(pack_model(run.model)),
        n=len(x),
        of=plan.of,
        samples=samples,
        batch=(WRITE_BATCH, READ_BATCH),
        threads=(write_threads, read_threads),
        encode_mb_s=megabytes / written.seconds,
        decode_mb_s=megabytes / read_seconds,
    )
    return Proof(reason is None, reason, coded)


def _write(run: Run, x: Tensor, samples: int) -> Written:
    """Write the archive, and weigh it."""
    began = time.perf_counter()
    length = CodeLength(0 if by_bits_back(run.model) else len(x))
    settings = Settings(samples=samples, batch=WRITE_BATCH)
    with atomic_write(run.path / "proof.dalm") as file:
        header = write_archive(run.model, x.numpy(), None, file, settings, tally=length)
        seconds = time.perf_counter() - began
        size = file.seek(0, 2)
        frame = frame_bytes(file, size)
    return Written(length, size, frame, slack_bits(header, x.numel()), seconds)


def _read_elsewhere(run: Run, x: Tensor, threads: int) -> tuple[str | None, float]:
    """Why another process with another batch size and `threads` threads does not read the data from
    a run's proof, `None` if it does; and the seconds that it took.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.npy"
        options = ["--batch", str(READ_BATCH), "--threads", str(threads), *_imports(run)]
        module = ["-P", "-m", "dalm.verbs.decoding"]  # -P: nothing of the current folder
        command = [sys.executable, *module, str(run.path), str(out), *options]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            reason = process.stderr.strip()
            return f"the file did not decode in another process: {reason}", math.inf
        seconds = float(json.loads(process.stdout)["seconds"])
        alike = np.array_equal(np.load(out), x.numpy())
    return (None if alike else "the file decodes to something else"), seconds


def _imports(run: Run) -> Iterator[str]:
    """What lets the other process import the families that this one has: it trusts them already."""
    for place in places_in(config(run.model)):
        yield from ("--allow", place.partition(":")[0])
        if folder := search_path(place):
            yield from ("--path", folder)


def _refusal(written: Written, claim: Claim) -> str | None:
    """Why a file does not prove a claim, `None` if it does."""
    if claim.is_too_noisy:
        return (
            f"the bound of {claim.bits:,.0f} bits changes by {claim.noise:,.0f} from draw to draw; "
            "more rows or more samples would settle it"
        )
    rest = 8 * (written.size - written.frame) - written.length.bits
    if abs(rest) > written.slack:
        return (
            f"the file has {written.size:,} bytes, {written.frame:,} of them no code; its code "
            f"should have {written.length.bits / 8:,.0f}"
        )
    return contradiction(claim, written.length)


def _record(run: Run, data: Data, proof: Proof) -> None:
    """Put a proof, its size as a score, and what it says of the likelihood into `metrics.json`."""
    if read_scores(run.path, run.meta) is None:
        score(run, data)
    scores = read_scores(run.path, run.meta) or {}
    others = [other for other in score_records(scores) if other.get("metric") != PROVEN.name]
    is_provable = data.spec.levels is not None
    others = sealed_records(others, proof.to_json(), is_provable)
    records = [*others, proof_score(proof, len(data.test)).to_json()]
    kept = {key: value for key, value in scores.items() if key != "metrics"}  # of format 1
    places = {measure.name: place for place, measure in enumerate(MEASURES)}
    records.sort(key=lambda one: places.get(str(one.get("metric")), len(places)))
    kept |= {"format": 2, "scores": records, "proof": proof.to_json()}
    run.keep_scores(kept)
