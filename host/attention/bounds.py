"""Proven error bounds of integer attention: the certificate that goes with every approximate result.

Owns the inequalities (K-2, K-8, B-1, B-3 to B-7) and their composition; `zscore_bounds` has those of z-score. Bounds
hold for exact arithmetic on the quantities named; a float64 evaluation of a reference adds its own rounding, some 1e-14
of max|v|. `certificates` applies them to what the DPUs return, with `value_statistics` in place of V.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .exponential import RELATIVE_ERROR, Exponential
from .quantise import Quantised, align_scale
from .ranges import PROBABILITY_BITS_MAX

__all__ = [
    "SoftmaxError",
    "alibi_logit_error",
    "div_d_bound",
    "kernel_relative_error",
    "logit_error",
    "merged_softmax_bound",
    "online_bound",
    "perturbation_bound",
    "pruned_mass_bound",
    "pruning_bound",
    "quantised_attention_bound",
    "real_softmax_bound",
    "requantisation_bound",
    "rescaled_softmax_error",
    "softmax_bound",
    "softmax_error",
]

# A quantised element is off by half a step, and by the rounding of x / scale in float64: at most 2**31 * 2**-53 steps.
_HALF_STEP = 0.5 + 2.0**-22


class SoftmaxError(NamedTuple):
    """Bound of |O / l - o| as range_share * R_v + size_share * (1 + max|v|); float64 [...]."""

    range_share: NDArray[np.float64]
    size_share: NDArray[np.float64]


def div_d_bound(v: ArrayLike, *, dim: int) -> NDArray[np.float64]:
    """|o - sum_j (s_j / dim) v_j| <= (1 - 1/dim) sum_j |v_j| for `acc="wide"` (B-1).

    v [..., tokens, dim], result [..., dim], both in units of the integer operands.
    """
    return (1 - 1 / dim) * _magnitude_sum(v)


def kernel_relative_error(octaves: int, exponential: Exponential = "lut256_lerp") -> float:
    """rho: relative error of an integer softmax weight before its last rounding (B-3).

    The exponential's own, half a unit of the Q16 exponent, and slope and pre-shift over at most octaves + 2 octaves.
    """
    return RELATIVE_ERROR[exponential] + math.log(2) * (2.0**-17 + (octaves + 2) * 2.0**-30)


def softmax_bound(
    v: ArrayLike, *, weight_sum: ArrayLike, probability_bits: int, exponential: Exponential = "lut256_lerp"
) -> NDArray[np.float64]:
    """|O / l - o| <= R_v (rho + L 2**-(P+1) / (l 2**-P)), with o the real softmax of the same integers (B-3).

    v [..., tokens, dim] and the kernel's own l [...]; result [..., dim], in units of v. R_v is max - min of a column.
    Parts that are merged in real numbers have this bound too, for all their tokens and l = sum_i w_i l_i (B-4).
    """
    return _of_values(v, softmax_error(np.shape(v)[-2], weight_sum, probability_bits, exponential))


def merged_softmax_bound(
    v: ArrayLike,
    *,
    weight_sum: ArrayLike,
    probability_bits: int,
    parts: int,
    levels: int = 1,
    exponential: Exponential = "lut256_lerp",
) -> NDArray[np.float64]:
    """As `softmax_bound`, after `merge.merge_softmax` of `parts` in a tree of `levels` (B-4, M-3).

    Every part is rescaled once a level, so that this is `online_bound` with `levels` rescalings of `parts` chains.
    """
    return online_bound(
        v,
        weight_sum=weight_sum,
        rescales=levels,
        probability_bits=probability_bits,
        chains=parts,
        exponential=exponential,
    )


def online_bound(
    v: ArrayLike,
    *,
    weight_sum: ArrayLike,
    rescales: ArrayLike,
    probability_bits: int,
    chains: int,
    exponential: Exponential = "lut256_lerp",
) -> NDArray[np.float64]:
    """|O / l - o| of online softmax, by `rescaled_softmax_error` (K-8); v [..., tokens, dim], l and rescales [...].

    chains: workers whose sums were merged, over all parts. Result [..., dim], in units of v.
    """
    error = rescaled_softmax_error(np.shape(v)[-2], weight_sum, probability_bits, exponential, rescales, chains)
    return _of_values(v, error)


def softmax_error(tokens: int, weight_sum: ArrayLike, probability_bits: int, exponential: Exponential) -> SoftmaxError:
    """The bound of `softmax_bound`, for any V and plans that reach P octaves, as they do by default.

    Tokens that a mask leaves out may be counted. Plans that reach 30 have `rescaled_softmax_error` with 0 rescalings.

    With real weights e_j and the kernel's f_j, both relative to a largest weight of 1:
        o - O/l = sum_j (f_j - e_j)(o - v_j) / sum f,    |f_j - e_j| <= rho e_j + 2**-(P+1),    |v_j - o| <= R_v.
    The mean deviation sum e_j |v_j - o| / sum e is at most R_v / 2, so rho keeps the factor R_v while sum e <= 2 sum f;
    where l is too small to prove that, the bound is R_v, which averages of the same v_j never exceed.
    """
    relative = np.float64(kernel_relative_error(probability_bits, exponential))
    half_unit = np.float64(2.0 ** -(probability_bits + 1))
    return _mean_error(tokens, _real_sum(weight_sum, probability_bits), relative, half_unit, np.float64(0.0))


def rescaled_softmax_error(
    tokens: int,
    weight_sum: ArrayLike,
    probability_bits: int,
    exponential: Exponential,
    rescales: ArrayLike,
    chains: int,
) -> SoftmaxError:
    """The bound of O / l whose weights went through up to n = `rescales` rescalings, in `chains` chains (K-8, B-4).

    A rescaling multiplies sums by w' = w (1 + a) + b with the real w <= 1, w' <= 1, |a| <= rho = rho(30) and
    |b| <= 2**-31, and rounds l and every element of O to half a unit h = 2**-(P+1). By induction a weight f_j ends as
        |f_j - e_j| <= ((1 + rho)**(n+1) - 1) e_j + h + n (1 + rho)**n 2**-31.
    The N = chains * n roundings never grow later. They add at most N h to l and to each element of O, so with them
        o - O/l = (sum_j (f_j - e_j)(o - v_j) + x o - y) / l,     |x|, |y| <= N h,
    and what follows is the argument of `softmax_error`; where it fails, O/l is off by at most
    R_v (1 + N h / l) + N h (1 + max|v|) / l. The specification has N = n, which is one chain only.
    """
    count = np.asarray(rescales, dtype=np.float64)
    rho = math.log1p(kernel_relative_error(PROBABILITY_BITS_MAX, exponential))
    # Past e - 1 the argument fails anyway; np.minimum keeps the power finite.
    growth = np.exp(np.minimum(count * rho, 1.0))
    relative = np.expm1(np.minimum((count + 1) * rho, 1.0))
    half_unit = 2.0 ** -(probability_bits + 1)
    absolute = half_unit + count * growth * 2.0**-31
    return _mean_error(tokens, _real_sum(weight_sum, probability_bits), relative, absolute, chains * count * half_unit)


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


def alibi_logit_error(logit_scale: ArrayLike) -> NDArray[np.float64]:
    """Error of a logit from a bias that is rounded to whole scores: c / 2 (K-9), for `perturbation_bound`."""
    result: NDArray[np.float64] = np.asarray(logit_scale, dtype=np.float64) / 2
    return result


def pruning_bound(
    v: ArrayLike, *, pruned: ArrayLike, gap: ArrayLike, logit_scale: ArrayLike, kept_mass: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """|o_kept - o_all| <= pi R_v when `pruned` tokens, all of scores m - gap or less, are left out (B-6).

    v [..., tokens, dim] with all tokens; the others [...], result [..., dim]. m: the largest score that is kept.
    kept_mass: sum of exp(c (s_j - m)) over the kept tokens, or less; 1 is always right.

    `pruned_mass_bound` with pi = x / (x + kept_mass), the pruned tokens' share of all weight, and
    x <= pruned exp(-c gap). pi grows with x.
    """
    depth = np.maximum(np.asarray(logit_scale, dtype=np.float64) * np.asarray(gap, dtype=np.float64), -600.0)
    mass = np.asarray(pruned, dtype=np.float64) * np.exp(-depth)
    return pruned_mass_bound(v, pruned_mass=mass / (mass + np.asarray(kept_mass, dtype=np.float64)))


def pruned_mass_bound(v: ArrayLike, *, pruned_mass: ArrayLike) -> NDArray[np.float64]:
    """|o_kept - o_all| <= pi R_v when tokens with a share pi of all weight are left out, and some are kept (B-6).

    v [..., tokens, dim] with all tokens, pi [...]; result [..., dim]. o_kept - o_all = pi (o_kept - o_pruned).
    """
    return _value_range(v) * np.asarray(pruned_mass, dtype=np.float64)[..., None]


def requantisation_bound(accumulators: ArrayLike, *, factor: ArrayLike) -> NDArray[np.float64]:
    """|out - a x| <= 1/2 + |a x| 2**-30 before saturation (B-7): the last rounding, and the factor's to 31 bits."""
    product: NDArray[np.float64] = np.abs(np.asarray(accumulators, dtype=np.float64) * np.asarray(factor))
    return 0.5 + product * 2.0**-30


def quantised_attention_bound(
    q: Quantised,
    k: Quantised,
    v: Quantised,
    *,
    scale: float,
    weight_sum: ArrayLike,
    probability_bits: int,
    exponential: Exponential = "lut256_lerp",
    bias_error: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Bound of |v_scale O / l - softmax(scale q.k + bias) v|: integer attention against the real tensors behind it.

    q.values [..., queries, dim] and k.values, v.values [..., tokens, dim] as `quantise` returns them, one scale per
    head; weight_sum [..., queries] is the kernel's l. bias_error: of a bias's logits, such as `alibi_logit_error`, one
    per head. Result [..., queries, dim], a bound per output in real units.

    With v = s_v (v' + a), |a| <= h, x* the real logits, x = c s the integer ones, and o(x, v) exact softmax attention:
        s_v |O/l - o(x, v')|        <= s_v R_v' (rho + L / 2 l)        B-3
        s_v |o(x, v') - o(x*, v')|  <= s_v R_v' tanh(eps / 2)          B-5, eps from K-2 and the bias
        |s_v o(x*, v') - o(x*, v)|  <= s_v h                           an average of errors of at most s_v h
    R_v' is the range of the *quantised* values in both lines, so the bound needs no real tensor. The first two together
    cannot exceed s_v R_v', because O/l and o(x*, v') are averages of the same v'.
    """
    kernel = softmax_error(v.values.shape[-2], weight_sum, probability_bits, exponential).range_share
    spread = _value_range(v.values)[..., None, :]
    bound = real_softmax_bound(q, k, v, scale=scale, kernel=spread * kernel[..., None], bias_error=bias_error)
    return np.minimum(bound, (spread + _HALF_STEP) * align_scale(v.scale, bound.ndim))


def real_softmax_bound(
    q: Quantised,
    k: Quantised,
    v: Quantised,
    *,
    scale: float,
    kernel: ArrayLike,
    bias_error: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Bound of |v_scale o' - softmax(scale q.k + bias) v| for any integer softmax o', split or online ones too.

    kernel [..., queries, dim]: bound of |o' - o(x, v')| in units of the integer values, such as `certificates` gives.
    Otherwise as `quantised_attention_bound`, whose first line it replaces; tokens that a mask hides from the query may
    be among k and v: the bounds of the other two lines never shrink with more tokens.
    """
    epsilon = logit_error(q.values, k.values[..., None, :, :], logit_scale=q.scale * k.scale * scale)
    epsilon = epsilon + align_scale(bias_error, epsilon.ndim)
    moved = _value_range(v.values)[..., None, :] * np.tanh(epsilon / 2)[..., None]
    bound: NDArray[np.float64] = np.asarray(kernel, dtype=np.float64) + moved + _HALF_STEP
    return bound * align_scale(v.scale, bound.ndim)


def _mean_error(
    tokens: int,
    real_sum: NDArray[np.float64],
    relative: NDArray[np.float64] | np.float64,
    absolute: NDArray[np.float64] | np.float64,
    sum_error: NDArray[np.float64] | np.float64,
) -> SoftmaxError:
    """Error of a weighted mean whose weights are off by `relative` e_j + `absolute` and sums by `sum_error`."""
    size_share = sum_error / real_sum
    rounding = tokens * absolute / real_sum
    # sum e / sum f <= (1 + rounding + size_share) / (1 - relative), which is at most 2 in the first case.
    provable = rounding + size_share <= 1 - 2 * relative
    return SoftmaxError(np.where(provable, relative + rounding, 1.0 + size_share), size_share)


def _real_sum(weight_sum: ArrayLike, probability_bits: int) -> NDArray[np.float64]:
    """l 2**-P, or a unit where there is no weight at all."""
    result: NDArray[np.float64] = np.maximum(np.asarray(weight_sum, dtype=np.float64), 1.0) * 2.0**-probability_bits
    return result


def _of_values(v: ArrayLike, error: SoftmaxError) -> NDArray[np.float64]:
    largest = np.abs(np.asarray(v, dtype=np.float64)).max(axis=-2)
    result: NDArray[np.float64] = _value_range(v) * error.range_share[..., None]
    return result + (1 + largest) * np.asarray(error.size_share)[..., None]


def _magnitude_sum(v: ArrayLike) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.abs(np.asarray(v, dtype=np.float64)).sum(axis=-2)
    return result


def _value_range(v: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(v, dtype=np.float64)
    result: NDArray[np.float64] = values.max(axis=-2) - values.min(axis=-2)
    return result
