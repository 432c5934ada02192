"""Two promises of the codec: files travel between batch sizes and thread counts, and the drivers
cost little beside their coder.

    python benchmarks/codec.py [--files 100] [--repeats 9]

- travel: files of a few digits each, written at batch 2000 on two threads by `pixelcnn`, `vae`,
  `kde` and `discriminant`; each is read at batch 1 and at batch 7, on one thread and on two.
- throughput: the chain-rule and the bits-back driver against constriction called by hand on the
  same tables, already made, for 2, 17 and 256 levels. Coders take turns; the ratio is of the same
  turn.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from common import Json, arguments, ratio, save, spread, table, take_turns  # isort: skip
import constriction
import numpy as np
import torch
from torch import Tensor

import dalm
from dalm.codec import Settings, chain, compress, decompress
from dalm.codec.bitsback import MOST_GROUP_DATA
from dalm.codec.latent import LATENT_BINS, BitsBack
from dalm.codec.stack import Stack, initial_words
from dalm.codec.tables import LEVELS
from dalm.core import Autoregressive, Density, Spec, Variational
from dalm.exact import fixed
from dalm.verbs.models import make


def learned(family: str, steps: int, **options: int) -> Density:
    """A small model of the digits."""
    data = dalm.load_data("digits")
    model = make(family, data, **options)
    if family in ("kde", "discriminant"):
        model.passes(data.train.x, data.train.y, torch.Generator().manual_seed(0))
    else:
        optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
        for step in range(steps):
            generator = torch.Generator().manual_seed(step)
            ((_, closure),) = model.losses(
                data.train.x[torch.randint(1100, (64,), generator=generator)], None, generator
            )
            optimiser.zero_grad()
            closure().backward()
            optimiser.step()
    return model.eval()


def travels(model: Density, x: Tensor, y: Tensor | None) -> list[bool]:
    """Whether a file written at batch 2000 on two threads decodes at batches 1 and 7, on one thread
    and two.
    """
    torch.set_num_threads(2)
    file = io.BytesIO()
    compress(model, x.numpy(), None if y is None else y.numpy(), file, Settings(batch=2000))
    same = []
    for batch, threads in ((1, 1), (1, 2), (7, 1), (7, 2)):
        torch.set_num_threads(threads)
        chunks = decompress(
            io.BytesIO(file.getvalue()), len(file.getvalue()), lambda header: model, batch=batch
        )
        same.append(bool(np.array_equal(np.concatenate([part for part, _ in chunks]), x.numpy())))
    torch.set_num_threads(2)
    return same


def travel(files: int, images: int) -> Json:
    """Files by turns of the families, each of other digits."""
    test = dalm.load_data("digits").test
    models = [
        learned("pixelcnn", 40, width=16, depth=2),
        learned("vae", 300),
        learned("kde", 0),
        learned("discriminant", 0),
    ]
    same = []
    for k in range(files):
        rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(k))[:images]
        model = models[k % len(models)]
        same.append(travels(model, test.x[rows], test.y[rows] if model.conditional else None))
    return {
        "files": files,
        "images": images,
        "equal": sum(map(all, same)),
        "decodes": sum(map(len, same)),
        "decodes_equal": sum(map(sum, same)),
    }


@dataclass
class Replay:
    """A predictor of tables made before."""

    tables: Tensor
    at: int = 0

    def predict(self) -> Tensor:
        """(n, 1, levels)."""
        return self.tables[self.at][:, None]

    def update(self, values: Tensor) -> None:
        """(n, 1)."""
        self.at += 1


class Made(Autoregressive):
    """A density of tables made before."""

    family = "made"
    year = 2026
    paper = "this benchmark"
    likelihood = "exact"

    def __init__(self, tables: Tensor) -> None:
        super().__init__(Spec((len(tables),), levels=tables.shape[-1]))
        self.tables = tables

    def predictor(self, n: int, y: Tensor | None) -> Replay:
        """All n data."""
        return Replay(self.tables)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        raise NotImplementedError

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        raise NotImplementedError


def throughput(levels: int, n: int, dims: int, repeats: int) -> Json:
    """Seconds of the driver and of constriction by hand, both ways."""
    generator = torch.Generator().manual_seed(levels)
    weights = torch.randint(1, 1 << 20, (dims, n, levels), generator=generator).double()
    tables = fixed.table(weights)
    x = torch.randint(levels, (n, dims), generator=generator).to(torch.uint8)
    model = Made(tables)
    arrays = tables.numpy()
    columns = x.T.numpy().astype(np.int32)
    words = chain.encode(model, x, None, n, lambda entries: None)

    def by_hand() -> None:
        coder = constriction.stream.queue.RangeEncoder()
        for column, array in zip(columns, arrays, strict=True):
            coder.encode(column, LEVELS, array)
        assert np.array_equal(coder.get_compressed(), words)

    def by_hand_back() -> None:
        coder = constriction.stream.queue.RangeDecoder(words)
        back = np.stack([coder.decode(LEVELS, array) for array in arrays])
        assert back.shape == columns.shape

    times = take_turns(
        {
            "driver encodes": lambda: chain.encode(model, x, None, n, lambda entries: None),
            "by hand encodes": by_hand,
            "driver decodes": lambda: chain.decode(model, words, n, None, n, lambda entries: None),
            "by hand decodes": by_hand_back,
        },
        repeats,
    )
    found: Json = {"levels": levels, "n": n, "dims": dims}
    found |= {
        way: ratio(times, f"driver {way}", f"by hand {way}") for way in ("encodes", "decodes")
    }
    return found | {
        f"{name} ns": spread([1e9 * t / n / dims for t in times[name]]) for name in times
    }


class Given(BitsBack):
    """The bits-back driver over tables made before: of the codes (n, latent, bins), and of the data
    (n, dims, 2).
    """

    def __init__(self, codes: Tensor, tables: Tensor) -> None:
        known = SimpleNamespace(device=codes.device, conditional=False, latent=codes.shape[1])
        super().__init__(cast(Variational, known), 1, len(codes))
        self.codes = codes
        self.tables = tables
        self.rows = slice(0)

    def _posterior(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.codes[self.rows]

    def _blocks(self, z: Tensor, x: Tensor, y: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        return [(self.tables[self.rows], x)]

    def _read(self, stack: Stack, z: Tensor, y: Tensor | None) -> Tensor:
        return stack.pop(self.tables[self.rows])


def bits_back_throughput(n: int, latent: int, dims: int, repeats: int) -> Json:
    """Seconds of the bits-back driver and of constriction by hand, both ways, in groups of the size
    that a full stack allows.
    """
    generator = torch.Generator().manual_seed(0)
    codes = fixed.table(
        torch.randint(1, 1 << 20, (n, latent, LATENT_BINS), generator=generator).double()
    )
    tables = fixed.table(torch.randint(1, 1 << 20, (n, dims, 2), generator=generator).double())
    x = torch.randint(2, (n, dims), generator=generator)
    first = initial_words(100_000)
    groups = [
        slice(start, min(n, start + MOST_GROUP_DATA)) for start in range(0, n, MOST_GROUP_DATA)
    ]
    driver = Given(codes, tables)
    even = constriction.stream.model.Uniform(LATENT_BINS)
    arrays = [
        (
            codes[rows].flatten(0, 1).numpy(),
            tables[rows].flatten(0, 1).numpy(),
            x[rows].flatten().int().numpy(),
        )
        for rows in groups
    ]

    def push() -> Stack:
        stack = Stack(first, new=True)
        for driver.rows in groups:
            driver.push(stack, x[driver.rows], None)
        return stack

    def by_hand() -> Any:
        coder = constriction.stream.stack.AnsCoder(first, seal=True)
        for code, table_, values in arrays:
            z = coder.decode(LEVELS, code)
            coder.encode_reverse(values, LEVELS, table_)
            coder.encode_reverse(z, even)
        return coder

    words = push().coder.get_compressed()
    assert np.array_equal(words, by_hand().get_compressed())

    def pop() -> None:
        stack = Stack(words)
        for driver.rows in reversed(groups):
            driver.pop(stack, driver.rows.stop - driver.rows.start, None)
        assert stack.began_with(first)

    def by_hand_back() -> None:
        coder = constriction.stream.stack.AnsCoder(words)
        for code, table_, values in reversed(arrays):
            z = coder.decode(even, len(code))
            assert len(coder.decode(LEVELS, table_)) == len(values)
            coder.encode_reverse(z, LEVELS, code)
        assert np.array_equal(coder.get_compressed(unseal=True), first)

    times = take_turns(
        {
            "driver encodes": push,
            "by hand encodes": by_hand,
            "driver decodes": pop,
            "by hand decodes": by_hand_back,
        },
        repeats,
    )
    found: Json = {"n": n, "latent": latent, "dims": dims}
    return found | {
        way: ratio(times, f"driver {way}", f"by hand {way}") for way in ("encodes", "decodes")
    }


def main() -> None:
    asked = arguments(__doc__, files=100, images=12, repeats=9)
    files, repeats, n = (4, 1, 1000) if asked.quick else (asked.files, asked.repeats, 10_000)
    rows = [
        throughput(levels, n, dims, repeats) for levels, dims in ((2, 784), (17, 64), (256, 16))
    ]
    table("driver over constriction by hand", list(rows[0]), [list(row.values()) for row in rows])
    stacked = bits_back_throughput(n // 5, 40, 784, repeats)
    table("bits-back driver over constriction by hand", list(stacked), [list(stacked.values())])
    found = travel(files, asked.images)
    table("files that travel", list(found), [list(found.values())])
    save(
        "codec", {"throughput": rows, "bits_back_throughput": stacked, "travel": found}, asked.quick
    )


if __name__ == "__main__":
    main()
