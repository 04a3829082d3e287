"""Which numbered places of a DPU are free: the blocks of a paged KV cache, and the slots of its contexts (S0-14)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

__all__ = ["Pool"]


class Pool:
    """Places 0 to size - 1. The lowest free ones are given first, so contexts lie close together.

    Takes memory for the places that were in use only: 2560 DPUs have hundreds of millions of blocks.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._used = 0  # places below were taken once
        self._returned: list[int] = []  # of these, those that are free again: a heap

    def __len__(self) -> int:
        """Free places."""
        return self.size - self._used + len(self._returned)

    def take(self, count: int) -> list[int]:
        """`count` free places. Raises ValueError, and takes none, when there are fewer."""
        if count > len(self):
            raise ValueError(f"{count} places wanted, {len(self)} of {self.size} are free")
        again = [heapq.heappop(self._returned) for _ in range(min(count, len(self._returned)))]
        new = range(self._used, self._used + count - len(again))
        self._used = new.stop
        return [*again, *new]

    def give(self, places: Iterable[int]) -> None:
        """Places are free again."""
        for place in places:
            heapq.heappush(self._returned, place)
