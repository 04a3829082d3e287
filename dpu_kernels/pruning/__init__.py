"""Decode attention with pruning on DPUs: packed upper halves of K decide which rows of K and V are read (S4-13)."""

from .places import PLACE_NOTES
from .program import pruned_attention_program
from .shapes import (
    PRUNED_STATE_LENGTH,
    Decision,
    PrunedNorm,
    SelectionArgument,
    ZscoreStatistic,
    decision_rows_at_once,
    kept_bytes,
    nibble_row_bytes,
    tables_bytes,
)

__all__ = [
    "PLACE_NOTES",
    "PRUNED_STATE_LENGTH",
    "Decision",
    "PrunedNorm",
    "SelectionArgument",
    "ZscoreStatistic",
    "decision_rows_at_once",
    "kept_bytes",
    "nibble_row_bytes",
    "pruned_attention_program",
    "tables_bytes",
]
