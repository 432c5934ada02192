"""Functions by table and probabilities in whole parts: near what they stand for, and the same in
every thread.
"""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from dalm.exact import fixed
from dalm.probability import LogisticMixtureHead

TRUTHS = {
    "sigmoid": (fixed.sigmoid, torch.sigmoid, -20, 20, 4e-5),
    "exp": (fixed.exp, torch.exp, -23, 12, 2e-6),
    "normal_cdf": (fixed.normal_cdf, torch.special.ndtr, -4, 6.9, 2e-5),
    "log2": (fixed.log2, torch.log2, 1e-3, 2.0**25, 1e-8),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_tables_of_functions_are_near_the_functions(name):
    ours, theirs, low, high, most = TRUTHS[name]
    x = torch.linspace(low, high, 20_001, dtype=torch.float64)
    apart = (ours(x) - theirs(x)).abs() / theirs(x).abs().clamp_min(1e-6)
    assert apart.max() <= most


def test_table_is_the_probability_to_one_part():
    weights = torch.tensor([0.0, 1.0, 3.0, 2.0**40], dtype=torch.float64)
    exact = weights / weights.sum() * (fixed.PARTS - 4)
    assert ((fixed.table(weights) - exact).abs() <= 1).all()


def test_output_tables_are_the_masses():
    output_head = LogisticMixtureHead(3, 9, 4)
    generator = torch.Generator().manual_seed(1)
    params = 0.3 * torch.randn(5, output_head.size, 2, dtype=torch.float64, generator=generator)
    x = torch.randint(0, 9, (5, 3, 2), generator=generator)
    told = sum(fixed.bits(output_head.table(params, x, c), x[:, c]).sum(1) for c in range(3))
    assert torch.allclose(told, -output_head.log_prob(params, x) / math.log(2), rtol=1e-3)


@pytest.mark.slow
def test_tables_do_not_depend_on_which_thread_makes_them(tmp_path):
    """In a fresh process, where several threads ask for functions that nobody has tabulated yet."""
    script = """
import hashlib, sys, torch, mpmath
from concurrent.futures import ThreadPoolExecutor
from dalm.exact import fixed
threads = int(sys.argv[1])
tables = [fixed.normal_cdf_table, fixed.sigmoid_table, fixed.log2_table, fixed.exp_table]
made = tables * 2
with ThreadPoolExecutor(threads) as pool:
    curves = list(pool.map(lambda make: make(), made if threads > 1 else made[:4]))
content = b"".join(curve.values.numpy().tobytes() for curve in curves[:4])
print(hashlib.md5(content).hexdigest(), mpmath.mp.prec)
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", script, n], capture_output=True, text=True, check=True
        ).stdout
        for n in ("1", "4")
    }
    assert len(told) == 1
    assert told.pop().split()[1] == "53"
