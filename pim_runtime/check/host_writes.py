"""What the host has written to one DPU and nobody has used yet, found again by the pages that it touches."""

from __future__ import annotations

from typing import NamedTuple

from ..commands import Memory
from .finding import SourcePlace
from .shadow import PAGE_BYTES

__all__ = ["HostWrite", "HostWrites"]


class HostWrite(NamedTuple):
    """Bytes that the host has written, and where."""

    memory: Memory
    written: range
    place: SourcePlace

    def overlaps(self, memory: Memory, other: range) -> range:
        """The bytes of another access that it has in common."""
        both = range(max(self.written.start, other.start), min(self.written.stop, other.stop))
        return both if memory == self.memory else range(0)


class HostWrites:
    """The unused writes of one DPU: a host program may make thousands of small ones before a launch."""

    def __init__(self) -> None:
        self._of_page: dict[tuple[Memory, int], set[HostWrite]] = {}

    def add(self, write: HostWrite) -> None:
        """Note a write."""
        for page in _pages(write.written):
            self._of_page.setdefault((write.memory, page), set()).add(write)

    def overlapping(self, memory: Memory, accessed: range) -> list[HostWrite]:
        """The writes that have bytes in common with an access, by address."""
        near: set[HostWrite] = set()
        for page in _pages(accessed):
            near |= self._of_page.get((memory, page), set())
        return sorted((write for write in near if write.overlaps(memory, accessed)), key=_by_address)

    def used(self, memory: Memory, read: range) -> None:
        """Somebody has read: what was written there is used."""
        for write in self.overlapping(memory, read):
            for page in _pages(write.written):
                self._of_page[memory, page].discard(write)

    def forget(self, memory: Memory) -> None:
        """Drop the writes to a memory."""
        self._of_page = {key: writes for key, writes in self._of_page.items() if key[0] != memory}

    def clear(self) -> None:
        """Drop all."""
        self._of_page = {}


def _pages(accessed: range) -> range:
    return range(accessed.start // PAGE_BYTES, -(-accessed.stop // PAGE_BYTES))


def _by_address(write: HostWrite) -> tuple[int, int, SourcePlace]:
    return write.written.start, write.written.stop, write.place
