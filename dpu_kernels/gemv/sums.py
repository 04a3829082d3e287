"""Weighted sums of rows: every tasklet adds up some of them, then some columns of what all have."""

from __future__ import annotations

from typing import NamedTuple

from pim_runtime.device import (
    DpuFunction,
    Tasklet,
    View,
    dpu_function,
    int64,
    me,
    mram_write,
    nr_tasklets,
    wram_view,
)
from pim_runtime.symbols import MramSymbol

from ..attention.rows import add_to, clear, scaled_adder
from .rows import read_elements
from .shapes import ROW_GROUP, Column

__all__ = ["SumMaker", "sum_maker"]


class SumMaker(NamedTuple):
    """The two steps of weighted sums, with a barrier behind each."""

    add_rows: DpuFunction
    merge: DpuFunction


def sum_maker(heap: MramSymbol) -> SumMaker:
    """Sums of `columns` elements of each row from `first` on, to the start of the heap."""
    add_scaled = scaled_adder(int64)

    @dpu_function
    def add_rows(
        t: Tasklet,
        matrix: View,
        rows: int,
        span: int,
        first: int,
        weights: View,
        stored: View,
        unpacked: View,
        sums: View,
    ) -> None:
        vectors = len(weights) // span
        columns = len(sums) // vectors
        start, nr_bytes = first // matrix[Column.ELEMENTS_PER_BYTE], columns // matrix[Column.ELEMENTS_PER_BYTE]
        clear(sums)
        for row in range(me(t), rows, nr_tasklets(t)):
            elements = read_elements(t, matrix, row, start, nr_bytes, stored, unpacked)
            for vector in range(vectors):
                add_scaled(sums.window(vector * columns, columns), weights[vector * span + row], elements)

    @dpu_function
    def merge(t: Tasklet, sums: View, first: int, columns: int, elements: int, partials: View, total: View) -> None:
        for place in range(me(t) * ROW_GROUP, len(sums), nr_tasklets(t) * ROW_GROUP):
            clear(total)
            for other in range(len(partials)):
                add_to(total, 1, wram_view(t, int64, partials[other] + 8 * place, ROW_GROUP))
            target = place // columns * elements + first + place % columns
            mram_write(t, total, heap.address + 8 * target, 8 * ROW_GROUP)

    return SumMaker(add_rows, merge)
