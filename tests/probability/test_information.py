"""Information measures against closed forms, exact enumeration, brute force and their own
intervals.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from scipy.spatial import distance

from dalm.core import Batch, Spec, Work
from dalm.models import Discriminant
from dalm.probability import counted, information, monte_carlo, neighbours

CHANCE = 1e-6  # failure rate of each statistical test, at a fixed seed
FAR = 4.9  # standard errors, at that rate
NORMAL = torch.distributions.Normal
LOG_2 = math.log(2)


def double(value):
    return torch.tensor(value, dtype=torch.float64)


def tables(*shape, seed=0):
    """Random probabilities along the last axis, with zeros among them."""
    weights = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weights = weights * (weights > 0.2) + 1e-9
    return weights / weights.sum(-1, keepdim=True)


def joints(n, rows, columns, seed=0):
    return tables(n, rows * columns, seed=seed).view(n, rows, columns)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def correlated(n, rho, seed=0):
    """Pairs of standard normals."""
    x, other = noise(2, n, seed=seed)
    return x, rho * x + math.sqrt(1 - rho**2) * other


def normal_entropy(std, dims=1):
    return dims * (math.log(std) + 0.5 * math.log(2 * math.pi * math.e))


# Tables of probabilities


@pytest.mark.parametrize("p", [0.0, 1e-300, 0.11, 0.5, 0.97, 1.0])
def test_entropy_of_a_coin(p):
    expected = 0.0 if p in (0, 1) else -p * math.log(p) - (1 - p) * math.log1p(-p)
    assert information.entropy(double([p, 1 - p])).item() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("size", [1, 2, 7, 256, 65536])
def test_entropy_of_the_uniform(size):
    assert information.entropy(torch.full((size,), 1 / size), "bits").item() == pytest.approx(
        math.log2(size), abs=1e-12
    )


@pytest.mark.parametrize(("r", "size"), [(0.5, 3), (0.9, 40), (0.01, 7)])
def test_entropy_of_the_truncated_geometric(r, size):
    """p(k) = r^k / Z for k < size: H = log Z - log r · mean."""
    z = (1 - r**size) / (1 - r)
    mean = r / (1 - r) - size * r**size / (1 - r**size)
    p = double([r**k / z for k in range(size)])
    assert information.entropy(p).item() == pytest.approx(
        math.log(z) - math.log(r) * mean, abs=1e-13
    )


@pytest.mark.parametrize(("p", "q"), [(0.3, 0.6), (0.5, 0.01), (0.0, 0.4), (1.0, 0.4), (0.2, 0.2)])
def test_divergence_of_two_coins(p, q):
    expected = sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)
    assert information.kl(double([p, 1 - p]), double([q, 1 - q])).item() == pytest.approx(
        expected, abs=1e-15
    )


def test_against_scipy_and_in_batches():
    p = tables(50, 9)
    q = tables(50, 9, seed=1)
    found = [information.entropy(p), information.kl(p, q), information.jensen_shannon(p, q).sqrt()]
    expected = [
        stats.entropy(p, axis=1),
        stats.entropy(p, q, axis=1),
        distance.jensenshannon(p, q, axis=1),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.allclose(ours, theirs, rtol=0, atol=1e-12)
    assert torch.allclose(
        information.cross_entropy(p, q), information.entropy(p) + information.kl(p, q), rtol=1e-12
    )
    assert information.kl(p[:, None], q).shape == (50, 50)
    assert torch.equal(information.kl(p[:, None], q).diagonal(), information.kl(p, q))


def test_what_is_impossible_is_infinite():
    sure = double([1.0, 0.0])
    even = double([0.5, 0.5])
    assert information.kl(even, sure) == information.cross_entropy(even, sure) == math.inf
    assert information.kl(sure, even).item() == pytest.approx(LOG_2)
    assert information.jensen_shannon(sure, even).isfinite()


def test_divergence_is_positive_and_jensen_shannon_a_bounded_metric():
    p, q, r = (tables(200, 5, seed=seed) for seed in range(3))
    assert (information.kl(p, q) > 0).all()
    assert (information.kl(p, p) == 0).all()
    js = information.jensen_shannon
    assert torch.equal(js(p, q), js(q, p))
    assert (js(p, q) <= LOG_2 + 1e-15).all()
    assert (js(p, r).sqrt() <= js(p, q).sqrt() + js(q, r).sqrt() + 1e-12).all()


def test_chain_rule():
    joint = joints(20, 4, 3)
    x = joint.sum(-1)
    rows = (x * information.entropy(joint / x[..., None])).sum(-1)  # H(Y|X) by its definition
    assert torch.allclose(information.conditional_entropy(joint), rows, atol=1e-12)
    assert torch.allclose(
        information.entropy(joint.flatten(-2)),
        information.entropy(x) + information.conditional_entropy(joint),
    )


def test_mutual_information_is_what_knowing_one_tells_of_the_other():
    joint = joints(20, 4, 3)
    found = information.mutual_information(joint)
    assert torch.allclose(
        found,
        information.entropy(joint.sum(-2)) - information.conditional_entropy(joint),
        atol=1e-12,
    )
    assert torch.allclose(found, information.mutual_information(joint.mT), atol=1e-12)
    independent = tables(20, 4)[:, :, None] * tables(20, 3, seed=1)[:, None]
    assert information.mutual_information(independent).max() < 1e-14
    copy = torch.diag_embed(tables(20, 4))
    assert torch.allclose(
        information.mutual_information(copy), information.entropy(tables(20, 4)), atol=1e-12
    )


def test_binary_symmetric_channel():
    """A fair bit flipped with probability e tells 1 - h(e) bits."""
    e = 0.11
    joint = double([[1 - e, e], [e, 1 - e]]) / 2
    expected = 1 + e * math.log2(e) + (1 - e) * math.log2(1 - e)
    assert information.mutual_information(joint, "bits").item() == pytest.approx(
        expected, abs=1e-14
    )


def test_processing_destroys_information():
    joint = joints(100, 4, 5)
    channel = tables(100, 5, 3, seed=1)
    after = joint @ channel
    assert (information.mutual_information(after) < information.mutual_information(joint)).all()
    p = tables(100, 1, 5)
    q = tables(100, 1, 5, seed=2)
    for divergence in (information.kl, information.jensen_shannon):
        assert (
            divergence((p @ channel)[:, 0], (q @ channel)[:, 0]) <= divergence(p[:, 0], q[:, 0])
        ).all()


def test_tiny_probabilities_do_not_underflow():
    joint = torch.diag(double([1.0, 1e-200, 1e-300]))
    expected = -1e-200 * math.log(1e-200)
    assert 0 < information.mutual_information(joint).item() == pytest.approx(expected, rel=1e-9)


def test_units():
    p = tables(9)
    q = tables(9, seed=1)
    joint = joints(1, 3, 3)[0]
    for measure, arguments in (
        (information.entropy, (p,)),
        (information.cross_entropy, (p, q)),
        (information.kl, (p, q)),
        (information.jensen_shannon, (p, q)),
        (information.conditional_entropy, (joint,)),
        (information.mutual_information, (joint,)),
    ):
        assert measure(*arguments, "bits").item() == pytest.approx(
            measure(*arguments).item() / LOG_2, rel=1e-14
        )
    x = noise(200)
    for estimate in (
        lambda unit: monte_carlo.entropy_of(NORMAL(0, 1).log_prob, x, unit=unit),
        lambda unit: neighbours.knn_entropy(x, unit=unit),
        lambda unit: counted.counted_entropy(x.round(), unit=unit),
    ):
        nats = estimate("nats")
        bits = estimate("bits")
        assert (bits.value, bits.error) == pytest.approx(
            (nats.value / LOG_2, nats.error / LOG_2), rel=1e-14
        )
        assert (nats.unit, bits.unit, bits.n) == ("nats", "bits", 200)


def test_single_precision_is_normalised():
    p = torch.rand(100, 1000, generator=torch.Generator().manual_seed(0)).softmax(-1)
    q = (p.double() / p.double().sum(-1, keepdim=True)).roll(1, 0)
    assert (information.kl(p, p.double()) == 0).all()
    assert (information.kl(p, q) > 0).all()
    assert information.entropy(p).dtype == torch.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: information.entropy(double([0.5, 0.4])), "sum to one"),
        (lambda: information.entropy(double([1.5, -0.5])), "not negative"),
        (lambda: information.entropy(double([math.nan, 1.0])), "sum to one"),
        (lambda: information.entropy(double(1.0)), "along the last 1"),
        (lambda: information.entropy(torch.zeros(3, 0)), "expected probabilities"),
        (
            lambda: information.entropy(torch.ones(1, dtype=torch.complex64)),
            "expected probabilities",
        ),
        (lambda: information.mutual_information(double([0.5, 0.5])), "along the last 2"),
        (lambda: information.mutual_information(torch.full((2, 2), 0.5)), "sums from 2 to 2"),
        (lambda: information.kl(tables(3), tables(4)), "got 3 and 4"),
        (lambda: information.jensen_shannon(tables(3), tables(1)), "got 3 and 1"),
        (
            lambda: information.cross_entropy(tables(2, 3), tables(4, 3)),
            r"got shapes \(2, 3\) and \(4, 3\)",
        ),
        (lambda: information.entropy(tables(3), "bit"), "nats or bits, got 'bit'"),
    ],
)
def test_what_is_no_distribution_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Models

P = NORMAL(double(0.3), double(1.2))
Q = NORMAL(double(-0.5), double(0.8))


def draws(model, n, seed=0):
    return model.mean + model.stddev * noise(n, seed=seed)


def normal_kl(p, q):
    ratio = p.stddev / q.stddev
    return (
        ratio.square() / 2 - ratio.log() - 0.5 + ((p.mean - q.mean) / q.stddev).square() / 2
    ).item()


def js_by_quadrature(p, q):
    def integrand(x):
        a, b = (model.log_prob(double(x)).exp().item() for model in (p, q))
        return (special.rel_entr(a, (a + b) / 2) + special.rel_entr(b, (a + b) / 2)) / 2

    return integrate.quad(integrand, -12, 12, limit=200)[0]


RHO = 0.8


def model_information(n, seed):
    x, y = correlated(n, RHO, seed)
    given = NORMAL(RHO * y, math.sqrt(1 - RHO**2))
    return monte_carlo.mutual_information_of(
        lambda x, y: given.log_prob(x), NORMAL(0, 1).log_prob, x, y
    )


MODELS = {
    "entropy": (
        lambda n, seed: monte_carlo.entropy_of(P.log_prob, draws(P, n, seed)),
        normal_entropy(1.2),
    ),
    "cross-entropy": (
        lambda n, seed: monte_carlo.cross_entropy_of(Q.log_prob, draws(P, n, seed)),
        normal_entropy(1.2) + normal_kl(P, Q),
    ),
    "divergence": (
        lambda n, seed: monte_carlo.kl_of(P.log_prob, Q.log_prob, draws(P, n, seed)),
        normal_kl(P, Q),
    ),
    "Jensen-Shannon": (
        lambda n, seed: monte_carlo.jensen_shannon_of(
            P.log_prob, Q.log_prob, draws(P, n, seed), draws(Q, 2 * n, seed + 10**6)
        ),
        js_by_quadrature(P, Q),
    ),
    "mutual information": (model_information, -0.5 * math.log(1 - RHO**2)),
}


def near(estimate, truth, bias=0.0):
    return abs(estimate.value - truth) < FAR * estimate.error + bias


def coverage(estimates, truth):
    """How many of the 95 % intervals hold the truth."""
    return sum(low <= truth <= high for low, high in (estimate.interval for estimate in estimates))


def check_coverage(measure, truth, n=200, repetitions=1000):
    held = coverage([measure(n, seed) for seed in range(repetitions)], truth)
    assert stats.binomtest(held, repetitions, 0.95).pvalue > CHANCE


@pytest.mark.parametrize("name", MODELS)
def test_models_in_closed_form(name):
    measure, truth = MODELS[name]
    found = measure(100_000, 0)
    assert near(found, truth)
    assert found.error < 0.01


@pytest.mark.parametrize("name", MODELS)
def test_intervals_of_models_hold_the_truth_as_often_as_promised(name):
    check_coverage(*MODELS[name])


def test_enumerated_models_are_the_exact_tables():
    """Each outcome once for every time it is expected."""
    p = double([0.5, 0.3, 0.2])
    q = double([0.1, 0.3, 0.6])
    of_p, of_q = (
        torch.arange(3).repeat_interleave((1000 * table).round().long()) for table in (p, q)
    )
    log_p, log_q = (lambda x, table=table: table.log()[x] for table in (p, q))
    for found, expected in (
        (monte_carlo.entropy_of(log_p, of_p), information.entropy(p)),
        (monte_carlo.cross_entropy_of(log_q, of_p), information.cross_entropy(p, q)),
        (monte_carlo.kl_of(log_p, log_q, of_p), information.kl(p, q)),
        (monte_carlo.jensen_shannon_of(log_p, log_q, of_p, of_q), information.jensen_shannon(p, q)),
    ):
        assert found.value == pytest.approx(expected.item(), abs=1e-12)


def test_a_family_against_the_table_of_all_its_data():
    generator = torch.Generator().manual_seed(0)
    model = Discriminant(Spec((1,), levels=6, classes=3))
    label = torch.arange(600) % 3
    rows = (torch.randint(3, (600, 1), generator=generator) + label[:, None]).clamp(max=5)
    model.passes(Work(Batch(rows, label)))
    joint = model.class_log_probs(torch.arange(6)[:, None]).exp()
    y = torch.multinomial(model.prior, 50_000, replacement=True, generator=generator)
    x = model.sample(len(y), y, generator)
    for found, expected in (
        (monte_carlo.entropy_of(model.log_prob, x), information.entropy(joint.sum(1))),
        (
            monte_carlo.mutual_information_of(model.log_prob, model.log_prob, x, y),
            information.mutual_information(joint),
        ),
        (counted.counted_mutual_information(x, y), information.mutual_information(joint)),
    ):
        assert near(found, expected.item())
        assert expected > 0.1 and found.error < 0.01


def test_the_impossible_under_a_model():
    p, q = (
        torch.distributions.Uniform(0.0, high, validate_args=False).log_prob for high in (2.0, 1.0)
    )
    x = torch.tensor([0.5, 1.5])
    for found in (monte_carlo.kl_of(p, q, x), monte_carlo.cross_entropy_of(q, x)):
        assert found.value == math.inf and math.isnan(found.error)
    assert 0 < monte_carlo.jensen_shannon_of(p, q, x, x / 2).value < LOG_2
    for call in (
        lambda: monte_carlo.entropy_of(q, x),
        lambda: monte_carlo.kl_of(q, p, x),
        lambda: monte_carlo.jensen_shannon_of(p, q, x, x),
    ):
        with pytest.raises(ValueError, match="1 of 2 samples are impossible"):
            call()


@pytest.mark.parametrize(
    ("log_prob", "x", "message"),
    [
        (lambda x: x[:, None], torch.ones(3), r"one number for each of 3 data, got shape \(3, 1\)"),
        (lambda x: x.sum(), torch.ones(3), "one number for each"),
        (lambda x: x * math.nan, torch.ones(3), "NaN"),
        (lambda x: x * math.inf, torch.ones(3), r"\+inf"),
        (lambda x: x, torch.ones(1), "at least two samples, got 1"),
    ],
)
def test_what_is_no_log_probability_is_refused(log_prob, x, message):
    with pytest.raises(ValueError, match=message):
        monte_carlo.cross_entropy_of(log_prob, x)


def test_models_keep_no_gradient():
    weight = torch.ones(3, requires_grad=True)
    monte_carlo.entropy_of(lambda x: -(weight * x), torch.ones(3))
    assert weight.grad is None


# Discrete samples


def multinomial(n, p):
    """Every count vector, with its probability."""
    counts = [
        counts for counts in itertools.product(range(n + 1), repeat=len(p)) if sum(counts) == n
    ]
    return list(zip(counts, stats.multinomial.pmf(counts, n, p), strict=True))


def samples(counts):
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def mean_value(measure, n, p):
    """Exact expectation of an estimate over samples of size n."""
    return sum(chance * measure(samples(counts)).value for counts, chance in multinomial(n, p))


UNEVEN = [0.5, 0.3, 0.2]


def entropy_bias(correction, n=10):
    truth = stats.entropy(UNEVEN)
    return (
        mean_value(lambda x: counted.counted_entropy(x, correction=correction), n, UNEVEN) - truth
    )


def check_corrections():
    plug_in = entropy_bias("none")
    corrected = entropy_bias("miller-madow")
    assert plug_in < -0.1
    assert abs(corrected) < abs(plug_in) / 3


def test_miller_madow_is_less_biased_in_exact_expectation():
    check_corrections()


def test_zhang_has_the_bias_of_its_series():
    """Zhang 2012: what the sum over v < n leaves out, Σ_{v ≥ n} Σ p (1 - p)^v / v."""
    n = 6
    missing = sum(p * (1 - p) ** v / v for p in UNEVEN for v in range(n, 2000))
    assert entropy_bias("zhang", n) == pytest.approx(-missing, abs=1e-12)


def test_divergence_from_counts_has_the_bias_of_its_series():
    """Zhang and Grabchak 2014: the two remainders, of the cross-entropy beyond m and of the entropy
    from n on.
    """
    p = 0.3
    q = 0.6
    n = 5
    m = 6
    pairs = itertools.product(multinomial(n, [p, 1 - p]), multinomial(m, [q, 1 - q]))
    mean = sum(a * b * counted.counted_kl(samples(x), samples(y)).value for (x, a), (y, b) in pairs)
    bias = 0.0
    for a, b in ((p, q), (1 - p, 1 - q)):
        bias -= a * sum((1 - b) ** v / v for v in range(m + 1, 2000))
        bias += a * sum((1 - a) ** v / v for v in range(n, 2000))
    assert mean == pytest.approx(
        information.kl(double([p, 1 - p]), double([q, 1 - q])).item() + bias, abs=1e-12
    )


def test_corrected_mutual_information_is_less_biased():
    """Of independent bits the truth is 0."""

    def bias(correction):
        return mean_value(
            lambda x: counted.counted_mutual_information(x // 2, x % 2, correction=correction),
            8,
            [0.25] * 4,
        )

    assert bias("none") > 0.05
    assert abs(bias("miller-madow")) < 0.6 * bias("none")


def test_counts_agree_with_exact_tables():
    x, y = torch.randint(4, (2, 500), generator=torch.Generator().manual_seed(0))
    y = (x + y) // 2
    joint = torch.zeros(4, 4, dtype=torch.float64).index_put(
        (x, y), double(1 / 500), accumulate=True
    )
    p = joint.sum(1)
    q = joint.sum(0)
    for found, expected in (
        (counted.counted_entropy(x, correction="none"), information.entropy(p)),
        (
            counted.counted_mutual_information(x, y, correction="none"),
            information.mutual_information(joint),
        ),
        (
            counted.counted_jensen_shannon(x, y, correction="none"),
            information.jensen_shannon(p, q),
        ),
    ):
        assert found.value == pytest.approx(expected.item(), abs=1e-12)


def test_symbols_may_be_anything():
    x = torch.randint(2, (300, 2, 3), generator=torch.Generator().manual_seed(0))
    place = 2 ** torch.arange(6)
    number = (x.flatten(1) * place).sum(1)
    for same in (x, x.double(), x.bool(), -7 * x, number, number + 2**60):
        assert counted.counted_entropy(same) == counted.counted_entropy(number)
    assert counted.counted_mutual_information(x, number).value == pytest.approx(
        counted.counted_mutual_information(number, number).value, abs=1e-12
    )


def drawn(p, n, seed):
    return torch.multinomial(
        double(p), n, replacement=True, generator=torch.Generator().manual_seed(seed)
    )


PAIRS = [0.4, 0.1, 0.1, 0.4]
OTHER = [0.2, 0.3, 0.5]
COUNTED = {
    "entropy": (
        lambda n, seed: counted.counted_entropy(drawn(UNEVEN, n, seed)),
        stats.entropy(UNEVEN),
    ),
    "divergence": (
        lambda n, seed: counted.counted_kl(
            drawn(UNEVEN, n, seed), drawn(OTHER, 2 * n, seed + 10**6)
        ),
        stats.entropy(UNEVEN, OTHER),
    ),
    "Jensen-Shannon": (
        lambda n, seed: counted.counted_jensen_shannon(
            drawn(UNEVEN, n, seed), drawn(OTHER, n, seed + 10**6)
        ),
        distance.jensenshannon(UNEVEN, OTHER) ** 2,
    ),
    "mutual information": (
        lambda n, seed: counted.counted_mutual_information(
            (x := drawn(PAIRS, n, seed)) // 2, x % 2
        ),
        stats.entropy([0.5, 0.5]) * 2 - stats.entropy(PAIRS),
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_discrete_samples_in_closed_form(name):
    measure, truth = COUNTED[name]
    assert near(measure(50_000, 0), truth)


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED)
def test_intervals_of_counts_hold_the_truth_as_often_as_promised(name):
    check_coverage(*COUNTED[name], n=500, repetitions=500)


# Real samples


def brute_distance(x, y):
    return (x[:, None] - y[None]).abs().amax(-1)


def brute_entropy(x, k):
    n, dims = x.shape
    reach = brute_distance(x, x).sort().values[:, k]
    return special.digamma(n) - special.digamma(k) + dims * (2 * reach).log().mean().item()


def brute_information(x, y, k):
    """Kraskov et al. 2004, equation 8, datum by datum."""
    x, y = (z / z.std(0, correction=0) for z in (x, y))
    in_x = brute_distance(x, x)
    in_y = brute_distance(y, y)
    reach = torch.maximum(in_x, in_y).sort().values[:, k]
    terms = []
    for i in range(len(x)):
        nearer = [
            sum(1 for j in range(len(x)) if j != i and table[i, j] < reach[i])
            for table in (in_x, in_y)
        ]
        terms.append(special.digamma(nearer[0] + 1) + special.digamma(nearer[1] + 1))
    return special.digamma(k) + special.digamma(len(x)) - np.mean(terms)


def brute_kl(x, y, k):
    within = brute_distance(x, x).sort().values[:, k]
    across = brute_distance(x, y).sort().values[:, k - 1]
    return x.shape[1] * (across / within).log().mean().item() + math.log(len(y) / (len(x) - 1))


def check_brute_force(k=3):
    x = noise(100, 2)
    y = noise(100, 1, seed=1)
    z = noise(130, 2, seed=2) + 1
    y = y + x[:, :1]
    assert neighbours.knn_entropy(x, k).value == pytest.approx(brute_entropy(x, k), abs=1e-12)
    assert neighbours.knn_mutual_information(x, y, k).value == pytest.approx(
        brute_information(x, y, k), abs=1e-12
    )
    assert neighbours.knn_kl(x, z, k).value == pytest.approx(brute_kl(x, z, k), abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbours_against_brute_force(k):
    check_brute_force(k)


def test_differential_entropy_in_closed_form():
    uniform = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert near(neighbours.knn_entropy(3 * uniform), math.log(3), bias=0.002)
    assert near(neighbours.knn_entropy(-uniform.log() / 2), 1 - LOG_2, bias=0.005)
    assert near(neighbours.knn_entropy(noise(4000)), normal_entropy(1), bias=0.005)
    assert near(neighbours.knn_entropy(noise(4000, 2)), normal_entropy(1, dims=2), bias=0.01)
    assert neighbours.knn_entropy(noise(4000)).error < 0.02


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.6, 0.9])
def test_mutual_information_of_normals(rho):
    found = neighbours.knn_mutual_information(*correlated(4000, rho))
    assert near(found, -0.5 * math.log(1 - rho**2), bias=0.01)
    assert found.error < 0.03 and found.n == 4000


def test_mutual_information_of_vectors():
    x, other = noise(2, 4000, 2)
    assert near(
        neighbours.knn_mutual_information(x, (x + other).view(4000, 1, 2)), LOG_2, bias=0.03
    )
    assert near(neighbours.knn_mutual_information(x, other), 0, bias=0.01)


def test_mutual_information_is_free_of_units_and_symmetric():
    x, y = correlated(500, 0.7)
    found = neighbours.knn_mutual_information(x, y).value
    assert neighbours.knn_mutual_information(1000 * x + 7, -y / 64).value == pytest.approx(
        found, abs=1e-3
    )
    assert neighbours.knn_mutual_information(y, x).value == pytest.approx(found, abs=1e-12)
    assert neighbours.knn_mutual_information(x, 0 * y + 3).value == pytest.approx(0, abs=1e-12)


def test_mutual_information_with_a_label():
    label = torch.randint(3, (3000,), generator=torch.Generator().manual_seed(1))
    x = noise(3000) + label

    def density(at):
        return stats.norm.pdf(at - np.arange(3)).mean()

    truth = integrate.quad(lambda at: special.entr(density(at)), -9, 11, limit=200)[
        0
    ] - normal_entropy(1)
    assert near(neighbours.knn_mutual_information(x, label), truth, bias=0.01)


def test_divergence_of_normal_samples():
    x, y = noise(2, 4000)
    assert near(neighbours.knn_kl(x, y + 1), 0.5, bias=0.02)
    assert near(neighbours.knn_kl(x / 2, y), LOG_2 - 3 / 8, bias=0.01)
    assert near(neighbours.knn_kl(x, y), 0, bias=0.005)


KNN = {
    "entropy": (lambda n, seed: neighbours.knn_entropy(noise(n, seed=seed)), normal_entropy(1)),
    "mutual information": (
        lambda n, seed: neighbours.knn_mutual_information(*correlated(n, 0.3, seed)),
        -0.5 * math.log(1 - 0.09),
    ),
    "divergence": (lambda n, seed: neighbours.knn_kl(*noise(2, n, seed=seed)), 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KNN)
def test_intervals_of_neighbours_hold_the_truth_nearly_as_often_as_promised(name):
    """Where variance falls more slowly than 1/n at first the error is a little small: an interval
    is only said to hold 88 % at least.
    """
    measure, truth = KNN[name]
    found = [measure(600, seed) for seed in range(150)]
    assert stats.binom.cdf(coverage(found, truth), len(found), 0.88) > CHANCE
    assert np.mean([one.error for one in found]) == pytest.approx(
        np.std([one.value for one in found]), rel=0.25
    )


def test_the_order_of_rows_does_not_decide_the_error():
    x, y = correlated(2000, 0.6)
    order = x.argsort()
    shuffled = neighbours.knn_mutual_information(x, y)
    ordered = neighbours.knn_mutual_information(x[order], y[order])
    assert ordered.value == pytest.approx(shuffled.value, abs=1e-12)
    assert 0.4 < ordered.error / shuffled.error < 2.5


LINE = torch.arange(64.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: neighbours.knn_entropy(LINE.div(4).floor()),
            "64 of 64 data coincide with 4 or more",
        ),
        (
            lambda: neighbours.knn_mutual_information(LINE % 2, LINE % 3),
            "discrete data have no density",
        ),
        (
            lambda: neighbours.knn_kl(LINE, LINE.div(4).floor() * 4),
            "16 of 64 data coincide with 3 or more",
        ),
        (lambda: neighbours.knn_entropy(LINE[:15]), "got k = 3 and 15"),
        (lambda: neighbours.knn_entropy(LINE, k=0), "k = 0"),
        (lambda: neighbours.knn_entropy(LINE, k=1.5), "k = 1.5"),
        (lambda: neighbours.knn_entropy(LINE.log()), "NaN or infinity"),
        (lambda: neighbours.knn_entropy(LINE[:0]), r"got shape \(0,\)"),
        (lambda: neighbours.knn_entropy(LINE[0]), r"got shape \(\)"),
        (lambda: neighbours.knn_mutual_information(LINE, LINE[1:]), "as many rows"),
        (lambda: neighbours.knn_kl(LINE, LINE[:, None]), "same kind of data"),
        (lambda: counted.counted_entropy(LINE[:1]), "at least two samples"),
        (lambda: counted.counted_entropy(LINE, correction="jackknife"), "got 'jackknife'"),
        (lambda: counted.counted_entropy(LINE / 0), "NaN or infinity"),
        (lambda: counted.counted_mutual_information(LINE, LINE[1:]), "as many rows"),
        (lambda: counted.counted_jensen_shannon(LINE, LINE[1:]), "as many rows"),
        (lambda: counted.counted_jensen_shannon(LINE[:0], LINE[:0]), r"got shape \(0,\)"),
        (lambda: counted.counted_kl(LINE[:0], LINE), "at least two samples, got 0"),
        (lambda: counted.counted_kl(LINE, LINE[:, None]), "same kind of data"),
        (lambda: counted.counted_entropy(LINE, unit="bytes"), "got 'bytes'"),
    ],
)
def test_samples_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_neighbours_do_not_care_for_the_unit(scale):
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x + torch.randn(200, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain, scaled = (neighbours.knn_mutual_information(x * by, y).value for by in (1.0, scale))
    assert scaled == pytest.approx(plain, abs=1e-9)


# Mutants: one bug each, and the check that must catch it


def overcorrected(counts):
    return counts.sum().log() - counts.log() - (len(counts) - 1) / (2 * counts.sum())


def one_neighbour_less(right=neighbours._reach):
    return lambda x, pool, k: right(x, pool, max(k - 1, 2))


def swapped(right=information.kl):
    return lambda p, q, unit="nats": right(q, p, unit)


def half_too_large(right=monte_carlo.Estimate.mean):
    def mean(*groups, unit):
        found = right(*groups, unit=unit)
        return monte_carlo.Estimate(found.value, 1.5 * found.error, found.n, unit)

    return mean


def from_joint_marginal(joint, unit="nats"):
    return information.in_unit(
        -(torch.xlogy(joint, joint) - torch.xlogy(joint, joint.sum(-2, keepdim=True))).sum(
            (-2, -1)
        ),
        unit,
    )


MUTANTS = [
    (
        "the correction has the wrong sign",
        (counted.CORRECTIONS, "miller-madow", overcorrected),
        check_corrections,
    ),
    (
        "the neighbour before the k-th",
        (neighbours, "_reach", one_neighbour_less()),
        check_brute_force,
    ),
    (
        "neighbours at the distance itself count",
        (neighbours.np, "nextafter", lambda x, _: x),
        check_brute_force,
    ),
    (
        "the arguments are swapped",
        (information, "kl", swapped()),
        lambda: test_divergence_of_two_coins(0.3, 0.6),
    ),
    (
        "conditioned on the other variable",
        (information, "conditional_entropy", from_joint_marginal),
        test_chain_rule,
    ),
    ("bits are decimal digits", (information.NATS, "bits", math.log(10)), test_units),
    (
        "the error is half too large",
        (monte_carlo.Estimate, "mean", half_too_large()),
        lambda: check_coverage(*MODELS["divergence"]),
    ),
]


@pytest.mark.parametrize(("bug", "change", "check"), MUTANTS, ids=[bug for bug, _, _ in MUTANTS])
def test_a_mutant_is_caught(monkeypatch, bug, change, check):
    place, name, wrong = change
    (monkeypatch.setitem if isinstance(place, dict) else monkeypatch.setattr)(place, name, wrong)
    with pytest.raises(AssertionError):
        check()
