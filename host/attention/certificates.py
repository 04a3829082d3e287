"""The proven bound that goes with a result, from the result itself and what the host remembers of V.

Owns the choice of the inequality for each record of sums, and the rounding of the output in float64; the inequalities
are in `bounds` and `zscore_bounds`. Nothing here needs K, V or a reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bounds import SoftmaxError, rescaled_softmax_error, softmax_error
from .exponential import Exponential
from .output import Sums, sums_to_real
from .ranges import SCORE_MAX
from .sums import LinearSums, OnlineSums, SoftmaxSums, ZscoreSums
from .value_statistics import ValueStatistics
from .zscore_bounds import linear_bound, zscore_weight_error

__all__ = ["Arithmetic", "certificate", "div_d_certificate"]

# `output` converts a numerator and a denominator to float64 and divides: three roundings of 2**-53.
_OUTPUT_ROUNDING = 2.0**-51


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """How sums came about.

    probability_bits, exponential: of the softmax plans. workers: tasklets that share the tokens of a part (K-8).
    parts: of a split context, already merged. levels: of that merge (M-3), 1 for all parts at once.
    score_bound: on |score|, bias included; a small one makes z-score certificates tighter.
    """

    probability_bits: int = 24
    exponential: Exponential = "lut256_lerp"
    workers: int = 1
    parts: int = 1
    levels: int = 1
    score_bound: int = SCORE_MAX


def certificate(sums: Sums, values: ValueStatistics, arithmetic: Arithmetic) -> NDArray[np.float64]:
    """Bound of |output - o|, float64 [..., dim], in units of the integer values.

    The output is sums_to_real(sums, v_scale=1.0), o exact attention over the same integers (B-2, B-3, B-4, K-8, M-4),
    and 0 for a query that sees no token. `values` broadcasts against the sums; tokens in it that a mask hides do no
    harm. Multiply by v_scale for a bound in real units; quantising q, K and V costs more (`bounds`).
    """
    outputs = sums_to_real(sums, v_scale=1.0)
    if isinstance(sums, LinearSums):
        return linear_bound(outputs)
    rounding = _OUTPUT_ROUNDING * np.abs(outputs)
    if isinstance(sums, ZscoreSums):
        error = zscore_weight_error(values.tokens, fraction_bits=sums.fraction_bits, score_bound=arithmetic.score_bound)
        return error[..., None] * values.magnitude_sum + rounding
    return _softmax_bound(_softmax_error(sums, values.tokens, arithmetic), values) + rounding


def div_d_certificate(values: ValueStatistics, *, dim: int) -> NDArray[np.float64]:
    """Bound of |o' - sum_j (s_j / dim) v_j| for norm "div_d" with acc="wide", [..., dim] (B-1).

    o' are the integers that the DPUs return; they have no rounding of their own.
    """
    return (1 - 1 / dim) * values.magnitude_sum.astype(np.float64)


def _softmax_error(sums: SoftmaxSums | OnlineSums, tokens: int, arithmetic: Arithmetic) -> SoftmaxError:
    bits, exponential = arithmetic.probability_bits, arithmetic.exponential
    if isinstance(sums, OnlineSums):
        chains = arithmetic.workers * arithmetic.parts
        return rescaled_softmax_error(tokens, sums.weight_sum, bits, exponential, sums.rescales, chains)
    if arithmetic.parts > 1:
        return rescaled_softmax_error(tokens, sums.weight_sum, bits, exponential, arithmetic.levels, arithmetic.parts)
    return softmax_error(tokens, sums.weight_sum, bits, exponential)


def _softmax_bound(error: SoftmaxError, values: ValueStatistics) -> NDArray[np.float64]:
    range_share, size_share = (np.asarray(share)[..., None] for share in error)
    return values.spread * range_share + (1 + values.largest) * size_share
