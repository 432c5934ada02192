"""Models by name: build, fit, load, sample, list."""

from __future__ import annotations

import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dalm import core
from dalm import report as pages
from dalm.core import Generative, build, capabilities, conditions
from dalm.data import Data, load_data
from dalm.errors import DalmError, check_seed, did_you_mean, is_integer
from dalm.models import FAMILIES, REFERENCES
from dalm.records import Json, write
from dalm.train import Run
from dalm.train import fit as train


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
        raise DalmError(
            f"fit takes a model or the name of a family, got {given}; such as "
            "dalm.models.VAE(data.spec), or 'vae'"
        )
    loaded = data if isinstance(data, Data) else load_data(data)
    if isinstance(model, Generative):
        return train(model, loaded, **options)
    own = {name: options.pop(name) for name in family_of(model).declared() if name in options}
    return train(make(model, loaded, options.get("seed", 0), **own), loaded, **options)


def family_of(name: str) -> type[Generative]:
    """The family of a name, or DalmError with the nearest one."""
    known = core.families
    if name not in known:
        raise DalmError(
            f"there is no family {name!r}. {did_you_mean(str(name), [f.family for f in FAMILIES])}"
        )
    return known[name]


def load(path: str | Path, device: str | None = None) -> Generative:
    """The model of a run folder, on the CPU, on `device`, wherever it was trained."""
    if not isinstance(path, str | Path):
        raise DalmError(f"load takes the folder of a run, got {type(path).__name__}")
    return Run.open(path, device or "cpu").model


def sample(
    run: str | Path,
    n: int,
    out: str | Path,
    *,
    seed: int = 0,
    label: int | None = None,
    device: str = "cpu",
) -> Path:
    """Draw samples from a run into a picture (.png) or an array (.npz, .npy). An .npz of a
    conditional model holds the classes as `y`.

    Raises:
        DalmError: the run, the number, the class or the ending of `out` do not suit.
    """
    path = writable(out)
    ending = path.suffix.lower()
    if ending not in (".png", ".npz", ".npy"):
        raise DalmError(f"samples are written as .png, .npz or .npy, got {path.name!r}")
    if not (is_integer(n) and n >= 1):
        raise DalmError(f"the number of samples is a positive whole number, got {n!r}")
    model = load(run, device)
    generator = torch.Generator(model.device).manual_seed(check_seed(seed))
    classes = _classes(model, int(n), label, generator)
    x = torch.cat(
        [
            model.sample(len(y), y if model.conditional else label, generator).cpu()
            for y in classes.split(500)
        ]
    ).numpy()
    if ending == ".png":
        pages.save_grid(x, path, asdict(model.spec))
        return path
    content = io.BytesIO()
    arrays: Json = {"x": x} | ({"y": classes.cpu().numpy()} if model.conditional else {})
    np.savez_compressed(content, **arrays) if ending == ".npz" else np.save(content, x)
    write(path, content.getvalue())
    return path


def _classes(model: Generative, n: int, label: int | None, generator: torch.Generator) -> Tensor:
    """The class of each sample: the one asked for, else drawn from the prior; zeros for a model
    without classes.
    """
    if not model.conditional:
        return torch.zeros(n, dtype=torch.long)
    if label is None:
        return torch.multinomial(model.prior, n, replacement=True, generator=generator)
    model.sample(0, label)  # refuses a class that does not exist
    return torch.full((n,), label, device=model.device)


def writable(out: str | Path) -> Path:
    """The place of a file to be written, or DalmError if none can be."""
    path = Path(out)
    if path.is_dir():
        raise DalmError(
            f"{path} is a folder; give the name of a file in it, such as {path / 'out.npz'}"
        )
    if path.exists() and not path.is_file():
        raise DalmError(
            f"{path} is a device or a pipe, which a file would replace; give the name of a file"
        )
    if not path.parent.is_dir():
        raise DalmError(
            f"there is no folder {path.parent} to write {path.name} into; make it first"
        )
    if not os.access(path.parent, os.W_OK):
        raise DalmError(
            f"the folder {path.parent} cannot be written to; choose another place for {path.name}"
        )
    return path.resolve() if path.is_symlink() else path


def catalogue() -> list[Json]:
    """What families there are: name, year, paper, likelihood label and capabilities.

    >>> catalogue()[0]["name"]
    'gaussian'
    """
    return [_entry(family) for family in (*FAMILIES, *REFERENCES)]


def _entry(family: type[Generative]) -> Json:
    options = family.declared()
    return {
        "name": family.family,
        "year": family.year,
        "paper": family.paper,
        "likelihood": getattr(family, "likelihood", None),
        "capabilities": capabilities(family),
        "conditional": conditions(family),
        "reference": family in REFERENCES,
        "options": {name: p.default for name, p in options.items() if name != "spec"},
    }
