"""Scan: inclusive prefix sums in two passes over contiguous parts, sums first and then prefixes."""

from __future__ import annotations

from collections.abc import Iterator

from pim_runtime.device import (
    IntegerType,
    Tasklet,
    View,
    barrier_wait,
    dpu_function,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    uint32,
)
from pim_runtime.program import DpuProgram, dpu_program

from .counts import Counts, listing, stater
from .layout import Argument, register_kind

__all__ = ["scan_program"]

MAX_TASKLETS = 24


@dpu_program
def scan_program(kind: IntegerType, counts: Counts) -> DpuProgram:
    """B[i] = A[0] + ... + A[i] of elements of type `kind`, modulo its range.

    Host variable: `arguments` uint32 [len(Argument)]. MRAM heap: A, then B, Argument.ARRAY_BYTES apart.
    """
    program = DpuProgram(f"scan_{kind}_{counts}", nr_tasklets=16)
    arguments, sums = program.host("arguments", uint32, len(Argument)), program.wram("sums", kind, MAX_TASKLETS)
    ready, summed = program.barrier("ready"), program.barrier("summed")
    heap, state, register = program.mram_heap, stater(counts), register_kind(kind)
    sum_element_slots, sum_block_slots = listing("scan_sum", kind)
    prefix_element_slots, prefix_block_slots = listing("scan_prefix", kind)

    @dpu_function
    def added(t: Tasklet, total: int, block: View) -> int:
        for i in range(len(block)):
            state(t, sum_element_slots)
            total = register(total + block[i])
        return total

    @dpu_function
    def turned_into_prefixes(t: Tasklet, total: int, block: View) -> int:
        for i in range(len(block)):
            state(t, prefix_element_slots)
            total = register(total + block[i])
            block[i] = total
        return total

    @program.kernel
    def scan(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        given, all_sums = arguments.array(t), sums.array(t)
        blocks, block_bytes = given[Argument.BLOCKS], given[Argument.BLOCK_BYTES]
        block = mem_alloc(t, kind, given[Argument.BLOCK_ELEMS])
        first = heap.address + me(t) * given[Argument.TASKLET_BYTES]
        from_a, total = first, register(0)
        for _ in range(blocks):
            state(t, sum_block_slots)
            mram_read(t, from_a, block, block_bytes)
            total = added(t, total, block)
            from_a += block_bytes
        all_sums[me(t)] = total
        yield barrier_wait(t, summed)
        total = register(0)
        for tasklet in range(me(t)):
            total = register(total + all_sums[tasklet])
        from_a, to_b = first, first + given[Argument.ARRAY_BYTES]
        for _ in range(blocks):
            state(t, prefix_block_slots)
            mram_read(t, from_a, block, block_bytes)
            total = turned_into_prefixes(t, total, block)
            mram_write(t, block, to_b, block_bytes)
            from_a += block_bytes
            to_b += block_bytes

    return program
