"""Decode attention on DPUs: one program per operand type, norm and kind of accumulator."""

from .program import attention_program
from .shapes import (
    ALIGNMENT,
    GROUP,
    TABLE_SIZE,
    Accumulation,
    Argument,
    FixedRows,
    Norm,
    output_kind,
    output_length,
    padded,
    rows_in_a_pass,
    score_kind,
)

__all__ = [
    "ALIGNMENT",
    "GROUP",
    "TABLE_SIZE",
    "Accumulation",
    "Argument",
    "FixedRows",
    "Norm",
    "attention_program",
    "output_kind",
    "output_length",
    "padded",
    "rows_in_a_pass",
    "score_kind",
]
