"""Products of rows and vectors."""

from __future__ import annotations

from pim_runtime.device import (
    DpuFunction,
    Tasklet,
    View,
    dpu_function,
    int32,
    me,
    mram_write,
    nr_tasklets,
)
from pim_runtime.symbols import MramSymbol

from ..attention.rows import clear
from .rows import read_elements
from .shapes import CHUNK_BYTES, ROW_GROUP, Column

__all__ = ["dot_maker"]


@dpu_function
def add_products(products: View, place: int, row: View, vectors: View, first: int, elements: int) -> None:
    """Add a part of a row times the same part of every vector; products stand ROW_GROUP apart."""
    for vector in range(len(vectors) // elements):
        other = vectors.window(vector * elements + first, len(row))
        total = int32(0)
        for i in range(len(row)):
            total = int32(total + row[i] * other[i])
        products[vector * ROW_GROUP + place] = products[vector * ROW_GROUP + place] + total


def dot_maker(heap: MramSymbol) -> DpuFunction:
    """Products of a tasklet's groups of rows with all vectors, to the start of the heap."""

    @dpu_function
    def make_dots(
        t: Tasklet, matrix: View, rows: int, span: int, given: View, stored: View, unpacked: View, products: View
    ) -> None:
        elements, vectors = matrix[Column.ROW_BYTES] * matrix[Column.ELEMENTS_PER_BYTE], len(products) // ROW_GROUP
        row_bytes = matrix[Column.ROW_BYTES]
        for group in range(me(t) * ROW_GROUP, rows, nr_tasklets(t) * ROW_GROUP):
            clear(products)
            for place in range(min(ROW_GROUP, rows - group)):
                for start in range(0, row_bytes, CHUNK_BYTES):
                    nr_bytes = min(CHUNK_BYTES, row_bytes - start)
                    row = read_elements(t, matrix, group + place, start, nr_bytes, stored, unpacked)
                    first = start * matrix[Column.ELEMENTS_PER_BYTE]
                    add_products(products, place, row, given, first, elements)
            for vector in range(vectors):
                target = heap.address + 4 * (vector * span + group)
                mram_write(t, products.window(vector * ROW_GROUP, ROW_GROUP), target, 4 * ROW_GROUP)

    return make_dots
