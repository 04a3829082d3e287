"""Exact integer arithmetic: on int64 arrays the scalar primitives of K-3 and the product of matrices, and sizes."""

from __future__ import annotations

from operator import index
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

__all__ = ["bit_length", "isqrt", "magnitude", "matmul", "rdiv", "rsh", "whole_number"]

Integers = NDArray[np.signedinteger[Any]]
_ISQRT_MAX = 3_037_000_499  # floor(sqrt(2**63 - 1))


def whole_number(name: str, value: SupportsIndex) -> int:
    """A Python integer, which cannot overflow, from any integer such as np.int8(127). Raises TypeError for others."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} = {value!r}: give an integer") from None


def rsh(a: NDArray[np.int64], shift: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """a * 2**-shift rounded half up, for 0 <= shift <= 62 and |a| + 2**(shift - 1) < 2**63. Shapes broadcast."""
    half = (np.int64(1) << np.asarray(shift, dtype=np.int64)) >> 1
    result: NDArray[np.int64] = (a + half) >> shift
    return result


def rdiv(a: NDArray[np.int64], b: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """a / b rounded half away from zero, for |a| < 2**63 and b >= 1. Shapes broadcast."""
    size = np.abs(a)
    quotient = size // b
    rest = size - quotient * b
    rounded = quotient + (rest >= b - rest)  # 2 * rest >= b, which could overflow
    return np.where(a < 0, -rounded, rounded)


def isqrt(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor(sqrt(x)), exact for 0 <= x < 2**63; int64, the shape of x (B-8)."""
    # The root of x rounded to float64 is off by less than 2**-20, so its floor is off by at most one.
    rounded = np.minimum(np.floor(np.sqrt(x.astype(np.float64))).astype(np.int64), _ISQRT_MAX)
    below = rounded - (np.square(rounded) > x)
    above = np.minimum(below + 1, _ISQRT_MAX)
    return np.where(np.square(above) <= x, above, below)


def bit_length(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of x >= 0 without leading zeros, 0 for 0; int64, the shape of x."""
    bits = np.frexp(x.astype(np.float64))[1].astype(np.int64)
    # float64 may have rounded x up to the next power of two
    result: NDArray[np.int64] = bits - ((x >> np.maximum(bits - 1, 0)) == 0) * (bits > 0)
    return result


def magnitude(a: Integers) -> int:
    """Largest |a|, 0 for an empty array."""
    return max(int(a.max()), -int(a.min())) if a.size else 0


def matmul(a: Integers, b: Integers) -> NDArray[np.int64]:
    """a @ b modulo 2**64.

    While inner * max|a| * max|b| < 2**53 every partial sum, in any order, is an integer that float64 holds exactly, so
    the fast floating product is the exact one.
    """
    product: NDArray[Any]
    if a.shape[-1] * magnitude(a) * magnitude(b) < 2**53:
        product = a.astype(np.float64) @ b.astype(np.float64)
    else:
        product = a.astype(np.int64) @ b.astype(np.int64)
    return product.astype(np.int64)
