"""What host and kernel agree on: the arguments of the attention program, and the types and sizes that it stores."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

from pim_runtime.device import IntegerType, int32, int64

__all__ = [
    "ALIGNMENT",
    "GROUP",
    "TABLE_SIZE",
    "Accumulation",
    "Argument",
    "FixedRows",
    "Norm",
    "output_kind",
    "output_length",
    "padded",
    "rows_in_a_pass",
    "score_kind",
]

GROUP = 8  # tokens whose scores move in one DMA
TABLE_SIZE = 257  # 2**(30 - i/256) for i = 0 to 256, and one more for the interpolation
ALIGNMENT = 64  # of a tasklet's buffers: rows that start on a cache line of the host are computed with much faster


class Argument(IntEnum):
    """Places in the host variable `arguments`. Addresses are MRAM offsets, `*_bytes` are padded to DMA granularity."""

    DIM = 0
    TOKENS = 1
    ROW_BYTES = 2  # one row of q, K or V
    Q = 3
    K = 4
    V = 5
    SCORES = 6
    PARTIALS = 7  # one partial output per worker
    OUTPUT = 8
    OUTPUT_BYTES = 9
    SCORE_SLOTS = 10  # instruction slots that the host states per score, weight and weighted row
    NORM_SLOTS = 11
    SUM_SLOTS = 12
    MERGE_SLOTS = 13  # and per partial output that the master adds
    MULTIPLIER = 14  # of the softmax plan (host.attention.softmax_plan)
    SHIFT = 15
    PRE_SHIFT = 16
    MAX_DIFFERENCE = 17
    PROBABILITY_BITS = 18


Norm = Literal["div_d", "zscore", "zscore_linear", "softmax", "softmax_online"]
Accumulation = Literal["wrap", "wide"]


def score_kind(kind: IntegerType, acc: Accumulation) -> IntegerType:
    """Type of a stored score: the operands' own when it wraps, else wide enough for the exact sum (K-1)."""
    if acc == "wrap":
        return kind
    return int32 if kind.bits == 8 else int64


def output_kind(kind: IntegerType, acc: Accumulation) -> IntegerType:
    """Type of a stored output."""
    return kind if acc == "wrap" else int64


def padded(nbytes: int) -> int:
    """Bytes that a row takes in MRAM: a multiple of the DMA granularity."""
    return (nbytes + 7) & -8


def rows_in_a_pass(kind: IntegerType) -> int:
    """Rows of V that are added up in one pass over the output: as many as take the room of one int32 row."""
    return 4 // kind.itemsize


def output_length(dim: int, norm: Norm) -> int:
    """Elements of a stored output."""
    return dim + 2 if norm == "softmax" else dim


class FixedRows(NamedTuple):
    """Sizes that are constants of a program, as `DIM_HEAD` is in C; 0 leaves them to `arguments`."""

    dim: int
    row_bytes: int
