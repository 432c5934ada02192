"""The verbs that cross rooms: fit by name, load, score, compare.

Each takes names or objects: `"vae"` or a model, `"digits"` or data, a folder or a run.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import dalm
from dalm import core
from dalm import report as pages
from dalm.core import Absorber, Bound, DalmError, Density, Generative, Latent, Learner, build, check_seed, did_you_mean, signature, whole
from dalm.data import Data, load_data
from dalm.metrics import EXPLAIN, Metric, evaluate, likelihood, neighbours
from dalm.models import FAMILIES, REFERENCES, Copycat, Discriminant
from dalm.train import Diverged, Options, Run, machine, write
from dalm.train import fit as train
from dalm.train.options import options as train_options
from dalm.train.options import resolve
from dalm.train.run import Json, check_run, read_scores, read_signed, signed, vacant

SAMPLES = 2000  # drawn for the metrics
ROWS = 10_000  # most test rows that are scored
SHOWN = 48  # samples in the gallery
TIGHT, TIGHT_ROWS = 128, 500  # importance samples, and the test rows they are spent on


def make(family: str | type[Generative], data: Data, seed: int = 0, **options: Any) -> Generative:
    """Build a family for data, with initial weights that depend on the seed alone.

    >>> make("vae", load_data("digits"), latent=4).latent
    4
    """
    name = family if isinstance(family, str) else family.family
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_seed(seed))
        if isinstance(family, str):
            return build({"family": name, "spec": data.spec} | options)
        return family(data.spec, **options)


def fit(model: str | Generative, data: str | Path | Data, **options: Any) -> Run:
    """Fit a model to data and write a run folder; see `dalm.train.fit`.

    Args:
        model: a model, or the name of a family, whose own options may then be given too.
        data: data, or what `load_data` takes.
        **options: of `dalm.train.fit` and, for a family given by name, of its constructor.

    Raises:
        DalmError: a name, an option or the data do not suit.
    """
    if not isinstance(model, str | Generative):
        given = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise DalmError(f"fit takes a model or the name of a family, got {given}; such as dalm.models.VAE(data.spec), or 'vae'")
    loaded = data if isinstance(data, Data) else load_data(data)
    if isinstance(model, Generative):
        return train(model, loaded, **options)
    own = {name: options.pop(name) for name in signature(_family(model)) if name in options}
    return train(make(model, loaded, options.get("seed", 0), **own), loaded, **options)


def _family(name: str) -> type[Generative]:
    known = core.families
    if name not in known:
        raise DalmError(f"there is no family {name!r}. {did_you_mean(str(name), [f.family for f in FAMILIES])}")
    return known[name]


def load(path: str | Path, device: str | None = None) -> Generative:
    """The model of a run folder, on the CPU, on `device`, wherever it was trained."""
    if not isinstance(path, str | Path):
        raise DalmError(f"load takes the folder of a run, got {type(path).__name__}")
    return Run.open(path, device or "cpu").model


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
        raise DalmError(f"score takes a run or its folder, and data from load_data; got {type(run).__name__}, {type(data).__name__}")
    run = run if isinstance(run, Run) else Run.open(run)
    data = _same(run, data or load_data(run.meta["data"]["source"], **run.meta["data"]["options"]))
    samples, speed = _draw(run.model, seed)
    scores = _likelihoods(run.model, data) | evaluate(samples, data.train.x, data.test.x, data.spec, seed=seed)
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
    return run.keep_scores(found)


def _same(run: Run, data: Data) -> Data:
    if data.fingerprint != run.meta["data"]["fingerprint"]:
        raise DalmError(
            f"{run.path} was fitted to {run.meta['data']['name']} {run.meta['data']['fingerprint']}, not to {data.name} {data.fingerprint}"
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
        samples = torch.cat([model.sample(500, generator=generator).cpu() for _ in range(SAMPLES // 500)])
    return samples, len(samples) / (time.perf_counter() - began)


def _likelihoods(model: Generative, data: Data) -> dict[str, Metric]:
    if not isinstance(model, Density):
        return {}
    x = data.test.some(ROWS).x
    with torch.no_grad():
        nats = torch.cat([model.log_prob(part).cpu() for part in x.split(500)])
    scores = {"bits_per_dim": likelihood(nats, data.spec.dims, model.likelihood)}
    if isinstance(model, Bound):
        rows = data.test.some(TIGHT_ROWS).x
        tight = torch.cat([model.importance_bound(part, samples=TIGHT).cpu() for part in rows.split(250)])
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
        real=data.test.some(SHOWN).x.numpy(),
    )
    write(path, content.getvalue())


def sample(run: str | Path, n: int, out: str | Path, *, seed: int = 0, label: int | None = None, device: str = "cpu") -> Path:
    """Draw samples from a run into a picture (.png) or an array (.npz, .npy). An .npz of a conditional model holds the classes as `y`.

    Raises:
        DalmError: the run, the number, the class or the ending of `out` do not suit.
    """
    path = _writable(out)
    ending = path.suffix.lower()
    if ending not in (".png", ".npz", ".npy"):
        raise DalmError(f"samples are written as .png, .npz or .npy, got {path.name!r}")
    if not (whole(n) and n >= 1):
        raise DalmError(f"the number of samples is a positive whole number, got {n!r}")
    model = load(run, device)
    generator = torch.Generator(model.device).manual_seed(check_seed(seed))
    classes = _classes(model, int(n), label, generator)
    x = torch.cat([model.sample(len(y), y if model.conditional else label, generator).cpu() for y in classes.split(500)]).numpy()
    if ending == ".png":
        pages.save_grid(x, path, asdict(model.spec))
        return path
    content = io.BytesIO()
    arrays: Json = {"x": x} | ({"y": classes.cpu().numpy()} if model.conditional else {})
    np.savez_compressed(content, **arrays) if ending == ".npz" else np.save(content, x)
    write(path, content.getvalue())
    return path


def _classes(model: Generative, n: int, label: int | None, generator: torch.Generator) -> Tensor:
    """The class of each sample: the one asked for, else drawn from the prior; zeros for a model without classes."""
    if not model.conditional:
        return torch.zeros(n, dtype=torch.long)
    if label is None:
        return torch.multinomial(model.prior, n, replacement=True, generator=generator)
    model.sample(0, label)  # refuses a class that does not exist
    return torch.full((n,), label, device=model.device)


def _writable(out: str | Path) -> Path:
    """The place of a file to be written, or DalmError if none can be."""
    path = Path(out)
    if path.is_dir():
        raise DalmError(f"{path} is a folder; give the name of a file in it, such as {path / 'out.npz'}")
    if not path.parent.is_dir():
        raise DalmError(f"there is no folder {path.parent} to write {path.name} into; make it first")
    if not os.access(path.parent, os.W_OK):
        raise DalmError(f"the folder {path.parent} cannot be written to; choose another place for {path.name}")
    return path


def compare(
    data: str | Path | Data,
    *,
    families: Sequence[str] | None = None,
    out: str | Path | None = None,
    conditional: bool = False,
    resume: bool = False,
    progress: bool = True,
    show: Callable[[list[Json]], None] | None = None,
    **options: Any,
) -> Json:
    """Fit every family under one budget, score all on the test split, and write scoreboard and report.

    A family that fails gets a row that says why. Reference rows stand beside the families: held-out real data, a copycat, a
    histogram, noise.

    Args:
        data: data, or what `load_data` takes.
        families: names of families; all by default.
        out: the folder, which must not exist; by default `runs/compare-DATA`.
        conditional: condition on class labels each family that can.
        resume: keep what is finished in `out`, other families too, and go on.
        progress: show progress bars.
        show: called with the rows so far whenever there is a new one.
        **options: of `dalm.train.fit`, the same for all.

    Returns:
        The scoreboard, as in `scoreboard.json`.

    Raises:
        DalmError: data, options or folder do not suit, or `out` holds a comparison of another kind.
    """
    loaded = data if isinstance(data, Data) else load_data(data)
    if conditional and not loaded.spec.classes:
        raise DalmError(f"conditional needs class labels, and {loaded.name} has none; leave it out, or give data with labels")
    folder = Path(out) if out is not None else Path(f"runs/compare-{loaded.name}")
    asked = [_family(name).family for name in families or [family.family for family in FAMILIES]]
    names = [name for name in dict.fromkeys(asked) if name not in _RIVALS]
    chosen = resolve(train_options(**options), torch.nn.Module(), len(loaded.train))
    if chosen.learn_from != "train":
        raise DalmError(f"compare chooses itself what each row learns from; leave learn_from={chosen.learn_from!r} out")
    board = _board(loaded, chosen, conditional)
    board["rows"] = _free(folder, board, resume)
    folder.mkdir(parents=True, exist_ok=True)
    _keep(folder, board)
    for name in [*names, *_RIVALS]:
        row = _row(folder, name, loaded, conditional=conditional, **options | {"seed": chosen.seed, "resume": resume, "progress": progress})
        board["rows"] = [*(there for there in board["rows"] if there["name"] != name), row]
        _keep(folder, board)
        if show:
            show(board["rows"])
    return board | {"report": str(report([folder]))}


def _keep(folder: Path, board: Json) -> None:
    write(folder / "scoreboard.json", json.dumps(signed(board), indent=1))


def _free(folder: Path, board: Json, resume: bool) -> list[Json]:
    """The rows that are there already. Refuses a folder that is taken, or that holds another comparison."""
    if not (resume and (folder / "scoreboard.json").exists()):
        vacant(folder)
        return []
    there = _kept(folder)
    before, now = ({k: b[k] for k in ("fingerprint", "conditional")} | b.get("fit", {}) for b in (there, board))
    for name in now:
        if name != "device" and before.get(name) != now[name]:
            known = f"{folder} holds a comparison with {name} {before.get(name)}, not {now[name]}"
            raise DalmError(f"{known}; ask for the same, or choose another folder")
    return list(there["rows"])


def _kept(folder: Path) -> Json:
    return read_signed(folder / "scoreboard.json", "Restore it, or compare again in another folder")


_RIVALS: dict[str, type[Generative]] = {"held-out real data": Copycat} | {family.family: family for family in REFERENCES}
"""The reference rows. Held-out real data are a copycat of the validation split."""


def _board(data: Data, chosen: Options, conditional: bool) -> Json:
    spec = asdict(data.spec) | {"shape": list(data.spec.shape)}
    budget = {name: value for name in ("seconds", "steps") if (value := getattr(chosen, name))}
    board = {
        "format": 1,
        "dalm": dalm.__version__,
        "data": data.name,
        "spec": spec,
        "fingerprint": data.fingerprint,
        "seed": chosen.seed,
        "conditional": conditional,
        "fit": asdict(chosen),
    }
    board |= {"date": datetime.date.today().isoformat(), "machine": machine(str(chosen.device)), "budget": budget}
    return board | {"notes": list(data.notes), "rows": [], "explain": EXPLAIN}


def _row(folder: Path, name: str, data: Data, *, conditional: bool, seed: int, **options: Any) -> Json:
    """Fit and score one family or reference. What goes wrong becomes the row's error: one failure must not lose the others."""
    family = _RIVALS.get(name) or _family(name)
    path = folder / name.replace(" ", "-")
    row: Json = {"name": name, "family": family.family, "reference": name in _RIVALS, "likelihood": getattr(family, "likelihood", None)}
    row |= {
        "bits_per_dim": None,
        "metrics": {},
        "seconds": None,
        "parameters": None,
        "samples_per_second": None,
        "run": None,
        "error": None,
    }
    own = {"conditional": True} if conditional and "conditional" in signature(family) else {}
    split = "val" if name == "held-out real data" else "train"
    try:
        found = _found(path, make(family, data, seed, **own), data, seed=seed, **options | {"learn_from": split})
    except Exception as error:
        reason = str(error) if isinstance(error, DalmError | Diverged) else f"{type(error).__name__}: {error}"
        return row | {"error": reason, "run": path.name if path.exists() else None}
    metrics = dict(found["metrics"])
    row |= {key: found[key] for key in ("likelihood", "seconds", "parameters", "samples_per_second")}
    return row | {"bits_per_dim": metrics.pop("bits_per_dim", None), "metrics": metrics, "run": path.name}


def _found(path: Path, model: Generative, data: Data, *, seed: int, **options: Any) -> Json:
    """Fit and score, or what was found already with this seed."""
    run = train(model, data, out=path, seed=seed, **options)
    if run.meta["state"] == "stopped":
        raise KeyboardInterrupt
    found = read_scores(path, run.meta)
    return found if found and found["seed"] == seed else score(run, data, seed=seed)


def report(folders: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Build one page from run folders or a comparison, by default `report.html` in the first of them.

    Raises:
        DalmError: a folder is neither a run nor a comparison, cannot be read, or was edited.
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise DalmError("a report needs at least one run folder, or a comparison; none was given")
    try:
        return pages.build(paths, _writable(out) if out is not None else paths[0] / "report.html", _check)
    except ValueError as error:
        raise DalmError(str(error)) from None


def _check(folder: Path) -> None:
    """Raise DalmError unless a comparison or a run is as it was written."""
    _kept(folder) if (folder / "scoreboard.json").exists() else check_run(folder)


def catalogue() -> list[Json]:
    """What families there are: name, year, paper, likelihood label and capabilities.

    >>> catalogue()[0]["name"]
    'gaussian'
    """
    return [_entry(family) for family in (*FAMILIES, *REFERENCES)]


def _entry(family: type[Generative]) -> Json:
    options = signature(family)
    return {
        "name": family.family,
        "year": family.year,
        "paper": family.paper,
        "likelihood": getattr(family, "likelihood", None),
        "capabilities": [c.__name__ for c in (Density, Bound, Latent, Learner, Absorber) if issubclass(family, c)],
        "conditional": "conditional" in options or issubclass(family, Discriminant),
        "reference": family in REFERENCES,
        "options": {name: p.default for name, p in options.items() if name != "spec"},
    }
