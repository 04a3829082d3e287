"""Accumulators back to operands: integers times a real factor, rounded and saturated, in integer steps (K-3, K-10).

The steps are those a DPU can run: one 64-bit accumulator times a 31-bit constant in two limbs, then a shift. The host
prepares the constant from the real factor.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["Dyadic", "dyadic", "requantise"]

_LIMB_BITS = 32
_LIMB_MASK = np.uint64(2**_LIMB_BITS - 1)
# Accumulators are at most 2**63: times a factor below 2**-64 they round to 0, as they do with this shift.
_SHIFT_MAX = 95


class Dyadic(NamedTuple):
    """multiplier * 2**-shift, both int64 [...] (K-3).

    0 <= shift <= 95 and 2**30 <= multiplier <= 2**31; smaller only at shift 95, where every accumulator rounds to 0.
    """

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]


def dyadic(factor: ArrayLike) -> Dyadic:
    """The dyadic number next to a factor: within 2**-31 of it, relatively (K-3).

    Raises ValueError for factors that are not positive, not finite, or 2**31 and more.
    """
    factors = np.asarray(factor, dtype=np.float64)
    if not ((factors > 0) & (factors < 2.0**31)).all():
        raise ValueError(
            f"factors from {factors.min()} to {factors.max()}: a requantisation factor is positive and below 2**31. "
            "It is the accumulator's scale divided by the output's."
        )
    shift = np.minimum(31 - np.frexp(factors)[1].astype(np.int64), _SHIFT_MAX)
    return Dyadic(multiplier=np.rint(np.ldexp(factors, shift)).astype(np.int64), shift=shift)


def requantise(accumulators: NDArray[np.int64], factor: ArrayLike, *, dtype: DTypeLike) -> NDArray[np.integer[Any]]:
    """accumulators * factor, rounded half away from zero and saturated to int8, int16 or int32 (K-10).

    `factor` broadcasts against the accumulators. With (M, sh) = dyadic(factor) the result is the product a M 2**-sh
    rounded exactly, so that before saturation |result - a x| <= 1/2 + |a x| 2**-31 for the factor x given (B-7).

    Raises TypeError for another type, ValueError as `dyadic` does.
    """
    resolved = np.dtype(dtype)
    if resolved not in (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32)):
        raise TypeError(f"requantising to {resolved}: the kernels take int8, int16 or int32.")
    multiplier, shift = dyadic(factor)
    limits = np.iinfo(resolved)
    negative = accumulators < 0
    bits = accumulators.astype(np.int64).view(np.uint64)
    size = np.where(negative, ~bits + np.uint64(1), bits)  # |-2**63| is a uint64 too
    rounded = _rounded_product(size, multiplier.astype(np.uint64), shift)
    saturated = np.minimum(rounded, np.where(negative, -int(limits.min), int(limits.max)).astype(np.uint64))
    signed = saturated.astype(np.int64)
    return np.where(negative, -signed, signed).astype(resolved)


def _rounded_product(
    size: NDArray[np.uint64], multiplier: NDArray[np.uint64], shift: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """size * multiplier * 2**-shift rounded half up, exact below 2**31; from there on, any number from 2**31 up.

    The product is upper * 2**32 + lower: size <= 2**63 and multiplier <= 2**31 keep upper below 2**62 + 2**31.
        shift > 32:   half a unit is a multiple of 2**32, so it adds to upper and lower cannot matter
        shift <= 32:  a result below 2**31 needs upper < 2**31; then the product fits 63 bits and is shifted whole
    """
    limb = np.uint64(_LIMB_BITS)
    low = (size & _LIMB_MASK) * multiplier
    upper = (size >> limb) * multiplier + (low >> limb)
    lower = low & _LIMB_MASK
    of_upper = _shifted(upper, np.maximum(shift - _LIMB_BITS, 0))
    whole = (np.minimum(upper, np.uint64(2**31)) << limb) | lower
    return np.where(shift > _LIMB_BITS, of_upper, _shifted(whole, np.minimum(shift, _LIMB_BITS)))


def _shifted(a: NDArray[np.uint64], shift: NDArray[np.int64]) -> NDArray[np.uint64]:
    """a * 2**-shift rounded half up, for a <= 2**63 + 2**32 - 1 and shift <= 63."""
    places = shift.astype(np.uint64)
    half = (np.uint64(1) << places) >> np.uint64(1)
    return (a + half) >> places
