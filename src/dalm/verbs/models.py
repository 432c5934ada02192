"""Models by name: build, fit, load, sample."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import dalm.models  # so that every family of ours has its name
from dalm import core
from dalm.core import Generative, build
from dalm.data import Data, class_labels, class_number
from dalm.errors import DalmError, check_seed, did_you_mean, is_integer
from dalm.records import write
from dalm.report import save_grid
from dalm.train import Listener, Run
from dalm.train import fit as train
from dalm.verbs.groups import OptionsOf, data_of, options_of, sort_options

ENDINGS = (".png", ".npz", ".npy")
"""Of the files that samples are written to."""
BATCH = 500
"""Samples that are drawn at once."""


def make(family: str | type[Generative], data: Data, seed: int = 0, **options: Any) -> Generative:
    """Build a family for data, with initial weights that depend on the seed alone.

    Args:
        family: a family or its name.
        data: what it is to be fitted to.
        seed: of the initial weights.
        **options: of the family.

    >>> make("vae", dalm.load_data("digits"), latent=4).latent
    4
    """
    name = family_of(family).family if isinstance(family, str) else family.family
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_seed(seed))
        if isinstance(family, str):
            return build({"family": name, "spec": data.spec} | options)
        return family(data.spec, **options)


def family_of(name: str) -> type[Generative]:
    """The family that a user names, `module:Class` for one of another module.

    Raises:
        DalmError: there is none of that name, with the nearest one.
    """
    if isinstance(name, str) and ":" in name:
        return core.import_family(name)
    if name not in core.families and name not in core.installed_families():
        known = [family.family for family in dalm.models.FAMILIES]
        raise DalmError(
            f"there is no family {name!r}. {did_you_mean(str(name), known)} One of another module "
            "is named module:Class"
        )
    return core.find_family(name)


def family_in(configuration: Mapping[str, Any]) -> type[Generative]:
    """The family of a run's configuration, imported only from where the user allows it."""
    return core.find_family(configuration["family"], configuration.get("class"))


def fit(
    family: str | type[Generative] | Generative,
    data: str | Path | Data,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    listeners: Sequence[Listener] = (),
    model_options: Mapping[str, Any] | None = None,
    data_options: Mapping[str, Any] | None = None,
    train_options: Mapping[str, Any] | None = None,
    **options: Annotated[Any, OptionsOf(("model", "data", "train"))],
) -> Run:
    """Fit a family to data and write a run folder. Ctrl-C saves and stops; the same call with
    `resume` goes on, bit for bit.

    Args:
        family: its name, `module:Class` for one of another module; in Python also the class, or a
            model, which is trained in place unless it is resumed.
        data: a name (`dalm sources` lists them), a file or a folder; in Python also loaded data.
        out: the folder to write, which must not exist; by default runs/FAMILY-DATA, numbered.
        resume: go on with what is in `out`, or start there if there is nothing.
        progress: show a progress bar.
        listeners: told of what happens; see `dalm.train.Listener`.
        model_options: options of the family, if it is given by name.
        data_options: options of `load_data`, if the data are not loaded yet.
        train_options: see `dalm.train.FitOptions`.
        **options: options of all three by name, where the name belongs to one of them.

    Raises:
        DalmError: a name, an option, the data or the folder do not suit.
        Diverged: the loss became NaN or infinite; the run keeps its last good weights.
    """
    _check_model(family)
    if isinstance(family, str):
        family = family_of(family)
    groups = {
        "model": options_of("model", family) if isinstance(family, type) else {},
        "data": options_of("data"),
        "train": options_of("train"),
    }
    grouped = {"model": model_options, "data": data_options, "train": train_options}
    values = sort_options("fit", options, groups, grouped)
    loaded = data_of(data, values["data"])
    model = _model(family, loaded, values["model"], values["train"].get("seed", 0))
    training = values["train"]
    return train(
        model, loaded, out=out, resume=resume, progress=progress, listeners=listeners, **training
    )


def _check_model(family: object) -> None:
    is_family = isinstance(family, type) and issubclass(family, Generative)
    if not (is_family or isinstance(family, str | Generative)):
        raise DalmError(
            f"fit takes a family, its name, or a model, got {family!r}; such as 'vae', or "
            "dalm.models.VAE(data.spec)"
        )


def _model(
    family: type[Generative] | Generative, data: Data, options: Mapping[str, Any], seed: int
) -> Generative:
    if isinstance(family, type):
        return make(family, data, seed, **options)
    if options:
        raise DalmError(
            f"the model is built already, so {', '.join(options)} cannot change it; give options "
            "of a family to its class, or its name to fit"
        )
    return family


def load(path: str | Path, device: str | None = None) -> Generative:
    """The model of a run folder, wherever it was trained.

    Args:
        path: the folder.
        device: where the model goes; the CPU if nothing is said.
    """
    return _opened(path, device).model


def _opened(path: str | Path, device: str | None) -> Run:
    if not isinstance(path, str | Path):
        raise DalmError(f"load takes the folder of a run, got {type(path).__name__}")
    return Run.open(path, device or "cpu")


def sample(
    run: str | Path | Run,
    n: int = 64,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    label: int | str | None = None,
    device: str | None = None,
    **options: Annotated[Any, OptionsOf(("sampling",))],
) -> NDArray[Any] | Path:
    """Draw samples from a run, as an array or into a file.

    Args:
        run: a run or its folder.
        n: how many.
        out: a picture (.png) or an array (.npz, .npy); the .npz of a conditional model holds the
            classes as `y` too, as the data call them.
        seed: of the samples.
        label: class of all samples as the data call it, where the model is conditional.
        device: where to compute; by default where the model is, and of a folder on the CPU.
        **options: what the family offers for a single call, such as a temperature.

    Returns:
        The samples, (n, *shape), or if `out` is given the path of the file.

    Raises:
        DalmError: the run, the number, the class or the ending of `out` do not suit.
    """
    path = None if out is None else _sample_file(out)
    if not (is_integer(n) and n >= 1):
        raise DalmError(f"the number of samples is a positive whole number, got {n!r}")
    run = run if isinstance(run, Run) else _opened(run, device)
    model = run.model if device is None else run.model.to(device)
    names = run.meta["data"].get("classes") or [str(y) for y in range(model.spec.classes or 0)]
    number = None if label is None else _class_of(model, label, names)
    generator = torch.Generator(model.device).manual_seed(check_seed(seed))
    classes = _classes(model, int(n), number, generator)
    x = _draw(model, classes, generator, options)
    if path is None:
        return x
    if path.suffix.lower() == ".png":
        save_grid(x, path, asdict(model.spec))
    else:
        y = class_labels(classes.cpu().numpy(), names) if model.conditional else None
        _write_arrays(path, x, y)
    return path


def _sample_file(out: str | Path) -> Path:
    path = writable(out)
    if path.suffix.lower() not in ENDINGS:
        raise DalmError(f"samples are written as .png, .npz or .npy, got {path.name!r}")
    return path


def _class_of(model: Generative, label: int | str, names: Sequence[str]) -> int:
    """The model's number of a class."""
    if not model.conditional:
        model.sample(0, 0)  # refuses any class, in the words of its family
    return class_number(label, names)


def _classes(model: Generative, n: int, number: int | None, generator: torch.Generator) -> Tensor:
    """The class of each sample: the one asked for, else drawn from the prior; zeros for a model
    without classes.
    """
    if not model.conditional:
        return torch.zeros(n, dtype=torch.long)
    if number is None:
        return torch.multinomial(model.prior, n, replacement=True, generator=generator)
    return torch.full((n,), number, device=model.device)


def _draw(
    model: Generative, classes: Tensor, generator: torch.Generator, options: Mapping[str, Any]
) -> NDArray[Any]:
    """A sample of each class."""
    parts = []
    for labels in classes.split(BATCH):
        given = labels if model.conditional else None
        parts.append(model.sample(len(labels), given, generator, **options).cpu())
    return torch.cat(parts).numpy()


def _write_arrays(path: Path, x: NDArray[Any], y: NDArray[Any] | None) -> None:
    content = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(content, x)
    elif y is None:
        np.savez_compressed(content, x=x)
    else:
        np.savez_compressed(content, x=x, y=y)
    write(path, content.getvalue())


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
