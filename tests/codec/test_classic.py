"""The classical coders: round trips of anything, the format of their streams, and streams that are
damaged.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import digits, message, messages, modest

from dalm.codec.classic import ANS, BWT, CODERS, LZW, Adaptive, Delta, Huffman, Rice, RunLength
from dalm.codec.stream import section, smallest, varint
from dalm.errors import DalmError

OPTIONS = (
    Adaptive(order=1),
    Adaptive(order=2),
    RunLength(order=1),
    Delta(order=2),
    LZW(bits=9),
    LZW(bits=1),
    BWT(order=1),
    Rice(block=1),
    Rice(block=1000),
)
ALL = (*(coder() for coder in CODERS), *OPTIONS)
MESSAGE = np.array([0, 1, 2, 0, 1, 2, 0, 0, 0, 0, 3, 3])
GOLDEN = {
    Huffman(): "0c030504034000f00305041f40003a6edc28",
    Adaptive(): "0c03002e32df17",
    Adaptive(order=2): "0c03022a3ca6",
    ANS(): "0c030504034000f00804ffff034010f03cb3d52f3153060000",
    RunLength(): "0c03060803002e340308ff0100000046f9",
    Delta(): "0c030c030036df8785",
    LZW(): "0c0310090a9824cc",
    BWT(): "0c030504034000f0050b0400ac0cc17f",
    Rice(): "0c034000a69f11",
}
DIGITS = {
    Huffman(): 11891,
    Adaptive(): 11828,
    Adaptive(order=1): 10841,
    Adaptive(order=2): 10470,
    ANS(): 11834,
    RunLength(): 12696,
    RunLength(order=1): 11863,
    Delta(): 13590,
    Delta(order=1): 13036,
    LZW(): 12272,
    BWT(): 11257,
    BWT(order=1): 11046,
    Rice(): 16460,
}


def check(coder, symbols, levels):
    found = coder.decode(coder.encode(symbols, levels))
    assert found.dtype == smallest(levels)
    np.testing.assert_array_equal(found, symbols)


@pytest.mark.parametrize("coder", ALL, ids=repr)
@given(case=messages())
@modest
def test_round_trip(coder, case):
    check(coder, *case)


@pytest.mark.parametrize("levels", [1, 2, 17, 256, 65536, 1 << 17])
@pytest.mark.parametrize("coder", ALL, ids=repr)
def test_round_trip_of_the_extremes(coder, levels):
    last = levels - 1
    for symbols in (
        [],
        [0],
        [last],
        [last] * 1000,
        [0, last] * 3,
        [last, *[0] * 700],
        [last] * 100 + [0] * 150,
        [0] * 150 + [last] * 100,
    ):
        check(coder, np.array(symbols, dtype=np.int64), levels)


@pytest.mark.slow
@pytest.mark.parametrize("coder", [coder() for coder in CODERS], ids=repr)
def test_round_trip_of_every_symbol_of_the_largest_alphabet(coder):
    check(coder, np.random.default_rng(0).permutation(65536), 65536)


@pytest.mark.parametrize("coder", ALL, ids=repr)
def test_round_trip_of_a_long_message(coder):
    check(coder, message("runs", 100_000, 300), 300)


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", "u4", "i8", "u8"])
@pytest.mark.parametrize("coder", [coder() for coder in CODERS], ids=repr)
def test_any_integer_type_gives_the_same_stream(coder, dtype):
    symbols = message("walk", 200, 100)
    assert coder.encode(symbols[::-1].astype(dtype), 100) == coder.encode(symbols[::-1], 100)


@pytest.mark.parametrize("coder", [coder() for coder in CODERS], ids=repr)
def test_a_stream_needs_no_options(coder):
    symbols = message("walk", 200, 100)
    for other in ALL:
        if type(other) is type(coder):
            np.testing.assert_array_equal(coder.decode(other.encode(symbols, 100)), symbols)


@pytest.mark.parametrize(
    ("symbols", "levels"),
    [
        (np.array([3]), 3),
        (np.array([-1]), 3),
        (np.array([0.0]), 3),
        (np.array([True]), 3),
        (np.zeros((2, 2), int), 3),
        (np.zeros((), int), 3),
        ([0, 1], 3),
        (np.array([0]), 0),
        (np.array([0]), (1 << 17) + 1),
        (np.array([0]), 2.0),
        (np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), ((1 << 27) + 1,), (0,)), 2),
    ],
)
@pytest.mark.parametrize("coder", [Huffman(), Adaptive()], ids=repr)
def test_what_is_no_message_is_refused(coder, symbols, levels):
    with pytest.raises(DalmError):
        coder.encode(symbols, levels)


@pytest.mark.parametrize(
    ("coder", "options"),
    [
        (Adaptive, {"order": 3}),
        (Adaptive, {"order": -1}),
        (BWT, {"order": 9}),
        (LZW, {"bits": 0}),
        (LZW, {"bits": 25}),
        (Rice, {"block": 0}),
    ],
)
def test_what_is_no_option_is_refused(coder, options):
    with pytest.raises(DalmError):
        coder(**options)


def test_every_coder_says_who_and_when():
    assert len({coder.name for coder in CODERS}) == len(CODERS)
    assert all(1948 < coder.year < 2020 and coder.paper for coder in CODERS)


@pytest.mark.parametrize(("coder", "stream"), GOLDEN.items(), ids=lambda value: repr(value)[:20])
def test_the_format_stays(coder, stream):
    assert coder.encode(MESSAGE, 4).hex() == stream
    np.testing.assert_array_equal(coder.decode(bytes.fromhex(stream)), MESSAGE)


def test_sizes_on_the_digits():
    x = digits()
    assert {repr(coder): len(coder.encode(x, 17)) for coder in DIGITS} == {
        repr(coder): size for coder, size in DIGITS.items()
    }


# Damage


def outcome(coder, stream):
    """Whether a stream could be read; any other error fails the test."""
    try:
        coder.decode(stream)
    except DalmError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "n", "levels"), [("walk", 20, 17), ("equal", 20, 8), ("even", 6, 65536)]
)
@pytest.mark.parametrize("coder", ALL, ids=repr)
def test_damage_is_survived_in_little_time(coder, kind, n, levels):
    stream = coder.encode(message(kind, n, levels), levels)
    began = time.monotonic()
    for bit in range(8 * len(stream)):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        outcome(coder, bytes(damaged))
    for end in range(len(stream)):
        outcome(coder, stream[:end])
    assert not outcome(coder, b"")
    assert time.monotonic() - began < 30, "about half a second on an idle machine"


@pytest.mark.parametrize("coder", ALL, ids=repr)
@given(
    stream=st.binary(max_size=60),
    head=st.sampled_from(
        [b"", varint(20, 16), varint(9, 1), varint(1 << 27, 65535), varint(1 << 20, 255)]
    ),
)
@modest
def test_noise_is_survived(coder, stream, head):
    try:
        found = coder.decode(head + stream)
    except DalmError:
        found = np.zeros(0, np.uint8)
    assert found.ndim == 1 and found.dtype.kind == "u", "what can be read is a message"


@pytest.mark.parametrize("coder", [coder() for coder in CODERS], ids=repr)
def test_the_stream_of_another_coder_is_survived(coder):
    streams = [other.encode(message("geometric", 100, 30), 30) for other in ALL]
    assert sum(outcome(coder, stream) for stream in streams) < len(ALL), (
        "it took every other coder's stream for its own"
    )


@pytest.mark.parametrize("coder", [coder() for coder in CODERS], ids=repr)
def test_what_follows_the_end_is_refused(coder):
    assert not outcome(coder, varint(3, 0) + b"x")
    assert not outcome(coder, varint((1 << 27) + 1, 0))
    assert not outcome(coder, varint(3, 1 << 17))
    assert not outcome(coder, coder.encode(MESSAGE, 4) + b"\1\2\3\4")
    assert not outcome(coder, coder.encode(MESSAGE, 4) + b"\0")


def table(*numbers):
    return section(Rice().encode(np.array(numbers), 1 << 17))


@pytest.mark.parametrize(
    ("coder", "body"),
    [
        (BWT(), table(0) + varint(0) + Adaptive().encode(MESSAGE[:0], 2)),
        (BWT(), table(0) + varint(0) + Adaptive().encode(np.ones(40, int), 2)),
        (LZW(), varint(16, 3) + bytes([0b01111111])),
        (LZW(), varint(16, 1 << 26) + bytes(9)),
        (Huffman(), table(0, 0) + varint(2) + table(0, 0) + bytes(3)),  # two words of two bits
        (Huffman(), table(0, 0) + varint(1) + table(1, 1) + bytes(2)),  # two words of no bits
        (Huffman(), table(0, 3) + varint(1) + table(0, 0) + bytes(2)),  # symbols 0 and 4
        (
            Huffman(),
            table(0, 0) + varint(1) + table(9999, 9999) + bytes(2),
        ),  # two words of far less
        (Huffman(), table(0, 9)),
        (ANS(), table(0, 0) + table(0, 0)),  # weights of two symbols
        (RunLength(), section(Adaptive().encode(MESSAGE, 4)) + Adaptive().encode(MESSAGE[:3], 256)),
    ],
)
def test_what_no_encoder_writes_is_refused(coder, body):
    assert not outcome(coder, varint(12, 3) + body)


def test_a_table_without_its_words_is_refused():
    stream = ANS().encode(np.repeat([0, 1, 2], [150, 50, 100]), 3)
    for end in range(len(stream)):
        with pytest.raises(DalmError):
            ANS().decode(stream[:end])
