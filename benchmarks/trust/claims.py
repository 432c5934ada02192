"""Claims of likelihood: what passed for proven or best, what is said of it now, and what is right.

Each function makes a row. `python -m trust.claims` in `benchmarks/` prints them.
"""

from __future__ import annotations

import functools
import json
import math
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

import dalm
from dalm.codec import code_lengths, exact_copy
from dalm.core import Generative, Spec, build
from dalm.data import Data, load_data
from dalm.errors import DalmError
from dalm.metrics import evaluate
from dalm.models import KDE, VAE, Gaussian, Histogram
from dalm.testing.cases import TINY, TestCase, everything, learn
from dalm.verbs.agreement import claim_of, contradiction
from dalm.verbs.claims import check_claim
from dalm.verbs.proof_plan import plan_proof
from trust.rows import MNIST, Json, answer

NATS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 100.0)
"""By which a cheat claims too much of each datum."""


def taught(family: type[Generative], data: Data) -> Any:
    """A fitted model, without a run."""
    model = family(data.spec)
    learn(model, data.train.x, data.train.y, 0)
    return model


def more(model: Any, nats: float) -> Any:
    """The same model, which claims so many nats too much of each datum."""

    class Cheat(type(model)):  # type: ignore[misc]
        family = f"cheat-{model.family}"

        def _log_prob(self, x: Any, y: Any, generator: Any) -> Any:
            return super()._log_prob(x, y, generator) + nats

    cheat = Cheat.__new__(Cheat)
    cheat.__dict__ = model.__dict__
    return cheat


def least_caught(family: type[Generative], data: Data) -> float:
    """The least of `NATS` from which on a cheat is called impossible."""
    model = taught(family, data)
    caught = [check_claim(more(model, nats), data) for nats in NATS]
    missed = [nats for nats, found in zip(NATS, caught, strict=True) if not _is_alarm(found)]
    return min((nats for nats in NATS if nats > max(missed, default=0.0)), default=math.inf)


def _is_alarm(found: Any) -> bool:
    return found is not None and found.status == "impossible"


def impossible_claim() -> Json:
    """C1: a likelihood that is 100 nats too good on levels."""
    data = load_data("digits")
    cheat = more(taught(Histogram, data), 100.0)
    found = check_claim(cheat, data)
    scores = evaluate(None, data.train.x, data.test.x, data.spec, model=cheat, checked=found)
    [score] = [one for one in scores if one.split == "test"]
    now = f"{score.flag}, not ranked: {score.unranked}"
    return answer("C1", "Best density", now, "impossible", score.flag == "impossible")


def detection_limits() -> Json:
    """C1: from how many nats too much on a cheat is named, by family and dimensions."""
    rng = np.random.default_rng(0)
    sets = {"ring8": load_data("ring8", n=2000), "digits": load_data("digits")}
    for dims in (8, 32, 64):
        x = rng.standard_normal((3000, dims)) @ rng.standard_normal((dims, dims))
        sets[f"normal {dims}"] = load_data(x)
    limits = {
        f"{family.family} on {name}": least_caught(family, data)
        for name, data in sets.items()
        for family in (Gaussian, Histogram, KDE)
        if not (family is KDE and name in ("normal 32", "normal 64"))
    }
    now = ", ".join(f"{name} {nats:g}" for name, nats in limits.items())
    return answer("C1", "never", now, "at most 1 nat", max(limits.values()) <= 1)


def loose_seal(rows: int, share: float) -> Json:
    """C2: a wrong claim of few rows."""
    data = load_data("digits")
    model = taught(KDE, data)
    x = data.test.x[:rows]
    claim, length = claim_of(model, x), code_lengths(exact_copy(model), x)
    honest = contradiction(claim, length) is None
    each = share * claim.each
    wrong = type(claim)(each.sum().item(), claim.noise, claim.allowed, each)
    refused = contradiction(wrong, length)
    before = f"{rows} rows, claim × {share:g}: sealed"
    return answer("C2", before, refused, "refused", honest and refused is not None)


def floored_seal() -> Json:
    """C2, H7: a file far smaller than its claim, and one model with two numbers."""
    data = load_data("digits")
    with tempfile.TemporaryDirectory() as folder:
        model = KDE(data.spec, bandwidth=0.1)
        run = dalm.fit(model, data, out=f"{folder}/run", progress=False)
        claimed = dalm.score(run, data)["bits_per_dim"].value
        proof = dalm.prove(run, data)
        records = json.loads((run.path / "metrics.json").read_text())["scores"]
        [board] = [
            one["value"]
            for one in records
            if one["metric"] == "bits_per_dim" and one["split"] == "test"
        ]
    file = proof.coded.file if proof.coded else math.nan
    now = f"claimed {claimed:,.2f}; board {board:.3f}, file {file:.3f} bits/dim"
    before = "claim 15,976 bits/dim, file 14.54: proven; proven 4.148 below exact 4.259"
    return answer("C2, H7", before, now, "board ≤ file", board <= file < 0.9 * (claimed or 0))


def sums_of_bounds() -> Json:
    """C3: what sums to at most one: means of a bound; single draws may sum to more."""
    case = TestCase(VAE, {"latent": 2, "net": "mlp", "width": 16})
    model = case.trained(TINY).double().requires_grad_(False)
    x = everything(TINY)
    noises = [torch.Generator().manual_seed(seed) for seed in range(400)]
    draws = torch.stack([model.log_prob(x, None, noise) for noise in noises])  # type: ignore[operator]
    largest = draws.exp().sum(1).max().item()
    means = draws.mean(0).exp().sum().item()
    now = f"single draws up to {largest:.3f}, their means {means:.3f}"
    return answer(
        "C3", "single draws said to sum to at most 1: 1.02 to 1.36", now, "≤ 1", means <= 1
    )


def outside_family() -> Json:
    """C4: a hostile configuration, which would import what it names."""
    hostile = {"family": "x", "class": "os:system", "spec": {"shape": [1]}}
    try:
        build(hostile)
        now = "imported"
    except DalmError as error:
        now = str(error)
    before = "families from outside cannot be proven"
    return answer("C4", before, now, "refused in words", "importing it would run" in now)


def learned_rows() -> Json:
    """C5: a user's own digits, 63 % of whose test rows the feature net learned from."""
    data = load_data(load_digits().images.astype(np.uint8)[:, None], levels=17)
    scores = evaluate(data.val.x, data.train.x, data.test.x, data.spec)
    [kid] = [one for one in scores if one.metric == "kid"]
    used = str(kid.features).partition("#")[0]
    ok = used != "digits-cnn-v1" and "learned from" in kid.note
    return answer("C5", "digits-cnn-v1, not a word", f"{used}: {kid.note}", "said", ok)


def announced_proof() -> Json:
    """F4: a Gaussian on 10,000 images of 28×28, if they are there."""
    if not MNIST.is_file():
        return answer("F4", "", f"no {MNIST}", "an estimate, a subset", False)
    x = np.load(MNIST)["x_test"][:, None]
    model = Gaussian(Spec((1, 28, 28), levels=256))
    learn(model, torch.from_numpy(x[:3000]), None, 0)
    plan = plan_proof(model, torch.from_numpy(x), 1, full=False)
    before = "ten minutes without a word"
    return answer("F4", before, plan.words, "an estimate, a subset", bool(plan.words))


ROWS: tuple[Callable[[], Json], ...] = (
    impossible_claim,
    detection_limits,
    functools.partial(loose_seal, 20, 0.1),
    functools.partial(loose_seal, 100, 1 / 8),
    floored_seal,
    sums_of_bounds,
    outside_family,
    learned_rows,
    announced_proof,
)


if __name__ == "__main__":
    for row in ROWS:
        print(json.dumps(row(), ensure_ascii=False), flush=True)
