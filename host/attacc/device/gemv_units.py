"""The GEMV units of one channel while it serves a head: their buffers, multipliers, adder trees and accumulators.

Owns the arithmetic of MAC_AB, and what must have arrived before it. Arrays begin with
[pseudo channels, groups, parts], one entry per unit. All numbers are exact: int64, where AttAcc has 16-bit floats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..commands import SCORES_PER_MOVE
from .faults import IllegalCommand, check_index
from .geometry import HeadGeometry

__all__ = ["GemvUnits"]

Integers = NDArray[np.int64]


class GemvUnits:
    """Units that serve `queries` at once, of elements of `query_bits`, over `tokens`."""

    def __init__(self, geometry: HeadGeometry, *, queries: int, query_bits: int, tokens: int) -> None:
        self._geometry, self._nr_queries, self._query_bits = geometry, queries, query_bits
        self._slots = geometry.slots(tokens)
        units = geometry.hardware.units.pseudo_channels, geometry.groups, geometry.parts
        columns, lanes = geometry.columns, geometry.lanes
        weight_blocks = -(-self._slots // lanes)
        self._query_columns = np.zeros((queries, geometry.parts, columns, lanes), np.int64)
        self._query_there = np.zeros((queries, geometry.parts, columns), np.bool_)
        self._weights = np.zeros((queries, *units[:2], weight_blocks * lanes), np.int64)
        self._weights_there = np.zeros((queries, geometry.groups, weight_blocks), np.bool_)
        self._partial_scores = np.zeros((*units, queries, SCORES_PER_MOVE), np.int64)
        self._accumulators = np.zeros((*units, queries, columns, lanes), np.int64)
        self._keys_done = np.zeros((self._slots, columns), np.bool_)
        self._values_done = np.zeros((self._slots, columns), np.bool_)
        self._block = 0  # of slots, whose scores the units hold
        self._taken = np.zeros((queries, geometry.groups), np.bool_)

    def write_query(self, query: int, part: int, column: int, elements: tuple[int, ...]) -> None:
        """A column of a query arrives (WR_GB)."""
        check_index("query", query, self._nr_queries)
        check_index("part", part, self._geometry.parts)
        check_index("column", column, self._geometry.columns)
        limit = 1 << (self._query_bits - 1)
        if len(elements) != self._geometry.lanes or not all(-limit <= element < limit for element in elements):
            raise IllegalCommand(
                f"{len(elements)} elements of {min(elements, default=0)} to {max(elements, default=0)}: a column is "
                f"{self._geometry.lanes} integers of {-limit} to {limit - 1}"
            )
        if self._keys_done.any():
            raise IllegalCommand("the units multiply K already: write all of the query before the first MAC_AB")
        self._query_columns[query, part, column] = elements
        self._query_there[query, part, column] = True

    def multiply_keys(self, slot: int, column: int, keys: Integers) -> None:
        """A column of K [pseudo channels, groups, parts, lanes]: each unit adds it up into the score of its token."""
        if not self._query_there.all():
            query, part, missing = np.argwhere(~self._query_there)[0].tolist()
            raise IllegalCommand(
                f"column {missing} of query {query}, part {part}, is not in the GEMV buffers, which lack "
                f"{(~self._query_there).sum()} of {self._query_there.size} columns: WR_GB first"
            )
        block, register = divmod(slot, SCORES_PER_MOVE)
        self._once(self._keys_done, slot, column, "K")
        if block != self._block:
            raise IllegalCommand(
                f"slot {slot}, while the units hold scores of {_shown(self._held)}: MV_SB those of every query and "
                f"bank group first, they have room for {SCORES_PER_MOVE}"
            )
        products = keys[:, :, :, None] * self._query_columns[:, :, column].swapaxes(0, 1)
        self._partial_scores[..., register] += products.sum(axis=-1)
        self._keys_done[slot, column] = True

    def take_scores(self, query: int, group: int, block: int) -> Integers:
        """Parts of the scores of a block of slots (MV_SB): [pseudo channels, parts, slots]."""
        check_index("query", query, self._nr_queries)
        check_index("group", group, self._geometry.groups)
        held = self._held
        if block != self._block or not len(held):
            raise IllegalCommand(
                f"scores of block {block}, but the units hold "
                + (f"those of block {self._block}, {_shown(held)}" if len(held) else "none any more: each moves once")
            )
        if not self._keys_done[held].all():
            slot, column = np.argwhere(~self._keys_done[held])[0].tolist()
            raise IllegalCommand(
                f"column {column} of slot {held[slot]} of K is not multiplied yet: MAC_AB before scores move"
            )
        if self._taken[query, group]:
            raise IllegalCommand(f"the scores of query {query}, bank group {group}, block {block} moved before: once")
        self._taken[query, group] = True
        scores = self._partial_scores[:, group, :, query, : len(held)].copy()
        if self._taken.all():
            self._partial_scores[...], self._taken[...] = 0, False
            self._block += 1
        return scores

    def write_weights(self, query: int, group: int, block: int, weights: Integers) -> None:
        """Weights [pseudo channels, lanes] of a block of slots arrive (MV_GB); the caller checked the indices."""
        lanes = self._geometry.lanes
        self._weights[query, :, group, block * lanes : (block + 1) * lanes] = weights
        self._weights_there[query, group, block] = True

    def multiply_values(self, slot: int, column: int, values: Integers) -> None:
        """A column of V [pseudo channels, groups, parts, lanes]: each lane adds weight times value (MAC mode)."""
        there = self._weights_there[:, :, slot // self._geometry.lanes]
        if not there.all():
            query, group = np.argwhere(~there)[0].tolist()
            raise IllegalCommand(
                f"the weights of slot {slot} for query {query} are not in the GEMV buffers of bank group {group}: "
                f"MV_GB block {slot // self._geometry.lanes} first"
            )
        self._once(self._values_done, slot, column, "V")
        weights = self._weights[..., slot].transpose(1, 2, 0)[:, :, None, :, None]
        self._accumulators[..., column, :] += weights * values[:, :, :, None]
        self._values_done[slot, column] = True

    def take_outputs(self, query: int, rank: int, part: int, column: int) -> Integers:
        """A column of the outputs of a part (MV_SB): [pseudo channels, bank groups of the rank, lanes]."""
        check_index("query", query, self._nr_queries)
        check_index("rank", rank, self._geometry.hardware.units.ranks)
        check_index("part", part, self._geometry.parts)
        check_index("column", column, self._geometry.columns)
        if not self._values_done[:, column].all():
            slot = int(np.argmin(self._values_done[:, column]))
            raise IllegalCommand(
                f"column {column} of slot {slot} of V is not multiplied yet: MAC_AB before outputs move"
            )
        groups = self._geometry.hardware.units.bank_groups
        return self._accumulators[:, rank * groups : (rank + 1) * groups, part, query, column]

    @property
    def _held(self) -> range:
        """Slots whose scores the units hold, or will; none after the last block."""
        first = self._block * SCORES_PER_MOVE
        return range(min(first, self._slots), min(first + SCORES_PER_MOVE, self._slots))

    def _once(self, done: NDArray[np.bool_], slot: int, column: int, matrix: str) -> None:
        if slot >= self._slots:
            raise IllegalCommand(f"slot {slot} of {matrix}: this head has tokens in slots 0 to {self._slots - 1}")
        if done[slot, column]:
            raise IllegalCommand(f"column {column} of slot {slot} of {matrix} was multiplied before: once per head")


def _shown(slots: range) -> str:
    return f"slots {slots[0]} to {slots[-1]}" if slots else "no slots"
