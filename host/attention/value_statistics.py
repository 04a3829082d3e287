"""What a host remembers of the V it has loaded: enough to bound the error of any output without V itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ValueStatistics"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueStatistics:
    """Per column of V over all tokens so far, int64 [..., dim] in units of the integer values; exact.

    minimum, maximum: of the column. magnitude_sum: sum_j |v_j|. tokens: how many there are.

    Every bound made of these holds for any subset of the tokens too, such as those that a mask leaves: `spread`,
    `largest` and `magnitude_sum` of a subset are never greater. Columns do not shrink when tokens are dropped.
    """

    minimum: NDArray[np.int64]
    maximum: NDArray[np.int64]
    magnitude_sum: NDArray[np.int64]
    tokens: int

    @classmethod
    def of(cls, v: NDArray[np.signedinteger[Any]]) -> ValueStatistics:
        """Statistics of v [..., tokens, dim]. Raises ValueError without tokens or axes, TypeError unless integers."""
        if not np.issubdtype(v.dtype, np.signedinteger):
            raise TypeError(f"statistics of {v.dtype} values: V as the DPUs hold it is signed integers.")
        if v.ndim < 2 or v.shape[-2] == 0:
            raise ValueError(f"statistics of values of shape {v.shape}: V is [..., tokens, dim] with a token or more.")
        # int8 cannot hold |-128|
        minimum, maximum = v.min(axis=-2).astype(np.int64), v.max(axis=-2).astype(np.int64)
        positive = np.add.reduce(v, axis=-2, dtype=np.int64, where=v > 0)
        negative = np.add.reduce(v, axis=-2, dtype=np.int64, where=v < 0)
        return cls(minimum=minimum, maximum=maximum, magnitude_sum=positive - negative, tokens=v.shape[-2])

    def extended(self, v: NDArray[np.signedinteger[Any]]) -> ValueStatistics:
        """With the tokens of v [..., n, dim] appended. Raises ValueError when its other axes differ, and as `of`."""
        more = ValueStatistics.of(v)
        if more.minimum.shape != self.minimum.shape:
            raise ValueError(
                f"values {v.shape} appended to statistics {self.minimum.shape}: the axes but the tokens must agree."
            )
        return ValueStatistics(
            minimum=np.minimum(self.minimum, more.minimum),
            maximum=np.maximum(self.maximum, more.maximum),
            magnitude_sum=self.magnitude_sum + more.magnitude_sum,
            tokens=self.tokens + more.tokens,
        )

    def for_query_heads(self, group: int) -> ValueStatistics:
        """[..., kv_heads, dim] as the query heads see it, [..., kv_heads * group, dim]: `group` share a KV head."""
        minimum, maximum, magnitude_sum = (
            np.repeat(field, group, axis=-2) for field in (self.minimum, self.maximum, self.magnitude_sum)
        )
        return ValueStatistics(minimum=minimum, maximum=maximum, magnitude_sum=magnitude_sum, tokens=self.tokens)

    @property
    def spread(self) -> NDArray[np.float64]:
        """R_v = maximum - minimum, float64 [..., dim]."""
        return (self.maximum - self.minimum).astype(np.float64)

    @property
    def largest(self) -> NDArray[np.float64]:
        """max |v|, float64 [..., dim]."""
        return np.maximum(self.maximum, -self.minimum).astype(np.float64)
