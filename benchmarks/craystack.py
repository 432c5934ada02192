"""A published VAE's weights in dalm's `vae`, and the binarised MNIST test set as a file of their
bound.

    python benchmarks/craystack.py [--samples 1 16]

The weights are craystack's: 784-100-40-100-784, ReLU, Bernoulli. The first layer is given data in 0
… 1 there and in -1 … 1 here, so its weights are halved and its bias moved; nothing else changes.
The images are drawn as `RandomState(0).random_sample((10000, 28, 28)) < x / 255`. The payload is
what the archive holds without its header: stream and initial words.
"""

from __future__ import annotations

import io
import math
import time

from common import MNIST, Json, arguments, save, table  # isort: skip
import numpy as np
import torch
from torch import Tensor, nn

from dalm.codec import Settings, compress, decompress
from dalm.core import Spec
from dalm.models import VAE

WEIGHTS = MNIST.with_name("craystack_vae.npz")


def published() -> VAE:
    """The `vae` with the published weights."""
    found = {name: torch.from_numpy(array) for name, array in np.load(WEIGHTS).items()}
    model = VAE(Spec((1, 28, 28), levels=2), latent=40, net="mlp", width=100, depth=1)
    first, last = (layer for layer in model.encoder.modules() if isinstance(layer, nn.Linear))
    fill(first, found["fc1.weight"] / 2, found["fc1.bias"] + found["fc1.weight"].sum(1) / 2)
    fill(
        last,
        *(torch.cat([found[f"fc21.{part}"], found[f"fc22.{part}"]]) for part in ("weight", "bias")),
    )
    for name, layer in zip(
        ("fc3", "fc4"),
        (layer for layer in model.decoder.modules() if isinstance(layer, nn.Linear)),
        strict=True,
    ):
        fill(layer, found[f"{name}.weight"], found[f"{name}.bias"])
    return model.eval()


def fill(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    """Put weights into a layer of just their shape."""
    assert layer.weight.shape == weight.shape
    layer.weight.data = weight.clone()
    layer.bias.data = bias.clone()


def images(n: int) -> Tensor:
    """The first n binarised test images, (n, 1, 28, 28)."""
    with np.load(MNIST) as arrays:
        grey = arrays["x_test"].reshape(10_000, 28, 28)
    return torch.from_numpy(np.random.RandomState(0).random_sample((10_000, 28, 28)) < grey / 255)[
        :n, None
    ].to(torch.uint8)


def measure(model: VAE, x: Tensor, samples: int) -> Json:
    """Write and read one archive."""
    file = io.BytesIO()
    began = time.perf_counter()
    header = compress(model, x.numpy(), None, file, Settings(samples=samples, chunk=len(x)))
    middle = time.perf_counter()
    content = file.getvalue()
    back = np.concatenate(
        [
            part
            for part, _ in decompress(
                io.BytesIO(content), len(content), lambda header: model, batch=97
            )
        ]
    )
    ended = time.perf_counter()
    with torch.no_grad():
        nats = model.importance_bound(x, samples=samples) if samples > 1 else model.log_prob(x)
    claim = -nats.sum(dtype=torch.float64).item() / math.log(2) / 8
    payload = len(content) - len(header.pack()) - 8
    same = bool(np.array_equal(back, x.numpy()))
    return {
        "samples": samples, "images": len(x), "claim_bytes": claim, "file_bytes": len(content), "payload_bytes": payload,
        "payload_over_claim": payload / claim, "same": same, "encode_s": middle - began, "decode_s": ended - middle,
    }  # fmt: skip


def main() -> None:
    asked = arguments(__doc__, samples=(1, 16))
    model = published()
    x = images(100 if asked.quick else 10_000)
    compress(model, x[:10].numpy(), None, io.BytesIO())  # makes the tables of functions
    rows = [measure(model, x, samples) for samples in asked.samples]
    table(
        "craystack's VAE, binarised MNIST test images",
        list(rows[0]),
        [list(row.values()) for row in rows],
    )
    save("craystack", {"threads": torch.get_num_threads(), "results": rows}, asked.quick)


if __name__ == "__main__":
    main()
