"""WRAM that the tasklets of a DPU share: queries, if there are several, and the workers' notes about scores.

The master reserves it before the first barrier; its addresses stand in the WRAM variable `shared`. A single query is
read by every worker into a buffer of its own, as in the published program.
"""

from __future__ import annotations

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    dpu_function,
    int64,
    mem_alloc,
    mram_read,
    wram_view,
)
from pim_runtime.symbols import WramSymbol

from .shapes import Argument, FixedSizes

__all__ = ["STATES_AT", "query_reader", "sharer"]

QUERIES_AT, STATES_AT = 0, 1  # in `shared`


def sharer(arguments: WramSymbol, shared: WramSymbol, kind: IntegerType, notes: int) -> DpuFunction:
    """The master's reservation."""

    @dpu_function
    def share(t: Tasklet, queries: int, workers: int) -> None:
        a, addresses = arguments.array(t), shared.array(t)
        addresses[STATES_AT] = mem_alloc(t, int64, workers * queries * notes).address
        if queries > 1:
            row_bytes = a[Argument.Q_BYTES]
            rows = mem_alloc(t, kind, queries * row_bytes // kind.itemsize)
            addresses[QUERIES_AT] = rows.address
            for i in range(queries):
                row = rows.window(i * row_bytes // kind.itemsize, row_bytes // kind.itemsize)
                mram_read(t, a[Argument.Q] + i * row_bytes, row, row_bytes)

    return share


def query_reader(arguments: WramSymbol, shared: WramSymbol, sizes: FixedSizes, kind: IntegerType) -> DpuFunction:
    """A view of all queries for a worker, one padded row each."""

    @dpu_function
    def queries_of(t: Tasklet, queries: int, worker: int) -> View:
        a = arguments.array(t)
        row_bytes = sizes.q_bytes or a[Argument.Q_BYTES]
        if queries > 1:
            return wram_view(t, kind, shared.array(t)[QUERIES_AT], queries * row_bytes // kind.itemsize)
        row = mem_alloc(t, kind, row_bytes // kind.itemsize)
        if worker >= 0:
            mram_read(t, a[Argument.Q], row, row_bytes)
        return row

    return queries_of
