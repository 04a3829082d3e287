"""A bank's products: rows that stay in MRAM, times vectors that come from the controller."""

from .program import bank_program
from .shapes import (
    ALL_ROWS,
    CHUNK_BYTES,
    HEADER_BYTES,
    LARGEST_SUMS,
    MAX_MATRICES,
    MAX_VECTORS,
    MESSAGE_BYTES,
    ROW_GROUP,
    ROW_TYPES,
    Column,
    Header,
    Operation,
    RowType,
    row_bytes,
    row_elements,
)

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
    "Column",
    "Header",
    "Operation",
    "RowType",
    "bank_program",
    "row_bytes",
    "row_elements",
]
