"""What a proof found, and how it goes into a run's `metrics.json`.

One model, one number: in a file no level costs more than 24 bits, so what is sealed is the model
with that floor. Where its code is shorter than the claim by more than rounding explains, the run's
bits/dim become those of the model in the file, and their note gives the claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from dalm.metrics.intervals import mean_interval
from dalm.metrics.proven import PROVEN
from dalm.records import Json
from dalm.records.score import Score
from dalm.report.score import LIKELIHOODS
from dalm.verbs.results import Result

FLOOR = "in a file no level costs more than 24 bits"
SEALED = "sealed"
UNPROVEN = "not proven"


@dataclass(frozen=True)
class ProofFile:
    """A likelihood as a file.

    Args:
        claimed: bits/dim of the likelihood.
        model: bits/dim of the model in the file, in exact arithmetic.
        file: bits/dim of the file.
        ratio: of file and claim.
        bytes: of the file.
        frame: of these, for what is no code: header, checksums, first and last words.
        allowed: bits/dim by which model and claim may differ, by rounding and by the noise of a
            bound.
        floored: whether the claim is of a model without the file's floor, and so not of this one.
        low: lower end of a 95 % interval of `model`, `None` where data are not told apart.
        high: its upper end.
        rounding: share that exact arithmetic adds to the claim.
        overhead: share that coder and archive add to that; `None` for a file of no bits.
        with_weights: bytes of the file and of the model, its weights as they are.
        n: how many data.
        of: how many the test split has.
        samples: importance samples.
        batch: data at once when it was written, and when it was read.
        threads: likewise.
        encode_mb_s: megabytes of data written in a second.
        decode_mb_s: megabytes of data read in a second.
    """

    claimed: float
    model: float
    file: float
    ratio: float
    bytes: int
    frame: int
    allowed: float
    floored: bool
    low: float | None
    high: float | None
    rounding: float
    overhead: float | None
    with_weights: int
    n: int
    of: int
    samples: int
    batch: tuple[int, int]
    threads: tuple[int, int]
    encode_mb_s: float
    decode_mb_s: float

    @property
    def extent(self) -> str:
        """Of how many rows, where it is not all of them; empty where it is."""
        return f"{self.n:,} of {self.of:,} rows" if self.n < self.of else ""


@dataclass(frozen=True, repr=False)
class Proof(Result):
    """Whether a likelihood is proven.

    Args:
        sealed: whether it is.
        reason: why not; `None` if it is.
        coded: the file, if one was written; a model without a likelihood has none.
        warnings: what is wrong with the data, such as test rows that are training rows: a file of
            them proves that the model has them, not that it would have others.
    """

    sealed: bool
    reason: str | None
    coded: ProofFile | None = None
    warnings: tuple[str, ...] = ()

    @property
    def legend(self) -> Sequence[str]:
        """What is wrong with the data."""
        return [f"Mind: {warning}" for warning in self.warnings]

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
        coded = self.coded
        samples = f", {coded.samples} samples" if coded.samples > 1 else ""
        extent = f", {coded.extent}" if coded.extent else ""
        what = "claimed"
        if coded.floored:
            what = f"{FLOOR}; not proven is what the model claims without that,"
        return (
            f"proven: {coded.bytes:,} bytes, {coded.file:.4f} bits/dim{samples}{extent}; {what} "
            f"{coded.claimed:,.4f}"
        )

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """The verdict, and what is known of the file."""
        rows: list[Sequence[str]] = [("proven", "yes" if self.sealed else f"no: {self.reason}")]
        if self.coded is not None:
            claim = "claimed without the file's floor" if self.coded.floored else "claimed"
            rows += [
                (claim, f"{self.coded.claimed:,.4f} bits/dim"),
                ("model in the file", f"{self.coded.model:.4f} bits/dim"),
                ("file", f"{self.coded.file:.4f} bits/dim, {self.coded.bytes:,} bytes"),
                ("of these no code", f"{self.coded.frame:,} bytes"),
                ("with the weights", f"{self.coded.with_weights:,} bytes"),
                ("rows", self.coded.extent or f"all {self.coded.n:,}"),
            ]
        return ("proof", ""), rows

    def to_json(self) -> Json:
        """As `proof` in `metrics.json`."""
        verdict: Json = {"sealed": self.sealed, "reason": self.reason}
        warnings: Json = {"warnings": list(self.warnings)} if self.warnings else {}
        if self.coded is None:
            return verdict | warnings
        lists = {"batch": list(self.coded.batch), "threads": list(self.coded.threads)}
        return verdict | asdict(self.coded) | lists | warnings


def interval_of(bits: Tensor, dims: int) -> tuple[float | None, float | None]:
    """Ends of a 95 % interval of the mean bits/dim.

    Args:
        bits: of each datum, (n,); none where they are not told apart.
        dims: numbers in a datum.

    >>> import torch
    >>> interval_of(torch.zeros(0), 2)
    (None, None)
    """
    if not bits.any():
        return None, None
    _, low, high = mean_interval(bits / dims)
    return low, high


def proof_score(proof: Proof, n: int) -> Score:
    """The proof as a figure of the scoreboard.

    Args:
        proof: what was found.
        n: how many rows the test split has.
    """
    if not proof.sealed or proof.coded is None:
        flag = "seal failed" if proof.failed else None
        return PROVEN.score(None, n=n, note=str(proof.reason), flag=flag)
    coded = proof.coded
    parts = [
        f"{coded.bytes:,} bytes, {coded.ratio:.4f} of the claim; with all weights as they are "
        f"{coded.with_weights:,} bytes"
    ]
    if coded.samples > 1:
        parts.append(f"bits-back with {coded.samples} samples")
    if coded.extent:
        parts.append(coded.extent)
    return PROVEN.score(coded.file, n=coded.n, note="; ".join(parts))


def sealed_records(records: Sequence[Json], proof: Json, is_provable: bool) -> list[Json]:
    """Score records with what a proof says of the likelihood that it is of.

    Args:
        records: of the scores.
        proof: as `Proof.to_json` gives it.
        is_provable: whether data of this kind have probabilities that a file can prove.
    """
    return [record | _verdict(record, proof, is_provable) for record in records]


def with_seal(scores: Sequence[Score], proof: Json, is_provable: bool) -> list[Score]:
    """Scores with what an earlier proof of the same weights says of them; a proof by older, looser
    rules says nothing.

    Args:
        scores: of a run.
        proof: as `Proof.to_json` gave it.
        is_provable: as in `sealed_records`.
    """
    if "bytes" in proof and "frame" not in proof:
        return list(scores)
    return [replace(one, **_verdict(asdict(one), proof, is_provable)) for one in scores]


def _verdict(record: Json, proof: Json, is_provable: bool) -> Json:
    """What changes in the record of a score."""
    of = LIKELIHOODS[1] if proof.get("samples", 1) > 1 else LIKELIHOODS[0]
    is_its_claim = record.get("metric") == of and record.get("flag") != "impossible"
    if not is_its_claim or not is_provable:
        return {}
    if not proof["sealed"]:
        reason = f"{UNPROVEN}: {proof['reason']}"
        return {"unranked": reason, "checked": "unsealed", "note": _noted(record, reason)}
    return _seal(record, proof)


def _seal(record: Json, proof: Json) -> Json:
    """What a seal says of a likelihood, in place of what an earlier proof or guard said."""
    extent = f", {proof['n']:,} of {proof['of']:,} rows" if proof["n"] < proof["of"] else ""
    how = f"{SEALED}: a file of {proof['bytes']:,} bytes that decodes{extent}"
    unranked = str(record.get("unranked") or "")
    sealed: Json = {"checked": SEALED, "unranked": unranked}
    if unranked.startswith(UNPROVEN):
        sealed["unranked"] = ""
    if not proof["floored"] or record.get("split", "test") != "test":
        return sealed | {"note": _noted(record, how)}
    floor = f"{FLOOR}, without that the model claims {proof['claimed']:,.4g}"
    middle = {"value": proof["model"], "low": proof["low"], "high": proof["high"], "n": proof["n"]}
    return sealed | middle | {"note": _noted(record, how, floor)}


def _noted(record: Json, *words: str) -> str:
    """A record's note, with words in place of what was said of its claim before."""
    before = str(record.get("note") or "").split("; ")
    said = (SEALED, UNPROVEN, FLOOR, "guarded: ", "unchecked: ")
    return "; ".join([*(note for note in before if note and not note.startswith(said)), *words])
