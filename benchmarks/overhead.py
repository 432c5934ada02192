"""What `dalm.fit` costs over a bare hand-written loop that does the same work.

    python benchmarks/overhead.py

The bare loop is what one writes for one model: shuffled batches by index, fused AdamW with the
cosine schedule, clipping, and a weight average by one fused call every eight steps, all from the
family's recipe. `fit` adds seeding of each step, the log, the NaN check, the run folder and a first
checkpoint. Two ratios: the whole call, and the loop alone (`seconds` in run.json). Validations and
snapshots are off on both sides.
"""

from __future__ import annotations

import copy
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import Json, arguments, mnist, ratio, save, spread, table, take_turns  # isort: skip
import torch
from torch import Tensor, nn

import dalm
from dalm.core import Recipe
from dalm.data import Data
from dalm.models import DCGAN, VAE
from dalm.verbs.models import make

CASES: dict[str, tuple[str, Json, int]] = {
    "vae conv": ("vae", {"net": "conv"}, 100),
    "vae mlp 512": ("vae", {"net": "mlp", "width": 512, "depth": 1}, 1000),
    "dcgan": ("dcgan", {}, 50),
}
"""Family, its options, and steps of one turn."""
EMA_EVERY = 8


def schedule(recipe: Recipe, step: int, steps: int) -> float:
    """A short linear warm-up, then a cosine to zero; or constant."""
    warm = min(500, max(1, steps // 20))
    if recipe.schedule == "constant":
        return recipe.lr
    return (
        recipe.lr
        * min((step + 1) / warm, 1.0)
        * (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm)))
        / 2
    )


def adamw(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    """The recipe's optimiser."""
    return torch.optim.AdamW(
        parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )


def update_ema(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the weights."""
    with torch.no_grad():
        weight = 1 - min(decay**EMA_EVERY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
        for mine, live in zip(average.buffers(), model.buffers(), strict=True):
            mine.copy_(live)


def bare(model: VAE | DCGAN, x: Tensor, steps: int) -> float:
    """The hand-written loop; returns the first player's last loss."""
    recipe = model.recipe
    noise = torch.Generator().manual_seed(0)
    size = recipe.batch_size
    average = copy.deepcopy(model).eval().requires_grad_(False)
    step_of = vae_step if isinstance(model, VAE) else gan_step
    take = step_of(model.train(), recipe, noise)
    for step in range(steps):
        place = step % (len(x) // size)
        if place == 0:
            order = torch.randperm(len(x), generator=noise)
        loss = take(x[order[place * size : (place + 1) * size]], schedule(recipe, step, steps))
        if (step + 1) % EMA_EVERY == 0:
            update_ema(average, model, step + 1, recipe.ema)
        if step % 10 == 0 and not math.isfinite(loss.item()):
            raise ArithmeticError("NaN")
    return loss.item()


Step = Callable[[Tensor, float], Tensor]


def vae_step(model: VAE, recipe: Recipe, noise: torch.Generator) -> Step:
    """One step of a VAE."""
    parameters = list(model.parameters())
    optimiser = adamw(parameters, recipe)

    def step(x: Tensor, lr: float) -> Tensor:
        loss = -model.elbo(x, None, noise).mean() / model.spec.dims
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.param_groups[0]["lr"] = lr
        optimiser.step()
        return loss.detach()

    return step


def gan_step(model: DCGAN, recipe: Recipe, noise: torch.Generator) -> Step:
    """One step of the discriminator, then of the generator on the same fakes."""
    players = [list(model.discriminator.parameters()), list(model.generator.parameters())]
    optimisers = [adamw(parameters, recipe) for parameters in players]
    softplus = nn.functional.softplus
    levels = model.spec.levels or 2

    def step(x: Tensor, lr: float) -> Tensor:
        real = (x + torch.rand(x.shape, generator=noise)) * (2 / levels) - 1
        height, width = model.grid[1:]
        fake = model.generator(torch.randn(len(x), model.latent, 1, 1, generator=noise))[
            :, :, :height, :width
        ]
        found = (
            softplus(-model.discriminator(real)) + softplus(model.discriminator(fake.detach()))
        ).mean()
        optimisers[0].zero_grad()
        found.backward(inputs=players[0])
        optimisers[0].step()
        fooled = softplus(-model.discriminator(fake)).mean()
        optimisers[1].zero_grad()
        fooled.backward(inputs=players[1])
        optimisers[1].step()
        return found.detach()

    return step


def measure(name: str, data: Data, steps: int, repeats: int) -> Json:
    """Turns of `fit` and the bare loop on one case."""
    family, options, usual = CASES[name]
    steps = steps or usual
    inside: list[float] = []
    losses: list[float] = []

    def fit() -> None:
        with tempfile.TemporaryDirectory() as folder:
            settings = {
                "validations": 0,
                "snapshots": 0,
                "checkpoint": 1e9,
                "progress": False,
                "precision": "float32",
                "device": "cpu",
            }
            run = dalm.fit(
                make(family, data, **options),
                data,
                steps=steps,
                out=Path(folder) / "run",
                **settings,
            )
            inside.append(run.meta["seconds"])

    def by_hand() -> None:
        losses.append(bare(make(family, data, **options), data.train.x, steps))

    times = take_turns({"bare": by_hand, "fit": fit}, repeats)
    times["loop"] = inside[-repeats:]
    whole = ratio(times, "fit", "bare")
    loop = ratio(times, "loop", "bare")
    seconds = {kind: spread(values) for kind, values in times.items()}
    return {
        "case": name,
        "steps": steps,
        "seconds": seconds,
        "fit / bare": whole,
        "loop / bare": loop,
        "bare_loss": losses[-1],
    }


def main() -> None:
    asked = arguments(__doc__, steps=0, repeats=7, cases=tuple(CASES))
    steps, repeats = (3, 2) if asked.quick else (asked.steps, asked.repeats)
    data = mnist(binary=True)
    began = time.perf_counter()
    found = [measure(name, data, steps, repeats) for name in asked.cases]
    rows = [
        [
            f["case"],
            f["steps"],
            f["seconds"]["bare"],
            f["seconds"]["fit"],
            f["fit / bare"],
            f["loop / bare"],
        ]
        for f in found
    ]
    table(
        f"{data.name}, seconds and ratios",
        ["case", "steps", "bare s", "fit s", "fit / bare", "loop alone / bare"],
        rows,
    )
    content = {
        "settings": vars(asked),
        "data": data.name,
        "results": found,
        "took": time.perf_counter() - began,
    }
    save("overhead", content, asked.quick)


if __name__ == "__main__":
    main()
