"""Vector add: C = A + B, block by block, each tasklet on a contiguous part of the arrays."""

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
from .layout import Argument

__all__ = ["vector_add_program"]


@dpu_program
def vector_add_program(kind: IntegerType, counts: Counts) -> DpuProgram:
    """C = A + B of elements of type `kind`, modulo its range. Host variable: `arguments` uint32 [len(Argument)].

    MRAM heap: A, B, then C, Argument.ARRAY_BYTES apart.
    """
    program = DpuProgram(f"vector_add_{kind}_{counts}", nr_tasklets=16)
    arguments, ready = program.host("arguments", uint32, len(Argument)), program.barrier("ready")
    heap, state = program.mram_heap, stater(counts)
    element_slots, block_slots = listing("vector_add", kind)

    @dpu_function
    def add(t: Tasklet, a: View, b: View, c: View) -> None:
        for i in range(len(c)):
            state(t, element_slots)
            c[i] = a[i] + b[i]

    @program.kernel
    def vector_add(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        given = arguments.array(t)
        block_elems, block_bytes = given[Argument.BLOCK_ELEMS], given[Argument.BLOCK_BYTES]
        a, b, c = mem_alloc(t, kind, block_elems), mem_alloc(t, kind, block_elems), mem_alloc(t, kind, block_elems)
        from_a = heap.address + me(t) * given[Argument.TASKLET_BYTES]
        from_b = from_a + given[Argument.ARRAY_BYTES]
        to_c = from_b + given[Argument.ARRAY_BYTES]
        for _ in range(given[Argument.BLOCKS]):
            state(t, block_slots)
            mram_read(t, from_a, a, block_bytes)
            mram_read(t, from_b, b, block_bytes)
            add(t, a, b, c)
            mram_write(t, c, to_c, block_bytes)
            from_a += block_bytes
            from_b += block_bytes
            to_c += block_bytes

    return program
