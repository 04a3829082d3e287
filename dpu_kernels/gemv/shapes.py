"""What controller and banks agree on: the directory of resident matrices, messages, and where results go."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Literal

__all__ = [
    "ALL_ROWS",
    "CHUNK_BYTES",
    "HEADER_BYTES",
    "LARGEST_SUMS",
    "MAX_MATRICES",
    "MAX_VECTORS",
    "MESSAGE_BYTES",
    "ROW_GROUP",
    "ROW_TYPES",
    "STACK_BYTES",
    "Column",
    "Header",
    "Operation",
    "RowType",
    "row_bytes",
    "row_elements",
]

HEADER_BYTES = 32
MESSAGE_BYTES = HEADER_BYTES + (16 << 10)  # of WRAM: the least that document 2 gives the cache of a bank (BRAM)
MAX_MATRICES = 512
MAX_VECTORS = 16  # that meet a row while it is in WRAM (S2-10)
ROW_GROUP = 8  # rows whose products go to MRAM in one DMA
CHUNK_BYTES = 256  # of a row, in one DMA
LARGEST_SUMS = 128  # int64 of a tasklet: columns of all vectors that one pass over the rows sums up
STACK_BYTES = 384

RowType = Literal["int4", "int8"]
ROW_TYPES: Mapping[RowType, int] = MappingProxyType({"int4": 2, "int8": 1})
"""Elements in a byte of a row; int4 are nibbles in two's complement, low one first (K-12)."""


class Operation(IntEnum):
    """DOTS: every row times every vector, int32, to the start of the heap: [vectors, Header.SPAN].

    SUMS: rows added up, each times its weight of every vector, int64: [vectors, elements of a row].
    """

    DOTS = 0
    SUMS = 1


class Header(IntEnum):
    """int32 in the first HEADER_BYTES of a message.

    Behind them: for DOTS vectors int8 [vectors, elements of a row], for SUMS weights int32 [vectors, Header.SPAN].
    """

    OPERATION = 0
    MATRIX = 1  # place in the directory
    VECTORS = 2
    ROWS = 3  # the first ones that take part, or ALL_ROWS
    SPAN = 4  # numbers of a vector for its rows: at least as many, the same in all banks, a multiple of ROW_GROUP


ALL_ROWS = -1


class Column(IntEnum):
    """int32 of a matrix in the directory, the host variable `matrices`. ROW_BYTES is padded to the DMA granularity."""

    ADDRESS = 0
    ROWS = 1
    ROW_BYTES = 2
    STRIDE = 3  # bytes from a row to the next one
    ELEMENTS_PER_BYTE = 4


def row_bytes(elements: int, row_type: RowType) -> int:
    """Bytes that a row takes in MRAM."""
    return (-(-elements // ROW_TYPES[row_type]) + 7) & -8


def row_elements(elements: int, row_type: RowType) -> int:
    """Elements of a row with its padding, which are zeros; vectors are padded alike."""
    return row_bytes(elements, row_type) * ROW_TYPES[row_type]
