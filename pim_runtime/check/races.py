"""Data races: two accesses to the same bytes, at least one of them a write, that nothing puts in an order.

The history keeps, per 8-byte word, the accesses that a later one could still race with (as FastTrack does, Flanagan and
Freund 2009): an access is forgotten when another one that covers its bytes and knows of it takes its place.
"""

from __future__ import annotations

from typing import NamedTuple

from .clocks import VectorClocks
from .finding import SourcePlace

__all__ = ["Access", "AccessHistory"]


class Access(NamedTuple):
    """Bytes of a word (one bit each) that a tasklet read or wrote at its `clock`."""

    mask: int
    tasklet: int
    clock: int
    place: SourcePlace


class AccessHistory:
    """Accesses to one memory in one launch."""

    def __init__(self, clocks: VectorClocks) -> None:
        self._clocks = clocks
        self._reads: dict[int, list[Access]] = {}
        self._writes: dict[int, list[Access]] = {}

    def read(self, word: int, mask: int, tasklet: int, place: SourcePlace) -> Access | None:
        """Note a read; the write that it races with, if any."""
        conflict = self._unordered(self._writes.get(word), mask, tasklet)
        access = Access(mask, tasklet, self._clocks.now(tasklet), place)
        reads = self._reads.get(word)
        if reads is None:
            self._reads[word] = [access]
        elif reads[-1][:3] != access[:3]:
            reads[:] = [old for old in reads if old.tasklet != tasklet or old.mask & ~mask]
            reads.append(access)
        return conflict

    def write(self, word: int, mask: int, tasklet: int, place: SourcePlace) -> tuple[Access | None, Access | None]:
        """Note a write; the write and the read that it races with, if any."""
        writes, reads = self._writes.get(word), self._reads.get(word)
        conflicts = self._unordered(writes, mask, tasklet), self._unordered(reads, mask, tasklet)
        access = Access(mask, tasklet, self._clocks.now(tasklet), place)
        if writes is None:
            self._writes[word] = [access]
        else:
            writes[:] = [*_uncovered(writes, mask), access]
        if reads:
            reads[:] = _uncovered(reads, mask)
            if not reads:
                del self._reads[word]
        return conflicts

    def last_writes(self) -> dict[int, SourcePlace]:
        """Where each word was written last."""
        return {word: writes[-1].place for word, writes in self._writes.items()}

    def _unordered(self, accesses: list[Access] | None, mask: int, tasklet: int) -> Access | None:
        for access in accesses or ():
            others = access.tasklet != tasklet and access.mask & mask
            if others and not self._clocks.knows(tasklet, access.tasklet, access.clock):
                return access
        return None


def _uncovered(accesses: list[Access], mask: int) -> list[Access]:
    return [access._replace(mask=access.mask & ~mask) for access in accesses if access.mask & ~mask]
