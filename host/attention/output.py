"""Kernel results as real numbers, and how far they are from a reference.

Owns the scale metadata of the outputs (K-11) and the error measure; `bounds` says how large the error may be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .quantise import align_scale
from .sums import SoftmaxSums

__all__ = ["div_d_to_real", "relative_l2", "softmax_to_real"]


def softmax_to_real(sums: SoftmaxSums, *, v_scale: ArrayLike) -> NDArray[np.float64]:
    """v_scale * O / l, float64 [..., dim] (K-11). `v_scale` covers the leading axes of the outputs."""
    quotient = sums.weighted_values.astype(np.float64) / sums.weight_sum.astype(np.float64)[..., None]
    return quotient * align_scale(v_scale, quotient.ndim)


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
