"""DMA between MRAM and WRAM (SDK `mram.h`; rules: upmem-sdk 3.5 and 4).

A transfer blocks the calling tasklet only, moves 8 to 2048 bytes in steps of 8, and both addresses are multiples of 8.
Out-of-contract transfers fault here; hardware would move another number of bytes, silently.
"""

from __future__ import annotations

from .faults import FaultCode, fault
from .library import library
from .raw import copy_words, peek, prefetch
from .run_record import MRAM_END
from .tasklet import Tasklet, is_checked
from .view import View

__all__ = ["DMA_GRANULARITY_BYTES", "MAX_DMA_BYTES", "MIN_DMA_BYTES", "mram_read", "mram_write"]

MIN_DMA_BYTES, MAX_DMA_BYTES, DMA_GRANULARITY_BYTES = 8, 2048, 8  # of the DMA instruction's 8-bit size field

# Tasklets usually share an array block by block, and here they run one after the other, so each of them jumps through
# memory. What lies a little ahead of a block is the next tasklet's: it comes into the cache while this one works.
# Eight transfers ahead, but not this far, measured best (benchmarks.attention_bandwidth).
FARTHEST_PREFETCH_BYTES = 2048


@library
def breaks_a_rule(t: Tasklet, mram_address: int, buffer: View, nr_bytes: int) -> bool:
    """Whether the transfer breaks any DMA rule: one branch for the common case."""
    misaligned = ((nr_bytes | mram_address | buffer.pointer) & 7) != 0
    bad_size = (nr_bytes < MIN_DMA_BYTES) | (nr_bytes > MAX_DMA_BYTES) | (nr_bytes > buffer.nbytes)
    outside = (mram_address < 0) | (mram_address > peek(t.run + 8 * MRAM_END) - nr_bytes)
    return misaligned | bad_size | outside


@library
def refuse_dma(t: Tasklet, mram_address: int, buffer: View, nr_bytes: int) -> None:
    """Fault with the first rule that the transfer breaks."""
    if (nr_bytes & 7) | (nr_bytes < MIN_DMA_BYTES) | (nr_bytes > MAX_DMA_BYTES):
        fault(t, FaultCode.DMA_SIZE, nr_bytes, 0, 0, 0)
    if mram_address & 7:
        fault(t, FaultCode.DMA_MRAM_ALIGNMENT, mram_address, nr_bytes, mram_address & -8, 0)
    end = peek(t.run + 8 * MRAM_END)
    if (mram_address < 0) | (mram_address > end - nr_bytes):
        fault(t, FaultCode.DMA_MRAM_RANGE, mram_address, nr_bytes, end, 0)
    if buffer.address & 7:
        fault(t, FaultCode.DMA_WRAM_ALIGNMENT, buffer.address, nr_bytes, buffer.address & -8, 0)
    fault(t, FaultCode.DMA_WRAM_RANGE, nr_bytes, buffer.nbytes, buffer.address, 0)


@library
def mram_read(t: Tasklet, mram_address: int, buffer: View, nr_bytes: int) -> None:
    """Copy `nr_bytes` from MRAM to the start of `buffer`. C: mram_read(from, to, n)."""
    if is_checked(t) and breaks_a_rule(t, mram_address, buffer, nr_bytes):
        refuse_dma(t, mram_address, buffer, nr_bytes)
    prefetch(t.mram + mram_address + min(8 * nr_bytes, FARTHEST_PREFETCH_BYTES), nr_bytes)
    copy_words(buffer.pointer, t.mram + mram_address, nr_bytes >> 3)


@library
def mram_write(t: Tasklet, buffer: View, mram_address: int, nr_bytes: int) -> None:
    """Copy `nr_bytes` from the start of `buffer` to MRAM. C: mram_write(from, to, n)."""
    if is_checked(t) and breaks_a_rule(t, mram_address, buffer, nr_bytes):
        refuse_dma(t, mram_address, buffer, nr_bytes)
    copy_words(t.mram + mram_address, buffer.pointer, nr_bytes >> 3)
