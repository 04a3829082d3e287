"""Which tokens queries attend to, as DPUs decide it: packed halves of keys against thresholds (S4-13).

Owns the interface. A method of pruning (`host.sprint`) says what nibbles stand for and where thresholds come from.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Decisions", "TokenSelector"]


class Decisions(NamedTuple):
    """A token of nibbles n is kept by a query where sum_i levels[i] * n[i] >= threshold.

    levels: int8 [..., dim]. thresholds: int64 [...].
    """

    levels: NDArray[np.int8]
    thresholds: NDArray[np.int64]


class TokenSelector(Protocol):
    """A way to decide with four bits of every element of K; hashable, as a part of an AttentionSpec."""

    def nibbles(self, keys: NDArray[Any]) -> NDArray[np.int8]:
        """What is stored beside int8 keys [..., dim]: int8 of -8 to 7, of the same shape."""

    def decisions(self, queries: NDArray[Any], theta: ArrayLike) -> Decisions:
        """How int8 queries [..., dim] decide. theta: least exact score that is wanted, broadcast to [...]."""
