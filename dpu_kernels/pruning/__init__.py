"""Decode attention with pruning on DPUs: packed upper halves of K decide which rows of K and V are read (S4-13)."""

from .norms import PrunedNorm
from .program import pruned_attention_program
from .shapes import (
    Decision,
    SelectionArgument,
    decision_rows_at_once,
    kept_bytes,
    nibble_row_bytes,
    tables_bytes,
)

__all__ = [
    "Decision",
    "PrunedNorm",
    "SelectionArgument",
    "decision_rows_at_once",
    "kept_bytes",
    "nibble_row_bytes",
    "pruned_attention_program",
    "tables_bytes",
]
