"""Samples of a run, as an array or into files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core import Generative
from dalm.data import class_labels, class_number
from dalm.errors import DalmError, check_seed, is_integer
from dalm.train import Run
from dalm.verbs.groups import OptionsOf
from dalm.verbs.models import opened
from dalm.verbs.outputs import target_of, write_samples

BATCH = 500
"""Samples that are drawn at once."""


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
        out: a picture (.png), an array (.npz, .npy), a table (.csv), or a folder (no ending) for
            a picture of each; of a conditional model .npz and .csv hold the classes as `y` too, as
            the data call them, and a folder has one for each class.
        seed: of the samples.
        label: class of all samples as the data call it, where the model is conditional.
        device: where to compute; by default where the model is, and of a folder on the CPU.
        **options: what the family offers for a single call, such as a temperature.

    Returns:
        The samples, (n, *shape), or if `out` is given the path of the file.

    Raises:
        DalmError: the run, the number, the class or the ending of `out` do not suit.
    """
    path = None if out is None else target_of(out)
    if not (is_integer(n) and n >= 1):
        raise DalmError(f"the number of samples is a positive whole number, got {n!r}")
    run = run if isinstance(run, Run) else opened(run, device)
    model = run.model if device is None else run.model.to(device)
    names = run.meta["data"].get("classes") or [str(y) for y in range(model.spec.classes or 0)]
    number = None if label is None else _class_of(model, label, names)
    if number is not None and not model.prior[number]:
        raise DalmError(
            f"there were no training rows of class {names[number]!r}, so {model.family} knows "
            "nothing of it"
        )
    generator = torch.Generator(model.device).manual_seed(check_seed(seed))
    classes = _classes(model, int(n), number, generator)
    x = _draw(model, classes, generator, options)
    if path is None:
        return x
    y = class_labels(classes.cpu().numpy(), names) if model.conditional else None
    return write_samples(path, x, y, model.spec)


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
