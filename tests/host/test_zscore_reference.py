"""z-score attention in integers (K-5, M-4, M-5): the literal steps, the proven error, and every partition."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from host.attention import samples
from host.attention.ranges import AccumulatorOverflow
from host.attention.zscore import (
    ScoreStatistics,
    ZscoreConstants,
    attention_linear,
    attention_zscore,
    attention_zscore_split,
    constants_from_statistics,
    float_zscore,
    float_zscore_weights,
    score_statistics,
    square_limbs,
    z_bits,
    zscore_constants,
    zscore_weights,
)
from host.attention.zscore_bounds import zscore_weight_error

pytestmark = pytest.mark.quick

LENGTHS = (1, 2, 3, 7, 8, 9, 17, 200, 4096)
PATTERNS: dict[str, Callable[[int, int, np.random.Generator], NDArray[np.int64]]] = {
    "random": lambda n, high, random: random.integers(-high, high, n, endpoint=True),
    "equal": lambda n, high, random: np.full(n, -high),
    "one hot": lambda n, high, random: np.where(np.arange(n) == n // 2, high, -high),
    "alternating": lambda n, high, random: np.where(np.arange(n) % 2 == 0, high, -high),
    "two levels": lambda n, high, random: np.where(np.arange(n) < (n + 3) // 4, high, high - 1),
    "one apart": lambda n, high, random: high - random.integers(0, 1, n, endpoint=True),
    "one below": lambda n, high, random: np.where(np.arange(n) == 0, high - 1, high),
}


def rounded(a: int, b: int) -> int:
    """a / b rounded half away from zero."""
    return (2 * abs(a) + b) // (2 * b) * (1 if a >= 0 else -1)


def literal_weights(scores: list[int]) -> list[int]:
    """K-5 step by step with unbounded integers."""
    n = len(scores)
    centre = rounded(sum(scores), n)
    deviations = [s - centre for s in scores]
    spread = max(abs(d) for d in deviations)
    if spread == 0:
        return [0] * n
    f = (60 - math.ceil(math.log2(n))) // 2 - spread.bit_length()

    def rsh(a: int, s: int) -> int:
        return (a + (1 << (s - 1))) >> s if s > 0 else a << -s

    scaled = [rsh(d, -f) for d in deviations]
    mean = rounded(sum(scaled), n)
    centred = [e - mean for e in scaled]
    squares = sum(e * e for e in centred)
    assert squares < 2**63
    p = (62 - squares.bit_length()) // 2
    sigma = math.isqrt(squares * 4**p // n)
    t = 31 - sigma.bit_length()
    inverse = 2**61 // (sigma << t)
    assert inverse <= 2**31
    bits = min(14, math.floor(math.log2(32767 / math.sqrt(n - 1))))
    assert max(abs(e) * inverse for e in centred) < 2**62
    return [rsh(e * inverse, 61 - t - p - bits) for e in centred]


def errors(scores: list[int], weights: list[int]) -> list[float]:
    """|2**-F z_j - (s_j - mean) / deviation| in exact integers but for 2**-200."""
    n, total = len(scores), sum(scores)
    deviations = [n * s - total for s in scores]
    variance = sum(d * d for d in deviations)  # n**3 times the mean square
    if variance == 0:
        return [float(abs(z)) for z in weights]
    root = math.isqrt((variance << 400) // n)
    unit = 1 << int(z_bits(n))
    return [float(abs(Fraction(z, unit) - Fraction(d << 200, root))) for z, d in zip(weights, deviations, strict=True)]


def weight_error(tokens: int, score_bound: int) -> float:
    """What is proven of scores up to a bound."""
    return float(zscore_weight_error(tokens, fraction_bits=z_bits(tokens), score_bound=score_bound))


def specified_error(tokens: int) -> float:
    """B-2."""
    return math.ldexp(1.0, -int(z_bits(tokens)) - 1) + 2.0**-16


def worst_ratio(scores: NDArray[np.int64], bound: float) -> float:
    weights = zscore_weights(scores, zscore_constants(scores)).tolist()
    return max(errors(scores.tolist(), weights)) / bound


def conspiring_scores() -> NDArray[np.int64]:
    """4096 scores of sum 0: one large, the others such that a right shift by 8 shrinks every one of them."""
    up, down = 20_735_103, 19_686_272  # 127 and 128 above a multiple of 256: rounded down, and up from minus a half
    return np.array([2047 * down - 2048 * up] + [up] * 2048 + [-down] * 2047)


# ---- the integer steps


def test_fraction_bits_are_the_most_that_fit_int16() -> None:
    assert z_bits([0, 1, 2, 4, 5, 17, 4096, 4097, 16384, 16385]).tolist() == [14, 14, 14, 14, 13, 12, 9, 8, 8, 7]
    for n in (2, 3, 4, 5, 6, 17, 1000, 4096, 4097, 2**20):
        bits = int(z_bits(n))
        assert 4**bits * (n - 1) <= 32767**2
        assert bits == 14 or 4 ** (bits + 1) * (n - 1) > 32767**2


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("tokens", LENGTHS)
def test_weights_are_those_of_the_literal_steps(pattern: str, tokens: int) -> None:
    random = np.random.default_rng(tokens)
    highs = (1, 2, 100, 2**21, 2**24, 2**25 + 1, 2**37, 2**50)
    scores = np.stack([PATTERNS[pattern](tokens, high, random) for high in highs])
    weights = zscore_weights(scores, zscore_constants(scores))
    assert weights.dtype == np.int64
    for row, exact in zip(weights.tolist(), scores.tolist(), strict=True):
        assert row == literal_weights(exact)


@given(
    bits=st.integers(1, 61),
    data=st.data(),
)
def test_weights_of_any_scores_are_those_of_the_literal_steps(bits: int, data: st.DataObject) -> None:
    most = min(24, 2 ** (62 - bits))
    scores = data.draw(st.lists(st.integers(-(2**bits) + 1, 2**bits - 1), min_size=1, max_size=most))
    array = np.array(scores)
    assert zscore_weights(array, zscore_constants(array)).tolist() == literal_weights(scores)


@pytest.mark.parametrize("scores", [[2**61, -(2**61)], [2**61, -(2**61), -(2**61)], [-(2**61), 2**61, 2**61 - 1]])
def test_scores_at_the_limit_agree_with_python_integers(scores: list[int]) -> None:
    array = np.array(scores)
    assert zscore_weights(array, zscore_constants(array)).tolist() == literal_weights(scores)


@pytest.mark.parametrize("scores", [[2**61 + 1, 0], [2**61] * 4, [-(2**61) - 1]])
def test_scores_beyond_the_limit_are_refused(scores: list[int]) -> None:
    with pytest.raises(ValueError, match=r"at most 2\*\*61"):
        zscore_constants(np.array(scores))


# ---- B-2


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("high", [1, 3, 2**7, 2**21, 2**30, 2**50])
def test_each_weight_is_within_the_proven_error(pattern: str, high: int) -> None:
    worst = 0.0
    for tokens in LENGTHS:
        scores = PATTERNS[pattern](tokens, high, np.random.default_rng(high % 1000))
        worst = max(worst, worst_ratio(scores, weight_error(tokens, high)))
        weights = zscore_weights(scores, zscore_constants(scores))
        largest = float(np.abs(weights).max()) * 2.0 ** -int(z_bits(tokens))
        assert largest <= math.sqrt(tokens - 1) + 2.0 ** -int(z_bits(tokens))
    assert worst <= 1, f"worst error / bound = {worst}"


@given(tokens=st.integers(1, 40), bits=st.integers(1, 50), data=st.data())
def test_proven_error_holds_for_any_scores(tokens: int, bits: int, data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.integers(-(2**bits), 2**bits), min_size=tokens, max_size=tokens))
    ratio = worst_ratio(np.array(scores), weight_error(tokens, 2**bits))
    assert ratio <= 1, f"worst error / bound = {ratio}"


def test_bound_is_nearly_reached() -> None:
    scores = np.random.default_rng(2).integers(-(2**21), 2**21, 4096)
    ratio = worst_ratio(scores, specified_error(4096))
    assert 0.98 <= ratio <= 1, f"worst error / bound = {ratio}"


def test_large_scores_can_pass_the_specified_bound_but_not_the_proven_one() -> None:
    scores = conspiring_scores()
    assert zscore_constants(scores).shift == -8
    assert worst_ratio(scores, specified_error(4096)) > 1.07
    assert 0.95 < worst_ratio(scores, weight_error(4096, 2**32)) <= 1
    # N of M-5 comes from unrounded deviations, and keeps the specified bound
    weights = zscore_weights(scores, split_constants(scores, [1000])).tolist()
    assert max(errors(scores.tolist(), weights)) <= specified_error(4096)


# ---- M-5


def split_constants(scores: NDArray[Any], cuts: list[int]) -> ZscoreConstants:
    parts = [score_statistics(part) for part in np.split(scores, cuts, axis=-1)]
    return constants_from_statistics(ScoreStatistics(*map(np.stack, zip(*parts, strict=True))))


@given(tokens=st.integers(0, 30), high=st.sampled_from([1, 100, 2**21, 2**23 - 1]), data=st.data())
def test_every_split_gives_the_constants_of_one_part(tokens: int, high: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, tokens), max_size=4)))
    seed = data.draw(st.integers(0, 2**32))
    scores = np.random.default_rng(seed).integers(-high, high, (3, tokens), endpoint=True)
    whole, split = zscore_constants(scores), split_constants(scores, cuts)
    assert (whole.shift >= 0).all()
    for name, one, other in zip(whole._fields, whole, split, strict=True):
        assert one.tolist() == other.tolist(), name


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("high", [2**30, 2**45])
def test_split_weights_of_large_scores_are_within_the_proven_error(pattern: str, high: int) -> None:
    worst = 0.0
    for tokens in LENGTHS:
        scores = PATTERNS[pattern](tokens, high, np.random.default_rng(tokens))
        constants = split_constants(scores, [tokens // 3, tokens // 2])
        weights = zscore_weights(scores, constants).tolist()
        worst = max(worst, max(errors(scores.tolist(), weights)) / weight_error(tokens, high))
        again = split_constants(scores, [tokens // 5])
        assert [field.tolist() for field in constants] == [field.tolist() for field in again]
    assert worst <= 1, f"worst error / bound = {worst}"


@given(st.lists(st.integers(-(2**49), 2**49), max_size=9))
def test_limbs_hold_the_exact_sum_of_squares(scores: list[int]) -> None:
    high, middle, low = square_limbs(np.array(scores, dtype=np.int64)).tolist()
    assert (high << 48) + (middle << 25) + low == sum(s * s for s in scores)


def test_no_tokens_anywhere_means_no_weight() -> None:
    nothing = np.zeros((2, 0), np.int64)
    for constants in (zscore_constants(nothing), split_constants(nothing, [0])):
        assert constants.inverse.tolist() == [0, 0]
        assert zscore_weights(nothing, constants).shape == (2, 0)


# ---- attention

OPERANDS = {
    "int4": ("int8", 127, 7),
    "int8": ("int8", 127, 127),
    "int16": ("int16", 2**15 - 1, 2**15 - 1),
    "int32": ("int32", 2**20, 2**20),
}


def operands(kind: str, inventory: str, tokens: int, dim: int = 32) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    dtype, q_limit, kv_limit = OPERANDS[kind]
    data = samples.random_integers(tokens, dtype=dtype, limit=q_limit, heads=2, queries=3, tokens=tokens, dim=dim)
    k, v = (np.clip(x, -kv_limit, kv_limit) for x in (data.k, data.v))
    if inventory == "lowest":
        lowest = -8 if kind == "int4" else np.iinfo(dtype).min if kind in ("int8", "int16") else -kv_limit
        k, v = np.full_like(k, lowest), np.full_like(v, lowest)
    elif inventory == "one hot":
        k[:, 1:] = 0
    elif inventory == "alternating":
        k[:, ::2], k[:, 1::2] = kv_limit, -kv_limit
    elif inventory == "zero values":
        v[:] = 0
    return data.q, k[:, None], v[:, None]


@pytest.mark.parametrize("kind", OPERANDS)
@pytest.mark.parametrize("inventory", ["random", "lowest", "one hot", "alternating", "zero values"])
def test_outputs_are_within_the_bound_of_real_z_scores(kind: str, inventory: str) -> None:
    worst = 0.0
    for tokens in (1, 2, 3, 7, 9, 17, 200):
        q, k, v = operands(kind, inventory, tokens)
        sums = attention_zscore(q, k, v)
        scores = np.einsum("hqd,hxtd->hqt", q.astype(np.int64), k.astype(np.int64))
        bits = int(z_bits(tokens))
        assert sums.fraction_bits.tolist() == [[bits] * 3] * 2
        error = np.abs(sums.weighted_values * 2.0**-bits - float_zscore(scores, v))
        weight = np.abs(v.astype(np.float64)).sum(axis=-2)
        allowed = weight_error(tokens, int(np.abs(scores).max())) * weight
        assert (error <= allowed + 1e-9 * weight).all()
        worst = max(worst, float((error / np.maximum(allowed, 1e-300)).max(where=allowed > 0, initial=0)))
    assert (worst == 0) == (inventory in ("zero values", "lowest")), f"worst error / bound = {worst}"


@pytest.mark.parametrize("inventory", ["random", "lowest", "alternating"])
def test_bytes_reach_131072_tokens(inventory: str) -> None:
    """Limbs of at most 2**23 leave room for the sums of squares of that many scores, and more."""
    tokens = 2**17
    q, k, v = (x[:1, :, ...] for x in operands("int8", inventory, tokens, dim=4))
    scores = np.einsum("hqd,hxtd->hqt", q.astype(np.int64), k.astype(np.int64))
    sums, linear = attention_zscore(q, k, v), attention_linear(q, k, v)
    weight = np.abs(v.astype(np.float64)).sum(axis=-2)
    error = np.abs(sums.weighted_values * 2.0 ** -int(z_bits(tokens)) - float_zscore(scores, v))
    assert (error <= (weight_error(tokens, int(np.abs(scores).max())) + 1e-9) * weight).all()
    for query in range(3):
        high, middle, low = linear.square_limbs[0, query].tolist()
        squares = sum(score * score for score in scores[0, query].tolist())
        assert (high << 48) + (middle << 25) + low == squares


@settings(max_examples=30)
@given(tokens=st.integers(0, 40), data=st.data())
def test_split_attention_is_that_of_one_dpu(tokens: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, tokens), max_size=3)))
    q, k, v = operands("int8", "random", tokens)
    bias = np.random.default_rng(tokens).integers(-1000, 1000, (2, 3, tokens))
    whole = attention_zscore(q, k, v, bias=bias)
    parts = (np.split(k, cuts, axis=-2), np.split(v, cuts, axis=-2))
    split = attention_zscore_split(q, *parts, bias=np.split(bias, cuts, axis=-1))
    assert [field.tolist() for field in split] == [field.tolist() for field in whole]
    if tokens == 0:
        assert not whole.weighted_values.any()
    unbiased = attention_zscore_split(q, *parts)
    assert [field.tolist() for field in unbiased] == [field.tolist() for field in attention_zscore(q, k, v)]


@pytest.mark.parametrize("kind", OPERANDS)
@pytest.mark.parametrize("tokens", [0, 1, 2, 17, 200])
def test_linear_sums_are_exact_and_give_the_real_output(kind: str, tokens: int) -> None:
    q, k, v = operands(kind, "random", tokens)
    if kind == "int16":
        v = v // 2
    if kind == "int32":
        v = v // 2**10
    bias = np.arange(tokens) - 5
    sums = attention_linear(q, k, v, bias=bias)
    for head, query in np.ndindex(2, 3):
        rows, values = k[head, 0].tolist(), v[head, 0].tolist()
        scores = [
            sum(a * b for a, b in zip(q[head, query].tolist(), row, strict=True)) + int(added)
            for row, added in zip(rows, bias, strict=True)
        ]
        columns = list(zip(*values, strict=True)) or [()] * 32  # no rows, no columns
        weighted = [sum(s * x for s, x in zip(scores, column, strict=True)) for column in columns]
        plain = [sum(column) for column in columns]
        first, second = sum(scores), sum(s * s for s in scores)
        assert sums.score_values[head, query].tolist() == weighted
        assert sums.values[head, query].tolist() == plain
        assert (sums.score_sum[head, query], sums.tokens[head, query]) == (first, tokens)
        high, middle, low = sums.square_limbs[head, query].tolist()
        assert (high << 48) + (middle << 25) + low == second
        radicand = tokens * second - first**2
        real = float_zscore(np.array(scores, dtype=np.int64), v[head, 0]) if tokens else np.zeros(32)
        numerators = [tokens * a - first * b for a, b in zip(weighted, plain, strict=True)]
        linear = [x / math.sqrt(radicand) if radicand else 0.0 for x in numerators]
        np.testing.assert_allclose(linear, real, rtol=1e-10, atol=1e-10 * max(1, float(np.abs(v).sum())))


def test_queries_share_the_keys_of_their_head() -> None:
    q, k, v = operands("int8", "random", 9)
    sums = attention_zscore(q, k, v)
    alone = attention_zscore(q[1, 2], k[1, 0], v[1, 0])
    assert alone.weighted_values.tolist() == sums.weighted_values[1, 2].tolist()
    assert alone.fraction_bits == sums.fraction_bits[1, 2]


def test_operands_that_could_overflow_are_refused() -> None:
    q, k = np.full(4, 2**29, np.int32), np.full((4, 4), 2**29, np.int32)
    for attention in (attention_zscore, attention_linear):
        with pytest.raises(AccumulatorOverflow, match="squares of scores"):
            attention(q, k, np.ones_like(k))


# ---- float64


def test_float_weights_recentre_integers_exactly() -> None:
    large = np.array([2**52 + 1, 2**52 + 3, 2**52 + 5])
    assert float_zscore_weights(large) == pytest.approx(np.array([-1, 0, 1]) * math.sqrt(1.5), rel=1e-15)
    assert float_zscore_weights(np.array([0.25, 0.75])).tolist() == [-1.0, 1.0]
    assert float_zscore_weights(np.array([[7, 7], [1, 3]])).tolist() == [[0.0, 0.0], [-1.0, 1.0]]
