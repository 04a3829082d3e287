"""References of PIM attention: the kernels' integers bit for bit, and the same mathematics in float64.

Owns the meaning of `div_d` and `softmax` attention (S0-4, S0-5, K-4, K-6) for any number of heads and queries at once.
Shapes are q [..., dim] and k, v [..., tokens, dim] with leading axes that broadcast: for many queries per head,
q [heads, queries, dim] attends to k[:, None] and v[:, None].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .quantise import align_scale
from .ranges import Accumulation, Norm, check_ranges, operand_dtype, score_dtype
from .softmax_plan import SoftmaxPlan
from .sums import SoftmaxSums

__all__ = [
    "attention_div_d",
    "attention_softmax",
    "div_d",
    "float_attention",
    "float_div_d",
    "float_softmax",
    "scores",
    "softmax_weights",
]

Integers = NDArray[np.signedinteger]


def scores(q: Integers, k: Integers, *, acc: Accumulation) -> Integers:
    """Scores sum_i q_i * k_ji, [..., tokens] (S0-4, S0-5).

    acc="wrap": of the operands' type, in two's complement. acc="wide": exact, int32 for int8 operands, else int64.

    Raises AccumulatorOverflow when the magnitudes found in q and k cannot be proven to fit, TypeError and ValueError
    for operands that do not belong together.
    """
    _check_operands(q, k)
    _check_sizes(q, k, v_max=0, norm="div_d", acc=acc)
    return _scores(q, k, acc)


def div_d(scores: Integers, dim: int) -> Integers:
    """Scores divided by the head dimension, truncated toward zero as C divides (K-4); same type and shape."""
    if dim < 1:
        raise ValueError(f"dim = {dim}: the head dimension is at least 1.")
    wide = scores.astype(np.int64)
    floored = wide // dim
    quotient: Integers = (floored + ((wide < 0) & (floored * dim != wide))).astype(scores.dtype)
    return quotient


def softmax_weights(scores: Integers, plan: SoftmaxPlan) -> NDArray[np.int64]:
    """Weights of all tokens in Q(plan.probability_bits), int64 [..., tokens]: the integer steps of `SoftmaxPlan` (K-6).

    Raises ValueError when there is no token.
    """
    if scores.ndim < 1 or scores.shape[-1] == 0:
        raise ValueError(f"softmax over scores of shape {scores.shape}: at least one token is needed.")
    wide = scores.astype(np.int64)
    difference = wide.max(axis=-1, keepdims=True) - wide
    near = difference <= plan.max_difference
    reduced = _shift_rounded(np.where(near, difference, 0), plan.pre_shift)
    exponent = _shift_rounded(reduced * plan.multiplier, plan.shift)
    whole, step, rest = exponent >> 16, (exponent >> 8) & 255, exponent & 255
    table = plan.table.astype(np.int64)
    power = table[step] - (((table[step] - table[step + 1]) * rest + 128) >> 8)
    near &= whole <= plan.probability_bits + 1
    return np.where(near, _shift_rounded(power, 30 - plan.probability_bits + np.where(near, whole, 0)), 0)


def attention_div_d(q: Integers, k: Integers, v: Integers, *, acc: Accumulation) -> Integers:
    """Outputs sum_j trunc(s_j / dim) * v_j, [..., dim] (S0-4, S0-5).

    acc="wrap": scores and outputs wrap in the operands' type. acc="wide": both exact, outputs int64.
    Raises as `scores` does; AccumulatorOverflow also for outputs.
    """
    _check_operands(q, k, v)
    _check_sizes(q, k, v_max=_magnitude(v), norm="div_d", acc=acc)
    quotients = div_d(_scores(q, k, acc), q.shape[-1])
    outputs = _matmul(quotients[..., None, :], v)[..., 0, :]
    return outputs.astype(q.dtype) if acc == "wrap" else outputs


def attention_softmax(q: Integers, k: Integers, v: Integers, plan: SoftmaxPlan) -> SoftmaxSums:
    """Softmax attention with exact scores, Q(P) weights and int64 sums (S0-5, K-6).

    Raises AccumulatorOverflow when scores or outputs cannot be proven to fit, TypeError and ValueError for operands
    that do not belong together or no tokens.
    """
    _check_operands(q, k, v)
    _check_sizes(q, k, v_max=_magnitude(v), norm="softmax", acc="wide", probability_bits=plan.probability_bits)
    exact = _scores(q, k, "wide")
    weights = softmax_weights(exact, plan)
    return SoftmaxSums(
        maximum=exact.max(axis=-1).astype(np.int64),
        weight_sum=weights.sum(axis=-1).astype(np.uint64),
        weighted_values=_matmul(weights[..., None, :], v)[..., 0, :],
    )


def float_softmax(scores: ArrayLike, v: ArrayLike, *, logit_scale: ArrayLike) -> NDArray[np.float64]:
    """sum_j softmax(logit_scale * scores)_j * v_j in float64, [..., dim].

    The largest score is subtracted from integer scores in int64, so that they lose nothing up to 2**62.
    An array of logit scales covers the leading axes of the scores.
    """
    given: NDArray[Any] = np.asarray(scores)
    if np.issubdtype(given.dtype, np.integer):
        given = given.astype(np.int64)
    difference = (given.max(axis=-1, keepdims=True) - given).astype(np.float64)
    weights = np.exp(-align_scale(logit_scale, given.ndim) * difference)
    weights /= weights.sum(axis=-1, keepdims=True)
    return _row_times(weights, v)


def float_attention(q: ArrayLike, k: ArrayLike, v: ArrayLike, *, scale: float) -> NDArray[np.float64]:
    """softmax(scale * q.k) v in float64, [..., dim]; `scale` is 1/sqrt(dim) in a transformer."""
    return float_softmax(_float_scores(q, k), v, logit_scale=scale)


def float_div_d(q: ArrayLike, k: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
    """sum_j (q.k_j / dim) * v_j in float64 with real division, [..., dim]: what `attention_div_d` approximates."""
    return _row_times(_float_scores(q, k) / np.shape(q)[-1], v)


def _float_scores(q: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (np.asarray(k, dtype=np.float64) @ np.asarray(q, dtype=np.float64)[..., None])[..., 0]
    return result


def _row_times(weights: NDArray[np.float64], v: ArrayLike) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (weights[..., None, :] @ np.asarray(v, dtype=np.float64))[..., 0, :]
    return result


def _scores(q: Integers, k: Integers, acc: Accumulation) -> Integers:
    products = _matmul(k, q[..., None])[..., 0]
    return products.astype(q.dtype if acc == "wrap" else score_dtype(q.dtype))


def _matmul(a: Integers, b: Integers) -> NDArray[np.int64]:
    """a @ b modulo 2**64.

    While inner * max|a| * max|b| < 2**53 every partial sum, in any order, is an integer that float64 holds exactly, so
    the fast floating product is the exact one.
    """
    product: NDArray[Any]
    if a.shape[-1] * _magnitude(a) * _magnitude(b) < 2**53:
        product = a.astype(np.float64) @ b.astype(np.float64)
    else:
        product = a.astype(np.int64) @ b.astype(np.int64)
    return product.astype(np.int64)


def _shift_rounded(a: NDArray[np.int64], shift: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """a * 2**-shift rounded half up, for shift >= 0: rsh of K-3."""
    half = (np.int64(1) << np.asarray(shift, dtype=np.int64)) >> 1
    result: NDArray[np.int64] = (a + half) >> shift
    return result


def _magnitude(a: Integers) -> int:
    return max(int(a.max()), -int(a.min())) if a.size else 0


def _check_sizes(
    q: Integers, k: Integers, *, v_max: int, norm: Norm, acc: Accumulation, probability_bits: int = 24
) -> None:
    """Range check with the magnitudes found in the operands."""
    check_ranges(
        dtype=q.dtype,
        norm=norm,
        acc=acc,
        dim=q.shape[-1],
        max_tokens=k.shape[-2],
        q_max=_magnitude(q),
        k_max=_magnitude(k),
        v_max=v_max,
        probability_bits=probability_bits,
    )


def _check_operands(q: Integers, *rows: Integers) -> None:
    dtype = operand_dtype(q.dtype)
    for operand in rows:
        if operand.dtype != dtype:
            raise TypeError(f"attention of {dtype} queries with {operand.dtype} keys or values: one type for all.")
        if q.ndim < 1 or operand.shape[-1:] != q.shape[-1:] or operand.shape[-2:] != rows[0].shape[-2:]:
            raise ValueError(
                f"queries {q.shape} with keys and values {[row.shape for row in rows]}: the shapes are "
                "[..., dim], [..., tokens, dim] and [..., tokens, dim]."
            )
        if any(a != b and 1 not in (a, b) for a, b in zip(q.shape[-2::-1], operand.shape[-3::-1], strict=False)):
            raise ValueError(
                f"leading axes of queries {q.shape} and of keys or values {operand.shape} do not match: "
                "for many queries per head pass k[:, None] and v[:, None]."
            )
