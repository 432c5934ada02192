"""Classical coders: ten thousand round trips each, bits a pixel on the digits beside the
compressors that people use, and speed.

    python benchmarks/coders.py

Cases are drawn by their number, so that a failure can be found again: an alphabet of 1 to 2^16
levels, up to 300 symbols, and one of seven kinds of message. The sizes on the digits are those of
whole files: the last 500 images, 32,000 pixels of 17 levels, as one message or one mosaic. A coder
that learns starts from nothing; the baselines do too.
"""

from __future__ import annotations

from common import Json, arguments, installed, save, spread, table, take_turns, timed  # isort: skip
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalm.codec.baselines import BASELINES, Baseline, order0_entropy
from dalm.codec.classic import BWT, CODERS, Adaptive, Coder, Delta, RunLength
from dalm.data import load_data
from dalm.errors import DalmError

Symbols = NDArray[np.int64]

LEVELS = (1, 2, 3, 17, 256, 257, 1000, 65536)
LONGEST = 300
KINDS = ("even", "geometric", "runs", "walk", "equal", "phrases", "normal")
LIBRARIES = ("constriction", "bitarray", "pydivsufsort", "imagecodecs", "pyppmd", "zstandard")
DEFAULTS: tuple[Coder, ...] = tuple(coder() for coder in CODERS)
WITH_CONTEXT: tuple[Coder, ...] = (
    Adaptive(order=1),
    Adaptive(order=2),
    RunLength(order=1),
    Delta(order=1),
    BWT(order=1),
)


def draw(kind: str, noise: np.random.Generator, n: int, levels: int) -> Symbols:
    """A message of n symbols."""
    if kind == "even":
        return noise.integers(0, levels, n)
    if kind == "geometric":
        return np.minimum(noise.geometric(0.3, n) - 1, levels - 1)
    if kind == "runs":
        return np.repeat(noise.integers(0, levels, n), noise.geometric(0.1, n))[:n]
    if kind == "walk":
        return np.cumsum(noise.integers(-2, 3, n)) % levels
    if kind == "equal":
        return np.full(n, noise.integers(0, levels))
    if kind == "phrases":
        return np.resize(noise.integers(0, levels, 1 + n // 7), n)
    return np.clip(noise.normal(levels / 2, levels / 8, n), 0, levels - 1).astype(np.int64)


def case(number: int) -> tuple[Symbols, int]:
    """Symbols and levels; every fiftieth message is empty and every fiftieth has one symbol."""
    noise = np.random.default_rng(number)
    levels = LEVELS[number % len(LEVELS)]
    n = min(number % 50, 1) if number % 50 < 2 else int(noise.integers(2, LONGEST + 1))
    return draw(str(noise.choice(KINDS)), noise, n, levels), levels


def returns(coder: Coder, number: int) -> bool:
    """Whether a case comes back as it was."""
    symbols, levels = case(number)
    try:
        return np.array_equal(coder.decode(coder.encode(symbols, levels)), symbols)
    except DalmError:
        return False


def round_trips(coder: Coder, cases: int) -> Json:
    """How many cases came back, and which did not."""
    failed: list[int] = []
    seconds = timed(
        lambda: failed.extend(number for number in range(cases) if not returns(coder, number))
    )
    return {"coder": repr(coder), "cases": cases, "failed": failed, "seconds": seconds}


def excess(cases: int) -> Json:
    """Bits of the adaptive coder's streams above its own code length, after the head, at order 0;
    at most a byte and rounding.
    """
    coder = Adaptive()
    above = []
    for number in range(cases):
        symbols, levels = case(number)
        if len(symbols) and levels > 1:
            head = len(coder.encode(symbols[:0], levels)) + (len(symbols) > 127) + 1
            above.append(
                8 * (len(coder.encode(symbols, levels)) - head) - coder.code_length(symbols, levels)
            )
    return {"cases": len(above), "least": min(above), "most": max(above)}


def sizes(x: NDArray[Any]) -> dict[str, float]:
    """Bits a pixel of images (N, C, H, W) of 17 levels, the smallest first."""
    found = {"entropy of single pixels": order0_entropy(x)}
    found |= {
        repr(coder): 8 * len(coder.encode(x.reshape(-1), 17)) / x.size
        for coder in (*DEFAULTS, *WITH_CONTEXT)
    }
    found |= {f"{name}, whole": 8 * len(Baseline(name, 17).whole(x)) / x.size for name in BASELINES}
    found |= {
        f"{name}, each": 8 * sum(map(len, Baseline(name, 17).each(x))) / x.size
        for name in BASELINES
    }
    return dict(sorted(found.items(), key=lambda item: item[1]))


def speed(symbols: NDArray[Any], levels: int, turns: int) -> dict[str, Json]:
    """Million symbols a second, to a stream and back."""
    jobs = {}
    for coder in (*DEFAULTS, *WITH_CONTEXT):
        jobs[f"{coder!r} encode"] = functools.partial(coder.encode, symbols, levels)
        jobs[f"{coder!r} decode"] = functools.partial(coder.decode, coder.encode(symbols, levels))
    times = take_turns(jobs, turns, warm=False)
    return {
        name: spread([len(symbols) / 1e6 / seconds for seconds in found])
        for name, found in times.items()
    }


def main() -> None:
    asked = arguments(__doc__, cases=10_000, turns=3, size=1 << 20)
    cases, turns, size = (64, 1, 4096) if asked.quick else (asked.cases, asked.turns, asked.size)
    x = load_data("digits").test.x.numpy()
    trips = [round_trips(coder, cases) for coder in DEFAULTS]
    table(
        "round trips",
        ["coder", "cases", "failed", "seconds"],
        [[*t.values()][:2] + [len(t["failed"]), t["seconds"]] for t in trips],
    )
    pixels = sizes(x)
    table("digits, bits a pixel", ["what", "bits"], list(pixels.items()))
    inputs = {
        "digits": (x.reshape(-1), 17),
        "walk": (draw("walk", np.random.default_rng(0), size, 256), 256),
    }
    speeds = {name: speed(*given, turns) for name, given in inputs.items()}
    for name, found in speeds.items():
        table(f"{name}, million symbols a second", ["coder", "speed"], list(found.items()))
    result = {
        "round_trips": trips,
        "adaptive_excess_bits": excess(cases),
        "bits_per_pixel": pixels,
        "symbols_per_microsecond": speeds,
    }
    save(
        "coders",
        {"settings": vars(asked), "libraries": {name: installed(name) for name in LIBRARIES}}
        | result,
        asked.quick,
    )


if __name__ == "__main__":
    main()
