"""Bad input in Python: a DalmError that says what was given, never a raw error from below or a
silent guess.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import dalm
from dalm import Spec
from dalm.errors import DalmError
from dalm.models import KDE, VAE, Discriminant, PixelCNN

SPEC = Spec((1, 2, 2), levels=3, classes=2)
DATA = torch.randint(3, (8, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DIGITS = dalm.load_data("digits")
MODEL = VAE(SPEC, conditional=True, latent=2, net="mlp", width=4)

CALLS = {
    "data as a list": (lambda: MODEL.log_prob(DATA.tolist(), 0), "torch tensor.*list"),
    "no data": (lambda: MODEL.encode(None, 0), "torch tensor.*NoneType"),
    "a single number": (lambda: MODEL.log_prob(torch.tensor(3), 0), "shape"),
    "complex data": (lambda: MODEL.log_prob(DATA.to(torch.complex64), 0), "complex64"),
    "half a class": (lambda: MODEL.sample(2, y=1.5), "no such class"),
    "classes that are real": (lambda: MODEL.sample(2, y=torch.tensor([0.0, 1.0])), "no such class"),
    "a class by name": (lambda: MODEL.log_prob(DATA, "cat"), "no such class.*cat"),
    "too few labels": (lambda: MODEL.log_prob(DATA, torch.zeros(3, dtype=torch.long)), "8 of them"),
    "samples by half": (lambda: MODEL.sample(2.5), "whole number.*2.5"),
    "samples below none": (lambda: MODEL.sample(-1), "whole number.*-1"),
    "codes of another size": (lambda: MODEL.decode(torch.zeros(2, 3), 0), r"\(B, 2\)"),
    "codes of nan": (lambda: MODEL.decode(torch.full((2, 2), torch.nan), 0), "finite codes"),
    "a shape that is no tuple": (lambda: Spec(3), "tuple"),
    "a shape by half": (lambda: Spec((2.5,)), "whole sizes"),
    "levels by half": (lambda: Spec((2,), levels=2.5), "levels"),
    "classes below none": (lambda: Spec((2,), classes=-1), "classes"),
    "a model of no Spec": (lambda: VAE((1, 8, 8)), "built from the Spec"),
    "an option by half": (lambda: VAE(SPEC, latent=2.5), "latent is a whole number"),
    "a net that is none": (
        lambda: VAE(SPEC, net="zzz"),
        "net is 'auto' or 'mlp' or 'conv', got 'zzz'",
    ),
    "an output that is none": (lambda: VAE(SPEC, output="zzz"), "output is .*got 'zzz'"),
    "another output that is none": (lambda: PixelCNN(SPEC, output="zzz"), "output is .*got 'zzz'"),
    "a bandwidth in words": (
        lambda: KDE(SPEC, bandwidth="a"),
        "bandwidth is a number or None, got 'a'",
    ),
    "an endless bandwidth": (
        lambda: KDE(SPEC, bandwidth=math.inf),
        "bandwidth is a number or None, got inf",
    ),
    "a shrinkage in words": (
        lambda: Discriminant(SPEC, shrinkage="a"),
        "shrinkage is a number or None, got 'a'",
    ),
    "too much shrinkage": (
        lambda: Discriminant(SPEC, shrinkage=1.5),
        "shrinkage is from 0 to 1, got 1.5",
    ),
    "samples that are true": (lambda: MODEL.sample(True), "whole number.*True"),
    "an option in words": (
        lambda: dalm.fit("vae", DIGITS, latent="a", steps=1),
        "latent is a whole number",
    ),
    "steps by half": (lambda: dalm.fit("vae", DIGITS, steps=2.5), "steps is a whole number"),
    "steps that are true": (lambda: dalm.fit("vae", DIGITS, steps=True), "steps is a whole number"),
    "a rate in words": (lambda: dalm.fit("vae", DIGITS, steps=1, lr="a"), "lr is a number"),
    "a seed that is true": (
        lambda: dalm.fit("vae", DIGITS, steps=1, seed=np.True_),
        "seed is a whole number",
    ),
    "a seed below none": (
        lambda: dalm.fit("vae", DIGITS, steps=1, seed=np.int64(-1)),
        "seed must not be negative",
    ),
    "no seed": (lambda: dalm.fit("vae", DIGITS, steps=1, seed=None), "seed is a whole number"),
    "a class that is no family": (lambda: dalm.fit(dict, DIGITS, steps=1), "got <class 'dict'>"),
    "a foreign model": (lambda: dalm.fit(torch.nn.Linear(2, 2), DIGITS, steps=1), "Linear"),
    "a family that is none": (
        lambda: dalm.compare(DIGITS, families=[None], steps=1),
        "no family None",
    ),
    "no run to load": (lambda: dalm.load(None), "folder of a run"),
    "no run to score": (lambda: dalm.score(None), "NoneType"),
    "a model to score": (lambda: dalm.score(MODEL), "VAE"),
    "no data to score": (lambda: dalm.score("runs/none", [1]), "list"),
    "levels of data by half": (
        lambda: dalm.load_data("digits", levels=2.5),
        "levels.*whole number",
    ),
    "a flag in words": (lambda: dalm.load_data("digits", binary="no"), "True or False"),
    "no seed for data": (lambda: dalm.load_data("digits", seed=None), "seed"),
    "one number as data": (lambda: dalm.load_data(np.array(3.0)), "single number"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_bad_call_is_refused(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, words = CALLS[case]
    with pytest.raises(DalmError, match=words):
        call()
    assert not list(tmp_path.iterdir())


def test_good_calls_are_not():
    """The same calls with the right types go through."""
    assert MODEL.log_prob(DATA, torch.zeros(8, dtype=torch.uint8)).shape == (8,)
    assert MODEL.sample(np.int64(2), y=np.int64(1)).shape == (2, 1, 2, 2)
    assert MODEL.decode(torch.zeros(2, 2), 0).shape == (2, 1, 2, 2)
    assert torch.equal(
        MODEL.decode(torch.ones(2, 2, dtype=torch.float64), 0), MODEL.decode(torch.ones(2, 2), 0)
    )


def test_whole_numbers_of_numpy_are_whole_numbers(tmp_path):
    one = np.int64(1)
    data = dalm.load_data("ring8", n=np.int64(50), seed=np.int64(3))
    run = dalm.fit(
        "vae",
        data,
        latent=one,
        steps=one,
        seed=one,
        device=torch.device("cpu"),
        out=tmp_path / "run",
        progress=False,
    )
    same = dalm.fit(
        "vae", data, latent=1, steps=1, seed=1, device="cpu", out=tmp_path / "same", progress=False
    )
    assert (run.path / "weights.safetensors").read_bytes() == (
        same.path / "weights.safetensors"
    ).read_bytes()
    told, again = (json.loads((path / "run.json").read_text()) for path in (run.path, same.path))
    assert all(told[part] == again[part] for part in ("model", "data", "fit"))
    assert type(Spec((np.int64(2),), levels=np.int64(3)).levels) is int
    assert len(np.load(dalm.sample(run.path, np.int64(3), tmp_path / "x.npy", seed=one))) == 3


# Classes as the data call them


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """A run whose classes are words, and one whose classes are the numbers 2 and 10."""
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 2)) + 9 * (np.arange(80) % 2)[:, None]
    folder = tmp_path_factory.mktemp("animals")
    for name, classes in {"words": ["cat", "dog"], "numbers": [2, 10]}.items():
        y = np.array(classes)[np.arange(80) % 2]
        dalm.fit("discriminant", dalm.load_data(x, y=y), out=folder / name, progress=False)
    return folder


@pytest.mark.parametrize(("run", "label", "high"), [("words", "dog", True), ("numbers", 2, False)])
def test_a_class_is_drawn_by_the_name_that_the_data_give_it(animals, run, label, high):
    drawn = dalm.sample(animals / run, 20, label=label)
    assert (drawn.mean() > 4.5) == high


def test_drawn_classes_are_saved_by_their_names(animals, tmp_path):
    for run, names in {"words": {"cat", "dog"}, "numbers": {2, 10}}.items():
        dalm.sample(animals / run, 30, tmp_path / f"{run}.npz")
        assert set(np.load(tmp_path / f"{run}.npz")["y"].tolist()) == names


def test_a_class_that_the_data_do_not_have_is_refused(animals):
    with pytest.raises(DalmError, match="there is no class 'cow'; there are cat, dog"):
        dalm.sample(animals / "words", 2, label="cow")
    with pytest.raises(DalmError, match="there is no class 1; there are 2, 10"):
        dalm.sample(animals / "numbers", 2, label=1)
