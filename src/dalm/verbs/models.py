"""Models by name: build, fit, load."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch

import dalm.models  # so that every family of ours has its name
from dalm import core
from dalm.core import Generative, build
from dalm.data import Data
from dalm.errors import DalmError, check_seed, did_you_mean, in_bytes, out_of_memory
from dalm.train import Listener, Run
from dalm.train import fit as train
from dalm.verbs.groups import OptionsOf, data_of, options_of, sort_options
from dalm.verbs.outputs import replaced

LARGE = 100_000_000
"""Bytes of weights from which on their size is told before anything is learned."""


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
        try:
            if isinstance(family, str):
                return build({"family": name, "spec": data.spec} | options)
            return family(data.spec, **options)
        except (MemoryError, RuntimeError) as error:
            if (words := out_of_memory(error)) is None:
                raise
            raise DalmError(f"{name} of data of shape {data.spec.shape} runs {words}") from None


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
    data: str | Path | Data | Any,
    y: Any = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
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
        data: a name (`dalm sources` lists them), a file or a folder; in Python also loaded data, or
            an array, (X, y) and whatever else `load_data` takes.
        y: labels of data in memory.
        out: the folder to write, which must not exist; by default runs/FAMILY-DATA, numbered.
        resume: go on with what is in `out`, or start there if there is nothing.
        overwrite: replace the run in `out`.
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
    loaded = data_of(data, values["data"], y)
    model = _model(family, loaded, values["model"], values["train"].get("seed", 0))
    training = values["train"]
    if progress and (size := _bytes(model)) >= LARGE:
        print(f"{model.family}: weights of {in_bytes(size)}", flush=True)
    with _instead(out, resume, training) if overwrite and out else contextlib.nullcontext():
        return train(
            model,
            loaded,
            out=out,
            resume=resume,
            progress=progress,
            listeners=listeners,
            **training,
        )


def _instead(
    out: str | Path, resume: bool, training: Mapping[str, Any]
) -> contextlib.AbstractContextManager[None]:
    """The run in a folder set aside, or DalmError if it is needed for the one that replaces it."""
    for name in ("start_from", "plan"):
        source = training.get(name)
        if isinstance(source, str | Path) and Path(source).resolve() == Path(out).resolve():
            raise DalmError(
                f"{name} is the run {out} that overwrite would replace; choose another folder to "
                "write"
            )
    return replaced(Path(out), resume)


def _bytes(model: Generative) -> int:
    """What the weights take in memory, and in the run's folder."""
    return sum(tensor.nbytes for tensor in model.state_dict().values())


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
    return opened(path, device).model


def opened(path: str | Path, device: str | None) -> Run:
    """The run in a folder.

    Args:
        path: the folder.
        device: where its model goes; the CPU if nothing is said.
    """
    if not isinstance(path, str | Path):
        raise DalmError(f"load takes the folder of a run, got {type(path).__name__}")
    return Run.open(path, device or "cpu")
