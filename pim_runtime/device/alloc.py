"""The WRAM heap (SDK `alloc.h`): a bump allocator that is never reset by a launch (upmem-sdk 3.3 and 3.5)."""

from __future__ import annotations

from .faults import FaultCode, fault
from .integers import IntegerType
from .library import library
from .raw import peek, poke
from .run_record import WRAM_END
from .tasklet import Tasklet, is_checked
from .view import View, wram_view
from .wram_map import HEAP_POINTER, HEAP_START

__all__ = ["mem_alloc", "mem_reset"]

SIZE_MAX = 0xFFFF_FFFF  # size_t of a DPU (upmem-sdk 3.1)


@library
def take_heap(t: Tasklet, length: int, itemsize: int) -> int:
    """WRAM address of `length` fresh elements, 8-aligned; none give the current heap pointer, as in the SDK."""
    if is_checked(t) and length < 0:
        fault(t, FaultCode.ALLOC_SIZE, length, 0, 0, 0)
    pointer, end = peek(t.wram + HEAP_POINTER), peek(t.run + 8 * WRAM_END)
    nr_bytes = itemsize * min(length, SIZE_MAX)  # so that the product cannot wrap
    if nr_bytes > 0:
        pointer = (pointer + 7) & -8
        if is_checked(t) and pointer + nr_bytes >= end:
            fault(t, FaultCode.HEAP_FULL, nr_bytes, pointer, max(0, end - pointer - 1), end)
        poke(t.wram + HEAP_POINTER, pointer + nr_bytes)
    return pointer


@library
def mem_alloc(t: Tasklet, kind: IntegerType, length: int) -> View:
    """A view of `length` fresh elements on the heap, 8-aligned, contents undefined. Faults when the heap is full.

    C: mem_alloc(length * sizeof(kind)). The heap persists over launches: call mem_reset() first.
    """
    return wram_view(t, kind, take_heap(t, length, kind.itemsize), length)


@library
def mem_reset(t: Tasklet) -> int:
    """Give all heap memory back; returns the WRAM address where the heap starts."""
    start = peek(t.wram + HEAP_START)
    poke(t.wram + HEAP_POINTER, start)
    return start
