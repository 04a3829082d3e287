"""Fixed-point formats of the vectors of an integer decoder, and rounding to them (S2-9)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import rsh
from host.attention.requantise import requantise

__all__ = ["CACHED", "GATED", "HEAD", "HIDDEN", "INNER", "LOGIT", "NORMALISED", "Format", "KvBits"]

KvBits = Literal[4, 8]


class Format(NamedTuple):
    """Integers of `bits` bits that stand for value * 2**-fraction_bits; values outside saturate."""

    bits: int
    fraction_bits: int

    @property
    def scale(self) -> float:
        """What one unit stands for."""
        return 2.0**-self.fraction_bits

    @property
    def dtype(self) -> np.dtype[np.signedinteger[Any]]:
        """Type of an element on the host; four bits are int8 there."""
        return np.dtype(f"int{max(self.bits, 8)}")

    def saturated(self, values: NDArray[Any]) -> NDArray[Any]:
        """Whole numbers as elements; those that are too large become the largest, likewise the smallest."""
        limit = 1 << self.bits - 1
        return np.clip(values, -limit, limit - 1).astype(self.dtype)

    def shifted(self, values: NDArray[np.int64], fraction_bits: int) -> NDArray[Any]:
        """Elements from integers with at least as many bits behind the point, rounded half up."""
        return self.saturated(rsh(values, fraction_bits - self.fraction_bits))

    def requantised(self, accumulators: NDArray[np.int64], unit: NDArray[np.float64]) -> NDArray[Any]:
        """Elements from accumulators [..., n], whose unit in real numbers is [n] (K-10)."""
        return self.saturated(requantise(accumulators, unit / self.scale, dtype=self.dtype))

    def rounded(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Elements from real numbers, rounded half to even."""
        return self.saturated(np.rint(np.ldexp(values, self.fraction_bits)))


HIDDEN = Format(16, 10)  # between layers: -32 to 32
NORMALISED = Format(8, 5)  # what a norm gives: -4 to 4
INNER = Format(16, 12)  # queries and keys before their rotation, gates: -8 to 8
HEAD = Format(8, 5)  # queries, and what heads saw
CACHED: Mapping[KvBits, Format] = MappingProxyType({8: HEAD, 4: Format(4, 1)})
"""Keys and values; in four bits as far as -4 to 3.5, the range of eight."""
GATED = Format(8, 5)  # inside the feed-forward network
LOGIT = Format(32, 16)
