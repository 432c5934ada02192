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
from typing import cast

from common import Json, arguments, learn, ratio, save, spread, table, take_turns  # isort: skip
import constriction
import numpy as np
import torch
from numpy.typing import NDArray
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


def travels(model: Density, x: Tensor, y: Tensor | None) -> list[bool]:
    """Whether a file written at batch 2000 on two threads decodes at batches 1 and 7, on one thread
    and two.
    """
    torch.set_num_threads(2)
    file = io.BytesIO()
    compress(model, x.numpy(), None if y is None else y.numpy(), file, Settings(batch=2000))
    size = len(file.getvalue())
    same = []
    for batch, threads in ((1, 1), (1, 2), (7, 1), (7, 2)):
        torch.set_num_threads(threads)
        file.seek(0)
        chunks = decompress(file, size, lambda header: model, batch=batch)
        back = np.concatenate([part for part, _ in chunks])
        same.append(bool(np.array_equal(back, x.numpy())))
    torch.set_num_threads(2)
    return same


def travel(files: int, images: int) -> Json:
    """Files by turns of the families, each of other digits."""
    data = dalm.load_data("digits")
    test = data.test
    models = [
        learn(make("pixelcnn", data, width=16, depth=2), data, steps=40),
        learn(make("vae", data), data, steps=300),
        learn(make("kde", data), data),
        learn(make("discriminant", data), data),
    ]
    same = []
    for k in range(files):
        rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(k))[:images]
        model = models[k % len(models)]
        labels = test.y[rows] if model.conditional else None
        same.append(travels(model, test.x[rows], labels))
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
        table = self.tables[self.at]
        return table[:, None]

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
    tables = random_tables(dims, n, levels, generator=generator)
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

    contestants = {
        "driver encodes": lambda: chain.encode(model, x, None, n, lambda entries: None),
        "by hand encodes": by_hand,
        "driver decodes": lambda: chain.decode(model, words, n, None, n, lambda entries: None),
        "by hand decodes": by_hand_back,
    }
    times = take_turns(contestants, repeats)
    symbols = n * dims
    nanoseconds = {
        f"{name} ns": spread([1e9 * second / symbols for second in seconds])
        for name, seconds in times.items()
    }
    return {"levels": levels, "n": n, "dims": dims} | over_by_hand(times) | nanoseconds


def over_by_hand(times: dict[str, list[float]]) -> Json:
    """How many times as long the driver takes, both ways."""
    ways = ("encodes", "decodes")
    return {way: ratio(times, f"driver {way}", f"by hand {way}") for way in ways}


class Given(BitsBack):
    """The bits-back driver over tables made before: of the codes (n, latent, bins), and of the data
    (n, dims, 2).
    """

    def __init__(self, codes: Tensor, tables: Tensor) -> None:
        spec = Spec(codes.shape[1:2])
        model = SimpleNamespace(device=codes.device, conditional=False, codes=spec)
        super().__init__(cast(Variational, model), 1, len(codes))
        self.codes = codes
        self.tables = tables
        self.rows = slice(0)

    def _posterior(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.codes[self.rows]

    def _blocks(self, z: Tensor, x: Tensor, y: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        block = (self.tables[self.rows], x)
        return [block]

    def _read(self, stack: Stack, z: Tensor, y: Tensor | None) -> Tensor:
        return stack.pop(self.tables[self.rows])


class ByHand:
    """The same as the bits-back driver, as one writes it with constriction."""

    def __init__(self, codes: Tensor, tables: Tensor, x: Tensor, groups: list[slice]) -> None:
        self.even = constriction.stream.model.Uniform(LATENT_BINS)
        self.groups = [
            (flat(codes[rows]), flat(tables[rows]), x[rows].flatten().int().numpy())
            for rows in groups
        ]

    def push(self, first: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """All groups onto the initial words."""
        coder = constriction.stream.stack.AnsCoder(first, seal=True)
        for codes, tables, values in self.groups:
            z = coder.decode(LEVELS, codes)
            coder.encode_reverse(values, LEVELS, tables)
            coder.encode_reverse(z, self.even)
        return coder.get_compressed()

    def pop(self, words: NDArray[np.uint32], first: NDArray[np.uint32]) -> None:
        """All groups back, down to the initial words."""
        coder = constriction.stream.stack.AnsCoder(words)
        for codes, tables, values in reversed(self.groups):
            z = coder.decode(self.even, len(codes))
            assert len(coder.decode(LEVELS, tables)) == len(values)
            coder.encode_reverse(z, LEVELS, codes)
        assert np.array_equal(coder.get_compressed(unseal=True), first)


def flat(tables: Tensor) -> NDArray[np.float64]:
    """Tables of (n, entries, levels) as (n * entries, levels), as constriction takes them."""
    return tables.flatten(0, 1).numpy()


def random_tables(*shape: int, generator: torch.Generator) -> Tensor:
    """Tables of any shape, none of whose parts is zero."""
    return fixed.table(torch.randint(1, 1 << 20, shape, generator=generator).double())


def bits_back_throughput(n: int, latent: int, dims: int, repeats: int) -> Json:
    """Seconds of the bits-back driver and of constriction by hand, both ways, in groups of the size
    that a full stack allows.
    """
    generator = torch.Generator().manual_seed(0)
    codes = random_tables(n, latent, LATENT_BINS, generator=generator)
    tables = random_tables(n, dims, 2, generator=generator)
    x = torch.randint(2, (n, dims), generator=generator)
    first = initial_words(100_000)
    starts = range(0, n, MOST_GROUP_DATA)
    groups = [slice(start, min(n, start + MOST_GROUP_DATA)) for start in starts]
    driver = Given(codes, tables)
    by_hand = ByHand(codes, tables, x, groups)

    def push() -> Stack:
        stack = Stack(first, new=True)
        for driver.rows in groups:
            driver.push(stack, x[driver.rows], None)
        return stack

    def pop() -> None:
        stack = Stack(words)
        for driver.rows in reversed(groups):
            driver.pop(stack, driver.rows.stop - driver.rows.start, None)
        assert stack.began_with(first)

    words = push().coder.get_compressed()
    assert np.array_equal(words, by_hand.push(first))
    contestants = {
        "driver encodes": push,
        "by hand encodes": lambda: by_hand.push(first),
        "driver decodes": pop,
        "by hand decodes": lambda: by_hand.pop(words, first),
    }
    times = take_turns(contestants, repeats)
    return {"n": n, "latent": latent, "dims": dims} | over_by_hand(times)


def main() -> None:
    options = arguments(__doc__, files=100, images=12, repeats=9)
    files, repeats, n = (4, 1, 1000) if options.quick else (options.files, options.repeats, 10_000)
    sizes = ((2, 784), (17, 64), (256, 16))
    rows = [throughput(levels, n, dims, repeats) for levels, dims in sizes]
    table("driver over constriction by hand", list(rows[0]), [list(row.values()) for row in rows])
    stacked = bits_back_throughput(n // 5, 40, 784, repeats)
    table("bits-back driver over constriction by hand", list(stacked), [list(stacked.values())])
    counts = travel(files, options.images)
    table("files that travel", list(counts), [list(counts.values())])
    content = {"throughput": rows, "bits_back_throughput": stacked, "travel": counts}
    save("codec", content, options.quick)


if __name__ == "__main__":
    main()
