"""The program of a bank: GEMV with int4 or int8 rows, and weighted sums of rows (S2-9, S2-10).

Tasklets share the rows. Every byte of a row is read once for all vectors of a message. A message has a place in WRAM,
so that the DMAs of a launch read rows and nothing else; results go to the start of the MRAM heap. Sums cannot
overflow: a message holds vectors of at most 2**14 elements, whose products with int8 rows stay below 2**28, and weights
in Q24 of at most 2**12 rows, whose sums stay below 2**44.
"""

from __future__ import annotations

from collections.abc import Iterator

from pim_runtime.device import (
    Tasklet,
    barrier_wait,
    int8,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    nr_tasklets,
    wram_view,
)
from pim_runtime.program import DpuProgram, dpu_program

from .dots import dot_maker
from .shapes import (
    ALL_ROWS,
    CHUNK_BYTES,
    HEADER_BYTES,
    LARGEST_SUMS,
    MAX_MATRICES,
    MESSAGE_BYTES,
    ROW_GROUP,
    STACK_BYTES,
    Column,
    Header,
    Operation,
)
from .sums import sum_maker

__all__ = ["bank_program"]

MAX_TASKLETS = 24
NR_COLUMNS, NR_FIELDS = len(Column), len(Header)


@dpu_program
def bank_program() -> DpuProgram:
    """The one program of all banks; sizes and addresses come with messages and stand in the directory.

    Host variables: `message` int64 [MESSAGE_BYTES / 8] (Header), `matrices` int32 [MAX_MATRICES * len(Column)].
    """
    program = DpuProgram("bank", nr_tasklets=16, stack_bytes=STACK_BYTES)
    message = program.host("message", int64, MESSAGE_BYTES // 8)
    matrices = program.host("matrices", int32, MAX_MATRICES * NR_COLUMNS)
    partials = program.wram("partials", int32, MAX_TASKLETS)
    ready, summed, merged = (program.barrier(name) for name in ("ready", "summed", "merged"))
    heap = program.mram_heap
    make_dots = dot_maker(heap)
    add_rows, merge = sum_maker(heap)

    @program.kernel
    def bank(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        start = message.array(t).address
        header = wram_view(t, int32, start, NR_FIELDS)
        matrix = matrices.array(t).window(header[Header.MATRIX] * NR_COLUMNS, NR_COLUMNS)
        vectors, rows, span = header[Header.VECTORS], header[Header.ROWS], header[Header.SPAN]
        if rows == ALL_ROWS:
            rows = matrix[Column.ROWS]
        elements = matrix[Column.ROW_BYTES] * matrix[Column.ELEMENTS_PER_BYTE]
        body = start + HEADER_BYTES
        stored, unpacked = mem_alloc(t, int8, CHUNK_BYTES), mem_alloc(t, int8, 2 * CHUNK_BYTES)
        if header[Header.OPERATION] == Operation.DOTS:
            products = mem_alloc(t, int32, vectors * ROW_GROUP)
            given = wram_view(t, int8, body, vectors * elements)
            make_dots(t, matrix, rows, span, given, stored, unpacked, products)
        else:
            weights = wram_view(t, int32, body, vectors * span)
            width = min(elements, LARGEST_SUMS // vectors & -16)
            sums, total = mem_alloc(t, int64, vectors * width), mem_alloc(t, int64, ROW_GROUP)
            partials.array(t)[me(t)] = sums.address
            for first in range(0, elements, width):
                columns = min(width, elements - first)
                part = sums.window(0, vectors * columns)
                add_rows(t, matrix, rows, span, first, weights, stored, unpacked, part)
                yield barrier_wait(t, summed)
                merge(t, part, first, columns, elements, partials.array(t).window(0, nr_tasklets(t)), total)
                yield barrier_wait(t, merged)

    return program
