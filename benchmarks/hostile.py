"""Damaged and made-up archives: each must decode to the right data or be refused, in bounded time
and memory.

    python benchmarks/hostile.py [--cases 10000] [--seed 0]

Valid archives of several families, with and without labels, models inside, several chunks; each
case flips bits, cuts, moves parts, or edits the header, a payload or the model inside (also with
the checksums made right again, as a forger would), and is read in a process whose memory is
watched.
"""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import time
import zlib
from collections import Counter
from dataclasses import dataclass, replace

from common import Json, arguments, save, table  # isort: skip
import numpy as np
import torch

from dalm.codec import Settings, archive, compress, decompress, hash_of, weights
from dalm.core import Density, Spec
from dalm.errors import DalmError
from dalm.models import KDE, VAE, Gaussian, Histogram, PixelCNN

SPEC = Spec((1, 6, 6), levels=5, classes=3)
KINDS = ("flip", "flips", "cut", "edit", "forge", "forge payload", "forge model", "swap")


def valid(model: Density, x: torch.Tensor, y: torch.Tensor | None, **settings: int) -> bytes:
    """An archive."""
    file = io.BytesIO()
    compress(model, x.numpy(), None if y is None else y.numpy(), file, Settings(**settings))
    return file.getvalue()


def spoil(content: bytes, kind: str, random: np.random.Generator) -> bytes:
    """A damaged copy."""
    bad = bytearray(content)
    if kind == "cut":
        return bytes(bad[: random.integers(len(bad))])
    if kind == "swap":
        a, b = sorted(random.integers(0, len(bad), 2))
        return bytes(bad[:a] + bad[b:] + bad[a:b])
    if kind == "forge payload":
        return forge_payload(bad, random)
    if kind == "forge model":
        return forge_model(content, random)
    end = len(archive.read_header(io.BytesIO(content)).to_bytes())
    for _ in range(1 if kind == "flip" else random.integers(1, 9)):
        where = random.integers(4, end) if kind in ("edit", "forge") else random.integers(len(bad))
        bad[where] = random.choice([0, 1, 127, 255, bad[where] ^ 1 << random.integers(8)])
    if kind == "forge":
        struct.pack_into("<I", bad, end - 4, zlib.crc32(bytes(bad[: end - 4])))
    return bytes(bad)


def forge_payload(bad: bytearray, random: np.random.Generator) -> bytes:
    """Random words in the last chunk, with its checksum made right."""
    content = bytes(bad)
    header = archive.read_header(file := io.BytesIO(content))
    if header.inside:
        archive.read_part(file, len(content))
    place = archive.survey(file, header, len(content))[-1]
    start = place + archive.PART.size
    for at in random.integers(start, len(bad), random.integers(1, 40)):
        bad[at] = random.integers(256)
    struct.pack_into("<I", bad, place + 4, zlib.crc32(bytes(bad[start:])))
    return bytes(bad)


def forge_model(content: bytes, random: np.random.Generator) -> bytes:
    """Random bytes in the model inside, if there is one, with all checksums and the model's hash
    made right.
    """
    header = archive.read_header(file := io.BytesIO(content))
    if not header.inside:
        return content[:-1]
    bad = bytearray(archive.read_part(file, len(content)))
    start = file.tell()
    for at in random.integers(0, len(bad), random.integers(1, 9)):
        bad[at] = random.integers(256)
    with contextlib.suppress(DalmError):
        header = replace(header, model=hash_of(weights.unpack_model(bytes(bad))))
    archive.write_part(part := io.BytesIO(), bytes(bad))
    return header.to_bytes() + part.getvalue() + content[start:]


def read(content: bytes, model: Density) -> tuple[bytes, bytes]:
    """All data and labels."""
    data = b""
    labels = b""
    for x, y in decompress(io.BytesIO(content), len(content), lambda header: model):
        data += x.tobytes()
        labels += b"" if y is None else y.tobytes()
    return data, labels


def peak() -> int:
    """The most memory this process has used, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True)
class Archive:
    """A good archive, its model, and what it holds."""

    model: Density
    content: bytes
    truth: tuple[bytes, bytes]


def archives(seed: int) -> list[Archive]:
    """Archives of several families."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 5, (40, 1, 6, 6), generator=generator).to(torch.uint8)
    y = torch.randint(0, 3, (40,), generator=generator)
    small = {"latent": 3, "width": 8, "depth": 1, "net": "mlp"}
    cases: list[tuple[Density, torch.Tensor | None, dict[str, int]]] = [
        (Histogram(SPEC), None, {"chunk": 16}),
        (Histogram(SPEC), y, {"embed": True}),
        (Gaussian(SPEC), y, {}),
        (KDE(SPEC, conditional=True), y, {"chunk": 11}),
        (PixelCNN(SPEC, width=4, depth=1), None, {"embed": True}),
        (VAE(SPEC, **small), None, {"samples": 2}),
        (VAE(SPEC, conditional=True, **small), y, {}),
    ]
    goods = []
    for model, labels, settings in cases:
        content = valid(model, x, labels, **settings)
        goods.append(Archive(model, content, read(content, model)))
    return goods


def outcome(bad: bytes, good: Archive) -> str:
    """What comes of reading a damaged copy."""
    try:
        return "right data" if read(bad, good.model) == good.truth else "wrong data"
    except DalmError:
        return "refused"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"crashed: {type(error).__name__}"


def main() -> None:
    options = arguments(__doc__, cases=10_000, seed=0)
    random = np.random.default_rng(options.seed)
    goods = archives(options.seed)
    before = peak()
    counts = Counter[str]()
    slowest = 0.0
    wrong = list[Json]()
    for case in range(200 if options.quick else options.cases):
        kind = str(random.choice(KINDS))
        k = int(random.integers(len(goods)))
        bad = spoil(goods[k].content, kind, random)
        began = time.perf_counter()
        end = outcome(bad, goods[k])
        slowest = max(slowest, time.perf_counter() - began)
        counts[f"{kind}: {end}"] += 1
        if end not in ("right data", "refused"):
            wrong.append({"case": case, "kind": kind, "subject": k, "outcome": end})

    after = peak()
    result = {
        "outcomes": dict(sorted(counts.items())),
        "wrong": wrong[:20],
        "bad": len(wrong),
        "slowest_s": slowest,
        "peak_before": before,
        "peak_after": after,
        "memory_ratio": after / before,
    }
    figures = [("slowest, s", slowest), ("memory over a good decode's", after / before)]
    table("archives", ["outcome", "cases"], [*counts.items(), *figures])
    save("hostile", result, options.quick)


if __name__ == "__main__":
    main()
