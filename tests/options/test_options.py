"""Options, each stated once: what is taken, and how everything else is refused."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
import torch

from dalm.errors import DalmError
from dalm.options import REQUIRED, Declared, Option, Options, option


class Walk(Options, owner="walk"):
    """Options of every type."""

    miles: float = option("how far, in miles", default=1.0, above=0)
    stops: int | None = option("rests on the way", default=None, at_least=0, at_most=9)
    share: float = option("of the way uphill", default=0.5, at_least=0, below=1)
    pace: Literal["slow", "fast"] = option("how fast", default="slow")
    round_trip: bool = option("and back", default=False)
    title: str = option("what it is called", default="walk")
    legs: tuple[int, ...] = option("lengths of its parts", default=(), at_least=0)


class Hike(Walk, owner="hike"):
    """A walk of at least five miles that must say where to."""

    miles: float = option("how far, in miles", default=10.0, at_least=5)
    summit: str = option("where to")

    def validate(self) -> None:
        if self.round_trip and self.stops is None:
            raise DalmError("hike there and back needs stops")


# What is taken


def test_what_is_not_said_is_the_default():
    assert Walk().to_dict() == {
        "miles": 1.0,
        "stops": None,
        "share": 0.5,
        "pace": "slow",
        "round_trip": False,
        "title": "walk",
        "legs": (),
    }
    assert Walk().given() == {}


@pytest.mark.parametrize(
    ("given", "value", "kind"),
    [
        ({"miles": 3}, 3, int),
        ({"miles": np.float32(0.5)}, 0.5, float),
        ({"miles": np.int64(3)}, 3, int),
        ({"miles": Fraction(1, 4)}, 0.25, float),
        ({"stops": np.uint8(9)}, 9, int),
        ({"stops": None}, None, type(None)),
        ({"share": 0}, 0, int),
        ({"pace": "fast"}, "fast", str),
        ({"round_trip": True}, True, bool),
        ({"legs": [1, np.int64(2)]}, (1, 2), tuple),
    ],
    ids=str,
)
def test_values_are_kept_as_plain_ones(given, value, kind):
    """NumPy's numbers as Python's, which JSON takes."""
    [name] = given
    kept = getattr(Walk(**given), name)
    assert kept == value
    assert type(kept) is kind
    entries = kept if isinstance(kept, tuple) else ()
    assert all(type(entry) is int for entry in entries)


def test_only_what_differs_is_given():
    assert Walk(miles=2, pace="slow").given() == {"miles": 2}
    assert repr(Walk(miles=2, pace="slow")) == "Walk(miles=2)"


def test_options_are_replaced_and_never_changed():
    walk = Walk(miles=2)
    assert walk.replace(stops=3) == Walk(miles=2, stops=3)
    assert walk == Walk(miles=2)
    assert walk != Walk()
    assert walk == Walk(miles=2.0)
    assert hash(walk) == hash(Walk(miles=2.0))
    with pytest.raises(AttributeError, match=r"options are fixed; replace\(miles=\.\.\.\)"):
        walk.miles = 3


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mile": 3}, "walk has no option 'mile'. Did you mean 'miles'? There are: legs, miles"),
        ({"miles": "far"}, "walk's miles is a number, got 'far'"),
        ({"miles": True}, "walk's miles is a number, got True"),
        ({"miles": None}, "walk's miles is a number, got None"),
        ({"miles": math.nan}, "walk's miles is a number, got nan"),
        ({"miles": math.inf}, "walk's miles is a number, got inf"),
        ({"miles": np.float64("nan")}, "walk's miles is a number, got "),
        ({"miles": 0}, "walk's miles is above 0, got 0"),
        ({"miles": 1j}, "walk's miles is a number, got 1j"),
        ({"miles": torch.tensor(1.0)}, "walk's miles is a number, got tensor"),
        ({"stops": 2.0}, "walk's stops is a whole number or None, got 2.0"),
        ({"stops": False}, "walk's stops is a whole number or None, got False"),
        ({"stops": 10}, "walk's stops is from 0 to 9, got 10"),
        ({"stops": np.int64(-1)}, "walk's stops is from 0 to 9, got -1"),
        ({"share": 1}, "walk's share is at least 0 and below 1, got 1"),
        ({"pace": "brisk"}, "walk's pace is 'slow' or 'fast', got 'brisk'"),
        ({"pace": 1}, "walk's pace is 'slow' or 'fast', got 1"),
        ({"round_trip": 1}, "walk's round_trip is True or False, got 1"),
        ({"round_trip": "no"}, "walk's round_trip is True or False, got 'no'"),
        ({"title": 3}, "walk's title is a word, got 3"),
        ({"legs": 3}, "walk's legs is a list, each a whole number, got 3"),
        ({"legs": [1, 2.5]}, "walk's legs is a list, each a whole number"),
    ],
    ids=str,
)
def test_what_does_not_suit_is_refused(given, message):
    with pytest.raises(DalmError) as refused:
        Walk(**given)
    assert str(refused.value).startswith(message)


def test_what_must_be_given_is_asked_for():
    with pytest.raises(DalmError, match="hike needs its summit: where to"):
        Hike()
    assert Hike(summit="Ben Nevis").miles == 10.0


def test_options_that_do_not_suit_each_other_are_refused():
    with pytest.raises(DalmError, match="needs stops"):
        Hike(summit="Snowdon", round_trip=True)
    with pytest.raises(DalmError, match="needs stops"):
        Hike(summit="Snowdon").replace(round_trip=True)


# What is declared


def test_a_subclass_restates_an_option_in_its_place():
    assert list(Hike.declared()) == [*Walk.declared(), "summit"]
    assert Walk(miles=1).miles == 1
    with pytest.raises(DalmError, match="hike's miles is at least 5, got 1"):
        Hike(summit="a", miles=1)


def test_a_declaration_says_all_there_is_to_know():
    declared = Walk.declared()
    assert declared["miles"].meaning == "how far, in miles"
    assert declared["pace"].choices == ("slow", "fast")
    assert declared["stops"].choices == ()
    assert declared["stops"].kinds == (int, type(None))
    assert all(one.name == name for name, one in declared.items())
    assert Hike.declared()["summit"].default is REQUIRED


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, ""),
        ({"at_least": 1}, "at least 1"),
        ({"above": 0}, "above 0"),
        ({"at_least": 0, "at_most": 0.99}, "from 0 to 0.99"),
        ({"above": 0, "below": 1}, "above 0 and below 1"),
        ({"at_least": 0, "below": 1}, "at least 0 and below 1"),
        ({"at_most": 2.5}, "at most 2.5"),
    ],
    ids=str,
)
def test_a_range_in_words(bounds, words):
    assert Option("a number", **bounds).range == words


def test_a_class_without_options_takes_none():
    with pytest.raises(DalmError, match=r"options has no option 'temperature'\. It has none"):
        Options(temperature=1.0)


def test_any_value_may_be_asked_for():
    class Holder(Declared):
        thing: Any = option("whatever", default=None)

    assert Holder.checked("holder", {"thing": [1, "a"]}) == {"thing": (1, "a")}


def test_an_instance_does_not_see_the_declaration():
    """So that a value kept elsewhere, as torch keeps modules, is found."""
    assert isinstance(Walk.miles, Option)

    class Keeper(Declared):
        thing: Any = option("whatever")

        def __getattr__(self, name):
            return f"{name} is kept elsewhere"

    assert Keeper().thing == "thing is kept elsewhere"
