"""Kernels around what a DPU remembers: heap, variables, MRAM, and views of every type."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import (
    barrier_wait,
    charge,
    dpu_function,
    int8,
    int16,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    nr_tasklets,
    uint8,
    uint16,
    uint32,
    uint64,
    wram_view,
)

__all__ = ["BLOCK", "LOAD", "NR_ELEMENTS", "STORE", "STORE_AND_LOAD", "reduction", "remember", "through_views"]

remember = DpuProgram("remember")
reset_heap = remember.host("reset_heap", int32)
boots = remember.wram("boots", int32, initial=10)
boots_seen_by_host = remember.host("boots_seen_by_host", int64, initial=20)
loaded = remember.mram("loaded", int64, initial=30)
kept = remember.mram_noinit("kept", int64)
boots_seen = remember.host("boots_seen", int64)
heap_address = remember.host("heap_address", int64)


@remember.kernel
def remember_kernel(t):
    """Add 1 to a variable of each kind, and take 24 bytes of heap: a plain function, since it never waits."""
    if reset_heap.load(t) != 0:
        mem_reset(t)
    block = mem_alloc(t, int64, 3)
    heap_address.store(t, block.address)
    boots.store(t, boots.load(t) + 1)
    boots_seen.store(t, boots.load(t))
    boots_seen_by_host.store(t, boots_seen_by_host.load(t) + 1)
    mram_read(t, loaded.address, block, 8)
    block[0] += 1
    mram_write(t, block, loaded.address, 8)
    mram_read(t, kept.address, block, 8)
    block[0] += 1
    mram_write(t, block, kept.address, 8)


STORE_AND_LOAD, STORE, LOAD = 0, 1, 2
NR_ELEMENTS = 8

through_views = DpuProgram("through_views")
access = through_views.host("access", int32)
view_kind = through_views.host("view_kind", int32)
first_index = through_views.host("first_index", int32)
source = through_views.host("source", int64, NR_ELEMENTS)
storage = through_views.host("storage", int64, NR_ELEMENTS)
read_back = through_views.host("read_back", int64, NR_ELEMENTS)


@dpu_function
def copy_through(t, kind):
    """Store `source` through a view of `kind` on `storage`, and load it from there; one access at a time on request."""
    view, given, back = wram_view(t, kind, storage.address, NR_ELEMENTS), source.array(t), read_back.array(t)
    for i in range(NR_ELEMENTS):
        if access.load(t) != LOAD:
            view[first_index.load(t) + i] = given[i]
        if access.load(t) != STORE:
            back[i] = view[first_index.load(t) + i]


@through_views.kernel
def through_views_kernel(t):
    """Write and read back through a view of the type that the host chose."""
    chosen = view_kind.load(t)
    if chosen == 0:
        copy_through(t, int8)
    elif chosen == 1:
        copy_through(t, int16)
    elif chosen == 2:
        copy_through(t, int32)
    elif chosen == 3:
        copy_through(t, int64)
    elif chosen == 4:
        copy_through(t, uint8)
    elif chosen == 5:
        copy_through(t, uint16)
    elif chosen == 6:
        copy_through(t, uint32)
    else:
        copy_through(t, uint64)


BLOCK = 64

reduction = DpuProgram("reduction", nr_tasklets=16)
numbers = reduction.mram_noinit("numbers", int32, 24 * BLOCK)
doubled = reduction.mram_noinit("doubled", int32, 24 * BLOCK)
limit = reduction.host("limit", int32)
total = reduction.host("total", int64)
partial_sums = reduction.wram("partial_sums", int64, 24)
summed = reduction.barrier("summed")


@dpu_function
def clamped(value, low, high):
    """A helper that knows nothing of the tasklet."""
    if value < low:
        return low
    return min(value, high)


@dpu_function
def double_and_sum(t, block, largest):
    """A helper that charges the tasklet for its work."""
    acc = 0
    for i in range(len(block)):
        acc += clamped(block[i], -largest, largest)
        block[i] = 2 * block[i]
    charge(t, 5 * len(block))
    return acc


@reduction.kernel
def reduction_kernel(t):
    """Sum a block of MRAM per tasklet, leave its double in MRAM, and add the partial sums behind a barrier."""
    if me(t) == 0:
        mem_reset(t)
    yield barrier_wait(t, summed)
    block, offset = mem_alloc(t, int32, BLOCK), 4 * BLOCK * me(t)
    mram_read(t, numbers.address + offset, block, 4 * BLOCK)
    partial_sums.array(t)[me(t)] = double_and_sum(t, block, limit.load(t))
    mram_write(t, block, doubled.address + offset, 4 * BLOCK)
    yield barrier_wait(t, summed)
    if me(t) != 0:
        return
    acc = 0
    for tasklet in range(nr_tasklets(t)):
        acc += partial_sums.array(t)[tasklet]
    total.store(t, acc)
