"""Sources: those that have a name, what no source takes, and a source of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dalm.core import Spec
from dalm.data import SOURCES, Data, DataOptions, Source, Split, load_data, named_sources
from dalm.errors import DalmError
from dalm.options import option


@pytest.mark.parametrize("name", named_sources())
def test_every_named_source_is_rebuilt_from_source_and_options(splits_of, name):
    data = load_data(name, seed=5)
    again = load_data(data.source, **json.loads(json.dumps(data.options)))
    assert again.options == {"seed": 5}
    assert again.fingerprint == data.fingerprint
    for first, second in zip(splits_of(data), splits_of(again), strict=True):
        assert torch.equal(first.x, second.x)


@pytest.mark.parametrize("name", named_sources())
def test_every_named_source_holds_what_its_spec_says(splits_of, name):
    data = load_data(name)
    assert len(data.classes) == data.spec.classes
    for split in splits_of(data):
        data.spec.check(split.x, split.y)
        assert split.x.dtype == data.spec.dtype


def test_importing_data_leaves_pillow_sklearn_and_scipy_alone():
    code = "import sys, dalm.data; print({'PIL', 'sklearn', 'scipy'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout.strip() == "set()", process.stderr


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("digit", "no data 'digit'.*Did you mean 'digits'"),
        ("", "no data ''"),
        ("no/such/file.npz", "no such file"),
        (Path("digits"), "no such file"),
        (3, "got int"),
        (len, "got builtin_function_or_method"),
    ],
)
def test_what_no_source_takes(value, message):
    with pytest.raises(DalmError, match=message) as raised:
        load_data(value)
    for source in SOURCES:
        named = source.title if source.named else source.about
        assert named in str(raised.value)


# A new source: what would be its file, and one entry of the tuple.


class CoinOptions(DataOptions):
    bias: float = option("probability of heads", default=0.5, at_least=0, at_most=1)


def throw(value: str, options: CoinOptions) -> Data:
    generator = torch.Generator().manual_seed(options.seed)
    n = int(value.partition(" ")[0])
    heads = torch.rand(3, n, 1, generator=generator) < options.bias
    train, val, test = (Split(x.to(torch.uint8)) for x in heads)
    return Data("coin", value, options.recorded(), Spec((1,), levels=2), train, val, test)


COIN = Source(
    "throws of a coin",
    "so many throws of a coin, such as '100 throws'",
    CoinOptions,
    matches=lambda value: isinstance(value, str) and value.endswith(" throws"),
    load=throw,
)


@pytest.fixture
def coin(monkeypatch):
    monkeypatch.setattr("dalm.data.SOURCES", (*SOURCES, COIN))


@pytest.mark.usefixtures("coin")
def test_a_new_source_is_loaded_with_an_option_of_its_own():
    data = load_data("50 throws", bias=1, seed=3)
    again = load_data(data.source, **data.options)
    assert data.train.x.tolist() == [[1]] * 50
    assert data.options == {"bias": 1, "seed": 3}
    assert again.fingerprint == data.fingerprint


@pytest.mark.usefixtures("coin")
def test_a_new_source_refuses_in_the_same_words():
    with pytest.raises(DalmError, match="throws of a coin cannot take the option 'size'"):
        load_data("50 throws", size=3)
    with pytest.raises(DalmError, match="bias is from 0 to 1, got 2"):
        load_data("50 throws", bias=2)
    with pytest.raises(DalmError, match="digits cannot take the option 'bias'"):
        load_data("digits", bias=0.3)
    with pytest.raises(DalmError, match="such as '100 throws'"):
        load_data("50 throw")
