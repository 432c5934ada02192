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
from dataclasses import replace

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
    chunks = list(decompress(io.BytesIO(content), len(content), lambda header: model))
    return b"".join(x.tobytes() for x, _ in chunks), b"".join(
        y.tobytes() for _, y in chunks if y is not None
    )


def peak() -> int:
    """The most memory this process has used, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    asked = arguments(__doc__, cases=10_000, seed=0)
    random = np.random.default_rng(asked.seed)
    generator = torch.Generator().manual_seed(asked.seed)
    x = torch.randint(0, 5, (40, 1, 6, 6), generator=generator).to(torch.uint8)
    y = torch.randint(0, 3, (40,), generator=generator)
    subjects: list[tuple[Density, torch.Tensor | None, dict[str, int]]] = [
        (Histogram(SPEC), None, {"chunk": 16}),
        (Histogram(SPEC), y, {"embed": True}),
        (Gaussian(SPEC), y, {}),
        (KDE(SPEC, conditional=True), y, {"chunk": 11}),
        (PixelCNN(SPEC, width=4, depth=1), None, {"embed": True}),
        (VAE(SPEC, latent=3, width=8, depth=1, net="mlp"), None, {"samples": 2}),
        (VAE(SPEC, conditional=True, latent=3, width=8, depth=1, net="mlp"), y, {}),
    ]
    goods = [(model, valid(model, x, labels, **settings)) for model, labels, settings in subjects]
    truths = [read(content, model) for model, content in goods]
    before = peak()
    found = Counter[str]()
    slowest = 0.0
    wrong = list[Json]()
    for case in range(200 if asked.quick else asked.cases):
        kind = str(random.choice(KINDS))
        k = int(random.integers(len(goods)))
        bad = spoil(goods[k][1], kind, random)
        began = time.perf_counter()
        try:
            outcome = "right data" if read(bad, goods[k][0]) == truths[k] else "wrong data"
        except DalmError:
            outcome = "refused"
        except BaseException as error:
            outcome = f"crashed: {type(error).__name__}"
            if isinstance(error, KeyboardInterrupt):
                raise
        slowest = max(slowest, time.perf_counter() - began)
        found[f"{kind}: {outcome}"] += 1
        if outcome not in ("right data", "refused"):
            wrong.append({"case": case, "kind": kind, "subject": k, "outcome": outcome})
    result = {
        "outcomes": dict(sorted(found.items())),
        "wrong": wrong[:20],
        "bad": len(wrong),
        "slowest_s": slowest,
    }
    result |= {"peak_before": before, "peak_after": peak(), "memory_ratio": peak() / before}
    table(
        "archives",
        ["outcome", "cases"],
        [*found.items(), ("slowest, s", slowest), ("memory over a good decode's", peak() / before)],
    )
    save("hostile", result, asked.quick)


if __name__ == "__main__":
    main()
