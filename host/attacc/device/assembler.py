"""The stream of commands that computes attention of one head (S1-13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.attention.softmax_plan import SoftmaxPlan

from ..commands import SCORES_PER_MOVE
from .commands import (
    Command,
    MoveOutputs,
    MoveScores,
    MoveWeights,
    Multiply,
    MultiplyMode,
    ReadOutputs,
    ReadStatistics,
    SetHead,
    Softmax,
    WriteBuffer,
)
from .geometry import HeadGeometry

__all__ = ["head_stream"]


def head_stream(
    geometry: HeadGeometry,
    queries: NDArray[np.signedinteger[Any]],
    plans: Sequence[SoftmaxPlan],
    *,
    tokens: int,
    key_row: int,
    value_row: int,
) -> Iterator[Command]:
    """Commands that answer `queries` [n, dim], which share a KV head, with one reading of K and V.

    plans: one per query. Scores, softmax, context; then for each query RD of its statistics and of its outputs.
    """
    everyone, slots = range(len(queries)), geometry.slots(tokens)
    yield SetHead(tokens, key_row, value_row, tuple(plans))
    vectors = geometry.to_columns(queries, fill=0)
    for query, part, column in np.ndindex(*vectors.shape[:3]):
        yield WriteBuffer(query, part, column, tuple(vectors[query, part, column].tolist()))
    for block, first in enumerate(range(0, slots, SCORES_PER_MOVE)):
        yield from _multiply(geometry, "adder tree", key_row, range(first, min(first + SCORES_PER_MOVE, slots)))
        yield from (MoveScores(query, group, block) for query in everyone for group in range(geometry.groups))
    yield from (Softmax(query) for query in everyone)
    for query, group, block in np.ndindex(len(queries), geometry.groups, -(-slots // geometry.lanes)):
        yield MoveWeights(query, group, block)
    yield from _multiply(geometry, "accumulate", value_row, range(slots))
    ranks = geometry.hardware.units.ranks
    for query, column, rank, part in np.ndindex(len(queries), geometry.columns, ranks, geometry.parts):
        yield MoveOutputs(query, rank, part, column)
    for query in everyone:
        yield ReadStatistics(query)
        yield from (ReadOutputs(query, column) for column in range(geometry.columns))


def _multiply(geometry: HeadGeometry, mode: MultiplyMode, first_row: int, slots: range) -> Iterator[Command]:
    for slot in slots:
        for column in range(geometry.columns):
            yield Multiply(mode, geometry.address(slot, column, first_row=first_row))
