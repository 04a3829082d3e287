"""z-score attention in integers: K-5 on one DPU, M-5 in two launches over a split head, M-4 by linearity.

Owns the integer meaning of norms "zscore" and "zscore_linear", and the same mathematics in float64. Shapes and biases
are those of `reference`: q [..., dim], k and v [..., tokens, dim], scores [..., tokens].

A weight z_j = (s_j - mean) / deviation is evaluated with e_j, the deviation from the mean in units of 2**-f, and inv,
about 2**61 over the standard deviation in the same units. K-5 finds the constants from the scores, M-5 from sums that
the parts of a split head return; applying them is the same either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .integer_math import bit_length, isqrt, magnitude, matmul, rdiv, rsh
from .ranges import SCORE_MAX
from .reference import exact_scores
from .sums import LinearSums, ZscoreSums

__all__ = [
    "ScoreStatistics",
    "ZscoreConstants",
    "attention_linear",
    "attention_zscore",
    "attention_zscore_split",
    "constants_from_statistics",
    "float_zscore",
    "float_zscore_weights",
    "score_statistics",
    "square_limbs",
    "z_bits",
    "zscore_constants",
    "zscore_weights",
]

Integers = NDArray[np.signedinteger[Any]]

_FRACTION_BITS_MAX = 14
_WEIGHT_MAX = 32767  # z fits int16
_LIMB_BITS = 24


class ScoreStatistics(NamedTuple):
    """What launch 1 of M-5 leaves of a part's scores. Leading axes are free, with the parts in front.

    tokens: int64 [...], n. score_sum: int64 [...], S1. square_limbs: int64 [..., 3], as in sums.LinearSums.
    minimum, maximum: int64 [...], of the scores; without meaning where there are no tokens.
    """

    tokens: NDArray[np.int64]
    score_sum: NDArray[np.int64]
    square_limbs: NDArray[np.int64]
    minimum: NDArray[np.int64]
    maximum: NDArray[np.int64]


class ZscoreConstants(NamedTuple):
    """What turns scores into weights (K-5), all int64 [...]: with rsh(a, s) = (a + (2**s >> 1)) >> s,

        e' = (s - centre) * 2**shift       rsh(s - centre, -shift) for a negative shift
        z = rsh((e' - mean) * inverse, final_shift)

    All weights are 0 where inverse is 0: there is no token, or all scores are equal.
    """

    centre: NDArray[np.int64]
    shift: NDArray[np.int64]
    mean: NDArray[np.int64]
    inverse: NDArray[np.int64]
    final_shift: NDArray[np.int64]


def z_bits(tokens: ArrayLike) -> NDArray[np.int64]:
    """F, the fraction bits of a weight over so many tokens: int64, the shape of `tokens` (K-5).

    The most for which 2**F * sqrt(tokens - 1), the greatest |z|, is at most 32767; 0 to 14.
    """
    others = np.asarray(tokens, dtype=np.int64) - 1
    bits = np.arange(1, _FRACTION_BITS_MAX + 1)
    result: NDArray[np.int64] = (others[..., None] <= _WEIGHT_MAX**2 >> 2 * bits).sum(axis=-1, dtype=np.int64)
    return result


def zscore_constants(scores: Integers) -> ZscoreConstants:
    """Constants from all scores of a head, [..., tokens] to [...]: steps 1 to 5 of K-5.

    int64 suffices for n tokens. |s| <= 2**61 gives |s - centre| <= 2**62; |e'| <= 2**BE and |e| <= 1.25 * 2**BE + 1,
    with n * 4**BE <= 2**60, so N < 2**61; N * 4**p < 2**62; inverse <= 2**31, so |e| * inverse < 2**61.

    Raises ValueError for a score beyond 2**61 or a sum of n of them beyond 2**63.
    """
    tokens = scores.shape[-1]
    largest = magnitude(scores)
    if largest > SCORE_MAX or tokens * largest >= 2**63:
        raise ValueError(
            f"z-scores of {tokens} scores up to {largest}: scores are at most 2**61 and their sum below 2**63. "
            "Quantise q and k to fewer bits (ranges.largest_operand)."
        )
    count = np.full(scores.shape[:-1], tokens, dtype=np.int64)
    wide = scores.astype(np.int64)
    centre = _mean(wide)
    deviation = wide - centre[..., None]
    shift = _shift(count, np.abs(deviation).max(axis=-1, initial=0))
    scaled = _scaled(deviation, shift)
    mean = _mean(scaled)
    squares = np.square(scaled - mean[..., None]).sum(axis=-1)
    return _constants(count, centre, shift, mean, squares)


def zscore_weights(scores: Integers, constants: ZscoreConstants) -> NDArray[np.int64]:
    """Weights z in Q(F), int64 [..., tokens], of `scores` [..., tokens] under `constants` [...]."""
    deviation = scores.astype(np.int64) - constants.centre[..., None]
    centred = _scaled(deviation, constants.shift) - constants.mean[..., None]
    return rsh(centred * constants.inverse[..., None], constants.final_shift[..., None])


def score_statistics(scores: Integers) -> ScoreStatistics:
    """What launch 1 of M-5 leaves of `scores` [..., tokens], one part of a head."""
    wide = scores.astype(np.int64)
    return ScoreStatistics(
        tokens=np.full(wide.shape[:-1], wide.shape[-1], dtype=np.int64),
        score_sum=wide.sum(axis=-1),
        square_limbs=square_limbs(wide),
        minimum=wide.min(axis=-1, initial=SCORE_MAX),
        maximum=wide.max(axis=-1, initial=-SCORE_MAX),
    )


def square_limbs(scores: Integers) -> NDArray[np.int64]:
    """Sum of squares in three limbs, [..., tokens] to int64 [..., 3]; see sums.LinearSums."""
    wide = scores.astype(np.int64)
    high, low = wide >> _LIMB_BITS, wide & (2**_LIMB_BITS - 1)
    return np.stack([(a * b).sum(axis=-1) for a, b in ((high, high), (high, low), (low, low))], axis=-1)


def constants_from_statistics(parts: ScoreStatistics) -> ZscoreConstants:
    """Constants of split heads from what their parts returned, [parts, ...] to [...]: the host's step of M-5.

    Sums are joined, and mean and N found, in exact integers without bound; N is rounded half away from zero. While
    shift >= 0 the result is that of `zscore_constants` over all scores of the head, whatever the split.
    """
    shape = parts.tokens.shape[1:]
    merged = {index: _merged(parts, index) for index in np.ndindex(shape)}
    count, centre, shift, mean, squares = (
        np.array([merged[index][place] for index in merged], dtype=np.int64).reshape(shape) for place in range(5)
    )
    return _constants(count, centre, shift, mean, squares)


def attention_zscore(q: Integers, k: Integers, v: Integers, *, bias: Integers | None = None) -> ZscoreSums:
    """z-score attention on one DPU per head (K-5): all zero without tokens or where all scores are equal.

    Raises AccumulatorOverflow when scores, their sums or outputs cannot be proven to fit, TypeError and ValueError for
    operands that do not belong together.
    """
    scores = exact_scores(q, k, v, norm="zscore", bias=bias)
    weights = zscore_weights(scores, zscore_constants(scores))
    values = matmul(weights[..., None, :], v)[..., 0, :]
    return ZscoreSums(weighted_values=values, fraction_bits=_full(values, z_bits(k.shape[-2])))


def attention_zscore_split(
    q: Integers, k: Sequence[Integers], v: Sequence[Integers], *, bias: Sequence[Integers] | None = None
) -> ZscoreSums:
    """z-score attention over heads that are split by tokens, in two launches (M-5): the merged result.

    k and v: one array [..., tokens of the part, dim] per part; bias: one array per part. Raises as `attention_zscore`.
    """
    biases = [None] * len(k) if bias is None else bias
    scores = [
        exact_scores(q, keys, values, norm="zscore", bias=added)
        for keys, values, added in zip(k, v, biases, strict=True)
    ]
    statistics = [score_statistics(part) for part in scores]
    constants = constants_from_statistics(ScoreStatistics(*map(np.stack, zip(*statistics, strict=True))))
    merged: NDArray[np.int64] = np.sum(
        [
            matmul(zscore_weights(part, constants)[..., None, :], values)[..., 0, :]
            for part, values in zip(scores, v, strict=True)
        ],
        axis=0,
    )
    return ZscoreSums(weighted_values=merged, fraction_bits=_full(merged, z_bits(sum(x.shape[-2] for x in k))))


def attention_linear(q: Integers, k: Integers, v: Integers, *, bias: Integers | None = None) -> LinearSums:
    """The sums of z-score attention by linearity, of a head or a part of one (M-4). Raises as `attention_zscore`."""
    scores = exact_scores(q, k, v, norm="zscore_linear", bias=bias)
    score_values = matmul(scores[..., None, :], v)[..., 0, :]
    return LinearSums(
        score_values=score_values,
        values=np.broadcast_to(v.sum(axis=-2, dtype=np.int64), score_values.shape).copy(),
        score_sum=scores.sum(axis=-1, dtype=np.int64),
        square_limbs=square_limbs(scores),
        tokens=_full(score_values, np.int64(k.shape[-2])),
    )


def float_zscore_weights(scores: ArrayLike) -> NDArray[np.float64]:
    """(s_j - mean) / standard deviation in float64, [..., tokens]; 0 where all scores are equal.

    Integer scores whose sum fits int64 are recentred exactly first, so that they lose nothing up to 2**52.
    """
    given: NDArray[Any] = np.asarray(scores)
    if np.issubdtype(given.dtype, np.integer):
        given = given.astype(np.int64)
        given = given - _mean(given)[..., None]
    real = given.astype(np.float64)
    real = real - real.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(real).mean(axis=-1, keepdims=True))
    return np.divide(real, deviation, out=np.zeros_like(real), where=deviation > 0)


def float_zscore(scores: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
    """sum_j z_j v_j in float64, [..., dim], of scores [..., tokens] and v [..., tokens, dim]."""
    weights = float_zscore_weights(scores)
    result: NDArray[np.float64] = (weights[..., None, :] @ np.asarray(v, dtype=np.float64))[..., 0, :]
    return result


def _mean(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Mean over the last axis, rounded; 0 over nothing."""
    return rdiv(values.sum(axis=-1), max(1, values.shape[-1]))


def _shift(tokens: NDArray[np.int64], spread: NDArray[np.int64]) -> NDArray[np.int64]:
    """f: brings the largest deviation to BE bits, BE = (60 - ceil(log2(tokens))) // 2; 0 where there is none."""
    bits = (60 - bit_length(np.maximum(tokens - 1, 0))) // 2
    return np.where(spread > 0, bits - bit_length(spread), 0)


def _scaled(deviation: NDArray[np.int64], shift: NDArray[np.int64]) -> NDArray[np.int64]:
    """deviation * 2**shift, rounded half up where shift < 0."""
    places = shift[..., None]
    return rsh(deviation << np.maximum(places, 0), np.maximum(-places, 0))


def _constants(
    tokens: NDArray[np.int64],
    centre: NDArray[np.int64],
    shift: NDArray[np.int64],
    mean: NDArray[np.int64],
    squares: NDArray[np.int64],
) -> ZscoreConstants:
    """Steps 4 and 5 of K-5, from N = `squares`, which is 0 where all weights are to be 0."""
    spread = squares > 0
    doublings = np.where(spread, (62 - bit_length(squares)) // 2, 0)
    deviation = np.where(spread, isqrt((squares << 2 * doublings) // np.maximum(tokens, 1)), 1)
    normalising = 31 - bit_length(deviation)
    inverse = np.where(spread, 2**61 // (deviation << normalising), 0)
    final_shift = np.where(spread, 61 - normalising - doublings - z_bits(tokens), 1)
    return ZscoreConstants(centre, shift, mean, inverse, final_shift)


def _merged(parts: ScoreStatistics, index: tuple[int, ...]) -> tuple[int, int, int, int, int]:
    """n, centre, shift, mean and N of one head, in Python integers."""
    there = [part for part in np.ndindex(parts.tokens.shape[:1]) if parts.tokens[part + index] > 0]
    if not there:
        return 0, 0, 0, 0, 0
    tokens, score_sum = (sum(int(field[part + index]) for part in there) for field in (parts.tokens, parts.score_sum))
    high, middle, low = (sum(int(parts.square_limbs[(*part, *index, i)]) for part in there) for i in range(3))
    square_sum = (high << 2 * _LIMB_BITS) + (middle << _LIMB_BITS + 1) + low
    centre = _rdiv(score_sum, tokens)
    spread = max(
        max(int(parts.maximum[part + index]) for part in there) - centre,
        centre - min(int(parts.minimum[part + index]) for part in there),
    )
    if spread == 0:
        return tokens, centre, 0, 0, 0
    shift = (60 - (tokens - 1).bit_length()) // 2 - spread.bit_length()
    # e' is (deviation << up) / 2**down, a fraction where shift < 0
    up, down = max(shift, 0), max(-shift, 0)
    deviation_sum = (score_sum - tokens * centre) << up
    deviation_squares = (square_sum - 2 * centre * score_sum + tokens * centre**2) << 2 * up
    mean = _rdiv(deviation_sum, tokens << down)
    squares = _rdiv(
        deviation_squares - 2 * (mean << down) * deviation_sum + tokens * (mean << down) ** 2, 1 << 2 * down
    )
    return tokens, centre, shift, mean, squares


def _rdiv(a: int, b: int) -> int:
    """a / b rounded half away from zero, for b >= 1."""
    return int(math.copysign(1, a)) * ((2 * abs(a) + b) // (2 * b))


def _full(values: NDArray[np.int64], number: NDArray[np.int64] | np.int64) -> NDArray[np.int64]:
    """`number` for every row of `values` [..., dim]: int64 [...]."""
    return np.full(values.shape[:-1], number, dtype=np.int64)
