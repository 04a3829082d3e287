"""Everything that is remembered of a DPU's memory from one launch to the next."""

from __future__ import annotations

from ..commands import Memory
from .finding import SourcePlace
from .shadow import Shadow
from .undefined import Origin

__all__ = ["DpuShadow"]


class DpuShadow:
    """The states of all bytes; which kernel line wrote a word (address >> 3) last; why a tainted byte is undefined."""

    def __init__(self) -> None:
        self.wram, self.mram = Shadow(), Shadow()
        self.writers: dict[tuple[Memory, int], SourcePlace] = {}
        self.taints: dict[tuple[Memory, int], Origin] = {}

    def of(self, memory: Memory) -> Shadow:
        """The states of one memory."""
        return self.wram if memory == "wram" else self.mram

    def replace(self, memory: Memory, shadow: Shadow) -> None:
        """Forget what was known of a memory for something else."""
        if memory == "wram":
            self.wram = shadow
        else:
            self.mram = shadow
        self.writers = {key: place for key, place in self.writers.items() if key[0] != memory}

    def copy(self) -> DpuShadow:
        """An independent one."""
        other = DpuShadow()
        other.wram, other.mram = self.wram.copy(), self.mram.copy()
        other.writers, other.taints = dict(self.writers), dict(self.taints)
        return other
