"""Data races: two accesses to the same bytes, at least one of them a write, that nothing puts in an order.

The history keeps, per 8-byte word, the accesses that a later one could still race with (as FastTrack does, Flanagan and
Freund 2009): an access is forgotten when another one that covers its bytes and knows of it takes its place.

Two stores of the same value to the same 1, 2, 4 or 8 bytes are no race, though C11 calls them one: a store is a single
instruction of the DPU, so no third value can appear, and which of the two comes first shows nowhere. Programs set flags
that way ("somebody has found a new vertex"). A load that is unordered with one of the stores races with it as ever.
"""

from __future__ import annotations

from typing import NamedTuple

from .clocks import VectorClocks
from .finding import SourcePlace

__all__ = ["Access", "AccessHistory"]


class Access(NamedTuple):
    """Bytes of a word (one bit each) that a tasklet read or wrote at its `clock`.

    stored: what a single store instruction put there; None for reads, DMAs and values that are undefined.
    """

    mask: int
    tasklet: int
    clock: int
    place: SourcePlace
    stored: int | None = None

    def repeats(self, other: Access) -> bool:
        """Whether both store the same value to the same bytes."""
        return self.stored is not None and self.stored == other.stored and self.mask == other.mask


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

    def write(
        self, word: int, mask: int, tasklet: int, place: SourcePlace, stored: int | None
    ) -> tuple[Access | None, Access | None]:
        """Note a write; the write and the read that it races with, if any."""
        writes, reads = self._writes.get(word), self._reads.get(word)
        access = Access(mask, tasklet, self._clocks.now(tasklet), place, stored)
        twins = [old for old in writes or () if old.repeats(access) and not self._knows(tasklet, old)]
        others = [old for old in writes or () if old not in twins]
        conflicts = self._unordered(others, mask, tasklet), self._unordered(reads, mask, tasklet)
        self._writes[word] = [*_uncovered(others, mask), *twins, access]
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
            if access.mask & mask and not self._knows(tasklet, access):
                return access
        return None

    def _knows(self, tasklet: int, access: Access) -> bool:
        return access.tasklet == tasklet or self._clocks.knows(tasklet, access.tasklet, access.clock)


def _uncovered(accesses: list[Access], mask: int) -> list[Access]:
    """What accesses still have for themselves next to one that takes their place in some bytes."""
    return [
        access._replace(mask=access.mask & ~mask, stored=None) if access.mask & mask else access
        for access in accesses
        if access.mask & ~mask
    ]
