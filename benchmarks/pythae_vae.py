"""Training speed of a VAE in dalm and in pythae 0.1.2, on the same net, data, batch and machine.

    pip install --no-deps pythae==0.1.2 pydantic pydantic-core annotated-types typing-inspection
    tqdm imageio cloudpickle python benchmarks/pythae_vae.py

(`--no-deps` leaves torch alone. pythae needs no torchvision.) The net is pythae's default:
784-512-(32, 32) and 32-512-784, ReLU, Bernoulli output, batch 128, Adam with the same peak rate.
pythae gets its own best setting, chosen in a shorter race on fewer images: 0 or 2 loader workers,
plain or fused Adam; its progress bar and its log are off, and its mixed precision is for CUDA
alone. dalm runs three times: as it comes (bfloat16 where the machine has it, clipping, weight
average, cosine schedule), the same in float32, and in float32 with pythae's work alone (none of
those three). Validation and snapshots are off. Times are of the whole call, setting up and saving
included. All end with a validation bound, as a sign that they did learn.
"""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"

# isort: skip
import torch
from common import QUIET, Json, arguments, mnist, ratio, save, spread, table, take_turns, timed
from pythae import models as peer
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from torch import Tensor

import dalm
from dalm.data import Data, Split
from dalm.verbs.models import make

NET: Json = {"net": "mlp", "width": 512, "depth": 1, "latent": 32}
SINGLE: Json = {"precision": "float32"}
SAME_WORK: Json = SINGLE | {"clip": 0.0, "ema": 0.0, "schedule": "constant", "weight_decay": 0.0}
WAYS: dict[str, Json] = {"dalm": {}, "dalm_float32": SINGLE, "dalm_same_work": SAME_WORK}
BATCH = 128
LR = 1e-3


def cut(data: Data, images: int) -> Data:
    """The first training images, a whole number of batches, so that both sides see every image in
    each epoch.
    """
    n = min(images, len(data.train)) // BATCH * BATCH
    return replace(data, train=Split(data.train.x[:n]))


def ours(data: Data, epochs: int, options: Json) -> dalm.core.Generative:
    """Train dalm's VAE for some epochs."""
    steps = epochs * len(data.train) // BATCH
    settings = QUIET | {"batch_size": BATCH, "lr": LR, "device": "cpu"} | options
    model = make("vae", data, **NET)
    with tempfile.TemporaryDirectory() as folder:
        return dalm.fit(model, data, steps=steps, out=Path(folder) / "run", **settings).model


def alternatives(data: Data, seconds: float) -> list[Json]:
    """Steps a second of each precision, layout and number of threads that a budget of seconds
    tries, the chosen one first.
    """
    settings = QUIET | {"batch_size": BATCH, "lr": LR, "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "run"
        run = dalm.fit(make("vae", data, **NET), data, seconds=seconds, out=where, **settings)
    tried: list[Json] = run.meta["speed"]
    return tried


def peer_model() -> peer.VAE:
    """pythae's VAE with its default nets."""
    torch.manual_seed(0)
    return peer.VAE(
        peer.VAEConfig(input_dim=(1, 28, 28), latent_dim=NET["latent"], reconstruction_loss="bce")
    )


def theirs(x: Tensor, epochs: int, setting: Json) -> peer.VAE:
    """Train pythae's VAE for some epochs."""
    model = peer_model()
    dataset = BaseDataset(x, torch.ones(len(x)))
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=LR,
            per_device_train_batch_size=BATCH,
            train_dataloader_num_workers=setting["workers"],
            optimizer_cls="Adam",
            optimizer_params={"fused": True} if setting["fused"] else None,
            no_cuda=True,
        )
        TrainingPipeline(model=model, training_config=training)(train_data=dataset)
    return model


def best_setting(x: Tensor) -> list[Json]:
    """pythae's settings by seconds for one epoch of a few images, the best of three turns each."""
    settings = [
        {"workers": workers, "fused": fused}
        for workers, fused in itertools.product((0, 2), (False, True))
    ]
    runs: dict[str, Callable[[], Any]] = {
        str(k): lambda s=setting: theirs(x, 1, s) for k, setting in enumerate(settings)
    }
    times = take_turns(runs, 3, warm=False)
    trials = [
        {"setting": settings[int(k)], "seconds": min(seconds)} for k, seconds in times.items()
    ]
    return sorted(trials, key=lambda trial: trial["seconds"])


@torch.no_grad()
def bounds(trained: dict[str, Any], x: Tensor) -> Json:
    """Mean validation bound of each, in nats per image."""
    other = trained.pop("pythae").eval()
    loss = other(DatasetOutput(data=x.float())).loss.item()
    return {name: model.log_prob(x).mean().item() for name, model in trained.items()} | {
        "pythae": -loss
    }


def quieten() -> None:
    """Turn pythae's log off: its loggers write to the console at every epoch."""
    logging.disable(logging.INFO)


def parameters(data: Data) -> Json:
    """How many both nets have; as many, or they cannot be compared."""
    nets = {"dalm": make("vae", data, **NET), "pythae": peer_model()}
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    assert sizes["dalm"] == sizes["pythae"], sizes
    return sizes


def race(data: Data, epochs: int, repeats: int, setting: Json) -> tuple[Json, Json]:
    """Seconds of each contestant's turns, and the models that they end with."""
    trained: Json = {}

    def run_ours(name: str) -> None:
        trained[name] = ours(data, epochs, WAYS[name])

    def run_theirs() -> None:
        trained["pythae"] = theirs(data.train.x, epochs, setting)

    runs: dict[str, Callable[[], Any]] = {name: partial(run_ours, name) for name in WAYS}
    return take_turns(runs | {"pythae": run_theirs}, repeats, warm=False), trained


def asked() -> Any:
    """What the user asks for."""
    options = arguments(
        __doc__, images=50_000, epochs=2, repeats=7, tuning_images=12_800, trial_seconds=30.0
    )
    if options.quick:
        small = {"images": 512, "epochs": 1, "repeats": 2, "tuning_images": 256}
        vars(options).update(small, trial_seconds=4.0)
    return options


def main() -> None:
    options = asked()
    quieten()
    data = cut(mnist(binary=True), options.images)
    x = data.train.x
    trials = best_setting(x[: options.tuning_images])
    setting = trials[0]["setting"]
    sizes = parameters(data)
    setup = {
        "dalm": timed(lambda: ours(cut(data, BATCH), 1, {})),
        "pythae": timed(lambda: theirs(x[:BATCH], 1, setting)),
    }

    times, trained = race(data, options.epochs, options.repeats, setting)
    images = options.epochs * len(x)
    speeds = {
        name: spread([images / second for second in seconds]) for name, seconds in times.items()
    }
    ratios = {name: ratio(times, "pythae", name) for name in WAYS}
    rows = [[name, speed, ratios.get(name, "1")] for name, speed in speeds.items()]
    table(f"Training images/s on {data.name}", ["", "images/s", "times pythae"], rows)
    tried = alternatives(data, options.trial_seconds)
    table(
        "What a budget of seconds tries, the chosen first",
        [*tried[0]],
        [[*one.values()] for one in tried],
    )
    bound = bounds(trained, data.val.x[:2000])
    print(f"parameters {sizes}; pythae's setting {setting}")
    print(f"bound on 2,000 validation images after {options.epochs} epochs, nats: {bound}")

    fixed = {"net": NET, "batch_size": BATCH, "lr": LR, "ways": WAYS, "pythae": setting, "seed": 0}
    content = {
        "settings": vars(options) | fixed,
        "pythae_settings_tried": trials,
        "parameters": sizes,
        "images": len(x),
        "images_per_second": speeds,
        "alternatives": tried,
        "ratios": ratios,
        "bound": bound,
        "seconds_of_one_batch": setup,
        "data": data.name,
    }
    save("pythae_vae", content, options.quick)


if __name__ == "__main__":
    main()
