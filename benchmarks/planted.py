"""Cheats: rules that turn training rows (or test rows) into samples, and claims that are too good.

`benchmarks/cheats.py` plants them. Each is a function, and CHEATS, IMAGES, CLAIMS and SEALS name
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from trust.claims import more

from dalm.codec import code_lengths, exact_copy
from dalm.core import Batch, Generative, Work
from dalm.data import Data, load_data
from dalm.models import KDE, Discriminant, Gaussian, Histogram
from dalm.verbs.agreement import claim_of, contradiction
from dalm.verbs.claims import check_claim

SAMPLES = 2000
Draw = Callable[[Data, torch.Generator], Tensor]


def rows_of(x: Tensor, generator: torch.Generator, n: int = SAMPLES) -> Tensor:
    """Rows drawn without repetition as long as there are any."""
    rounds = [torch.randperm(len(x), generator=generator) for _ in range(-(-n // len(x)))]
    return x[torch.cat(rounds)[:n]]


def once_each(x: Tensor, generator: torch.Generator) -> Tensor:
    """At most 2,000 rows, each once."""
    return rows_of(x, generator, min(SAMPLES, len(x)))


def back(x: Tensor, data: Data) -> Tensor:
    """Values as the data have them."""
    if data.spec.levels is None:
        return x.double()
    return x.round().clamp(0, data.spec.levels - 1).to(data.spec.dtype)


def noisy(share: float) -> Draw:
    def draw(data: Data, generator: torch.Generator) -> Tensor:
        x = once_each(data.train.x, generator).double()
        unit = data.train.x.double().std(0) if data.spec.levels is None else data.spec.levels - 1
        return back(x + share * unit * torch.randn(x.shape, generator=generator), data)

    return draw


def mixed(share: float, other: Callable[[Data, torch.Generator, int], Tensor]) -> Draw:
    def draw(data: Data, generator: torch.Generator) -> Tensor:
        n = min(SAMPLES, len(data.train))
        copies = rows_of(data.train.x, generator, round(share * n))
        return torch.cat([copies, other(data, generator, n - len(copies))])

    return draw


def noise(data: Data, generator: torch.Generator, n: int) -> Tensor:
    shape = (n, *data.spec.shape)
    if data.spec.levels is not None:
        return torch.randint(data.spec.levels, shape, generator=generator).to(data.spec.dtype)
    x = data.train.x
    return x.mean(0) + x.std(0) * torch.randn(shape, generator=generator).double()


def honest(data: Data, generator: torch.Generator, n: int) -> Tensor:
    """Samples of a Gaussian or a kernel density, which copy nothing."""
    model = fitted("kde" if data.spec.levels is None else "gaussian", data)
    return model.sample(n, generator=generator)


_models: dict[tuple[str, str], Generative] = {}
FAMILIES = {"gaussian": Gaussian, "kde": KDE, "histogram": Histogram, "discriminant": Discriminant}


def fitted(name: str, data: Data) -> Generative:
    key = (name, data.fingerprint)
    if key not in _models:
        _models[key] = FAMILIES[name](data.spec)
        learn_in_full(_models[key], data.train.x, data.train.y)
    return _models[key]


def forget() -> None:
    """Models of data that are done with."""
    _models.clear()


def learn_in_full(model: Generative, x: Tensor, y: Tensor | None = None) -> None:
    model.measure(x)
    work = Work(Batch(model.standard(x), y))
    for _ in model.passes(work):
        work.number += 1


def posed(change: Callable[[Tensor], Tensor]) -> Draw:
    def draw(data: Data, generator: torch.Generator) -> Tensor:
        x = once_each(data.train.x, generator).double()
        images = x.view(len(x), -1, *data.spec.shape[-2:])
        return back(change(images).view(x.shape), data)

    return draw


def turn(degrees: float) -> Callable[[Tensor], Tensor]:
    angle = np.radians(degrees)
    matrix = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])

    def change(x: Tensor) -> Tensor:
        grid = F.affine_grid(matrix.expand(len(x), 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    return change


def swapped(data: Data, generator: torch.Generator) -> Tensor:
    """A patch of 3 × 3 pixels of another row."""
    x = once_each(data.train.x, generator).clone()
    other = x[torch.randperm(len(x), generator=generator)]
    row, column = (s // 2 for s in data.spec.shape[-2:])
    x[..., row : row + 3, column : column + 3] = other[..., row : row + 3, column : column + 3]
    return x


def averaged(data: Data, generator: torch.Generator) -> Tensor:
    """The mean of a row and its nearest one."""
    x = once_each(data.train.x, generator).double()
    flat = x.flatten(1)
    pool = data.train.x.double().flatten(1)
    near = torch.cdist(flat, pool).topk(2, largest=False).indices[:, 1]
    return back((flat + pool[near]).view(x.shape) / 2, data)


def modes(keep: Callable[[Tensor], Tensor]) -> Draw:
    """Fresh-looking rows (the held-out ones and training ones, jittered) of some modes alone."""

    def draw(data: Data, generator: torch.Generator) -> Tensor:
        labels = data.train.y
        if labels is None or not data.classes:
            labels = clusters(data)
        inside = keep(labels)
        x = data.train.x[inside]
        model = KDE(data.spec)
        model.measure(x)
        learn_in_full(model, x)
        return model.sample(SAMPLES, generator=generator)

    return draw


def clusters(data: Data) -> Tensor:
    from sklearn.cluster import KMeans

    k = {"grid25": 25, "ring8": 8}.get(data.name, 8)
    found = KMeans(k, n_init=3, random_state=0).fit_predict(data.train.x.flatten(1).numpy())
    return torch.as_tensor(found).long()


IMAGES: dict[str, Draw] = {
    "shifted": posed(lambda x: x.roll(1, -1)),
    "mirrored": posed(lambda x: x.flip(-1)),
    "turned by 10°": posed(turn(10)),
    "inverted": posed(lambda x: x.amax() - x),
    "contrast 80 %": posed(lambda x: 0.8 * x),
    "patch swapped": swapped,
}
CHEATS: dict[str, Draw] = {
    "copies": lambda data, generator: once_each(data.train.x, generator),
    **{f"copies, noise {s:.0%}": noisy(s) for s in (0.01, 0.05, 0.1, 0.2)},
    **{f"{s:.0%} copies, honest": mixed(s, honest) for s in (0.1, 0.2, 0.4)},
    **{f"{s:.0%} copies, noise": mixed(s, noise) for s in (0.1, 0.2, 0.4)},
    "averaged": averaged,
    "one mode": modes(lambda y: y == 0),
    "half of the modes": modes(lambda y: y < (y.max() + 1) // 2),
    "all modes but one": modes(lambda y: y != 1),
    "one row repeated": lambda data, g: rows_of(data.train.x, g, 1).repeat_interleave(SAMPLES, 0),
    "20 rows repeated": lambda data, g: rows_of(data.train.x, g, 20).repeat(
        SAMPLES // 20, *[1] * len(data.spec.shape)
    ),
    "test rows": lambda data, generator: once_each(data.test.x, generator),
}


def impossible(data: Data, seed: int) -> list[str]:
    """A Gaussian that claims 100 nats too much of each datum."""
    return _alarm(check_claim(more(fitted("gaussian", data), 100.0), data, seed))


def _alarm(found: Any) -> list[str]:
    """The alarm of a claim, if it is called impossible."""
    return ["impossible (bits_per_dim)"] if found and found.status == "impossible" else []


def wrong_of_few(data: Data, seed: int) -> list[str]:
    """A claim divided by 8, of 20 rows that are to be sealed."""
    model = fitted("gaussian", data)
    x = data.test.subset(20).x
    claim, length = claim_of(model, x), code_lengths(exact_copy(model), x)
    wrong = type(claim)(claim.each.sum().item() / 8, claim.noise, claim.allowed, claim.each / 8)
    return ["unsealed (proven)"] if contradiction(wrong, length) else []


def spikes(data: Data, seed: int) -> list[str]:
    """A density on values that are recorded with a step."""
    x = data.train.x.double()
    step = x.std() / 10 if len(data.spec.shape) > 1 else x.std(0) / 10
    rounded = load_data(((x / step).round() * step).numpy(), seed=seed)
    return ["not ranked (bits_per_dim)"] if rounded.recorded else []


CLAIMS: dict[str, Callable[[Data, int], list[str]]] = {
    "impossible claim": impossible,
    "spikes on recorded values": spikes,
}
SEALS = {"wrong claim of 20 rows": wrong_of_few}
"""Only levels are sealed by a file."""
