"""The buffer die of one channel while it serves a head: softmax buffer, softmax unit, and the outputs.

Owns SFM, which is the integer softmax of the DPU kernels (K-6), and the sums over banks and bank groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from host.attention.reference import softmax_weights
from host.attention.softmax_plan import SoftmaxPlan

from ..commands import SCORES_PER_MOVE
from .faults import IllegalCommand, check_index
from .geometry import HeadGeometry

__all__ = ["BufferDie"]

Integers = NDArray[np.int64]


class BufferDie:
    """Serves as many queries as there are `plans` over `tokens`."""

    def __init__(self, geometry: HeadGeometry, plans: Sequence[SoftmaxPlan], *, tokens: int) -> None:
        self._geometry, self._plans, self._tokens = geometry, plans, tokens
        queries, slots, ranks = len(plans), geometry.slots(tokens), geometry.hardware.units.ranks
        score_blocks, self._weight_blocks = -(-slots // SCORES_PER_MOVE), -(-slots // geometry.lanes)
        self._scores = np.zeros((queries, score_blocks * SCORES_PER_MOVE * geometry.tokens_per_slot), np.int64)
        self._scores_there = np.zeros((queries, geometry.groups, score_blocks), np.bool_)
        # Weights of tokens that do not exist are 0: whatever lies in their place in the banks counts for nothing.
        self._weights = np.zeros((queries, self._weight_blocks * geometry.lanes * geometry.tokens_per_slot), np.int64)
        self._statistics: list[tuple[int, int] | None] = [None] * queries
        self._outputs = np.zeros((queries, geometry.parts, geometry.columns, geometry.lanes), np.int64)
        self._outputs_there = np.zeros((queries, ranks, geometry.parts, geometry.columns), np.bool_)
        self._unread = {(query, column) for query in range(queries) for column in (None, *range(geometry.columns))}

    @property
    def unread(self) -> int:
        """Results that have not been read: statistics of queries, and columns of outputs."""
        return len(self._unread)

    def receive_scores(self, query: int, group: int, block: int, parts: Integers) -> None:
        """Parts of scores [pseudo channels, parts, slots] of a bank group arrive and are added up."""
        slots = block * SCORES_PER_MOVE + np.arange(parts.shape[-1])
        self._scores[query, self._geometry.tokens(slots, group=group)] = parts.sum(axis=1)
        self._scores_there[query, group, block] = True

    def softmax(self, query: int) -> None:
        """SFM: weights of all tokens in Q(P), their sum, and the largest score."""
        check_index("query", query, len(self._plans))
        if not self._scores_there[query].all():
            group, block = np.argwhere(~self._scores_there[query])[0].tolist()
            raise IllegalCommand(
                f"the scores of query {query}, bank group {group}, block {block} have not arrived "
                f"({(~self._scores_there[query]).sum()} of {self._scores_there[query].size} MV_SB missing): MV_SB first"
            )
        scores = self._scores[query, : self._tokens]
        weights = softmax_weights(scores, self._plans[query])
        self._weights[query, : self._tokens] = weights
        self._statistics[query] = int(scores.max()), int(weights.sum())

    def weights(self, query: int, group: int, block: int) -> Integers:
        """Weights [pseudo channels, lanes] of a block of slots for the units of a bank group (MV_GB)."""
        check_index("query", query, len(self._plans))
        check_index("group", group, self._geometry.groups)
        check_index("block", block, self._weight_blocks)
        if self._statistics[query] is None:
            raise IllegalCommand(f"query {query} has no weights yet: SFM comes before MV_GB")
        slots = block * self._geometry.lanes + np.arange(self._geometry.lanes)
        return self._weights[query, self._geometry.tokens(slots, group=group)]

    def receive_outputs(self, query: int, rank: int, part: int, column: int, outputs: Integers) -> None:
        """A column of outputs [pseudo channels, groups, lanes] arrives, and is added to what other ranks sent."""
        if self._outputs_there[query, rank, part, column]:
            raise IllegalCommand(
                f"column {column} of part {part} of query {query} moved from rank {rank} before: once per head"
            )
        self._outputs[query, part, column] += outputs.sum(axis=(0, 1))
        self._outputs_there[query, rank, part, column] = True

    def statistics(self, query: int) -> Integers:
        """The largest score and the sum of weights, [2] (RD)."""
        check_index("query", query, len(self._plans))
        found = self._statistics[query]
        if found is None:
            raise IllegalCommand(f"query {query} has no weights yet: SFM comes before RD")
        self._unread.discard((query, None))
        return np.array(found, np.int64)

    def outputs(self, query: int, column: int) -> Integers:
        """A column of finished outputs, [parts, lanes] (RD)."""
        check_index("query", query, len(self._plans))
        check_index("column", column, self._geometry.columns)
        there = self._outputs_there[query, :, :, column]
        if not there.all():
            rank, part = np.argwhere(~there)[0].tolist()
            raise IllegalCommand(
                f"the outputs of part {part}, rank {rank}, for column {column} of query {query} have not arrived: "
                "MV_SB first"
            )
        self._unread.discard((query, column))
        return self._outputs[query, :, column]
