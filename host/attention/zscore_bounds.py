"""Proven error bounds of z-score attention: of each integer weight, and of the outputs made of them (B-2, M-4)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ranges import SCORE_MAX

__all__ = ["linear_bound", "zscore_bound", "zscore_weight_error"]

_TOKENS_MAX = 2**19  # up to here a standard deviation keeps enough bits for the proof


def zscore_weight_error(tokens: int, *, fraction_bits: ArrayLike, score_bound: int = SCORE_MAX) -> NDArray[np.float64]:
    """|z'_j 2**-F - z_j| <= 2**-(F+1) + k for every integer weight z'_j of K-5 and M-5; F [...], result [...] (B-2).

    tokens: how many take part, n, or more, as k grows with n: those that a mask hides may be counted. score_bound: on
    |s|; with a small one k is smaller.

    In units of 2**-f, K-5 has e_j = x_j + r_j - mean(r) - t with the real deviations x_j, and roundings |r_j| <= 1/2,
    where f < 0, and |t| <= 1/2 of the mean. With deviations S_e and S of e and x, u = e / S_e and z = x / S:
        u_j - z_j = (e_j - x_j - z_j (S_e - S)) / S_e,      S_e**2 - S**2 = 2 S sum(z r)/n + var(r) + t**2
        |z_j sum(z r)|/n <= |z_j| mean|z| / 2 <= sqrt(n)/4 + 1/2            as sum z**2 = n
    so that |u_j - z_j| S_e is at most 1/2 + sqrt(n)/8S for f >= 0, and 3/2 + (sqrt(n)/4 + 1/2)(1 + 1/S) + sqrt(n)/4S
    for f < 0, where S stands for the smaller of the two, at least S_e - 1, and S_e is at least max|e| / sqrt(n). The
    largest |e'| is 2**(BE-1) or more and mean(e') takes no more than half of it (f >= 0) or 1 (f < 0). M-5 has no
    mean(r), and no r in its S_e, so less error. Then u is divided by an integer root, which is off by one of
    2**30 / sqrt(n), with an inverse of 30 bits, and |u| <= sqrt(n). The last rounding adds 2**-(F+1).

    The specification has k = 2**-16. That is proven up to n = 4096 where f >= 0, so while all |s - mean| < 2**BE with
    BE = (60 - ceil(log2 n)) // 2, as int8 operands of 128 dimensions are. Elsewhere it is too small: a test exceeds it.

    Raises ValueError for tokens outside 1 to 2**19 or a negative bound.
    """
    if not 1 <= tokens <= _TOKENS_MAX or score_bound < 0:
        raise ValueError(
            f"error of z-scores of {tokens} tokens with scores to {score_bound}: the proof covers 1 to {_TOKENS_MAX} "
            "tokens and bounds of 0 or more."
        )
    root = math.sqrt(tokens)
    bits = (60 - (tokens - 1).bit_length()) // 2
    if (2 * score_bound).bit_length() <= bits:
        deviation = 2.0 ** (bits - 2) / root
        before_root = (1 / 2 + root / (8 * (deviation - 1))) / deviation
    else:
        deviation = (2.0 ** (bits - 1) - 1) / root
        rounded = 3 / 2 + (root / 4 + 1 / 2) * (1 + 1 / (deviation - 1)) + root / (4 * (deviation - 1))
        before_root = rounded / deviation
    from_root = root * (root / (2.0**30 - root) + 2.0**-30)
    last: NDArray[np.float64] = np.ldexp(0.5, -np.asarray(fraction_bits))
    return last + before_root + from_root


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
