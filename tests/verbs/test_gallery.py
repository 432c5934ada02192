"""What the report shows of a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dalm
from dalm.errors import DalmError
from dalm.verbs.draws import draw, means
from dalm.verbs.gallery import rows_kept

QUIET = {"progress": False, "validations": 0, "snapshots": 0}


def gallery(tmp_path, family, x, **options):
    run = dalm.fit(family, x, out=tmp_path / "run", **QUIET, **options)
    dalm.score(run, x, full=True)
    with np.load(run.path / "gallery.npz") as stored:
        return run, {name: stored[name] for name in stored}


def column(n=400, levels=None):
    x = np.random.default_rng(0).normal(3, 2, (n, 1))
    return x if levels is None else x.round().clip(0, levels - 1).astype(np.uint8)


@pytest.mark.parametrize("family", ["gaussian", "kde", "vae"])
def test_a_density_in_one_dimension_integrates_to_one(tmp_path, family):
    steps = {"steps": 60, "batch_size": 32} if family == "vae" else {}
    _, found = gallery(tmp_path, family, dalm.load_data(column()), **steps)
    mass = np.trapezoid(found["density"], found["points"][:, 0])
    assert 0.9 < mass < 1.02
    assert found["samples"].shape == (500, 1)
    assert found["nearest_train"].shape == (48, 1)


def test_masses_of_levels_sum_to_one(tmp_path):
    _, found = gallery(tmp_path, "histogram", dalm.load_data(column(levels=8), levels=8))
    assert found["points"].ravel().tolist() == list(range(8))
    assert found["density"].sum() == pytest.approx(1)


def test_many_levels_and_many_columns_have_no_density(tmp_path):
    three = np.random.default_rng(0).normal(size=(300, 3))
    _, found = gallery(tmp_path, "gaussian", dalm.load_data(three))
    assert "points" not in found
    assert rows_kept((2, 2)) == 48


def test_means_are_those_of_the_codes_of_the_samples(tmp_path):
    x = np.random.default_rng(0).integers(0, 4, (300, 1, 8, 8), dtype=np.uint8)
    data = dalm.load_data(x, levels=4)
    options = {"steps": 3, "batch_size": 16, "latent": 2, "net": "mlp"}
    run, found = gallery(tmp_path, "vae", data, **options)
    assert found["means"].shape == (48, 1, 8, 8)

    seen = []
    head = run.model.head
    params = run.model._params
    run.model._params = lambda z, y: seen.append(z) or params(z, y)
    draw(run.model, 0, 100)
    means(run.model, 0, 100, 48)
    assert torch.equal(seen[1], seen[-1])
    assert np.array_equal(head.mean(params(seen[-1], None)).round().byte()[:48], found["means"])


def test_families_without_a_decoder_have_no_means():
    data = dalm.load_data("ring8", n=300)
    model = dalm.verbs.models.make("gaussian", data)
    assert means(model, 0, 10, 5) is None
    samples, speed = draw(model, 0, 7)
    assert samples.shape == (7, 2)
    assert speed > 0
    assert torch.equal(samples, draw(model, 0, 7)[0])


def test_data_in_memory_are_asked_for_again(tmp_path):
    run = dalm.fit("gaussian", dalm.load_data(column()), out=tmp_path / "run", **QUIET)
    with pytest.raises(DalmError, match="was fitted to data in memory"):
        dalm.score(run.path)
