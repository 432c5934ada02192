"""PixelCNN sampling: cached activations against one full pass for each pixel.

    python benchmarks/sampling.py

The naive sampler draws from the model's own `params` with the same generator, so both must give the
same samples. Weights are random, with the last layer enlarged so that samples depend on them; speed
does not depend on training. All pixels are timed, nothing is extrapolated. The naive sampler pays
its price in full passes, so it is repeated less often than the cached one.
"""

from __future__ import annotations

from common import Json, arguments, save, spread, table, timed  # isort: skip
import torch
from torch import Tensor, nn

from dalm import Spec
from dalm.core import evaluating
from dalm.models import PixelCNN

SHARPEN = 20.0  # on the last layer


def model(levels: int, side: int, dtype: torch.dtype = torch.float32) -> PixelCNN:
    """The default model for grey images, with opinions."""
    torch.manual_seed(0)
    made = PixelCNN(Spec((1, side, side), levels=levels)).to(dtype).eval()
    last = [part for part in made.modules() if isinstance(part, nn.Conv2d)][-1]
    last.weight.data *= SHARPEN
    return made


@torch.no_grad()
def naive(net: PixelCNN, n: int, generator: torch.Generator) -> Tensor:
    """One full pass for each pixel."""
    channels, height, width = net.grid
    x = torch.zeros(n, channels, height, width, dtype=torch.long)
    with evaluating(net):
        for i in range(height):
            for j in range(width):
                params = net.params(x, None)[:, :, i : i + 1, j : j + 1]
                x[:, :, i, j] = net.output_head.sample(params, generator)[:, :, 0, 0]
    return x.to(net.spec.dtype)


def seeded() -> torch.Generator:
    """The same noise for everyone."""
    return torch.Generator().manual_seed(1)


def sameness(levels: int, side: int, n: int, dtype: torch.dtype) -> Json:
    """Share of equal pixels and images; a pixel that rounds differently changes all after it."""
    net = model(levels, side, dtype)
    cached = net.sample(n, generator=seeded())
    full = naive(net, n, seeded())
    same = cached == full
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "images": n,
        "pixels_equal": same.double().mean().item(),
        "images_equal": same.flatten(1).all(1).double().mean().item(),
        "identical": bool(same.all()),
        "distinct_levels": len(cached.unique()),
    }


def speed(levels: int, side: int, batch: int, turns: int, cached_a_turn: int) -> Json:
    """Seconds of a whole batch, the cached sampler before and after each naive one."""
    net = model(levels, side)
    net.sample(batch, generator=seeded())
    quick: list[float] = []
    slow: list[float] = []

    def cached() -> Tensor:
        return net.sample(batch, generator=seeded())

    for _ in range(turns):
        quick += [timed(cached) for _ in range(cached_a_turn)]
        slow.append(timed(lambda: naive(net, batch, seeded())))
        quick += [timed(cached) for _ in range(cached_a_turn)]
    times = {"cached": spread(quick), "naive": spread(slow)}
    return {
        "batch": batch,
        "pixels": side * side,
        "seconds": times,
        "ratio": times["naive"]["median"] / times["cached"]["median"],
    }


def main() -> None:
    options = arguments(__doc__, levels=(256,), side=28, batch=64, turns=1, cached=3, same=8)
    side, batch, same = (6, 4, 4) if options.quick else (options.side, options.batch, options.same)
    results = []
    for levels in options.levels:
        equal = [sameness(levels, side, same, dtype) for dtype in (torch.float64, torch.float32)]
        speeds = speed(levels, side, batch, options.turns, options.cached)
        results.append({"levels": levels} | speeds | {"same": equal})

    titles = ["levels", "a pass a pixel", "cached", "ratio", "pixels equal, float64", "float32"]
    table(f"{side}×{side}, batch {batch}, seconds", titles, [line(result) for result in results])
    settings = vars(options) | {"weights_seed": 0, "noise_seed": 1}
    save("sampling", {"settings": settings, "results": results}, options.quick)


def line(result: Json) -> list[object]:
    """A row of the table."""
    seconds = result["seconds"]
    equal = [f"{dtype['pixels_equal']:.2%}" for dtype in result["same"]]
    return [result["levels"], seconds["naive"], seconds["cached"], result["ratio"], *equal]


if __name__ == "__main__":
    main()
