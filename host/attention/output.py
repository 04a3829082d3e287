"""Kernel results as real numbers, and how far they are from a reference.

Owns the scale metadata of the outputs (K-11) and the error measure; `bounds` says how large the error may be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .quantise import align_scale
from .sums import LinearSums, OnlineSums, SoftmaxSums, ZscoreSums

__all__ = [
    "Sums",
    "div_d_to_real",
    "linear_to_real",
    "relative_l2",
    "softmax_to_real",
    "sums_to_real",
    "zscore_to_real",
]

Sums = SoftmaxSums | OnlineSums | ZscoreSums | LinearSums


def sums_to_real(sums: Sums, *, v_scale: ArrayLike) -> NDArray[np.float64]:
    """The output that a record of sums stands for, float64 [..., dim] (K-11, M-4).

    `v_scale` covers the leading axes of the outputs. A query without any token has the output 0.
    """
    if isinstance(sums, ZscoreSums):
        return zscore_to_real(sums, v_scale=v_scale)
    if isinstance(sums, LinearSums):
        return linear_to_real(sums, v_scale=v_scale)
    return softmax_to_real(sums, v_scale=v_scale)


def softmax_to_real(sums: SoftmaxSums | OnlineSums, *, v_scale: ArrayLike) -> NDArray[np.float64]:
    """v_scale * O / l, float64 [..., dim] (K-11); 0 where l is 0, for want of tokens."""
    weight_sum = np.maximum(sums.weight_sum, 1).astype(np.float64)
    quotient = sums.weighted_values.astype(np.float64) / weight_sum[..., None]
    return quotient * align_scale(v_scale, quotient.ndim)


def zscore_to_real(sums: ZscoreSums, *, v_scale: ArrayLike) -> NDArray[np.float64]:
    """v_scale * 2**-F * sum_j z_j v_j, float64 [..., dim] (K-5, K-11)."""
    outputs = np.ldexp(sums.weighted_values.astype(np.float64), -sums.fraction_bits[..., None])
    return outputs * align_scale(v_scale, outputs.ndim)


def linear_to_real(sums: LinearSums, *, v_scale: ArrayLike) -> NDArray[np.float64]:
    """v_scale * (n A - S1 B) / sqrt(n S2 - S1**2), float64 [..., dim]; 0 where the radicand is 0 (M-4).

    Numerator and radicand are exact integers, each rounded once, so that equal sums give equal bits whatever partition
    they came from.
    """
    tokens, score_sum = _exact(sums.tokens), _exact(sums.score_sum)
    limbs = _exact(sums.square_limbs)
    square_sum = limbs[..., 0] * 2**48 + limbs[..., 1] * 2**25 + limbs[..., 2]
    radicand = np.asarray(tokens * square_sum - score_sum * score_sum, dtype=np.float64)
    numerator = tokens[..., None] * _exact(sums.score_values) - score_sum[..., None] * _exact(sums.values)
    deviation = np.sqrt(np.where(radicand > 0, radicand, 1.0))
    outputs = np.where(radicand > 0, 1.0, 0.0)[..., None] * numerator.astype(np.float64) / deviation[..., None]
    return outputs * align_scale(v_scale, outputs.ndim)


def div_d_to_real(
    outputs: ArrayLike, *, q_scale: ArrayLike, k_scale: ArrayLike, v_scale: ArrayLike
) -> NDArray[np.float64]:
    """v_scale * q_scale * k_scale * outputs, float64 [..., dim] (K-11). Scales cover the leading axes of the outputs.

    Means something for `acc="wide"` only: a wrapped output has lost its size.
    """
    scale = np.asarray(v_scale, dtype=np.float64) * np.asarray(q_scale) * np.asarray(k_scale)
    integers: NDArray[np.float64] = np.asarray(outputs, dtype=np.float64)
    return integers * align_scale(scale, integers.ndim)


def relative_l2(outputs: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """||outputs - reference|| / ||reference|| of each head, over the last two axes [..., queries, dim].

    A head whose reference is zero has error 0 if its output is zero too, else infinity.
    Raises ValueError when the shapes differ or lack the two axes.
    """
    given, wanted = np.asarray(outputs, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if given.shape != wanted.shape or given.ndim < 2:
        raise ValueError(f"outputs {given.shape} against reference {wanted.shape}: both must be [..., queries, dim].")
    error = np.sqrt(np.square(given - wanted).sum(axis=(-2, -1)))
    size = np.sqrt(np.square(wanted).sum(axis=(-2, -1)))
    safe = np.where(size > 0, size, 1.0)
    return np.where(size > 0, error / safe, np.where(error > 0, np.inf, 0.0))


def _exact(integers: NDArray[np.int64]) -> NDArray[Any]:
    """The same integers as Python ones, which never overflow."""
    return np.asarray(integers).astype(object)
