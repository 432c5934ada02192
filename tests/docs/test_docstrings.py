"""Every public name is documented, parameter by parameter."""

from __future__ import annotations

from dataclasses import dataclass

from public_names import Public, explained, has_docstring, missing_names, public_names, unexplained

NAMES = public_names()


def test_every_listed_name_exists():
    assert missing_names() == []


def test_every_public_name_has_a_docstring():
    assert [public.path for public in NAMES if not has_docstring(public)] == []


def test_every_parameter_of_two_or_more_is_explained():
    gaps = {public.path: names for public in NAMES if (names := unexplained(public))}
    assert gaps == {}


def test_the_search_found_something():
    paths = {public.path for public in NAMES}
    assert {"dalm.models.VAE", "dalm.core.Spec", "dalm.data.load_data"} <= paths
    assert len(paths) > 100


def test_a_name_without_docstring_is_caught():
    @dataclass
    class Pair:
        left: int

    def documented():
        """Words."""

    assert not has_docstring(Public("dalm.core.Pair", Pair))
    assert not has_docstring(Public("dalm.core.silent", lambda: None))
    assert not has_docstring(Public("dalm.core.NOTHING", 3))
    assert has_docstring(Public("dalm.core.documented", documented))
    assert has_docstring(Public("dalm.models.FAMILIES", ()))


def test_an_unexplained_parameter_is_caught():
    def half(first, second):
        """Words.

        Args:
            first: of two, (B,).
        """

    def one(only):
        """Words."""

    assert unexplained(Public("dalm.core.half", half)) == ["second"]
    assert unexplained(Public("dalm.core.one", one)) == []


def test_parameters_may_share_a_line():
    page = """Sum.

    Args:
        x, y: numbers, (B,).
        dim: which one:
            this.

    Raises:
        Error: none is like it.
    """
    assert explained(page) == {"x", "y", "dim"}
