"""Arithmetic throughput: an array is combined with a scalar, in blocks of 1024 bytes that the tasklets take in turn.

The loop is that of PrIM's benchmark (Gomez-Luna et al., arXiv 2105.03814): load, operate, store, in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    barrier_wait,
    div,
    dpu_function,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    nr_tasklets,
    uint32,
)
from pim_runtime.program import DpuProgram, dpu_program

__all__ = ["BLOCK_BYTES", "Operation", "arithmetic_program"]

BLOCK_BYTES = 1024

Operation = Literal["move", "add", "sub", "mul", "div"]


@dpu_program
def arithmetic_program(kind: IntegerType, operation: Operation) -> DpuProgram:
    """B[i] = A[i] operation scalar, wrapped to `kind`. "move" only copies: what the others do beside arithmetic.

    Host variables: `rounds` uint32 (blocks per tasklet), `output_bytes` uint32 (where B is), `scalar` of type `kind`.
    MRAM heap: A, and `output_bytes` behind its start B.
    """
    program = DpuProgram(f"arithmetic_{kind}_{operation}", nr_tasklets=16)
    rounds, output_bytes = program.host("rounds", uint32), program.host("output_bytes", uint32)
    scalar, ready, heap = program.host("scalar", kind), program.barrier("ready"), program.mram_heap
    block_elems, update = BLOCK_BYTES // kind.itemsize, _update(kind, operation)

    @program.kernel
    def arithmetic(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        block, operand = mem_alloc(t, kind, block_elems), scalar.load(t)
        address, stride = heap.address + BLOCK_BYTES * me(t), BLOCK_BYTES * nr_tasklets(t)
        for _ in range(rounds.load(t)):
            mram_read(t, address, block, BLOCK_BYTES)
            update(block, operand)
            mram_write(t, block, address + output_bytes.load(t), BLOCK_BYTES)
            address += stride

    return program


def _update(kind: IntegerType, operation: Operation) -> DpuFunction:
    """What happens to a block between its DMAs."""

    @dpu_function
    def move(block: View, operand: int) -> None:
        """Nothing."""

    @dpu_function
    def add(block: View, operand: int) -> None:
        for i in range(len(block)):
            block[i] = block[i] + operand

    @dpu_function
    def sub(block: View, operand: int) -> None:
        for i in range(len(block)):
            block[i] = block[i] - operand

    @dpu_function
    def mul(block: View, operand: int) -> None:
        for i in range(len(block)):
            block[i] = block[i] * operand

    @dpu_function
    def divide(block: View, operand: int) -> None:
        for i in range(len(block)):
            block[i] = div(kind, block[i], operand)

    return {"move": move, "add": add, "sub": sub, "mul": mul, "div": divide}[operation]
