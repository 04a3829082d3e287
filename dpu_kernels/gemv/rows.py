"""Reading a part of a row, in whatever type it is stored."""

from __future__ import annotations

from pim_runtime.device import Tasklet, View, dpu_function, mram_read

from ..attention.rows import unpacker
from .shapes import ROW_TYPES, Column

__all__ = ["read_elements"]

PACKED = ROW_TYPES["int4"]
unpack = unpacker(PACKED)


@dpu_function
def read_elements(
    t: Tasklet, matrix: View, row: int, first_byte: int, nr_bytes: int, stored: View, unpacked: View
) -> View:
    """The elements of `nr_bytes` of a row from `first_byte` on, int8; a window of `stored` or `unpacked`."""
    mram_read(t, matrix[Column.ADDRESS] + row * matrix[Column.STRIDE] + first_byte, stored, nr_bytes)
    if matrix[Column.ELEMENTS_PER_BYTE] == PACKED:
        unpack(t, stored.window(0, nr_bytes), unpacked)
        return unpacked.window(0, PACKED * nr_bytes)
    return stored.window(0, nr_bytes)
