"""Which numbered places of a DPU are free: the blocks of a paged KV cache, and the slots of its contexts (S0-14)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

__all__ = ["Pool"]


class Pool:
    """Places 0 to size - 1. The lowest free ones are given first, so contexts lie close together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = list(range(size))

    def __len__(self) -> int:
        """Free places."""
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """`count` free places. Raises ValueError, and takes none, when there are fewer."""
        if count > len(self._free):
            raise ValueError(f"{count} places wanted, {len(self._free)} of {self.size} are free")
        return [heapq.heappop(self._free) for _ in range(count)]

    def give(self, places: Iterable[int]) -> None:
        """Places are free again."""
        for place in places:
            heapq.heappush(self._free, place)
