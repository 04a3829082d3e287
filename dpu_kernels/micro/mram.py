"""MRAM bandwidth: every tasklet moves the same block again and again, in one direction, and does nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pim_runtime.device import (
    DpuFunction,
    Tasklet,
    View,
    barrier_wait,
    dpu_function,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    stated,
    uint8,
    uint32,
)
from pim_runtime.program import DpuProgram, dpu_program

__all__ = ["Direction", "mram_program"]

STACK_BYTES = 256  # 24 buffers of the largest DMA leave no room for stacks of the default size

Direction = Literal["read", "write"]


@dpu_program
def mram_program(direction: Direction) -> DpuProgram:
    """DMAs back to back, as of an unrolled loop whose size is a constant: it states that nothing else is issued.

    Host variables: `transfers` (DMAs per tasklet) and `size_bytes` (of each), uint32.
    """
    program = DpuProgram(f"mram_{direction}", nr_tasklets=16, stack_bytes=STACK_BYTES)
    transfers, size_bytes = program.host("transfers", uint32), program.host("size_bytes", uint32)
    ready, heap, move = program.barrier("ready"), program.mram_heap, _move(direction)

    @program.kernel
    def mram(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        size = size_bytes.load(t)
        buffer, address = mem_alloc(t, uint8, size), heap.address + me(t) * size
        for _ in range(transfers.load(t)):
            stated(t, 0)
            move(t, address, buffer, size)

    return program


def _move(direction: Direction) -> DpuFunction:
    @dpu_function
    def read(t: Tasklet, address: int, buffer: View, size: int) -> None:
        mram_read(t, address, buffer, size)

    @dpu_function
    def write(t: Tasklet, address: int, buffer: View, size: int) -> None:
        mram_write(t, buffer, address, size)

    return {"read": read, "write": write}[direction]
