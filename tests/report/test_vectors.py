"""Vectors are drawn as what they are: curves, maps, columns and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from dalm.report import vectors
from dalm.report.vectors import leading, pairs, sheet

X = np.random.default_rng(0).normal(size=(60, 5))


def test_columns_that_depend_lead_and_constant_ones_do_not():
    x = X.copy()
    x[:, 0] = 3.0
    x[:, 4] = np.exp(x[:, 2])
    assert leading(x)[:2] == [2, 4]
    assert 0 not in leading(x)


def test_a_sheet_has_every_column_and_three_pairs():
    text = sheet(X, X[::-1])
    assert [f"column {place}" in text for place in range(5)] == [True] * 5
    assert text.count(" against ") == len(pairs(leading(X))) == 3
    assert sheet(X) != text


def test_a_sheet_of_many_columns_stays_small():
    wide = np.random.default_rng(0).normal(size=(400, 300))
    assert len(sheet(wide, wide[::-1])) < 200_000


@pytest.mark.parametrize("x", [np.full((9, 3), 2.0), np.array([[1e30, -1e30, 0.0]])])
def test_constant_and_huge_values_are_drawn(x):
    assert sheet(x, x + 1).startswith("<svg")


def test_the_curve_is_the_density_where_there_is_one():
    points = np.linspace(-3, 3, 50)[:, None]
    gallery = {"real": X[:, :1], "points": points, "density": np.exp(-(points[:, 0] ** 2))}
    drawn = vectors.curve(X[::-1, :1], gallery, "#070809")
    sampled = vectors.curve(X[::-1, :1], {"real": X[:, :1]}, "#070809")
    assert drawn != sampled
    assert drawn == vectors.curve(X[::-1, :1], gallery, "#070809")


def test_levels_are_bins_of_their_own():
    points = np.arange(5, dtype=np.uint8)[:, None]
    edges = vectors._edges(points[:, 0], {"points": points})
    assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    assert vectors._heights(points[:, 0], edges) == pytest.approx([0.2] * 5)


def test_the_map_shows_the_density_where_it_is():
    axis = np.linspace(-1, 1, 9)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    left = vectors.density_map({"points": points, "density": (points[:, 0] < 0).astype(float)})
    lower = vectors.density_map({"points": points, "density": (points[:, 1] < 0).astype(float)})
    assert left.startswith("<svg")
    assert left != lower
