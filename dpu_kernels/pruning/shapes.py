"""What host and kernel agree on beside the shapes of dense attention: packed rows, thresholds, bits of kept tokens."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Literal

from pim_runtime.device import int16

from ..attention import GROUP, STATE_LENGTH, ZscoreState, storage

__all__ = [
    "PRUNED_STATE_LENGTH",
    "TABLE_LENGTH",
    "Decision",
    "PrunedNorm",
    "SelectionArgument",
    "ZscoreStatistic",
    "decision_rows_at_once",
    "kept_bytes",
    "nibble_row_bytes",
    "pairs_of",
    "tables_bytes",
]


PrunedNorm = Literal["softmax", "div_d", "zscore"]

Decision = Literal["tables", "multiply"]
"""How products of nibbles are made, see `products`. The results are the same."""

TABLE_LENGTH = 256  # int16, one per value of a byte


class SelectionArgument(IntEnum):
    """Places in the host variable `selection`, int32."""

    NIBBLES = 0  # bytes from the first row of K, of a slot or a block, to its first packed row
    ROW_BYTES = 1  # a packed row, padded to DMA granularity
    ROWS_AT_ONCE = 2  # packed rows that one DMA loads at most
    LEVELS = 3  # MRAM address: what the queries are multiplied with packed rows as, a row of Argument.Q_BYTES each
    THRESHOLDS = 4  # MRAM address: int64 per query
    KEPT = 5  # MRAM address of the bits, see `kept_bytes`


def nibble_row_bytes(dim: int) -> int:
    """Bytes of a packed row of `dim` nibbles, padded to the DMA granularity."""
    return storage("int4").row_bytes(dim)


class ZscoreStatistic(IntEnum):
    """What stands behind the statistics of dense z-scores: how many tokens a query kept."""

    KEPT = len(ZscoreState)


PRUNED_STATE_LENGTH: Mapping[PrunedNorm, int] = MappingProxyType(
    {
        "softmax": STATE_LENGTH["softmax"],
        "div_d": STATE_LENGTH["div_d"],
        "zscore": STATE_LENGTH["zscore"] + len(ZscoreStatistic),
    }
)
"""As STATE_LENGTH of dense attention."""


def pairs_of(dim: int) -> int:
    """Bytes of a packed row that hold elements."""
    return (dim + 1) // 2


def tables_bytes(dim: int, queries: int) -> int:
    """WRAM of the tables of all queries."""
    return queries * pairs_of(dim) * TABLE_LENGTH * int16.itemsize


def decision_rows_at_once(dim: int, longest_dma_bytes: int) -> int:
    """Packed rows of a group that one DMA loads."""
    return min(GROUP, longest_dma_bytes // nibble_row_bytes(dim))


def kept_bytes(groups: int, queries: int, most_workers: int) -> int:
    """Room for a bit per token and query of `groups` groups, however many workers share them.

    A byte holds the bits of a group of tokens for one query, token 0 in bit 0. Bytes lie in chunks of GROUP groups of
    the same worker, [chunk][worker][GROUP][queries]: the c-th group of a worker is in its chunk c // GROUP. A chunk is
    one DMA.
    """
    return (groups // GROUP + 2 * most_workers) * GROUP * queries
