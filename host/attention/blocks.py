"""The blocks of a paged KV cache in one DPU: which are free, and which belong to a context (S0-14)."""

from __future__ import annotations

import heapq

__all__ = ["BlockPool"]


class BlockPool:
    """Blocks 0 to nr_blocks - 1. The lowest free ones are given first, so contexts lie close together."""

    def __init__(self, nr_blocks: int) -> None:
        self.nr_blocks = nr_blocks
        self._free = list(range(nr_blocks))

    def __len__(self) -> int:
        """Free blocks."""
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """`count` free blocks. Raises ValueError, and takes none, when there are fewer."""
        if count > len(self._free):
            raise ValueError(f"{count} blocks wanted, {len(self._free)} of {self.nr_blocks} are free")
        return [heapq.heappop(self._free) for _ in range(count)]

    def give(self, blocks: list[int]) -> None:
        """Blocks are free again."""
        for block in blocks:
            heapq.heappush(self._free, block)
