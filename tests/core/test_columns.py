"""Columns of tables: chains of symbols hold every code and nothing else."""

from __future__ import annotations

import pytest
import torch

from dalm.core import Spec
from dalm.core.columns import Column
from dalm.errors import DalmError

CUT = Column("cut", "category", values=("good", "fair", ""), missing=("NA",))
PRICE = Column("price", "number", missing=("", "?"), pairs=1, edges=(-2, 0, 1, 7))
YEAR = Column("year", "time", spelling="%Y", edges=(10, 11, 12))
TABLE = Spec(columns=(CUT, PRICE, Column("id", "key"), YEAR))


def test_the_symbols_of_a_table_follow_from_its_columns():
    assert TABLE.alphabets == (5, 6, 6, 100, 3)
    assert TABLE.shape == (5,)
    assert TABLE.levels == 100
    assert TABLE.kind == "discrete"
    assert [place for _, place in TABLE.chains] == [slice(0, 1), slice(1, 4), slice(4, 5)]


def test_every_code_within_the_edges_has_its_own_chain():
    codes = torch.arange(-200, 700)
    chains = PRICE.symbols(codes)
    assert PRICE.codes(chains).equal(codes)
    assert len(torch.unique(chains, dim=0)) == 900
    assert bool((chains[:, 0] < PRICE.bins).all())


@pytest.mark.parametrize("code", [-201, 700, 10**15])
def test_what_lies_beyond_the_edges_escapes(code):
    assert PRICE.symbols(torch.tensor([code])).tolist() == [[PRICE.escape, 0, 0]]


def test_a_category_beyond_its_values_escapes():
    assert CUT.symbols(torch.tensor([2, 3, -1])).tolist() == [[2], [4], [4]]


def test_the_ends_leave_exactly_the_cells_there_are():
    """Of all chains below the alphabets as many are cells as there are codes, spellings of no value
    and the escape.
    """
    every = torch.cartesian_prod(*(torch.arange(size) for size in PRICE.alphabets))
    inside = torch.ones(len(every), dtype=torch.bool)
    for place in range(3):
        inside &= every[:, place] < PRICE.ends(place, every[:, 0])
    assert int(inside.sum()) == 900 + 2 + 1


def test_rows_that_hold_no_cell_are_refused():
    row = torch.tensor([[0, 1, 0, 99, 2]], dtype=torch.int32)
    TABLE.check(row)
    row[0, 2] = 1  # bin 1 has one place
    with pytest.raises(
        DalmError, match=r"row 0 holds no cell of column 'price': symbols \[1, 1, 99\]"
    ):
        TABLE.check(row)


def test_a_table_is_the_same_after_json():
    assert Spec.from_json(TABLE.to_json()) == TABLE
    assert Spec.from_json(Spec((1, 8, 8), 17, 10).to_json()) == Spec((1, 8, 8), 17, 10)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"kind": "colour"}, "a column is one of category"),
        ({"kind": "category", "values": ("a", "a")}, "a spelling is there twice"),
        ({"kind": "category", "values": ("a",), "missing": ("a",)}, "a spelling is there twice"),
        ({"kind": "number"}, "needs rising edges"),
        ({"kind": "number", "edges": (3, 3)}, "needs rising edges"),
        ({"kind": "key", "edges": (1, 2)}, "neither edges nor pairs"),
        ({"kind": "number", "edges": (0, 10**6)}, "at most 65,536 symbols, got 1,000,000"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(column, words):
    with pytest.raises(DalmError, match=words):
        Column("c", **column)


def test_a_table_of_nothing_to_learn_is_refused():
    with pytest.raises(DalmError, match="a column that can be learned"):
        Spec(columns=(Column("id", "key"),))
    with pytest.raises(DalmError, match="names that differ"):
        Spec(columns=(CUT, CUT))
    with pytest.raises(DalmError, match="leave it out"):
        Spec((7,), columns=(CUT,))
