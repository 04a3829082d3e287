"""The part of some DPUs' memory that is not zero, in blocks: what a checkpoint keeps of 64 MiB per DPU.

The size of a block belongs to the checkpoint, not to the computer, so that files move between computers.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_BYTES", "Blocks", "blocks_of_pages", "blocks_per_dpu"]

BLOCK_BYTES = 4096
CHUNK_BLOCKS = 256  # copied and looked at together: 1 MiB stays in the CPU's cache


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """Contents of one memory of `nr_dpus` DPUs; what lies outside the blocks is zero.

    numbers: int64 [n], increasing; block b of DPU d has the number d * blocks_per_dpu + b.
    contents: uint8 [n, BLOCK_BYTES]; behind the end of a memory, which a last block may pass, it is zero.
    """

    nr_dpus: int
    bytes_per_dpu: int
    numbers: NDArray[np.int64]
    contents: NDArray[np.uint8]

    @classmethod
    def taken(cls, memory: NDArray[np.uint8], candidates: NDArray[np.int64]) -> Blocks:
        """A copy of what is not zero in a memory, uint8 [nr_dpus, bytes_per_dpu], looking at some blocks only.

        candidates: numbers of blocks, increasing, among them all that are not zero.
        """
        nr_dpus, bytes_per_dpu = memory.shape
        contents = _room(len(candidates))
        numbers, taken = np.empty(len(candidates), np.int64), 0
        scratch = np.empty((CHUNK_BLOCKS, BLOCK_BYTES), np.uint8)
        for start in range(0, len(candidates), CHUNK_BLOCKS):
            chunk = candidates[start : start + CHUNK_BLOCKS]
            found = scratch[: len(chunk)]
            for part, run in _runs(memory, chunk):
                target = found[run].reshape(-1)
                target[: len(part)], target[len(part) :] = part, 0
            kept = np.flatnonzero(found.view(np.uint64).any(axis=1))
            end = taken + len(kept)
            numbers[taken:end], contents[taken:end] = chunk[kept], found[kept]
            taken = end
        return cls(nr_dpus=nr_dpus, bytes_per_dpu=bytes_per_dpu, numbers=numbers[:taken], contents=contents[:taken])

    def put(self, memory: NDArray[np.uint8], touched: NDArray[np.int64]) -> None:
        """Make a memory, uint8 [nr_dpus, bytes_per_dpu], what was taken.

        touched: numbers of blocks, among them all that are not zero now.
        """
        stale = np.setdiff1d(touched, self.numbers, assume_unique=True)
        for part, _ in _runs(memory, stale):
            part[...] = 0
        for part, run in _runs(memory, self.numbers):
            part[...] = self.contents[run].reshape(-1)[: len(part)]

    def of_dpu(self, dpu: int) -> Blocks:
        """The blocks of one DPU, not copied."""
        per_dpu = blocks_per_dpu(self.bytes_per_dpu)
        part = slice(*np.searchsorted(self.numbers, [dpu * per_dpu, (dpu + 1) * per_dpu]))
        return Blocks(
            nr_dpus=1,
            bytes_per_dpu=self.bytes_per_dpu,
            numbers=self.numbers[part] - dpu * per_dpu,
            contents=self.contents[part],
        )

    def read(self, dpu: int, address: int, nr_bytes: int) -> NDArray[np.uint8]:
        """Some bytes of one DPU's memory, uint8 [nr_bytes]. They must lie inside it."""
        first, end = address // BLOCK_BYTES, -(-(address + nr_bytes) // BLOCK_BYTES)
        data = np.zeros((max(0, end - first), BLOCK_BYTES), np.uint8)
        base = dpu * blocks_per_dpu(self.bytes_per_dpu) + first
        part = slice(*np.searchsorted(self.numbers, [base, base + len(data)]))
        data[self.numbers[part] - base] = self.contents[part]
        return data.reshape(-1)[address - first * BLOCK_BYTES :][:nr_bytes]


def blocks_per_dpu(bytes_per_dpu: int) -> int:
    """Blocks of one memory; the last one may pass its end."""
    return -(-bytes_per_dpu // BLOCK_BYTES)


def blocks_of_pages(
    pages: NDArray[np.intp], *, page_bytes: int, first_byte: int, nr_bytes: int, bytes_per_dpu: int
) -> NDArray[np.int64]:
    """Numbers of the blocks that lie in some pages of a reservation, of which DPU 0's memory starts at `first_byte`."""
    starts = np.maximum(pages.astype(np.int64) * page_bytes - first_byte, 0)
    last_bytes = np.minimum((pages.astype(np.int64) + 1) * page_bytes - first_byte, nr_bytes) - 1
    firsts, lasts = (
        at // bytes_per_dpu * blocks_per_dpu(bytes_per_dpu) + at % bytes_per_dpu // BLOCK_BYTES
        for at in (starts, last_bytes)
    )
    lengths = lasts - firsts + 1
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.unique(np.repeat(firsts, lengths) + inside)


def _runs(memory: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.uint8], slice]]:
    """(bytes of the memory, positions in `numbers`) of every run of blocks that lie side by side.

    The bytes may be fewer than the blocks have, since the last block of a memory may pass its end.
    """
    bytes_per_dpu = memory.shape[1]
    per_dpu = blocks_per_dpu(bytes_per_dpu)
    breaks = np.flatnonzero((np.diff(numbers) != 1) | (numbers[1:] % per_dpu == 0)) + 1
    for start, stop in pairwise([0, *breaks.tolist(), len(numbers)] if len(numbers) else []):
        dpu, block = divmod(int(numbers[start]), per_dpu)
        yield memory[dpu, block * BLOCK_BYTES : (block + stop - start) * BLOCK_BYTES], slice(start, stop)


def _room(nr_blocks: int) -> NDArray[np.uint8]:
    """Memory in huge pages: touching small ones for the first time takes longer than the copies that go there."""
    if not nr_blocks:
        return np.empty((0, BLOCK_BYTES), np.uint8)
    pages = mmap.mmap(-1, nr_blocks * BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8).reshape(nr_blocks, BLOCK_BYTES)
