"""Models inside archives: nothing is lost in packing, rounding pays for itself, and damage is
found.
"""

from __future__ import annotations

import io
import math
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES as SUBJECTS
from tiny import DIGITS
from torch import nn

from dalm.codec import (
    Settings,
    archive,
    compress,
    decompress,
    hash_of,
    limits,
    pack_model,
    rounding,
    weights,
)
from dalm.core import Autoregressive, Density, Spec, build, config
from dalm.errors import DalmError
from dalm.exact import Independent
from dalm.models import PixelCNN
from dalm.options import option
from dalm.testing.cases import SMALL, TINY, examples

X, Y = examples(TINY, 60, seed=5)


def as_file(model, x, **settings) -> bytes:
    file = io.BytesIO()
    compress(model, x.numpy(), None, file, Settings(**settings))
    return file.getvalue()


def single(model):
    """As a run keeps it: the tests' subjects are in double precision."""
    return build(config(model), model.state_dict())


@pytest.mark.parametrize(
    "family", [name for name, subject in SUBJECTS.items() if issubclass(subject.family, Density)]
)
@pytest.mark.parametrize("wide", [False, True])
def test_packing_loses_nothing(family, wide):
    model = SUBJECTS[family].trained(TINY)
    model = model if wide else single(model)
    again = weights.unpack_model(pack_model(model))
    assert hash_of(again) == hash_of(model)
    assert type(again) is type(model)


def test_coarse_weights_are_coded_and_others_are_not():
    model = PixelCNN(TINY, width=8, depth=1)
    fine = len(pack_model(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 8).round() / 8 + 0.0)
    coarse = pack_model(model)
    numbers = sum(p.numel() for p in model.parameters())
    assert fine > 4 * numbers
    assert len(coarse) < 0.5 * numbers + 600
    assert hash_of(weights.unpack_model(coarse)) == hash_of(model)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = -0.0
    assert hash_of(weights.unpack_model(pack_model(model))) == hash_of(model)


def test_a_step_costs_half_a_nat_for_each_weight():
    """Curvature c and step sqrt(12 / c) make the mean of c Δ² / 24 one half; a power of two is at
    most √2 away.
    """
    weight = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    for curvature in (1e3, 3e4, 1e6):
        moved = rounding.round_to_step(weight, curvature) - weight
        assert 0.24 < (curvature * moved.double().square() / 2).mean().item() < 1.01
        assert abs(moved.mean().item()) < moved.std().item() / 50, (
            "a bias would add up over weights"
        )


def test_what_the_data_do_not_ask_about_becomes_zero():
    assert (rounding.round_to_step(torch.randn(1000), 0.0) == 0).all()


@pytest.mark.parametrize("curvature", [1e-80, 1e80, math.inf, math.nan])
def test_steps_stay_within_what_can_be_stored(curvature):
    rounded = rounding.round_to_step(torch.tensor([0.5, -1.0]), curvature)
    assert rounded.isfinite().all()


def reconfigured(content: bytes, old: bytes, new: bytes) -> bytes:
    """A packed model with another configuration."""
    (size,) = struct.unpack_from("<I", content)
    assert old in content[4 : 4 + size]
    forged = content[4 : 4 + size].replace(old, new)
    return struct.pack("<I", len(forged)) + forged + content[4 + size :]


@pytest.mark.slow
def test_a_model_that_asks_for_too_much_is_refused():
    content = pack_model(single(SUBJECTS["pixelcnn"].trained(TINY)))
    for old, new, words in (
        (b'"width":8', b'"width":70000', "option beyond"),
        (b'"width":8', b'"width":60000', "numbers, more than"),
        (b'"depth":2', b'"depth":60000', "more layers and tensors than its bytes can tell of"),
    ):
        with pytest.raises(DalmError, match=words):
            weights.unpack_model(reconfigured(content, old, new))
    model = single(SUBJECTS["pixelcnn"].trained(TINY))
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = math.nan
    with pytest.raises(DalmError, match="not finite"):
        weights.unpack_model(pack_model(model))


@pytest.mark.parametrize("width", [0.0, 1e-310, -1.0])
def test_a_model_inside_whose_arithmetic_fails_is_refused(width):
    model = SUBJECTS["kde"].trained(TINY)
    content = as_file(model, X, embed=True)
    file = io.BytesIO(content)
    forged = io.BytesIO()
    header = archive.read_header(file)
    model = weights.unpack_model(archive.read_part(file, len(content)))
    model.width.fill_(width)
    forged.write(replace(header, model=hash_of(model)).to_bytes())
    archive.write_part(forged, pack_model(model))
    forged.write(file.read())
    size = forged.tell()
    forged.seek(0)
    with pytest.raises(DalmError, match="cannot be decoded"):
        list(decompress(forged, size, lambda header: model))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "conditional"), [("vae", False), ("vae", True), ("pixelcnn", True)]
)
def test_every_kind_of_net_can_be_inside(family, conditional):
    model = single(SUBJECTS[family].trained(SMALL, conditional))
    x = examples(SMALL, 40, seed=5)[0]
    with torch.no_grad():
        content = as_file(model, x, embed=True)
    chunks = list(decompress(io.BytesIO(content), len(content), lambda header: None))
    assert np.array_equal(np.concatenate([part for part, _ in chunks]), x.numpy())


def test_information_is_the_mean_square_of_the_score():
    """A Bernoulli with logit a: the score is x - p, so its mean square over data is known."""

    class Coin(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.tensor(0.4))
            self.unused = nn.Parameter(torch.zeros(2))
            self.conditional = False

        def log_prob(self, x, y):
            return -nn.functional.binary_cross_entropy_with_logits(
                self.a.expand(len(x)), x[:, 0].float(), reduction="none"
            )

    x = torch.tensor([[1], [0], [1], [1]])
    found, nothing = rounding.fisher_information(Coin(), x, None)
    p = torch.tensor(0.4).sigmoid()
    assert found == pytest.approx((x[:, 0] - p).square().mean().item())
    assert nothing == 0


@pytest.mark.slow
def test_a_model_inside_costs_few_bits_a_weight():
    model = single(SUBJECTS["pixelcnn"].trained(Spec((1, 8, 8), levels=DIGITS.spec.levels)))
    x = DIGITS.test.x
    outside = len(as_file(model, x))
    inside = len(as_file(model, x, embed=True))
    numbers = sum(p.numel() for p in model.parameters())
    assert inside - outside < numbers + 700, "a weight takes more than eight bits"
    chunks = list(
        decompress(
            io.BytesIO(content := as_file(model, x, embed=True)), len(content), lambda header: None
        )
    )
    assert np.array_equal(np.concatenate([part for part, _ in chunks]), x.numpy())


def test_more_data_pay_for_more_bits():
    model = single(SUBJECTS["pixelcnn"].trained(TINY))
    flat = X.view(len(X), -1)
    sizes = [len(pack_model(rounding.quantise(model, flat, None, n))) for n in (10, 1000, 100_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.8 * sizes[-1]


def test_damage_inside_is_found():
    content = as_file(single(SUBJECTS["pixelcnn"].trained(TINY)), X, embed=True)
    for at in range(0, len(content), 5):
        bad = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        with pytest.raises(DalmError):
            list(decompress(io.BytesIO(bad), len(bad), lambda header: None))


@pytest.mark.parametrize("cut", [0, 3, 4, 50, -5])
def test_what_is_no_model_is_refused(cut):
    with pytest.raises(DalmError, match=r"cannot be read|damaged|family|option"):
        weights.unpack_model(pack_model(single(SUBJECTS["pixelcnn"].trained(TINY)))[:cut])


def test_the_format_stays():
    """Version 1 of a packed model: tensors coded as multiples of 1/4, tensors of zeros, one as it
    is.
    """
    model = PixelCNN(Spec((1, 1, 2), levels=2), width=1, depth=1)
    with torch.no_grad():
        for k, parameter in enumerate(model.parameters()):
            parameter.copy_(
                torch.arange(parameter.numel()).view(parameter.shape) % 4 / 4 - 0.25
                if k % 2
                else torch.zeros_like(parameter)
            )
        next(model.parameters()).view(-1)[0] = 1 / 3
    content = pack_model(model)
    (size,) = struct.unpack_from("<I", content)
    assert content[4 : 4 + size].startswith(b'{"family":"pixelcnn"')
    assert content[4 + size :].hex() == GOLDEN
    assert math.isclose(
        next(weights.unpack_model(content).parameters()).view(-1)[0].item(), 1 / 3, rel_tol=1e-6
    )


GOLDEN = (
    "7f000000fe350200100a0000fe350200100a0000fe350200100a0000fe350200100a0000fe350200100a0000fe3e0100100a0000fe2f01"
    "00100a0000fe2f0100100a0000040000002158f6437ebd45ea3dd2d37bd5c7f85240000000000000007b22706c616365223a7b22647479"
    "7065223a22463332222c227368617065223a5b312c312c312c325d2c22646174615f6f666673657473223a5b302c385d7d7dabaaaa3e00"
    "000000"
)


STOREYS = {
    "linear": lambda: nn.Linear(1, 1),
    "silent": nn.SiLU,
    "buffered": lambda: nn.BatchNorm1d(1, affine=False),
}


@pytest.mark.parametrize("kind", STOREYS)
def test_layers_that_the_bytes_cannot_tell_of_are_not_built(monkeypatch, kind):
    """No option's name is known: what the constructor registers is counted while it runs."""
    built = []

    def build_tower(options):
        tower = nn.ModuleList()
        for storey in range(options["storeys"]):
            built.append(storey)
            tower.append(STOREYS[kind]())
        return tower

    monkeypatch.setattr(limits, "build", build_tower)
    assert len(limits.build_within({"storeys": 25}, most_tensors=50)) == 25
    built.clear()
    with pytest.raises(DalmError, match="more layers and tensors than its bytes can tell of"):
        limits.build_within({"storeys": 60_000}, most_tensors=50)
    assert len(built) <= limits.REGISTRATIONS_PER_TENSOR * 50 + 1


def test_there_are_no_more_parameters_than_the_bytes_can_tell_of(monkeypatch):
    monkeypatch.setattr(limits, "build", lambda options: nn.Linear(1, 1))
    limits.build_within({}, most_tensors=2)
    with pytest.raises(DalmError, match="than its bytes can tell of"):
        limits.build_within({}, most_tensors=1)


def test_options_of_models_inside_models_are_bounded():
    outer = {"family": "x", "width": 3, "sizes": [1, 70_000], "prior": {"family": "y", "depth": 99}}
    assert sorted(limits._whole_numbers(outer)) == [1, 3, 99, 70_000]


def test_modules_of_other_threads_are_not_counted():
    with limits.at_most_registered(2), ThreadPoolExecutor(1) as pool:
        nn.Linear(1, 1)
        pool.submit(nn.Linear, 1, 1).result()
        with pytest.raises(DalmError):
            nn.Linear(1, 1)
    nn.Linear(1, 1)


class Whole(Autoregressive):
    """A density of one bit with an option of any size."""

    family = "whole-option"
    year = 2026
    paper = "this test"
    likelihood = "exact"
    number: int = option("of no consequence", default=1)

    def _log_prob(self, x, y, generator):
        return torch.full((len(x),), -math.log(2))

    def _sample(self, n, y, generator):
        return torch.zeros(n, 1, dtype=torch.long)

    def predictor(self, n, y):
        return Independent(torch.ones(1, 2, dtype=torch.float64), n)


@pytest.mark.parametrize(("number", "written"), [(65_536, True), (65_537, False), (-70_000, False)])
def test_what_a_reader_would_refuse_is_not_written(number, written):
    x = np.zeros((3, 1), np.uint8)
    file = io.BytesIO()
    model = Whole(Spec((1,), levels=2), number=number)
    if written:
        compress(model, x, None, file, Settings(embed=True))
        file.seek(0)
        assert next(iter(decompress(file, len(file.getvalue()), None)))[0].shape == (3, 1)
        return
    with pytest.raises(DalmError, match=r"beyond 65,536 is read; leave embed out"):
        compress(model, x, None, file, Settings(embed=True))
    assert not file.getvalue()
    compress(model, x, None, file, Settings())
