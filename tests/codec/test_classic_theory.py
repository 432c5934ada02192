"""The classical coders against mathematics: entropies, optimal codes, closed forms, worked
examples.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import digits, message, messages, modest
from scipy.special import gammaln

from dalm.codec.baselines import order0_entropy
from dalm.codec.classic import ANS, Adaptive, Rice
from dalm.codec.classic import bits as bit_packing
from dalm.codec.classic.adaptive import BLOCK_SYMBOLS
from dalm.codec.classic.bwt import inverse_transform, transform
from dalm.codec.classic.delta import fold, unfold
from dalm.codec.classic.huffman import MOST_WORD_BITS, word_lengths, words
from dalm.codec.classic.lzw import phrases, widths
from dalm.codec.classic.move_to_front import from_ranks, from_tokens, ranks, tokens
from dalm.codec.classic.rice import best_parameters
from dalm.codec.classic.run_length import runs
from dalm.codec.stream import StreamReader, smallest, varint
from dalm.errors import DalmError

# Bits


@given(
    st.lists(
        st.integers(0, 32).flatmap(
            lambda width: st.tuples(st.integers(0, 2**width - 1), st.just(width))
        ),
        max_size=99,
    )
)
@modest
def test_bits_are_packed_as_a_person_would(pairs):
    text = "".join(f"{value:0{width}b}" if width else "" for value, width in pairs)
    values, sizes = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    packed = bit_packing.pack_bits(values, sizes)
    assert packed == bytes(int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8))
    np.testing.assert_array_equal(bit_packing.unpack_bits(packed, sizes), values)


@given(st.integers(0, 2**56))
@modest
def test_numbers_come_back(number):
    reader = StreamReader(varint(number) + b"\xff" * 20)
    assert reader.number(2**56) == number
    with pytest.raises(DalmError):
        reader.number(2**60)


# Huffman


@given(messages())
@modest
def test_huffman_is_within_a_bit_of_the_entropy(case):
    counts = np.unique(case[0], return_counts=True)[1]
    if len(counts) > 1:
        mean = float(counts @ word_lengths(counts)) / counts.sum()
        assert order0_entropy(case[0]) - 1e-9 <= mean < order0_entropy(case[0]) + 1


def test_huffman_reaches_the_entropy_of_powers_of_a_half():
    np.testing.assert_array_equal(word_lengths(np.array([8, 4, 2, 1, 1])), [1, 2, 3, 4, 4])


@given(st.lists(st.integers(1, 50), min_size=2, max_size=6))
@modest
def test_huffman_is_optimal(counts):
    feasible = (
        np.array(lengths)
        for lengths in itertools.product(range(1, len(counts)), repeat=len(counts))
        if sum(2.0**-n for n in lengths) <= 1
    )
    least = min((int(np.array(counts) @ lengths) for lengths in feasible), default=sum(counts))
    assert int(np.array(counts) @ word_lengths(np.array(counts))) == least


def test_huffman_words_are_free_of_prefixes_and_not_too_long():
    fibonacci = [1, 1]
    while len(fibonacci) < 45:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = word_lengths(np.array(fibonacci))
    assert lengths.max() <= MOST_WORD_BITS
    texts = sorted(
        f"{word:0{n}b}" for word, n in zip(words(lengths).tolist(), lengths.tolist(), strict=True)
    )
    assert not any(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))


# Adaptive range coding


def payload(coder, symbols, levels):
    """Bits of a stream after its head."""
    return 8 * (
        len(coder.encode(symbols, levels)) - len(varint(len(symbols), levels - 1, coder.order))
    )


@given(messages(), st.integers(0, 2))
@modest
def test_the_file_is_as_long_as_its_model_says(case, order):
    """Far less than 0.1 % and 32 bits."""
    symbols, levels = case
    if len(symbols) and levels > 1:
        coder = Adaptive(order=order)
        length = coder.code_length(symbols, levels)
        assert length - 0.01 <= payload(coder, symbols, levels) <= length + 9


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_file_of_the_digits_is_as_long_as_its_model_says(order):
    length = Adaptive(order=order).code_length(digits(), 17)
    assert length <= payload(Adaptive(order=order), digits(), 17) <= 1.001 * length + 9


@given(st.lists(st.integers(0, 1), min_size=1, max_size=63))
@modest
def test_two_levels_cost_what_krichevsky_and_trofimov_say(bits):
    n = len(bits)
    ones = sum(bits)
    expected = (
        math.log(math.pi) + gammaln(n + 1) - gammaln(ones + 0.5) - gammaln(n - ones + 0.5)
    ) / math.log(2)
    length = Adaptive().code_length(np.array(bits), 2)
    assert length == pytest.approx(expected, abs=1e-3)
    assert length <= n * order0_entropy(np.array(bits)) + math.log2(n) / 2 + 1 + 1e-3


def test_a_context_learns_the_entropy_rate():
    noise = np.random.default_rng(0)
    flips = (noise.random(100_000) < 0.05).astype(int)  # 0.2864 bits each
    chain = np.cumsum(flips) % 2
    lengths = [Adaptive(order=order).code_length(chain, 2) / len(chain) for order in (0, 1, 2)]
    rate = order0_entropy(flips)
    assert lengths[0] > 0.98
    assert lengths[1] == pytest.approx(rate, rel=0.02)
    assert lengths[2] == pytest.approx(rate, rel=0.03)


def test_counts_forget():
    halves = np.repeat([0, 1], BLOCK_SYMBOLS)
    assert Adaptive().code_length(halves, 2) < len(halves) / 20, (
        "a code for the frequencies of the whole takes all"
    )


@pytest.mark.parametrize(("levels", "order"), [(65536, 1), (300, 2)])
def test_hashed_contexts_still_learn(levels, order):
    symbols = np.resize(np.random.default_rng(0).integers(0, levels, 50), 5000)
    assert Adaptive(order=order).code_length(symbols, levels) < 0.5 * len(symbols) * math.log2(50)


# ANS


@given(messages(3000))
@modest
def test_ans_costs_the_entropy_its_table_and_its_state(case):
    symbols, levels = case
    found, counts = np.unique(symbols, return_counts=True)
    if len(found) > 1:
        table = (
            3
            + 3
            + 2 * 6
            + len(Rice().encode(np.diff(found, prepend=-1) - 1, levels))
            + len(Rice().encode(counts - 1, 65536))
        )
        assert (
            len(ANS().encode(symbols, levels))
            <= len(symbols) * order0_entropy(symbols) / 8 + table + 8
        )


def test_ans_loses_little_by_rounding_its_weights():
    symbols = message("geometric", 200_000, 256)
    assert 8 * len(ANS().encode(symbols, 256)) / len(symbols) == pytest.approx(
        order0_entropy(symbols), abs=0.004
    )


# Rice


@pytest.mark.parametrize("mean", [0.5, 3.0, 40.0, 1000.0])
def test_rice_follows_its_closed_form_on_geometric_numbers(mean):
    theta = mean / (1 + mean)
    n = 200_000
    symbols = np.random.default_rng(0).geometric(1 - theta, n) - 1
    expected = min(1 + k + theta ** (2**k) / (1 - theta ** (2**k)) for k in range(16))
    found = 8 * len(Rice(block=n).encode(symbols, 65536)) / n
    assert found == pytest.approx(expected, rel=0.005), "five standard errors of the mean"
    entropy = -(math.log2(1 - theta) + mean * math.log2(theta))
    assert entropy < expected < entropy + 0.13


@given(messages(), st.integers(1, 50))
@modest
def test_rice_takes_the_best_parameter(case, block):
    symbols, levels = case
    if len(symbols) and levels > 1:
        for at, k in enumerate(best_parameters(symbols, block)):
            part = symbols[at * block : (at + 1) * block]
            assert np.sum((part >> k) + 1 + k) == min(
                np.sum((part >> other) + 1 + other) for other in range(16)
            )


# LZW


def test_lzw_on_the_known_example():
    text = b"TOBEORNOTTOBEORTOBEORNOT"
    expected = [*b"TOBEORNOT", 256, 258, 260, 265, 259, 261, 263]
    assert phrases(list(text), 256, 1 << 16) == expected
    np.testing.assert_array_equal(widths(16, 256, 1 << 16), [8] + [9] * 15)


def test_lzw_on_welchs_example():
    """His table I: ababcbababaaaaaaa with a, b, c as 1, 2, 3 gives 1 2 4 3 5 8 1 10 11 1; here they
    are 0, 1, 2.
    """
    symbols = [ord(letter) - ord("a") for letter in "ababcbababaaaaaaa"]
    assert phrases(symbols, 3, 4096) == [0, 1, 3, 2, 4, 7, 0, 9, 10, 0]


def test_lzw_stops_growing_when_it_is_full():
    symbols = message("even", 500, 2).tolist()
    assert max(phrases(symbols, 2, 4)) <= 3
    np.testing.assert_array_equal(widths(6, 2, 4), [1, 2, 2, 2, 2, 2])


# Burrows–Wheeler


def test_bwt_of_banana():
    column, row = transform(np.frombuffer(b"banana", np.uint8))
    assert (column.tobytes(), row) == (b"annbaa", 4)  # annb$aa


@given(messages())
@modest
def test_bwt_sorts_suffixes(case):
    symbols, levels = case
    if len(symbols):
        column, row = transform(symbols.astype(smallest(levels)))
        text = [*symbols.tolist(), -1]
        order = sorted(range(len(text)), key=lambda at: text[at:])
        assert [text[at - 1] for at in order] == np.insert(column.astype(int), row, -1).tolist()
        np.testing.assert_array_equal(inverse_transform(column.astype(np.int64), row), symbols)


@given(messages())
@modest
def test_move_to_front_is_what_it_says(case):
    symbols, levels = case
    table = list(range(levels))
    expected = []
    for symbol in symbols.tolist():
        expected.append(table.index(symbol))
        table.insert(0, table.pop(expected[-1]))
    found = ranks(symbols, levels)
    assert found.tolist() == expected
    np.testing.assert_array_equal(from_ranks(found, levels), symbols)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 5]) | st.integers(0, 65535), max_size=200))
@modest
def test_runs_of_zeros_come_back(found):
    np.testing.assert_array_equal(
        from_tokens(tokens(np.array(found, dtype=np.int64)), len(found)), found
    )


def test_runs_of_zeros_are_numbers_in_base_two():
    digits = [tokens(np.zeros(n, np.int64)).tolist() for n in range(1, 8)]
    assert digits == [[0], [1], [0, 0], [1, 0], [0, 1], [1, 1], [0, 0, 0]]


# Runs and differences


def test_runs_are_cut():
    values, lengths = runs(np.repeat([7, 1], [600, 256]))
    assert (values.tolist(), lengths.tolist()) == ([7, 7, 7, 1], [256, 256, 88, 256])


@pytest.mark.parametrize("levels", [1, 2, 3, 16, 17])
def test_folding_is_a_bijection_that_puts_small_steps_first(levels):
    steps = np.arange(levels)
    folded = fold(steps, levels)
    assert sorted(folded.tolist()) == steps.tolist()
    np.testing.assert_array_equal(unfold(folded, levels) % levels, steps)
    distance = np.minimum(steps, levels - steps)
    assert (np.diff(distance[np.argsort(folded)]) >= 0).all()
