"""Reduction: sum of A + B, block by block; every tasklet leaves the sum of its contiguous part in MRAM."""

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
from .layout import RESULT_ELEMS, Argument, register_kind

__all__ = ["reduction_program"]


@dpu_program
def reduction_program(kind: IntegerType, counts: Counts) -> DpuProgram:
    """Sum of A + B of elements of type `kind`, modulo its range. Host variable: `arguments` uint32 [len(Argument)].

    MRAM heap: A, B, then RESULT_ELEMS elements per tasklet, Argument.ARRAY_BYTES apart.
    """
    program = DpuProgram(f"reduction_{kind}_{counts}", nr_tasklets=16)
    arguments, ready = program.host("arguments", uint32, len(Argument)), program.barrier("ready")
    heap, state, register = program.mram_heap, stater(counts), register_kind(kind)
    element_slots, block_slots = listing("reduction", kind)
    result_bytes = RESULT_ELEMS * kind.itemsize

    @dpu_function
    def added(t: Tasklet, total: int, a: View, b: View) -> int:
        for i in range(len(a)):
            state(t, element_slots)
            total = register(total + a[i] + b[i])
        return total

    @program.kernel
    def reduction(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        given = arguments.array(t)
        block_elems, block_bytes = given[Argument.BLOCK_ELEMS], given[Argument.BLOCK_BYTES]
        a, b = mem_alloc(t, kind, block_elems), mem_alloc(t, kind, block_elems)
        result = mem_alloc(t, kind, RESULT_ELEMS)
        from_a = heap.address + me(t) * given[Argument.TASKLET_BYTES]
        from_b = from_a + given[Argument.ARRAY_BYTES]
        total = register(0)
        for _ in range(given[Argument.BLOCKS]):
            state(t, block_slots)
            mram_read(t, from_a, a, block_bytes)
            mram_read(t, from_b, b, block_bytes)
            total = added(t, total, a, b)
            from_a += block_bytes
            from_b += block_bytes
        result[0] = total
        results = heap.address + 2 * given[Argument.ARRAY_BYTES]
        mram_write(t, result, results + me(t) * result_bytes, result_bytes)

    return program
