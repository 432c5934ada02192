"""Options of data: what they refuse, what they record, and who takes them."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from dalm.data import SOURCES, data_options, load_data
from dalm.data.options import ImageOptions
from dalm.errors import DalmError


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("ring8", {"grey": True}, "ring8 cannot take the option 'grey'; it takes seed, cache, n"),
        ("digits", {"size": 4}, "cannot take the option 'size'"),
        ("digits", {"n": 4}, "cannot take the option 'n'"),
        (np.arange(20), {"n": 4}, "an array cannot take the option 'n'"),
        ("digits", {"sise": 4}, "no option 'sise'. Did you mean 'size'"),
        ("digits", {"levels": 18}, "17 levels"),
        ("digits", {"levels": 1}, "levels is from 2 to 65536, got 1"),
        ("digits", {"levels": 4.5}, "levels is a whole number or None, got 4.5"),
        ("digits", {"binary": 1}, "binary is True or False, got 1"),
        ("digits", {"levels": 4, "binary": True}, "not both"),
        ("moons", {"n": 0}, "n is from 1"),
        ("moons", {"seed": -1}, "seed must not be negative"),
        ("moons", {"seed": 2**32}, "a seed is a whole number below"),
    ],
)
def test_options_that_do_not_suit(source, options, message):
    with pytest.raises(DalmError, match=message):
        load_data(source, **options)


def test_an_option_at_its_default_asks_for_nothing():
    data = load_data("ring8", size=None, grey=False, n=5)
    assert data.options == {"n": 5}


def test_what_is_recorded_is_plain_and_leaves_the_cache_out():
    options = ImageOptions(size=np.int64(32), seed=np.uint8(1), cache=Path("/tmp"))
    assert options.recorded() == {"seed": 1, "size": 32}
    assert type(options.recorded()["size"]) is int


def test_signature_and_help_of_load_data_come_from_the_declarations():
    parameters = inspect.signature(load_data).parameters
    assert list(parameters) == ["source", "y", *data_options()]
    for name, option in data_options().items():
        assert parameters[name].default == option.default
        assert parameters[name].annotation == option.kind
        assert f"{name}: {option.meaning}" in inspect.getdoc(load_data)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.title)
def test_an_option_means_the_same_to_every_source(source):
    known = data_options()
    declared = source.options.declared()
    assert "seed" in declared
    assert declared == {name: known[name] for name in declared}
