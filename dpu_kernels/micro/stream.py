"""WRAM STREAM: copy, add, scale and triad of 8-byte elements that stay in WRAM.

PrIM's loops (Gomez-Luna et al., arXiv 2105.03814) are unrolled by a pragma, and this language has none: the slots of
an element are stated, those of a 64-bit multiply are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pim_runtime.device import (
    DpuFunction,
    Tasklet,
    View,
    barrier_wait,
    dpu_function,
    int64,
    me,
    mem_alloc,
    mem_reset,
    stated,
    uint32,
)
from pim_runtime.program import DpuProgram, dpu_program

__all__ = ["STREAM_ELEMS", "StreamOperation", "stream_program"]

STREAM_ELEMS = 64  # per array and tasklet: three arrays for each of 24 tasklets fit beside their stacks
# Constant offsets, no loop: load and store, or two loads, a 64-bit add and a store.
ONE_OPERAND_SLOTS, TWO_OPERANDS_SLOTS = 2, 5

StreamOperation = Literal["copy", "add", "scale", "triad"]


@dpu_program
def stream_program(operation: StreamOperation) -> DpuProgram:
    """`rounds` times over arrays of STREAM_ELEMS elements: c = a, c = a + b, c = scalar * a, c = a + scalar * b.

    Host variables: `rounds` uint32, `scalar` int64.
    """
    program = DpuProgram(f"stream_{operation}", nr_tasklets=16, stack_bytes=512)
    rounds, scalar = program.host("rounds", uint32), program.host("scalar", int64)
    ready, update = program.barrier("ready"), _update(operation)

    @program.kernel
    def stream(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        a, b = mem_alloc(t, int64, STREAM_ELEMS), mem_alloc(t, int64, STREAM_ELEMS)
        c, factor = mem_alloc(t, int64, STREAM_ELEMS), scalar.load(t)
        for _ in range(rounds.load(t)):
            stated(t, 0)
            update(t, a, b, c, factor)

    return program


def _update(operation: StreamOperation) -> DpuFunction:
    @dpu_function
    def copy(t: Tasklet, a: View, b: View, c: View, factor: int) -> None:
        for i in range(len(c)):
            stated(t, ONE_OPERAND_SLOTS)
            c[i] = a[i]

    @dpu_function
    def add(t: Tasklet, a: View, b: View, c: View, factor: int) -> None:
        for i in range(len(c)):
            stated(t, TWO_OPERANDS_SLOTS)
            c[i] = a[i] + b[i]

    @dpu_function
    def scale(t: Tasklet, a: View, b: View, c: View, factor: int) -> None:
        for i in range(len(c)):
            stated(t, ONE_OPERAND_SLOTS)
            c[i] = factor * a[i]

    @dpu_function
    def triad(t: Tasklet, a: View, b: View, c: View, factor: int) -> None:
        for i in range(len(c)):
            stated(t, TWO_OPERANDS_SLOTS)
            c[i] = a[i] + factor * b[i]

    return {"copy": copy, "add": add, "scale": scale, "triad": triad}[operation]
