"""References of PIM attention: the kernels' integers bit for bit, and the same mathematics in float64.

Owns the meaning of scores and of `div_d` and `softmax` attention (S0-4, S0-5, K-4, K-6) for any number of heads and
queries at once; `zscore` and `online` own the other norms. Shapes are q [..., dim] and k, v [..., tokens, dim] with
leading axes that broadcast: for many queries per head, q [heads, queries, dim] attends to k[:, None] and v[:, None].

Masked tokens (K-9) are left out: slice k, v and bias. A bias is one integer per score, [..., tokens], added to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpu_kernels.attention import Accumulation, Norm

from .exponential import power_of_two
from .integer_math import magnitude, matmul, rsh
from .operands import operand_dtype
from .quantise import align_scale
from .ranges import check_ranges, score_dtype
from .softmax_plan import SoftmaxPlan
from .sums import SoftmaxSums

__all__ = [
    "attention_div_d",
    "attention_softmax",
    "div_d",
    "exact_scores",
    "float_attention",
    "float_div_d",
    "float_softmax",
    "scores",
    "softmax_weights",
    "weights_of_differences",
]

Integers = NDArray[np.signedinteger[Any]]


def scores(q: Integers, k: Integers, *, acc: Accumulation, bias: Integers | None = None) -> Integers:
    """Scores sum_i q_i * k_ji + bias_j, [..., tokens] (S0-4, S0-5, K-9).

    acc="wrap": of the operands' type, in two's complement. acc="wide": exact, int32 for int8 operands, else int64.

    Raises AccumulatorOverflow when the magnitudes found in q and k cannot be proven to fit, TypeError and ValueError
    for operands that do not belong together.
    """
    _check_operands(q, k, bias=bias)
    _check_sizes(q, k, v_max=0, norm="div_d", acc=acc, bias=bias)
    return _scores(q, k, acc, bias)


def exact_scores(
    q: Integers, k: Integers, v: Integers, *, norm: Norm, bias: Integers | None = None, probability_bits: int = 24
) -> Integers:
    """Scores of acc="wide", after the proof that attention of `norm` over these operands overflows no accumulator.

    Raises as `scores` does; AccumulatorOverflow also for any other accumulator of the norm.
    """
    _check_operands(q, k, v, bias=bias)
    _check_sizes(q, k, v_max=magnitude(v), norm=norm, acc="wide", bias=bias, probability_bits=probability_bits)
    return _scores(q, k, "wide", bias)


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
    return weights_of_differences(wide.max(axis=-1, keepdims=True) - wide, plan, plan.probability_bits)


def weights_of_differences(
    difference: NDArray[np.int64], plan: SoftmaxPlan, probability_bits: int
) -> NDArray[np.int64]:
    """Weights in Q(probability_bits) of scores that are `difference` >= 0 below the largest; int64 of the same shape.

    `probability_bits` is at most `plan.octaves`: the plan's own, or 30 to rescale sums to a new maximum (K-8, M-2).
    Raises ValueError for more.
    """
    if probability_bits > plan.octaves:
        raise ValueError(
            f"weights in Q({probability_bits}) from a plan that reaches {plan.octaves} octaves: "
            f"make it with softmax_plan(..., octaves={probability_bits})."
        )
    near = difference <= plan.max_difference
    reduced = rsh(np.where(near, difference, 0), plan.pre_shift)
    exponent = rsh(reduced * plan.multiplier, plan.shift)
    halvings = exponent >> 16
    power = power_of_two(exponent & 65535, plan.exponential, plan.table)
    near &= halvings <= probability_bits + 1
    return np.where(near, rsh(power, 30 - probability_bits + np.where(near, halvings, 0)), 0)


def attention_div_d(
    q: Integers, k: Integers, v: Integers, *, acc: Accumulation, bias: Integers | None = None
) -> Integers:
    """Outputs sum_j trunc(s_j / dim) * v_j, [..., dim] (S0-4, S0-5).

    acc="wrap": scores and outputs wrap in the operands' type. acc="wide": both exact, outputs int64.
    Raises as `scores` does; AccumulatorOverflow also for outputs.
    """
    _check_operands(q, k, v, bias=bias)
    _check_sizes(q, k, v_max=magnitude(v), norm="div_d", acc=acc, bias=bias)
    quotients = div_d(_scores(q, k, acc, bias), q.shape[-1])
    outputs = matmul(quotients[..., None, :], v)[..., 0, :]
    return outputs.astype(q.dtype) if acc == "wrap" else outputs


def attention_softmax(
    q: Integers, k: Integers, v: Integers, plan: SoftmaxPlan, *, bias: Integers | None = None
) -> SoftmaxSums:
    """Softmax attention with exact scores, Q(P) weights and int64 sums (S0-5, K-6).

    Raises AccumulatorOverflow when scores or outputs cannot be proven to fit, TypeError and ValueError for operands
    that do not belong together, ValueError for no tokens: a softmax over nothing is undefined.
    """
    exact = exact_scores(q, k, v, norm="softmax", bias=bias, probability_bits=plan.probability_bits)
    weights = softmax_weights(exact, plan)
    return SoftmaxSums(
        maximum=exact.max(axis=-1).astype(np.int64),
        weight_sum=weights.sum(axis=-1).astype(np.uint64),
        weighted_values=matmul(weights[..., None, :], v)[..., 0, :],
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


def _scores(q: Integers, k: Integers, acc: Accumulation, bias: Integers | None) -> Integers:
    products = matmul(k, q[..., None])[..., 0]
    biased = products if bias is None else products + bias.astype(np.int64)
    return biased.astype(q.dtype if acc == "wrap" else score_dtype(q.dtype))


def _check_sizes(
    q: Integers,
    k: Integers,
    *,
    v_max: int,
    norm: Norm,
    acc: Accumulation,
    bias: Integers | None,
    probability_bits: int = 24,
) -> None:
    """Range check with the magnitudes found in the operands."""
    check_ranges(
        dtype=q.dtype,
        norm=norm,
        acc=acc,
        dim=q.shape[-1],
        max_tokens=max(1, k.shape[-2]),
        q_max=magnitude(q),
        k_max=magnitude(k),
        v_max=v_max,
        probability_bits=probability_bits,
        bias_max=0 if bias is None else magnitude(bias),
    )


def _check_operands(q: Integers, *rows: Integers, bias: Integers | None) -> None:
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
    if bias is not None and not np.issubdtype(bias.dtype, np.signedinteger):
        raise TypeError(f"a bias of type {bias.dtype}: it is a signed integer per score (K-9).")
    if bias is not None and bias.shape[-1:] != rows[0].shape[-2:-1]:
        raise ValueError(f"a bias of shape {bias.shape} for keys {rows[0].shape}: it is [..., tokens].")
