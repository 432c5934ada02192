"""The metrics against closed forms, known expectations, and calibration rows.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from torch import Tensor

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.features.spaces import WEIGHTS, DigitsNet
from dalm.metrics import (
    EXPLAIN,
    FeatureSpace,
    Metric,
    evaluate,
    feature_space,
    likelihood,
    neighbours,
)
from dalm.metrics.c2st import c2st
from dalm.metrics.copying import Nearness, authenticity, copying, mann_whitney_z, nearness
from dalm.metrics.frechet import frechet, frechet_distance
from dalm.metrics.kid import kid
from dalm.metrics.neighbours import copying_space, nearest
from dalm.metrics.prdc import prdc
from dalm.metrics.record import wilson

POINTS = Spec((2,))
DIGITS = Spec((1, 8, 8), levels=17)
NAMES = [
    "frechet",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "c2st",
    "copying",
    "authenticity",
]


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flags(samples: Tensor, train: Tensor, heldout: Tensor, spec: Spec) -> set[str | None]:
    near = nearness(samples, train, heldout, spec)
    return {copying(*near).flag, authenticity(*near).flag}


def number(value: float | None) -> float:
    assert value is not None
    return value


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    bunch = load_digits()
    x = torch.tensor(bunch.images).to(torch.uint8)[:, None]
    return x[:1100], x[1100:1297], x[1297:], torch.tensor(bunch.target)


# record


def test_json_has_the_keys_of_the_format_and_no_infinity() -> None:
    record = Metric(math.inf, 1.0, math.inf, 5, "bits/dim", "lower", note="why").to_json()
    assert list(record) == [
        "value",
        "low",
        "high",
        "n",
        "unit",
        "direction",
        "features",
        "label",
        "flag",
        "note",
    ]
    assert json.loads(json.dumps(record, allow_nan=False))["value"] is None
    assert record["low"] == 1.0
    assert record["high"] is None
    assert record["note"] == "value is inf; high is inf; why"


@pytest.mark.parametrize(
    ("value", "low", "high", "direction", "note"),
    [
        (math.nan, 0, 1, "lower", ""),
        (2, 0, 1, "lower", ""),
        (None, None, None, "lower", ""),
        (1, 0, 2, "up", ""),
    ],
)
def test_a_metric_refuses_nonsense(
    value: float | None, low: float | None, high: float | None, direction: str, note: str
) -> None:
    with pytest.raises(DalmError):
        Metric(value, low, high, 1, "nats", direction, note=note)  # type: ignore[arg-type]


def test_wilson_agrees_with_scipy() -> None:
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    for hits, n in [(0, 7), (3, 10), (250, 500), (500, 500)]:
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson(torch.arange(n) < hits) == pytest.approx(
            (hits / n, expected.low, expected.high)
        )


def test_likelihood_in_bits_with_its_interval() -> None:
    metric = likelihood(torch.tensor([-1.0, -3.0]).double() * math.log(2) * 64, 64, "bound")
    assert (metric.value, metric.label, metric.n) == (2.0, "bound", 2)
    assert number(metric.high) == pytest.approx(2 + 1.959964)


def test_likelihood_says_why_it_is_infinite_or_absent() -> None:
    impossible = likelihood(torch.tensor([-math.log(2), -math.inf]), 1, "exact")
    assert impossible.value == math.inf
    assert "1 of 2 data have probability zero; 1 bits/dim over the others" in impossible.note
    assert impossible.to_json()["value"] is None
    assert likelihood(torch.tensor([math.inf, 0.0]), 1, "exact").value == -math.inf
    assert likelihood(torch.tensor([math.nan, 0.0]), 1, "exact").value is None
    assert likelihood(torch.zeros(0), 1, "exact").value is None


# features


def test_the_digits_net_is_small_named_by_its_hash_and_good(digits: tuple[Tensor, ...]) -> None:
    import hashlib

    from safetensors.torch import load_file

    assert WEIGHTS.stat().st_size < 100_000
    assert (
        feature_space(DIGITS).name
        == f"digits-cnn-v1#{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8]}"
    )
    net = DigitsNet().eval()
    net.load_state_dict(load_file(WEIGHTS))
    _, _, test, labels = digits
    assert (net(test.float()).argmax(1) == labels[1297:]).float().mean() > 0.97
    assert torch.allclose(
        feature_space(DIGITS)(test), net.features(test.float()).double(), atol=1e-4
    )


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


# Fréchet distance and kernel distance


def test_frechet_closed_forms() -> None:
    a = torch.tensor([1.0, 4.0, 9.0]).double()
    b = torch.tensor([4.0, 1.0, 0.0]).double()
    turn, _ = torch.linalg.qr(normals(3, 3))
    expected = 14 + (a.sqrt() - b.sqrt()).square().sum().item()
    mean = torch.tensor([1.0, 2.0, 3.0]).double()
    assert frechet_distance(
        turn @ mean, turn @ a.diag() @ turn.T, mean * 0, turn @ b.diag() @ turn.T
    ) == pytest.approx(expected)


def test_frechet_null_floor() -> None:
    """E ≈ d²/2n for two equal Gaussians; its SD at d = 64, n = 1000 is 0.04: five of them fail less
    than once in a million seeds.
    """
    assert number(frechet(normals(1000, 64), normals(1000, 64, seed=1)).value) == pytest.approx(
        2.18, abs=0.2
    )


def test_frechet_interval_is_that_of_repeated_samples() -> None:
    """SDs over 40 repeats and 25 resamples err by 11 % and 14 %: a ratio beyond 2 is 4 SE off."""
    values = [
        frechet(normals(300, 3, seed=i), 1 + normals(300, 3, seed=999 - i)) for i in range(40)
    ]
    spread = torch.tensor([number(m.value) for m in values]).std().item()
    assert 0.5 < spread / ((number(values[0].high) - number(values[0].value)) / 1.96) < 2


def test_frechet_refuses_fewer_rows_than_a_covariance_needs() -> None:
    with pytest.raises(DalmError, match="at least 9 rows"):
        frechet(normals(8, 8), normals(100, 8))
    assert frechet(torch.ones(50, 3), torch.ones(50, 3)).value == 0


def test_kid_is_the_unbiased_estimator_of_the_formula() -> None:
    x = normals(7, 3)
    y = normals(5, 3, seed=1)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / 3 + 1) ** 3

    inside = sum(
        (k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))
    )
    assert number(kid(x, y).value) == pytest.approx(float(inside - 2 * kernel(x, y).mean()))
    assert number(kid(normals(3000, 3), normals(2500, 3)).value) == pytest.approx(0, abs=0.05)


def test_kid_has_expectation_zero_and_an_honest_interval() -> None:
    """The mean of 200 null values is within 4 standard errors of 0 (fails once in 16,000 seeds);
    off the null, jackknife SE and SD agree.

    The SD of 200 values errs by 5 %, so 25 % is five of its standard errors.
    """
    null = torch.tensor(
        [
            number(kid(normals(60, 4, seed=i), normals(80, 4, seed=1000 + i)).value)
            for i in range(200)
        ]
    )
    assert abs(null.mean()) < 4 * null.std() / math.sqrt(200)
    shifted = [kid(normals(60, 4, seed=i) + 0.7, normals(80, 4, seed=1000 + i)) for i in range(200)]
    spread = torch.tensor([number(m.value) for m in shifted]).std().item()
    errors = (
        torch.tensor([(number(m.high) - number(m.value)) / 1.96 for m in shifted]).mean().item()
    )
    assert errors == pytest.approx(spread, rel=0.25)


# precision, recall, density, coverage


def test_precision_means_samples_in_real_balls() -> None:
    scores = prdc(0.1 * normals(200, 16), 3 * normals(200, 16, seed=1))
    assert number(scores["precision"].value) > 0.8
    assert number(scores["recall"].value) < 0.3
    assert number(scores["density"].value) > 5


def test_coverage_has_its_expectation_when_the_distributions_agree() -> None:
    """The SD of coverage at n = 1000 is about 0.007: five of them fail less than once in a million
    seeds.
    """
    n = 1000
    k = 5
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    scores = prdc(normals(n, 8), normals(n, 8, seed=1), k=k)
    assert expected == pytest.approx(0.96898, abs=1e-5)
    assert number(scores["coverage"].value) == pytest.approx(expected, abs=0.035)
    assert number(scores["density"].value) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.1])
def test_constant_features_lie_in_each_others_balls(constant: float) -> None:
    scores = prdc(torch.full((30, 4), constant), torch.full((30, 4), constant))
    assert [scores[name].value for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    assert number(scores["density"].value) == 6


def test_balls_agree_with_plain_loops_across_blocks() -> None:
    x = normals(1100, 2)
    y = normals(40, 2, seed=1)
    k = 3
    rims = torch.cdist(y, y).sort(1).values[:, k]
    inside = torch.cdist(x, y) <= rims
    scores = prdc(x, y, k=k)
    assert scores["precision"].value == inside.any(1).double().mean().item()
    assert scores["coverage"].value == inside.any(0).double().mean().item()
    assert number(scores["density"].value) == pytest.approx(inside.sum().item() / (k * 1100))


# classifier two-sample test


def test_classifier_guesses_between_equals_and_sees_a_difference() -> None:
    """Under the null accuracy is Binomial(1000, 1/2) / 1000, SD 0.016: 0.07 is over four. The
    difference is only a correlation.
    """
    x = normals(1000, 5)
    y = normals(1000, 5, seed=1)
    assert number(c2st(x, y).value) == pytest.approx(0.5, abs=0.07)
    y[:, 0] = y[:, 1] * 0.9 + y[:, 0] * 0.19**0.5
    seen = c2st(x, y)
    assert number(seen.low) > 0.6
    assert seen == c2st(x, y)
    assert seen.n == 1000


# copying


def test_mann_whitney_agrees_with_scipy_ties_included() -> None:
    from scipy.stats import mannwhitneyu, norm

    x = normals(60).mul(2).round()
    y = normals(70, seed=1).mul(2).round() + 1
    p = mannwhitneyu(x.numpy(), y.numpy(), use_continuity=False, method="asymptotic").pvalue
    z = mann_whitney_z(x, y)
    assert z < 0
    assert 2 * norm.cdf(z) == pytest.approx(p, rel=1e-9)
    assert mann_whitney_z(torch.ones(5), torch.ones(9)) == 0


def test_copying_without_copies_is_standard_normal_within_its_interval() -> None:
    """C_T of equal distances in 4 cells: 95 % of intervals hold 0; of 400 between 366 and 394,
    which fails once in 700 seeds.
    """
    covered = 0
    for i in range(400):
        fake, real = (
            Nearness(
                normals(120, seed=2 * i + j),
                torch.zeros(120) > 0,
                torch.ones(120),
                torch.arange(120) % 4,
                "raw",
            )
            for j in (0, 1)
        )
        metric = copying(fake, real)
        covered += number(metric.low) <= 0 <= number(metric.high)
    assert 366 <= covered <= 394
    assert number(metric.high) - number(metric.value) == pytest.approx(1.96 / 2, abs=1e-3)


def test_nearest_is_exact_and_leaves_itself_out() -> None:
    pool = normals(300, 5).float()
    pool[7] = pool[8]
    distance, row = nearest(pool, pool, itself=torch.arange(300))
    assert not (row == torch.arange(300)).any()
    assert distance[7] == distance[8] == 0
    expected = (torch.cdist(pool.double(), pool.double()) + 99 * torch.eye(300)).min(1)
    assert torch.allclose(distance.double(), expected.values, atol=1e-6)
    assert torch.equal(nearest(pool[9:10], pool)[0], torch.zeros(1))


def test_copies_lie_at_distance_zero_after_the_projection_too() -> None:
    spec = Spec((1, 12, 12), levels=16)
    train = torch.randint(0, 16, (700, 1, 12, 12), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    space = copying_space(train, spec)
    assert space.name.startswith("pca64#")
    assert space(train).shape == (700, 64)
    assert torch.equal(nearest(space(train[500:507]), space(train))[0], torch.zeros(7).double())
    assert torch.equal(neighbours(train[[3, 600]], train, spec), torch.tensor([3, 600]))


def rows_of_digits(digits: tuple[Tensor, ...]) -> dict[str, tuple[Tensor, bool]]:
    """Samples of known kind, and whether they are copies."""
    train, val, _, labels = digits
    generator = torch.Generator().manual_seed(0)
    copies = train[torch.randint(len(train), (500,), generator=generator)]
    flat = train.flatten(1).double()
    gaussian = torch.distributions.MultivariateNormal(
        flat.mean(0), torch.cov(flat.T) + 1e-6 * torch.eye(64)
    )
    torch.manual_seed(0)
    means = torch.stack([train[labels[:1100] == c].double().mean(0) for c in range(10)])

    def digital(x: Tensor) -> Tensor:
        return x.round().clamp(0, 16).to(torch.uint8).view(-1, 1, 8, 8)

    return {
        "held-out": (val, False),
        "copycat": (copies, True),
        "copycat with 5 % noise": (digital(copies + 0.05 * 16 * normals(500, 1, 8, 8)), True),
        "copycat with 10 % noise": (digital(copies + 0.1 * 16 * normals(500, 1, 8, 8)), True),
        "half copies": (torch.cat([copies[:197], val]), True),
        "gaussian": (digital(gaussian.sample((500,))), False),
        "class means": (
            digital(means[torch.randint(10, (500,), generator=generator)] + normals(500, 1, 8, 8)),
            False,
        ),
        "noise": (torch.randint(0, 17, (500, 1, 8, 8), generator=generator).to(torch.uint8), False),
    }


def test_on_digits_copies_are_flagged_and_nothing_else_is(digits: tuple[Tensor, ...]) -> None:
    train, _, test, _ = digits
    for name, (samples, copied) in rows_of_digits(digits).items():
        assert flags(samples, train, test, DIGITS) == ({"copies"} if copied else {None}), name


def test_unseen_digits_by_the_training_writers_are_not_copies(digits: tuple[Tensor, ...]) -> None:
    """What a perfect model of the training split would produce, while the test rows have other
    writers.
    """
    train, _, test, _ = digits
    rows = torch.randperm(1100, generator=torch.Generator().manual_seed(0))
    near = nearness(train[rows[:250]], train[rows[250:]], test, DIGITS)
    assert number(copying(*near).high) < -3
    assert copying(*near).flag is authenticity(*near).flag is None


@pytest.mark.parametrize("d", [1, 2, 8])
def test_on_points_copies_are_flagged_and_fresh_points_are_not(d: int) -> None:
    train, fresh, test = (
        normals(size, d, seed=seed).float() for seed, size in enumerate((30_000, 400, 400))
    )
    spec = Spec((d,))
    assert flags(fresh, train, test, spec) == flags(0.5 * fresh, train, test, spec) == {None}
    assert flags(train[:400], train, test, spec) == {"copies"}
    assert "copies" in flags(torch.cat([train[:200], fresh[:200]]), train, test, spec)


# evaluate


def test_evaluate_repeats_itself_and_names_its_spaces(digits: tuple[Tensor, ...]) -> None:
    train, val, test, _ = digits
    scores = evaluate(val, train, test, DIGITS)
    assert scores == evaluate(val, train, test, DIGITS)
    assert list(scores) == NAMES
    assert set(NAMES) < set(EXPLAIN)
    assert [m.features for m in scores.values()] == [feature_space(DIGITS).name] * 6 + ["raw"] * 3
    assert evaluate(val, train, test, DIGITS, features="raw")["kid"].features == "raw"
    assert evaluate(val, train, test, DIGITS, limit=100)["density"].n == 100
    json.dumps([m.to_json() for m in scores.values()], allow_nan=False)


def test_a_feature_space_of_ones_own_gets_the_data_as_they_are() -> None:
    samples, train, heldout = (7.0 * normals(50, 2, seed=k).float() for k in range(3))
    seen = []
    own = FeatureSpace("mine", lambda x: seen.append(x) or x)
    scores = evaluate(samples, train, heldout, POINTS, features=own)
    assert torch.equal(seen[0], samples)
    assert torch.equal(seen[1], heldout)
    assert scores["frechet"].features == "mine"
    assert str(scores["c2st"].features).startswith("raw/std#")


def test_evaluate_gives_reasons_instead_of_errors() -> None:
    x = normals(100, 2).float()
    poor = {
        "samples: expected finite": (torch.full((50, 2), math.nan), x, x),
        "held-out rows: expected data of shape": (x, x, normals(50, 3).float()),
        "there are no samples": (x[:0], x, x),
    }
    for reason, sets in poor.items():
        scores = evaluate(*sets, POINTS)
        assert list(scores) == NAMES
        assert all(m.value is None and m.note.startswith(reason) for m in scores.values())
    few = evaluate(x[:2], x, x, POINTS)
    assert all(m.value is None and m.note for m in few.values())


@pytest.mark.parametrize("value", [0.0, 1e30])
def test_a_collapsed_generator_and_huge_values_do_no_harm(value: float) -> None:
    x = normals(100, 2).float()
    scores = evaluate(torch.full((60, 2), value), x, x[:50] + 0.1, POINTS)
    assert list(scores) == NAMES
    assert all(m.value is not None or m.note for m in scores.values())
    assert number(scores["coverage"].value) < 0.2


def test_a_tiny_discrete_space_is_full_of_ties_but_of_no_copies() -> None:
    bits = [
        torch.randint(0, 2, (200, 3), generator=torch.Generator().manual_seed(i)).to(torch.uint8)
        for i in range(3)
    ]
    scores = evaluate(bits[0], bits[1], bits[2], Spec((3,), levels=2))
    assert scores["copying"].value == 0
    assert scores["copying"].flag is scores["authenticity"].flag is None
    assert (
        "100.0% of samples equal a training row (held-out data: 100.0%)" in scores["copying"].note
    )


def test_bytes_with_all_256_levels_are_scored() -> None:
    x = torch.randint(0, 256, (90, 1, 12, 12), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    scores = evaluate(x[:30], x, x[60:], Spec((1, 12, 12), levels=256))
    assert scores["c2st"].value is not None
    assert scores["copying"].features is not None
    assert scores["frechet"].value is None
    assert "at least 81 rows" in scores["frechet"].note


def test_units_of_measurement_decide_nothing() -> None:
    samples, train, heldout = (
        normals(200, 2, seed=k).float() * torch.tensor([1.0, 0.5]) for k in range(3)
    )
    units = torch.tensor([1.0, 1024.0])
    plain = evaluate(samples, train, heldout, POINTS)
    scaled = evaluate(samples * units, train * units, heldout * units, POINTS)
    assert {name: metric.value for name, metric in plain.items()} == {
        name: metric.value for name, metric in scaled.items()
    }
    names = {metric.features for metric in (*plain.values(), *scaled.values())}
    assert len(names) == 2, "the units are part of the name"
    assert all(re.fullmatch(r"raw/std#[0-9a-f]{8}", name or "") for name in names)
    constant = torch.cat([train[:, :1], torch.ones(200, 1)], 1)
    assert evaluate(samples, constant, heldout, POINTS)["frechet"].value is not None
