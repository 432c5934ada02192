"""Feature spaces: deterministic, named by their content, and telling."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import load_file

from dalm.core import Spec
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.features import (
    SPACES,
    FeatureSpace,
    feature_space,
    principal_space,
    space_name,
    standardised_space,
)
from dalm.features.digits import WEIGHTS, DigitsNet
from dalm.metrics import neighbours

POINTS = Spec((2,))
DIGITS = Spec((1, 8, 8), levels=17)


def test_the_digits_net_is_small_named_by_its_hash_and_good() -> None:
    assert WEIGHTS.stat().st_size < 100_000
    sha = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert feature_space(DIGITS).name == f"digits-cnn-v1#{sha[:8]}"

    net = DigitsNet().eval()
    net.load_state_dict(load_file(WEIGHTS))
    test = load_data("digits").test
    assert (net(test.x.float()).argmax(1) == test.y).float().mean() > 0.97
    features = net.features(test.x.float()).double()
    assert torch.allclose(feature_space(DIGITS)(test.x), features, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 5), (3, 9, 7), (1, 28, 28), (3, 64, 64)])
def test_random_features_are_deterministic_and_named_by_shape(shape: tuple[int, ...]) -> None:
    spec = Spec(shape, levels=256)
    x = torch.randint(0, 256, (5, *shape), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    one = feature_space(spec)
    two = feature_space(spec)
    assert one.name == two.name != feature_space(Spec((2, *shape[1:]), levels=256)).name
    assert torch.equal(one(x), two(x))
    assert one(x).shape[1] in (40, 80, 120)


def test_random_features_react_to_place_and_to_texture() -> None:
    spec = Spec((1, 28, 28), levels=2)
    x = torch.zeros(1, 1, 28, 28)
    x[..., 4:12, 4:12] = 1
    checker = (torch.arange(28)[:, None] + torch.arange(28)) % 2
    space = feature_space(spec)
    size = space(x).norm()
    assert (space(x.flip(3)) - space(x)).norm() > 0.3 * size
    assert (space(x * checker) - space(x * 0.5)).norm() > 0.1 * size


def test_a_feature_space_that_does_not_exist_or_fit_is_refused() -> None:
    with pytest.raises(DalmError, match="Did you mean 'random-conv-v1'"):
        feature_space(DIGITS, "random-conv")
    with pytest.raises(DalmError, match="does not suit"):
        feature_space(POINTS, "digits-cnn-v1")


def test_the_most_telling_space_that_suits_is_chosen() -> None:
    assert space_name(DIGITS) == "digits-cnn-v1"
    assert space_name(Spec((1, 8, 8), levels=256)) == "random-conv-v1"
    assert space_name(POINTS) == list(SPACES)[-1] == "raw"


def test_an_entry_without_spread_keeps_its_unit() -> None:
    train = torch.tensor([[3.0, 0.0], [3.0, 4.0]])
    space = standardised_space(train, POINTS)
    assert space(torch.tensor([[5.0, 6.0]])).tolist() == [[2.0, 2.0]]
    assert space.name != standardised_space(2 * train, POINTS).name
    assert standardised_space(torch.zeros(2, 2), Spec((2,), levels=3)).name == "raw"


def test_principal_components_need_rows_and_are_named_by_them() -> None:
    spec = Spec((1, 12, 12), levels=16)
    rows = torch.randint(0, 16, (70, 1, 12, 12), generator=torch.Generator().manual_seed(0))
    with pytest.raises(DalmError, match="at least 64 training rows, got 9"):
        principal_space(rows[:9], spec)
    assert principal_space(rows, spec).name != principal_space(rows[1:], spec).name


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DalmError, match="not finite"):
        feature_space(POINTS)(torch.full((3, 2), torch.inf))


def test_an_offset_costs_no_digits() -> None:
    """Rows around a billion are as far apart as the same rows around zero."""
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    far = x + 1e9
    near, moved = standardised_space(x, Spec((3,))), standardised_space(far, Spec((3,)))
    assert torch.allclose(near(x), moved(far), atol=1e-5)
    assert len(moved(far).unique(dim=0)) == 400
    assert neighbours(far[:50], far, Spec((3,))).tolist() == list(range(50))


def test_a_net_of_the_caller_gets_float32() -> None:
    x = torch.zeros(3, 2, dtype=torch.float64)
    seen = []
    FeatureSpace("net", lambda rows: seen.append(rows.dtype) or rows)(x)
    assert seen == [torch.float32]
