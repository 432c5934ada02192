"""Archives: what goes in comes out, at any batch size and thread count, in the bytes that the
likelihood claims.
"""

from __future__ import annotations

import io
import math
import struct
import zlib

import constriction
import numpy as np
import pytest
import torch
from cases import CASES as SUBJECTS

from dalm.codec import (
    CodeLength,
    Settings,
    archive,
    bitsback,
    chain,
    chunks,
    compress,
    decompress,
    hash_of,
)
from dalm.codec.tables import LEVELS
from dalm.core import Spec
from dalm.errors import DalmError
from dalm.exact import fixed
from dalm.models import DCGAN, KDE, VAE, Gaussian, Histogram, PixelCNN
from dalm.testing.cases import SMALL, TINY, examples

X, Y = examples(TINY, 60, seed=5)


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


@pytest.mark.slow
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


GOLDEN = (
    "44414c4d010800020001060202030402e25a186baebe810181d52f8f53ce97c6eb8d445104000000"
    "f988d2410000303304000000f988d24100003033"
)


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
    monkeypatch.setattr(chunks, "MOST_CHUNK_BYTES", 10 * 64)
    content = packed_archive(model, x)
    reader = decompress(io.BytesIO(content), len(content), lambda header: model)
    assert [len(rows) for rows, _ in reader] == [10, 10, 5]
    monkeypatch.setattr(chunks, "MOST_CHUNK_BYTES", 4 * 64)
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
    rows, used = chain._batches(n, batch, threads)
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
    end = len(archive.read_header(io.BytesIO(content)).to_bytes()) - 4
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
        (Gaussian(Spec((3,))), torch.zeros(2, 3), "fit it to whole numbers"),
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
    file = io.BytesIO(header.to_bytes())
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
