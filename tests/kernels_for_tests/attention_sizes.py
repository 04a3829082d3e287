"""Bytes that attention moves, computed from the types alone, to compare the programs and their host side with."""

from __future__ import annotations

from dataclasses import dataclass

from .attention import Variant

__all__ = ["Sizes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes of what a DMA of attention moves, computed from the types alone.

    q: a query. row: a stored row of K or V. scores: of eight tokens for one query. total: weighted sums of a query.
    statistics: of a query, behind its sums. totals: weighted sums that a launch makes.
    """

    q: int
    row: int
    scores: int
    total: int
    statistics: int
    totals: int

    @classmethod
    def of(cls, variant: Variant, dim: int, queries: int = 1) -> Sizes:
        itemsize = {"int4": 1, "int8": 1, "int16": 2, "int32": 4}[variant.dtype]
        wraps = variant.acc == "wrap"
        statistics = {"div_d": 0, "zscore": 6, "zscore_linear": 6, "softmax": 2, "softmax_online": 3}
        return cls(
            q=_multiple_of_8(dim * itemsize),
            row=_multiple_of_8(-(-dim // 2) if variant.dtype == "int4" else dim * itemsize),
            scores=8 * (itemsize if wraps else 4 if itemsize == 1 else 8),
            total=_multiple_of_8(dim * (itemsize if wraps else 8)),
            statistics=8 * statistics[variant.norm],
            totals=queries + (variant.norm == "zscore_linear"),
        )

    @property
    def output(self) -> int:
        """Sums and statistics of a query, as they are pulled."""
        return self.total + self.statistics


def _multiple_of_8(nbytes: int) -> int:
    return -(-nbytes // 8) * 8
