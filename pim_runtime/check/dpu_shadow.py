"""Everything that is remembered of a DPU's memory from one launch to the next."""

from __future__ import annotations

from ..commands import Memory
from .finding import SourcePlace
from .shadow import Shadow

__all__ = ["DpuShadow"]


class DpuShadow:
    """The states of all bytes, and in which kernel line a word was last written."""

    def __init__(self) -> None:
        self.wram, self.mram = Shadow(), Shadow()
        self.writers: dict[tuple[Memory, int], SourcePlace] = {}

    def of(self, memory: Memory) -> Shadow:
        """The states of one memory."""
        return self.wram if memory == "wram" else self.mram

    def copy(self) -> DpuShadow:
        """An independent one."""
        other = DpuShadow()
        other.wram, other.mram, other.writers = self.wram.copy(), self.mram.copy(), dict(self.writers)
        return other
