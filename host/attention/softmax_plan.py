"""Constants that let a DPU evaluate softmax weights in integers (K-6).

Owns the plan: how a difference of integer scores becomes a power of two. The host computes it once per head in float64;
the device and `reference` use it in integers only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .exponential import Exponential, check_exponential, exponential_table
from .ranges import PROBABILITY_BITS_MAX, SCORE_MAX

__all__ = ["SoftmaxPlan", "softmax_plan"]

_EXPONENT_ONE = 2**16  # exponents of two are Q16 on the device
# From 2**30 on, a difference of one score already means an exponent of 2**14, whose weight is 0: no slope above it is
# needed, and the shift never becomes a left shift.
_SLOPE_MAX = 2.0**30
# The product of difference and multiplier is at most 2**62, so beyond a shift of 62 every exponent would round to 0, as
# it does with the smaller multiplier that belongs to shift 62.
_SHIFT_MAX = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxPlan:
    """Host variables of the integer softmax. With rsh(a, s) = (a + (2**s >> 1)) >> s, a token of score s weighs

        D = max(scores) - s                              weight 0 if D > max_difference
        t = rsh(rsh(D, pre_shift) * multiplier, shift)   exponent of 1/2, Q16
        n = t >> 16;  u = t & 65535                      weight 0 if n > probability_bits + 1
        y = about 2**(30 - u / 65536)                    `exponential.power_of_two`
        weight = rsh(y, 30 - probability_bits + n)

    in Q(probability_bits). No weight exceeds 2**probability_bits; with "lut256_lerp" and "lut256_floor" the largest
    score weighs exactly that.

    Signed 64-bit arithmetic suffices: |score| <= 2**61 gives D <= 2**62; rsh(D, pre_shift) <= 2**31 and
    multiplier <= 2**31 give a product <= 2**62, to which rsh adds at most 2**61; y <= 2**30, its shift at most 31.

    probability_bits: P, 1 to 30.
    octaves: weights of 2**-octaves and half of it are still told from 0; P, or more where the same constants serve a
        finer weight too, as rescaling in Q30 does (K-8).
    multiplier, shift: the slope in Q16 exponents per (pre-shifted) score, multiplier * 2**-shift; 0 <= shift <= 62 and
        2**30 <= multiplier <= 2**31, smaller only where shift = 62 and every exponent rounds to 0.
    pre_shift: bits dropped from a difference so that it fits the product, 0 to 32.
    max_difference: score differences above it weigh 0.
    exponential: how y is evaluated (K-7).
    table: uint32 [257], or [0] where y is a polynomial; the same in every plan of one `exponential`.
    """

    probability_bits: int
    octaves: int
    multiplier: int
    shift: int
    pre_shift: int
    max_difference: int
    exponential: Exponential
    table: NDArray[np.uint32] = field(compare=False, repr=False)


def softmax_plan(
    *,
    logit_scale: float,
    score_bound: int,
    probability_bits: int = 24,
    octaves: int | None = None,
    exponential: Exponential = "lut256_lerp",
) -> SoftmaxPlan:
    """Plan for logits `logit_scale` * score with |score| <= `score_bound` (K-6; dyadic constants as in K-3).

    `logit_scale` is c = s_q * s_k * scale, positive; `score_bound` is a static bound such as dim * q_max * k_max, plus
    the largest |bias|. Differences of up to `octaves` + 2 octaves matter: `probability_bits` where it is not given, 30
    for online softmax (K-8).

    Raises ValueError for a scale that is not a positive finite number, a bound outside 0 to 2**61, probability bits
    outside 1 to 30, octaves outside probability bits to 30, or an unknown exponential.
    """
    table = exponential_table(check_exponential(exponential))
    if not (math.isfinite(logit_scale) and logit_scale > 0):
        raise ValueError(
            f"logit_scale = {logit_scale}: it is q scale * k scale * softmax scale, positive and finite. "
            "When it underflows, multiply q or k by a power of two before quantising."
        )
    if not 0 <= score_bound <= SCORE_MAX:
        raise ValueError(
            f"score_bound = {score_bound}: differences of scores fit int64 for bounds of 0 to 2**61. "
            "Quantise q and k to fewer bits (ranges.largest_operand)."
        )
    if not 1 <= probability_bits <= PROBABILITY_BITS_MAX:
        raise ValueError(f"probability_bits = {probability_bits}: choose 1 to {PROBABILITY_BITS_MAX} (default 24).")
    reached = probability_bits if octaves is None else octaves
    if not probability_bits <= reached <= PROBABILITY_BITS_MAX:
        raise ValueError(
            f"octaves = {reached}: choose {probability_bits}, the probability bits, to {PROBABILITY_BITS_MAX}."
        )
    slope = min(logit_scale * math.log2(math.e) * _EXPONENT_ONE, _SLOPE_MAX)
    reach = (reached + 2) * _EXPONENT_ONE / slope
    score_range = 2 * score_bound
    max_difference = score_range if reach >= score_range else min(math.ceil(reach) + 1, score_range)
    pre_shift = max(0, max_difference.bit_length() - 31)
    multiplier, shift = _dyadic(math.ldexp(slope, pre_shift))
    return SoftmaxPlan(
        probability_bits=probability_bits,
        octaves=reached,
        multiplier=multiplier,
        shift=shift,
        pre_shift=pre_shift,
        max_difference=max_difference,
        exponential=exponential,
        table=table,
    )


def _dyadic(x: float) -> tuple[int, int]:
    """(M, sh) with M * 2**-sh within 2**-31 * x of x, or within 2**-63 where sh would pass 62."""
    shift = min(31 - math.frexp(x)[1], _SHIFT_MAX)
    return round(math.ldexp(x, shift)), shift
