"""Proven error bounds of integer attention: the certificate that goes with every approximate result.

Owns the inequalities (K-2, B-1, B-3, B-5) and their composition. Bounds hold for exact arithmetic on the quantities
named; a float64 evaluation of a reference adds its own rounding, some 1e-14 of max|v|.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .quantise import Quantised, align_scale

__all__ = [
    "div_d_bound",
    "kernel_relative_error",
    "logit_error",
    "perturbation_bound",
    "quantised_attention_bound",
    "softmax_bound",
]

# Largest relative error of the interpolated table (K-7, lut256_lerp); a test enumerates all 65536 arguments.
_TABLE_RELATIVE_ERROR = 9.2e-7
# A quantised element is off by half a step, and by the rounding of x / scale in float64: at most 2**31 * 2**-53 steps.
_HALF_STEP = 0.5 + 2.0**-22


def div_d_bound(v: ArrayLike, *, dim: int) -> NDArray[np.float64]:
    """|o - sum_j (s_j / dim) v_j| <= (1 - 1/dim) sum_j |v_j| for `acc="wide"` (B-1).

    v [..., tokens, dim], result [..., dim], both in units of the integer operands.
    """
    magnitudes = np.abs(np.asarray(v, dtype=np.float64))
    result: NDArray[np.float64] = (1 - 1 / dim) * magnitudes.sum(axis=-2)
    return result


def kernel_relative_error(probability_bits: int) -> float:
    """rho: relative error of an integer softmax weight before its last rounding (B-3).

    Table, half a unit of the Q16 exponent, and slope and pre-shift over at most P + 2 octaves.
    """
    return _TABLE_RELATIVE_ERROR + math.log(2) * (2.0**-17 + (probability_bits + 2) * 2.0**-30)


def softmax_bound(v: ArrayLike, *, weight_sum: ArrayLike, probability_bits: int) -> NDArray[np.float64]:
    """|O / l - o| <= R_v (rho + L 2**-(P+1) / (l 2**-P)), with o the real softmax of the same integers (B-3).

    v [..., tokens, dim] and the kernel's own l [...]; result [..., dim], in units of v. R_v is max - min of a column.

    With real weights e_j and the kernel's f_j, both relative to a largest weight of 1:
        o - O/l = sum_j (f_j - e_j)(o - v_j) / sum f,    |f_j - e_j| <= rho e_j + 2**-(P+1),    |v_j - o| <= R_v.
    The mean deviation sum e_j |v_j - o| / sum e is at most R_v / 2, so rho keeps the factor R_v while sum e <= 2 sum f;
    where l is too small to prove that, the bound is R_v, which averages of the same v_j never exceed.
    """
    return _value_range(v) * _kernel_error(np.shape(v)[-2], weight_sum, probability_bits)[..., None]


def logit_error(q: ArrayLike, k: ArrayLike, *, logit_scale: ArrayLike) -> NDArray[np.float64]:
    """Largest error of a query's logits from quantising q and k: max over j of K-2's bound, times c.

    Integer q [..., dim] and k [..., tokens, dim] quantised without saturation, c = s_q s_k scale over leading axes of
    the result [...]. With q = s_q (q' + a), k = s_k (k' + b) and |a|, |b| at most h, half a step:
        |q.k / (s_q s_k) - q'.k'| <= h |q'|_1 + h |k'|_1 + dim h**2.
    """
    query_norm, key_norm = (np.abs(np.asarray(x, dtype=np.float64)).sum(axis=-1) for x in (q, k))
    steps: NDArray[np.float64] = _HALF_STEP * (query_norm + key_norm.max(axis=-1)) + np.shape(q)[-1] * _HALF_STEP**2
    return steps * align_scale(logit_scale, steps.ndim)


def perturbation_bound(v: ArrayLike, *, logit_error: ArrayLike) -> NDArray[np.float64]:
    """|o(x + d) - o(x)| <= R_v tanh(eps / 2) when every |d_j| <= eps (B-5, tight for two tokens).

    v [..., tokens, dim], eps [...]; result [..., dim].
    """
    return _value_range(v) * np.tanh(np.asarray(logit_error, dtype=np.float64) / 2)[..., None]


def quantised_attention_bound(
    q: Quantised, k: Quantised, v: Quantised, *, scale: float, weight_sum: ArrayLike, probability_bits: int
) -> NDArray[np.float64]:
    """Bound of |v_scale O / l - softmax(scale q.k) v|: integer attention against the real tensors behind it.

    q.values [..., queries, dim] and k.values, v.values [..., tokens, dim] as `quantise` returns them, one scale per
    head; weight_sum [..., queries] is the kernel's l. Result [..., queries, dim], a bound per output in real units.

    With v = s_v (v' + a), |a| <= h, x* the real logits, x = c s the integer ones, and o(x, v) exact softmax attention:
        s_v |O/l - o(x, v')|        <= s_v R_v' (rho + L / 2 l)        B-3
        s_v |o(x, v') - o(x*, v')|  <= s_v R_v' tanh(eps / 2)          B-5, eps from K-2
        |s_v o(x*, v') - o(x*, v)|  <= s_v h                           an average of errors of at most s_v h
    R_v' is the range of the *quantised* values in both lines, so the bound needs no real tensor. The first two together
    cannot exceed s_v R_v', because O/l and o(x*, v') are averages of the same v'.
    """
    logit_scale = q.scale * k.scale * scale
    epsilon = logit_error(q.values, k.values[..., None, :, :], logit_scale=logit_scale)
    kernel = _kernel_error(v.values.shape[-2], weight_sum, probability_bits)
    share = np.minimum(1.0, np.tanh(epsilon / 2) + kernel)
    bound: NDArray[np.float64] = _value_range(v.values)[..., None, :] * share[..., None] + _HALF_STEP
    return bound * align_scale(v.scale, bound.ndim)


def _kernel_error(tokens: int, weight_sum: ArrayLike, probability_bits: int) -> NDArray[np.float64]:
    """Error of integer softmax as a share of R_v; L 2**-(P+1) / (l 2**-P) is L / 2 l."""
    rho = kernel_relative_error(probability_bits)
    rounding = tokens / (2 * np.asarray(weight_sum, dtype=np.float64))
    # sum e / sum f <= (1 + rounding) / (1 - rho), which is at most 2 in the first case.
    return np.where(rounding <= 1 - 2 * rho, rho + rounding, 1.0)


def _value_range(v: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(v, dtype=np.float64)
    result: NDArray[np.float64] = values.max(axis=-2) - values.min(axis=-2)
    return result
