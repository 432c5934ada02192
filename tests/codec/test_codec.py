"""Archives: what goes in comes out, at any batch size and thread count, in the bytes that the
likelihood claims.
"""

from __future__ import annotations

import importlib
import io
import math
import struct
import subprocess
import sys
import zlib

import constriction
import numpy as np
import pytest
import torch
from cases import CASES as SUBJECTS
from torch import nn

from dalm.codec import CodeLength, Settings, archive, bitsback, chain, compress, decompress, hash_of
from dalm.codec.tables import LEVELS
from dalm.core import Spec
from dalm.errors import DalmError
from dalm.exact import ExactArithmetic, KernelPredictor, fixed, kernel_masses, kernels
from dalm.models import DCGAN, KDE, VAE, Gaussian, Histogram, PixelCNN
from dalm.probability import LogisticMixtureHead
from dalm.testing.cases import SMALL, TINY, examples

X, Y = examples(TINY, 60, seed=5)
TRUTHS = {
    "sigmoid": (fixed.sigmoid, torch.sigmoid, -20, 20, 4e-5),
    "exp": (fixed.exp, torch.exp, -23, 12, 2e-6),
    "normal_cdf": (fixed.normal_cdf, torch.special.ndtr, -4, 6.9, 2e-5),
    "log2": (fixed.log2, torch.log2, 1e-3, 2.0**25, 1e-8),
}


@pytest.fixture(scope="module")
def histogram():
    return SUBJECTS["kde"].trained(TINY), Histogram(TINY)


def packed_archive(model, x, y=None, **settings) -> bytes:
    file = io.BytesIO()
    compress(model, x.numpy(), None if y is None else y.numpy(), file, Settings(**settings))
    return file.getvalue()


def unpacked(content: bytes, model, **options):
    chunks = list(decompress(io.BytesIO(content), len(content), lambda header: model, **options))
    labels = [y for _, y in chunks if y is not None]
    return np.concatenate([x for x, _ in chunks]), np.concatenate(labels) if labels else None


@pytest.mark.parametrize("name", TRUTHS)
def test_tables_of_functions_are_near_the_functions(name):
    ours, theirs, low, high, most = TRUTHS[name]
    x = torch.linspace(low, high, 20_001, dtype=torch.float64)
    apart = (ours(x) - theirs(x)).abs() / theirs(x).abs().clamp_min(1e-6)
    assert apart.max() <= most


def test_a_table_leaves_constriction_as_it_went_in():
    generator = torch.Generator().manual_seed(0)
    weights = torch.randint(0, 1 << 28, (4000, 17), generator=generator).double() * (
        torch.rand(4000, 17, generator=generator) < 0.3
    )
    tables = fixed.table(weights + 1)
    assert (tables.sum(1) == fixed.PARTS - 17).all()
    assert (tables >= 0).all()
    values = torch.randint(0, 17, (4000,), generator=generator)
    coder = constriction.stream.queue.RangeEncoder()
    coder.encode(values.numpy().astype(np.int32), LEVELS, tables.numpy())
    claimed = (24 - (tables.double().gather(1, values[:, None]) + 1).log2()).sum().item()
    assert claimed <= 32 * len(coder.get_compressed()) <= claimed + 64


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


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(2, 8, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(72, 5),
        nn.Sigmoid(),
    ]
    return nn.Sequential(*layers).double()


def test_exact_arithmetic_does_not_see_the_batch_or_the_threads():
    model = net()
    x = torch.randn(50, 2, 8, 8, dtype=torch.float64)
    with torch.no_grad(), ExactArithmetic(model):
        whole = model(x)
        parts = [torch.cat([model(part) for part in x.split(size)]) for size in (1, 7, 20)]
        threads = torch.get_num_threads()
        torch.set_num_threads(3 - min(2, threads))
        other = model(x)
        torch.set_num_threads(threads)
    assert all(torch.equal(other, whole) for other in (*parts, other))
    with torch.no_grad():
        assert (whole - model(x)).abs().max() < 2e-3
        assert not torch.equal(whole, model(x)), "this ran in ordinary arithmetic"


def test_exact_sums_are_whole_numbers_of_one_unit():
    layer = nn.Linear(300, 4, bias=False).double()
    with torch.no_grad(), ExactArithmetic(layer):
        out = layer(torch.randn(9, 300, dtype=torch.float64))
    assert torch.equal((out * 2.0**40).round(), out * 2.0**40)
    assert out.abs().max() * 2.0**40 < 2.0**53


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda x: x.softmax(1), "no exact form"),
        (lambda x: x.mean(), "no exact form"),
        (lambda x: x @ x.T, "multiplies something else"),
    ],
)
def test_exact_arithmetic_refuses_what_it_does_not_know(network, reason):
    with torch.no_grad(), ExactArithmetic(net()), pytest.raises(DalmError, match=reason):
        network(torch.ones(3, 3, dtype=torch.float64))


def test_exact_arithmetic_checks_its_bounds():
    layer = nn.Linear(1000, 1).double()
    nn.init.constant_(layer.weight, 1e5)
    with pytest.raises(DalmError, match="too large for exact arithmetic"):
        ExactArithmetic(layer)
    with pytest.raises(DalmError, match="double precision"):
        ExactArithmetic(nn.Linear(3, 3))


@pytest.mark.parametrize("family", ["gaussian", "pixelcnn", "vae"])
def test_files_do_not_depend_on_batch_or_threads(family):
    subject = SUBJECTS[family]
    model = subject.trained(subject.discrete)
    x = examples(subject.discrete, 40, seed=5)[0]
    contents = {packed_archive(model, x, batch=batch) for batch in (1, 7, 40)}
    assert len(contents) == 1
    content = contents.pop()
    threads = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        assert np.array_equal(unpacked(content, model, batch=3)[0], x.numpy())
    torch.set_num_threads(threads)


@pytest.mark.parametrize("family", ["kde", "vae"])
def test_a_tally_is_what_the_stream_costs(family):
    model = SUBJECTS[family].trained(SMALL)
    x = examples(SMALL, 200, seed=5)[0]
    tally = CodeLength()
    file = io.BytesIO()
    compress(model, x.numpy(), None, file, Settings(batch=70), tally=tally)
    assert 0 < 8 * len(file.getvalue()) - tally.bits < 8 * 250
    if family == "kde":
        assert tally.bits == pytest.approx(-model.log_prob(x).sum().item() / math.log(2), rel=1e-3)


def test_threads_give_way_when_coding_fails():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    model = SUBJECTS["kde"].trained(TINY)
    x = X.clone()
    with pytest.raises(ZeroDivisionError):
        compress(
            model,
            x.numpy(),
            None,
            io.BytesIO(),
            Settings(batch=10),
            progress=lambda entries: 1 // 0,
        )
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_more_samples_make_smaller_files():
    model = SUBJECTS["vae"].trained(SMALL)
    x = examples(SMALL, 1500, seed=5)[0]
    sizes = [len(packed_archive(model, x, samples=k)) for k in (1, 8)]
    for size, k in zip(sizes, (1, 8), strict=True):
        assert np.array_equal(unpacked(packed_archive(model, x, samples=k), model)[0], x.numpy())
        bound = -model.importance_bound(x, samples=k).sum().item() / math.log(2) / 8
        assert bound * 0.98 - 8 <= size <= bound * 1.02 + 400
    assert sizes[1] < sizes[0] + 200


def test_a_stack_that_runs_dry_is_begun_again():
    assert [part.stop - part.start for part in bitsback.groups(40, 4)] == [
        1,
        1,
        1,
        1,
        1,
        1,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        5,
        6,
        7,
    ]
    model = VAE(SMALL, latent=40, width=8, depth=1).double().eval()
    x = examples(SMALL, 30)[0]
    content = packed_archive(model, x, samples=4)
    assert np.array_equal(unpacked(content, model)[0], x.numpy())


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int8", "uint16", "int64", ">i4"])
def test_the_type_and_shape_of_the_data_come_back(dtype):
    spec = Spec((1, 2, 3), levels=2)
    x = (torch.arange(60).view(10, 2, 3) % 2).numpy().astype(dtype)
    file = io.BytesIO()
    compress(Histogram(spec), x, None, file)
    back, _ = unpacked(file.getvalue(), Histogram(spec))
    assert back.shape == x.shape
    assert back.dtype == x.dtype.newbyteorder("<")
    assert np.array_equal(back, x)


def test_labels_come_back_with_the_data():
    for model in (SUBJECTS["kde"].trained(TINY, conditional=True), SUBJECTS["kde"].trained(TINY)):
        x, y = unpacked(packed_archive(model, X, Y), model, batch=9)
        assert np.array_equal(x, X.numpy())
        assert np.array_equal(y, Y.numpy())


def test_a_chunk_can_be_decoded_alone():
    model = SUBJECTS["kde"].trained(TINY)
    content = packed_archive(model, X, Y, chunk=16)
    reader = decompress(io.BytesIO(content), len(content), lambda header: model)
    assert reader.header.chunks == 4
    x, y = reader.chunk(2)
    assert np.array_equal(x, X[32:48].numpy())
    assert y is not None and np.array_equal(y, Y[32:48].numpy())


def test_the_model_can_be_inside():
    model = SUBJECTS["pixelcnn"].trained(TINY)
    content = packed_archive(model, X, embed=True)

    def never(header):
        raise AssertionError("the model was looked for outside")

    chunks = list(decompress(io.BytesIO(content), len(content), never))
    assert np.array_equal(np.concatenate([x for x, _ in chunks]), X.numpy())


GOLDEN = "44414c4d010800020001060202030402e25a186baebe810181d52f8f53ce97c6eb8d445104000000f988d2410000303304000000f988d24100003033"


def test_chunks_that_are_not_there_are_refused():
    model = Histogram(TINY)
    content = packed_archive(model, X, chunk=25)
    reader = decompress(io.BytesIO(content), len(content), lambda header: model)
    assert len(reader.chunk(2)[0]) == 10
    for k in (-1, 3):
        with pytest.raises(DalmError, match=f"3 chunks, from 0 on; there is no chunk {k}"):
            reader.chunk(k)


def test_a_chunk_holds_few_enough_data_for_memory(monkeypatch):
    model = Histogram(Spec((1,), levels=2))
    x = torch.zeros(25, 1, dtype=torch.uint8)
    monkeypatch.setattr(importlib.import_module("dalm.codec.compress"), "MEMORY", 10 * 64)
    content = packed_archive(model, x)
    reader = decompress(io.BytesIO(content), len(content), lambda header: model)
    assert [len(rows) for rows, _ in reader] == [10, 10, 5]
    monkeypatch.setattr(importlib.import_module("dalm.codec.compress"), "MEMORY", 4 * 64)
    with pytest.raises(DalmError, match="chunks of 10 data would not fit into memory"):
        decompress(io.BytesIO(content), len(content), lambda header: model)


@pytest.mark.parametrize(
    ("n", "batch", "threads", "sizes"),
    [
        (10, 20, 2, [10]),
        (10, 4, 2, [2, 3, 2, 3]),
        (10, 4, 1, [3, 3, 4]),
        (3, 1, 2, [1, 1, 1]),
        (3, 2, 8, [1, 2]),
        (5, 5, 4, [5]),
    ],
)
def test_batches_are_shared_out(n, batch, threads, sizes):
    rows, used = chain._shared(n, batch, threads)
    assert [row.stop - row.start for row in rows] == sizes
    assert [row.start for row in rows] == [0, *np.cumsum(sizes)[:-1]]
    assert used <= min(threads, len(rows))


def test_few_rows_of_many_classes_can_be_coded():
    model = KDE(Spec((2,), levels=3, classes=40), conditional=True)
    x = torch.zeros(3, 2, dtype=torch.uint8)
    assert np.array_equal(unpacked(packed_archive(model, x), model)[0], x)


def test_golden_bytes():
    model = Histogram(Spec((6,), levels=2))
    x = (np.arange(24).reshape(4, 2, 3) % 2).astype(np.uint8)
    file = io.BytesIO()
    compress(model, x, None, file, Settings(chunk=2))
    assert file.getvalue().hex() == GOLDEN
    assert np.array_equal(unpacked(bytes.fromhex(GOLDEN), model)[0], x)


def test_damage_is_found():
    model = SUBJECTS["kde"].trained(TINY)
    content = packed_archive(model, X, Y, chunk=30)
    original = X.numpy()
    for at in range(len(content)):
        for bad in (
            content[:at],
            content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :],
        ):
            with pytest.raises(DalmError):
                unpacked(bad, model)
    with pytest.raises(DalmError, match="followed by something else"):
        unpacked(content + b"x", model)
    assert np.array_equal(unpacked(content, model)[0], original)


def forged(content: bytes, at: int, value: bytes) -> bytes:
    """An archive whose header was edited, with the right checksum."""
    end = len(archive.read_header(io.BytesIO(content)).pack()) - 4
    edited = content[:at] + value + content[at + 1 : end]
    return edited + struct.pack("<I", zlib.crc32(edited)) + content[end + 4 :]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param(5, b"\x03", id="bits-back without samples"),
        pytest.param(5, b"\x00", id="no labels"),
        pytest.param(5, b"\x06", id="a model inside"),
        pytest.param(5, b"\x0a", id="another shape that is not there"),
        pytest.param(5, b"\xff", id="unknown flags"),
        pytest.param(6, b"\xc8", id="unknown type"),
        pytest.param(7, b"\x09", id="unknown type of labels"),
        pytest.param(8, b"\x63", id="other levels"),
        pytest.param(8, b"\x00", id="no levels"),
        pytest.param(8, b"\x83\x00", id="levels in more bytes than they need"),
        pytest.param(8, b"\xff" * 12, id="a number that does not end"),
        pytest.param(9, b"\x07", id="other classes"),
        pytest.param(10, b"\x00", id="no axes"),
        pytest.param(10, b"\xff\xff\x7f", id="many axes"),
        pytest.param(11, b"\x80\x80\x80\x80\x08", id="large data"),
        pytest.param(14, b"\x00", id="no data"),
        pytest.param(14, b"\xff\xff\xff\xff\xff\xff\xff\x7f", id="many data"),
        pytest.param(15, b"\x00", id="no chunk"),
        pytest.param(15, b"\xff\xff\xff\x7f", id="a large chunk"),
    ],
)
def test_made_up_headers_are_refused(at, value):
    model = SUBJECTS["kde"].trained(TINY)
    content = packed_archive(model, X, Y)
    assert content[5:16] == bytes([archive.LABELS, 0, 8, 3, 2, 3, 1, 2, 2, len(X), len(X)])
    with pytest.raises(DalmError):
        unpacked(forged(content, at, value), model)


def test_another_model_is_refused():
    model = Gaussian(TINY)
    other = Histogram(TINY)
    with pytest.raises(DalmError, match="was written with model"):
        unpacked(packed_archive(model, X), other)
    assert hash_of(model) != hash_of(other)
    assert hash_of(model) == hash_of(Gaussian(TINY))
    newer = bytearray(packed_archive(model, X))
    newer[4] = 2
    with pytest.raises(DalmError, match="version 2, and this dalm reads version 1"):
        unpacked(bytes(newer), model)
    with pytest.raises(DalmError, match="no dalm archive"):
        unpacked(b"PK\x03\x04" + bytes(100), model)


@pytest.mark.parametrize(
    ("model", "x", "reason"),
    [
        (
            DCGAN(Spec((1, 8, 8), levels=3)),
            torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
            "dcgan has no likelihood",
        ),
        (Gaussian(Spec((3,))), torch.zeros(2, 3), "load the data with levels"),
        (
            Gaussian(TINY),
            torch.zeros(2, 1, 2, 2),
            "whole numbers from 0 to 2, and these are float32",
        ),
        (Gaussian(TINY), torch.full((2, 1, 2, 2), 3), "values from 3 to 3"),
        (Gaussian(TINY), torch.zeros(2, 5, dtype=torch.uint8), r"shape \(1, 2, 2\)"),
        (Gaussian(TINY), torch.zeros(0, 1, 2, 2, dtype=torch.uint8), "no data"),
    ],
)
def test_what_cannot_be_compressed_is_refused(model, x, reason):
    with pytest.raises(DalmError, match=reason):
        packed_archive(model, x)


@pytest.mark.parametrize("dtype", ["u1", "?", "<i2", ">i4", "u8"])
def test_labels_keep_their_type(dtype):
    model = SUBJECTS["kde"].trained(TINY)
    file = io.BytesIO()
    y = Y.numpy().astype(dtype)
    compress(model, X.numpy(), y, file)
    _, back = unpacked(file.getvalue(), model)
    assert back.dtype == y.dtype.newbyteorder("<")
    assert np.array_equal(back, y)


@pytest.mark.parametrize(
    ("spec", "y", "reason"),
    [
        (
            TINY,
            np.full(60, 0.5),
            "labels to compress are whole numbers from 0 to 1, and these are float64",
        ),
        (
            TINY,
            np.zeros(120, int),
            r"a label for each of 60 data to compress, got labels of shape \(120,\)",
        ),
        (
            TINY,
            np.full(60, "a"),
            "labels to compress are whole numbers from 0 to 1, and these are <U1",
        ),
        (
            TINY,
            np.zeros(59, int),
            r"a label for each of 60 data to compress, got labels of shape \(59,\)",
        ),
        (
            Spec((1, 2, 2), levels=3),
            np.zeros(60, int),
            "fitted to data without classes; leave them out",
        ),
    ],
)
def test_labels_that_would_be_lost_are_refused(spec, y, reason):
    with pytest.raises(DalmError, match=reason):
        compress(Histogram(spec), X.numpy(), y, io.BytesIO())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"samples": 0}, "samples is from 1 to 65536, got 0"),
        ({"samples": 70_000}, "samples is from 1 to 65536, got 70000"),
        ({"chunk": -1}, "chunk is at least 0, got -1"),
        ({"batch": 1.5}, "batch is a whole number, got 1.5"),
        ({"chunk": 70_000}, "a chunk holds at most 65,536 of these data"),
    ],
)
def test_settings_that_no_archive_can_have_are_refused(settings, reason):
    model = Histogram(Spec((256,), levels=2))
    x = torch.zeros(70_000, 256, dtype=torch.uint8)
    with pytest.raises(DalmError, match=reason):
        packed_archive(model, x, **settings)
    with pytest.raises(DalmError, match="decompress's batch is at least 0, got -1"):
        decompress(io.BytesIO(), 0, lambda header: model, batch=-1)


@pytest.mark.parametrize("shape", [(3, 200), (600,)])
@pytest.mark.parametrize("count", [1, 127, 128, 1 << 40])
def test_headers_come_back(shape, count):
    header = archive.Header(
        Spec((2, 300), levels=65536, classes=130),
        "<u2",
        shape,
        count,
        1 << 14,
        b"model567",
        b"data5678",
        "|u1",
        True,
        300,
    )
    file = io.BytesIO(header.pack())
    assert archive.read_header(file) == header
    assert not file.read()


def test_families_code_what_they_claim_on_their_own_samples():
    """A check against mathematics: the length of own samples is the entropy, here of a uniform
    distribution.
    """
    spec = Spec((50,), levels=16)
    x = torch.randint(0, 16, (400, 50), generator=torch.Generator().manual_seed(0))
    content = packed_archive(Histogram(spec), x)
    assert abs(len(content) - 400 * 50 * 4 / 8) < 130


@pytest.mark.parametrize("family", [KDE, PixelCNN])
def test_a_mixture_over_classes_is_coded_like_its_sum(family):
    model = SUBJECTS[family.family].trained(TINY, conditional=True)
    claim = -model.log_prob(X).sum().item() / math.log(2) / 8
    assert len(packed_archive(model, X)) <= 1.003 * claim + 120


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [((5, 3, 2, 7), (2, 3), (0, 1)), ((4, 2, 6, 5), (3, 3), (1, 1)), ((1, 1, 4, 4), (4, 1), 0)],
)
def test_exact_convolutions_are_convolutions(shape, kernel, padding):
    torch.manual_seed(0)
    layer = nn.Conv2d(shape[1], 6, kernel, padding=padding).double()
    x = torch.randn(shape, dtype=torch.float64)
    with torch.no_grad(), ExactArithmetic(layer):
        exact = layer(x)
    with torch.no_grad():
        assert exact.shape == layer(x).shape
        assert (exact - layer(x)).abs().max() < 1e-3


def test_kernels_of_data_that_begin_alike_are_those_of_each_alone():
    rows = torch.tensor([[0, 0, 1, 2, 2], [0, 2, 1, 0, 1], [0, 1, 1, 2, 0], [0, 1, 1, 1, 1]])
    x = torch.tensor(
        [[0, 0, 1, 2, 2], [0, 0, 1, 0, 1], [2, 1, 1, 2, 0], [0, 0, 1, 2, 1], [2, 1, 0, 2, 2]]
    )
    together = KernelPredictor(kernel_masses(0.6, 3), rows, len(x))
    alone = [KernelPredictor(kernel_masses(0.6, 3), rows, 1) for _ in x]
    for at in range(5):
        tables = torch.cat([one.predict() for one in alone])
        assert torch.equal(together.predict(), tables)
        together.update(x[:, at : at + 1])
        for one, datum in zip(alone, x, strict=True):
            one.update(datum[None, at : at + 1])
    assert len(together.log_weights) == 5


def test_rows_are_left_out_only_while_they_cannot_count(monkeypatch):
    """Some rows at a time, against all rows at every entry."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 3, (1500, 24), generator=generator)
    x = rows[:40].where(
        torch.rand(40, 24, generator=generator) < 0.8,
        torch.randint(0, 3, (40, 24), generator=generator),
    )

    def tables(few):
        monkeypatch.setattr(kernels, "FEW", few)
        predictor = KernelPredictor(kernel_masses(0.45, 3), rows, len(x))
        found = []
        periods = set()
        for at in range(24):
            found.append(predictor.predict())
            predictor.update(x[:, at : at + 1])
            periods.add(predictor.every)
        return torch.stack(found), periods

    (some, periods) = tables(0.5)
    (every, always) = tables(0.0)
    assert max(periods) > 1
    assert always == {1}
    assert torch.equal(some, every)


def test_tables_do_not_depend_on_which_thread_makes_them(tmp_path):
    """In a fresh process, where several threads ask for functions that nobody has tabulated yet."""
    script = """
import hashlib, sys, torch, mpmath
from concurrent.futures import ThreadPoolExecutor
from dalm.exact import fixed
threads = int(sys.argv[1])
made = [fixed._normal, fixed._sigmoid, fixed._log2, fixed._exp] * 2
with ThreadPoolExecutor(threads) as pool:
    curves = list(pool.map(lambda make: make(), made if threads > 1 else made[:4]))
print(hashlib.md5(b"".join(curve.values.numpy().tobytes() for curve in curves[:4])).hexdigest(), mpmath.mp.prec)
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", script, n], capture_output=True, text=True, check=True
        ).stdout
        for n in ("1", "4")
    }
    assert len(told) == 1
    assert told.pop().split()[1] == "53"
