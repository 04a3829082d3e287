"""Proven error bounds of z-score attention's outputs (B-2, M-4); `zscore_error` has the proof for a single weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ranges import SCORE_MAX
from .zscore import z_bits
from .zscore_error import weight_error

__all__ = ["linear_bound", "zscore_bound", "zscore_weight_error"]


def zscore_weight_error(tokens: int, *, fraction_bits: ArrayLike, score_bound: int = SCORE_MAX) -> NDArray[np.float64]:
    """|z'_j 2**-F - z_j| <= 2**-(F+1) + k for every integer weight z'_j of K-5 and M-5; F [...], result [...] (B-2).

    tokens: how many take part, or more, as k grows with them: those that a mask hides may be counted, for which F is
    less than it is for those that take part. score_bound: on |s|; with a small one k is smaller.
    Raises ValueError as `weight_error` does.
    """
    before_last = weight_error(tokens, score_bound) - 2.0 ** -(int(z_bits(tokens)) + 1)
    last: NDArray[np.float64] = np.ldexp(0.5, -np.asarray(fraction_bits))
    return last + before_last


def zscore_bound(v: ArrayLike, *, fraction_bits: ArrayLike, score_bound: int = SCORE_MAX) -> NDArray[np.float64]:
    """|2**-F sum_j z'_j v_j - sum_j z_j v_j| <= (2**-(F+1) + k) sum_j |v_j|, with `zscore_weight_error` (B-2).

    v [..., tokens, dim], F [...]; result [..., dim], in units of v.
    """
    error = zscore_weight_error(np.shape(v)[-2], fraction_bits=fraction_bits, score_bound=score_bound)
    return error[..., None] * np.abs(np.asarray(v, dtype=np.float64)).sum(axis=-2)


def linear_bound(outputs: ArrayLike) -> NDArray[np.float64]:
    """|o' - o| <= 2**-50 |o'| for z-score by linearity as `output.linear_to_real` evaluates it (M-4).

    Numerator and radicand are exact and rounded once each, then come a square root and a division: relative errors of
    1 + 1/2 + 1 + 1 units of 2**-53.
    """
    result: NDArray[np.float64] = 2.0**-50 * np.abs(np.asarray(outputs, dtype=np.float64))
    return result
