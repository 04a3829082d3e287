"""Which tokens a query sees, and what ALiBi adds to their scores (K-9).

Masks are ranges: tokens outside [first, end) take no part in any maximum, sum or count. Biases are integers in units of
scores, prepared by the host, so that a DPU only adds them.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["TokenRange", "alibi_bias", "alibi_slopes", "visible"]

_BIAS_MAX = 2**61  # as the scores of softmax themselves (K-1)
_DISTANCE_MAX = 2**62  # no context is longer, and positions less a window fit int64


class TokenRange(NamedTuple):
    """Tokens [first, end) of a context, both int64 [...]; empty where they are equal."""

    first: NDArray[np.int64]
    end: NDArray[np.int64]


def visible(position: ArrayLike, *, tokens: ArrayLike, window: int | None = None) -> TokenRange:
    """What a query at `position` sees of a context of `tokens`: j <= position, and position - window < j (K-9).

    position: the query's own place, 0 or more; the newest of n tokens is at n - 1. tokens: the valid length. Both
    broadcast. window: how many tokens at most, itself included; None for all.

    Raises ValueError for a negative position or number of tokens, or a window below 1.
    """
    places, lengths = np.broadcast_arrays(np.asarray(position, np.int64), np.asarray(tokens, np.int64))
    if places.size and (places.min() < 0 or lengths.min() < 0):
        raise ValueError(
            f"positions from {places.min()} in contexts from {lengths.min()} tokens: both are counted from 0."
        )
    if window is not None and window < 1:
        raise ValueError(f"window = {window}: a query sees at least itself; None sees everything.")
    end = np.minimum(places + 1, lengths)
    first = np.zeros_like(end) if window is None else np.maximum(places + 1 - min(window, _DISTANCE_MAX), 0)
    return TokenRange(first=np.minimum(first, end), end=end)


def alibi_slopes(heads: int) -> NDArray[np.float64]:
    """Slopes of ALiBi, float64 [heads], of real logits per token of distance (Press et al., "Train Short, Test Long").

    A power of two n of heads has 2**(-8 i / n) for i = 1 to n. Other numbers take those of the power of two below, then
    the first, third, ... slope of the power of two above, as the authors' program does.

    Raises ValueError for less than one head.
    """
    if heads < 1:
        raise ValueError(f"{heads} heads: ALiBi has a slope for each of at least 1.")
    below = 2 ** (heads.bit_length() - 1)
    return np.concatenate([_geometric(below), _geometric(2 * below)[::2][: heads - below]])


def alibi_bias(slope: float, *, logit_scale: float, distance: ArrayLike) -> NDArray[np.int64]:
    """rdiv(-slope * distance, c): what is added to the score of a token `distance` places back, int64 [...] (K-9).

    slope: real logits per token. logit_scale: c, real logit per unit of score. The quotient of the two floats is
    taken exactly and rounded half away from zero, so a logit is off by at most c / 2 (`bounds.alibi_logit_error`).

    Raises ValueError for a scale that is not positive and finite, a slope that is not finite, or a bias beyond 2**61.
    """
    if not (math.isfinite(slope) and math.isfinite(logit_scale) and logit_scale > 0):
        raise ValueError(f"slope = {slope}, logit_scale = {logit_scale}: both are finite, the scale is positive.")
    distances = np.asarray(distance, dtype=np.int64)
    rate = -Fraction(slope) / Fraction(logit_scale)
    biases = [_rounded(rate.numerator * places, rate.denominator) for places in distances.ravel().tolist()]
    largest = max(map(abs, biases), default=0)
    if largest > _BIAS_MAX:
        raise ValueError(
            f"a bias of {largest} scores, from slope {slope} over logit scale {logit_scale}, exceeds 2**61: "
            "quantise q and k to fewer bits, so that a unit of score is a larger logit."
        )
    return np.array(biases, dtype=np.int64).reshape(distances.shape)


def _geometric(heads: int) -> NDArray[np.float64]:
    return np.exp2(-8.0 * np.arange(1, heads + 1) / heads)


def _rounded(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded half away from zero, for a positive denominator."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size
