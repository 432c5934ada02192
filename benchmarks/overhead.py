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

from common import (  # isort: skip
    QUIET,
    Json,
    arguments,
    mnist,
    ratio,
    save,
    spread,
    table,
    take_turns,
)
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
GAN_BETAS = (0.5, 0.999)
SETTINGS: Json = QUIET | {"precision": "float32", "device": "cpu"}


def schedule(recipe: Recipe, step: int, steps: int) -> float:
    """A short linear warm-up, then a cosine to zero; or constant."""
    if recipe.schedule == "constant":
        return recipe.lr
    warm_up = min(500, max(1, steps // 20))
    rise = min((step + 1) / warm_up, 1.0)
    angle = math.pi * max(0, step - warm_up) / max(1, steps - warm_up)
    return recipe.lr * rise * (1 + math.cos(angle)) / 2


def adamw(
    parameters: list[nn.Parameter], recipe: Recipe, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.AdamW:
    """The recipe's optimiser."""
    decay = recipe.weight_decay
    return torch.optim.AdamW(parameters, recipe.lr, betas, weight_decay=decay, fused=True)


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the weights."""
    kept = min(decay, (1 + step) / (10 + step)) ** EMA_EVERY
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - kept)
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
        rows = order[place * size : (place + 1) * size]
        loss = take(x[rows], schedule(recipe, step, steps))
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
        likelihood, divergence = model.bound(x, None, noise)
        loss = (divergence - likelihood).mean() / model.spec.dims
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.param_groups[0]["lr"] = lr
        optimiser.step()
        return loss.detach()

    return step


def gan_step(model: DCGAN, recipe: Recipe, noise: torch.Generator) -> Step:
    """One step of the discriminator, then of the generator on the same fakes."""
    judges = list(model.discriminator.parameters())
    makers = list(model.generator.parameters())
    judge_optimiser = adamw(judges, recipe, GAN_BETAS)
    maker_optimiser = adamw(makers, recipe, GAN_BETAS)
    softplus = nn.functional.softplus
    levels = model.spec.levels or 2
    height, width = model.grid[1:]

    def step(x: Tensor, lr: float) -> Tensor:
        real = (x + torch.rand(x.shape, generator=noise)) * (2 / levels) - 1
        z = torch.randn(len(x), model.latent, 1, 1, generator=noise)
        fake = model.generator(z)[:, :, :height, :width]
        on_real = model.discriminator(real)
        on_fake = model.discriminator(fake.detach())
        loss = (softplus(-on_real) + softplus(on_fake)).mean()
        judge_optimiser.zero_grad()
        loss.backward(inputs=judges)
        judge_optimiser.step()
        fooled = softplus(-model.discriminator(fake)).mean()
        maker_optimiser.zero_grad()
        fooled.backward(inputs=makers)
        maker_optimiser.step()
        return loss.detach()

    return step


def measure(name: str, data: Data, steps: int, repeats: int) -> Json:
    """Turns of `fit` and the bare loop on one case."""
    family, options, usual = CASES[name]
    steps = steps or usual
    inside: list[float] = []
    losses: list[float] = []

    def fit() -> None:
        model = make(family, data, **options)
        with tempfile.TemporaryDirectory() as folder:
            run = dalm.fit(model, data, steps=steps, out=Path(folder) / "run", **SETTINGS)
        inside.append(run.meta["seconds"])

    def by_hand() -> None:
        model = make(family, data, **options)
        losses.append(bare(model, data.train.x, steps))

    times = take_turns({"bare": by_hand, "fit": fit}, repeats)
    times["loop"] = inside[-repeats:]
    return {
        "case": name,
        "steps": steps,
        "seconds": {kind: spread(values) for kind, values in times.items()},
        "fit / bare": ratio(times, "fit", "bare"),
        "loop / bare": ratio(times, "loop", "bare"),
        "bare_loss": losses[-1],
    }


def line(result: Json) -> list[object]:
    """A row of the table."""
    seconds = result["seconds"]
    times = [seconds["bare"], seconds["fit"]]
    return [result["case"], result["steps"], *times, result["fit / bare"], result["loop / bare"]]


def main() -> None:
    options = arguments(__doc__, steps=0, repeats=7, cases=tuple(CASES))
    steps, repeats = (3, 2) if options.quick else (options.steps, options.repeats)
    data = mnist(binary=True)
    began = time.perf_counter()
    results = [measure(name, data, steps, repeats) for name in options.cases]
    took = time.perf_counter() - began
    titles = ["case", "steps", "bare s", "fit s", "fit / bare", "loop alone / bare"]
    rows = [line(result) for result in results]
    table(f"{data.name}, seconds and ratios", titles, rows)
    content = {"data": data.name, "results": results, "took": took}
    save("overhead", {"settings": vars(options)} | content, options.quick)


if __name__ == "__main__":
    main()
