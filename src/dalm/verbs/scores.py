"""Scores of a run on the test split."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dalm.core import Bound, Density, Generative
from dalm.data import Data, load_data
from dalm.errors import DalmError, check_seed
from dalm.metrics import EXPLAIN, Metric, evaluate, likelihood, neighbours
from dalm.models import Copycat
from dalm.records import Json, machine, read_scores, write
from dalm.train import Run

SAMPLES = 2000  # drawn for the metrics
ROWS = 10_000  # most test rows that are scored
SHOWN = 48  # samples in the gallery
# importance samples, and the test rows they are spent on
TIGHT = 128
TIGHT_ROWS = 500


def score(run: Run | str | Path, data: Data | None = None, *, seed: int = 0) -> Json:
    """Score a run on the test split and write `metrics.json` and `gallery.npz` into its folder.

    Args:
        run: a run or its folder.
        data: the data it was fitted to; by default they are loaded again from where they came.
        seed: of the samples and of everything random in the metrics.

    Raises:
        DalmError: the data are not those of the run.
    """
    seed = check_seed(seed)
    if not isinstance(run, Run | str | Path) or not isinstance(data, Data | None):
        raise DalmError(
            f"score takes a run or its folder, and data from load_data; got {type(run).__name__}, "
            f"{type(data).__name__}"
        )
    run = run if isinstance(run, Run) else Run.open(run)
    data = same(run, data or load_data(run.meta["data"]["source"], **run.meta["data"]["options"]))
    samples, speed = _draw(run.model, seed)
    scores = _likelihoods(run.model, data) | evaluate(
        samples, data.train.x, data.test.x, data.spec, seed=seed
    )
    found: Json = {
        "data": data.name,
        "likelihood": run.model.likelihood if isinstance(run.model, Density) else None,
        "seconds": run.meta["seconds"],
        "parameters": run.meta["parameters"],
        "samples_per_second": round(speed, 3),
        "seed": seed,
        "machine": machine(str(run.model.device)),
        "metrics": {name: metric.to_json() for name, metric in scores.items()},
        "explain": EXPLAIN,
    }
    _gallery(run.path / "gallery.npz", samples[:SHOWN], data)
    return run.keep_scores(_with_proof(run, found))


def _with_proof(run: Run, found: Json) -> Json:
    """What was found, and the seal of these weights if there is one."""
    try:
        before = read_scores(run.path, run.meta) or {}
    except DalmError:  # they are being replaced because they were edited
        return found
    if "proof" not in before:
        return found
    return found | {
        "proof": before["proof"],
        "metrics": found["metrics"] | {"proven": before["metrics"]["proven"]},
    }


def same(run: Run, data: Data) -> Data:
    """The data, or DalmError unless a run was fitted to them."""
    if data.fingerprint != run.meta["data"]["fingerprint"]:
        raise DalmError(
            f"{run.path} was fitted to {run.meta['data']['name']} "
            f"{run.meta['data']['fingerprint']}, not to {data.name} {data.fingerprint}"
        )
    return data


def _draw(model: Generative, seed: int) -> tuple[Tensor, float]:
    """Samples on the CPU, and how many came in a second."""
    generator = torch.Generator(model.device).manual_seed(seed)
    model.sample(1, generator=generator)
    began = time.perf_counter()
    if isinstance(model, Copycat):  # a row drawn twice would tell it from fresh data
        samples = model.sample(min(SAMPLES, len(model.rows)), generator=generator).cpu()
    else:
        samples = torch.cat(
            [model.sample(500, generator=generator).cpu() for _ in range(SAMPLES // 500)]
        )
    return samples, len(samples) / (time.perf_counter() - began)


def _likelihoods(model: Generative, data: Data) -> dict[str, Metric]:
    if not isinstance(model, Density):
        return {}
    x = data.test.subset(ROWS).x
    with torch.no_grad():
        nats = torch.cat([model.log_prob(part).cpu() for part in x.split(500)])
    scores = {"bits_per_dim": likelihood(nats, data.spec.dims, model.likelihood)}
    if isinstance(model, Bound):
        rows = data.test.subset(TIGHT_ROWS).x
        tight = torch.cat(
            [model.importance_bound(part, samples=TIGHT).cpu() for part in rows.split(250)]
        )
        scores["importance_bits_per_dim"] = likelihood(tight, data.spec.dims, model.likelihood)
    return scores


def _gallery(path: Path, samples: Tensor, data: Data) -> None:
    """What the report shows: samples, their nearest training and held-out rows, and real data."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        samples=samples.numpy(),
        nearest_train=data.train.x[neighbours(samples, data.train.x, data.spec)].numpy(),
        nearest_heldout=data.test.x[neighbours(samples, data.test.x, data.spec)].numpy(),
        real=data.test.subset(SHOWN).x.numpy(),
    )
    write(path, content.getvalue())
