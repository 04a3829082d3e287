"""Attention on a SPRINT chip, head after head: who loads, who computes, how long it takes, what energy (S4-8 to S4-10).

Takes the kept tokens of any method; joins the spatial locality of the buffer, memory controller, corelets and prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.attention.partition import Partition, PartitionLayout
from host.llm.quantisation import INT8, QuantConfig
from host.machines.cost import Cost
from host.machines.sprint_chip import SprintChip

from .arguments import check_mask
from .controller import MemoryController
from .corelets import compute_cycles, corelet_tokens, key_cycles, mean_balance
from .energy import Events, attention_cost
from .head import attention_macs, kv_token_bytes
from .locality import Movement, Retention, buffer_tokens, movement
from .timing import Misses, Prefetch, QueryCycles, check_overlap, end_cycles, lag_cycles, threshold_cycles

__all__ = ["Accelerator", "AttentionRun", "Gain", "Moved", "Selecting", "gain"]

Selecting = Literal["in memory", "nothing"]
"""Who selects tokens. in memory: thresholds of SPRINT, which every query waits for. nothing: all tokens, or a selection
that is known beforehand, are taken without any."""


class Moved(NamedTuple):
    """Tokens by what became of them, int64 [heads, queries] each: `locality.Movement` counted, and rows of ReRAM.

    opened_rows: row misses of the loads. row_hits: loads that opened no row.
    """

    load: NDArray[np.int64]
    reuse: NDArray[np.int64]
    evict: NDArray[np.int64]
    refetch: NDArray[np.int64]
    opened_rows: NDArray[np.int64]
    row_hits: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttentionRun:
    """What one attention did. tokens: kept ones of each corelet, int64 [heads, queries, corelets]."""

    tokens: NDArray[np.int64]
    moved: Moved
    cycles: QueryCycles
    cost: Cost

    @property
    def heads(self) -> int:
        """Heads, one after the other."""
        return len(self.tokens)

    @property
    def balance(self) -> float:
        """`corelets.mean_balance` of all queries."""
        return mean_balance(self.tokens)


class Gain(NamedTuple):
    """What a run needs less than another one, as ratios; infinite where it needs nothing at all.

    compute: of the corelets' cycles alone, document 4's reason for its speed-ups. over_ideal: cycles of all, over those
    of the other one's corelets alone, as if it never waited for memory (S4-9). time: cycles of all, of both. energy.
    """

    compute: float
    over_ideal: float
    time: float
    energy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A chip, and how it is used. dim: of a head. quant: bits of K and V; a row of Q is as long as one of K.

    mapping: tokens to corelets, "interleave" as document 4 has it, or "block". misses, prefetch, retention: of
    `timing` and `locality`.

    Raises ValueError for a head without dimensions, or a choice that there is not.
    """

    chip: SprintChip
    dim: int
    quant: QuantConfig = INT8
    mapping: PartitionLayout = "interleave"
    misses: Misses = "present first"
    prefetch: Prefetch = "none"
    retention: Retention = "kept"
    corelets: Partition = field(init=False)

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"dim = {self.dim}: a head has at least 1 dimension.")
        check_overlap(self.misses, self.prefetch)
        object.__setattr__(self, "corelets", Partition(parts=self.chip.corelets.count, layout=self.mapping))

    @property
    def token_bytes(self) -> int:
        """Rows of K and V of a token."""
        return kv_token_bytes(self.dim, self.quant)

    @property
    def capacity_tokens(self) -> int:
        """Tokens that the buffers of all corelets hold, K and V."""
        return buffer_tokens(self.chip.corelets.kv_buffer_bytes, dim=self.dim, quant=self.quant)

    def run(self, keep: NDArray[np.bool_], *, selecting: Selecting = "in memory") -> AttentionRun:
        """Attention of queries to the tokens that they keep, bool [..., queries, tokens]; leading axes are heads.

        Every head begins with an empty buffer and closed rows. Raises TypeError for a mask that is not bool, ValueError
        for one without queries, tokens or heads.
        """
        check_mask("keep", keep)
        if not keep.size:
            raise ValueError(f"keep has shape {keep.shape}: attention has heads, queries and tokens.")
        heads = keep.reshape(-1, *keep.shape[-2:])
        tokens = corelet_tokens(heads, self.corelets)
        compute = compute_cycles(tokens, dim=self.dim, lanes=self.chip.corelets.lanes)
        threshold = threshold_cycles(self.chip, keep.shape[-1]) if selecting == "in memory" else 0
        moves = movement(heads, capacity_tokens=self.capacity_tokens, retention=self.retention)
        load, lag, opened, hits = self._loads(moves.load, compute)
        end = [
            end_cycles(threshold=threshold, load=of_load, compute=of_compute, lag=of_lag, prefetch=self.prefetch)
            for of_load, of_compute, of_lag in zip(load.tolist(), compute.tolist(), lag.tolist(), strict=True)
        ]
        cycles = QueryCycles(threshold=threshold, load=load, compute=compute, lag=lag, end=np.array(end))
        macs = heads.size * self.dim if selecting == "in memory" else 0
        return AttentionRun(
            tokens=tokens,
            moved=_counted(moves, opened, hits),
            cycles=cycles,
            cost=attention_cost(self.chip, self._events(heads, moves, cycles, macs)),
        )

    def dense(self, queries: int, tokens: int) -> AttentionRun:
        """One head that keeps everything and has no thresholds: the baseline, with padding in both numbers.

        Raises ValueError for less than one query or token.
        """
        if queries < 1 or tokens < 1:
            raise ValueError(f"dense attention of {queries} queries to {tokens} tokens: both are at least 1.")
        return self.run(np.ones((queries, tokens), np.bool_), selecting="nothing")

    def _loads(
        self, load: NDArray[np.bool_], compute: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Cycles of loads, lags, opened rows and row hits of each query, int64 [heads, queries]."""
        controller = MemoryController(chip=self.chip, token_bytes=self.token_bytes)
        owner = self.corelets.over(load.shape[-1]).owner(np.arange(load.shape[-1]))
        per_key = key_cycles(self.dim, self.chip.corelets.lanes)
        found = np.zeros((4, *load.shape[:-1]), np.int64)
        for head, of_head in enumerate(load):
            for query, reads in enumerate(controller.reads(of_head)):
                lag = lag_cycles(
                    reads, owner, compute=int(compute[head, query]), key_cycles=per_key, misses=self.misses
                )
                found[:, head, query] = reads.cycles, lag, reads.opened_rows, reads.row_hits
        cycles, lags, opened, hits = found
        return cycles, lags, opened, hits

    def _events(self, keep: NDArray[np.bool_], moves: Movement, cycles: QueryCycles, in_memory_macs: int) -> Events:
        heads, queries, tokens = keep.shape
        kept = int(np.count_nonzero(keep))
        return Events(
            written_bytes=heads * tokens * self.token_bytes + heads * queries * self.token_bytes // 2,
            query_bytes=heads * queries * self.token_bytes // 2,
            token_bytes=self.token_bytes,
            in_memory_macs=in_memory_macs,
            loaded=int(np.count_nonzero(moves.load)),
            kept=kept,
            macs=attention_macs(self.dim, kept),
            threshold_cycles=cycles.threshold * heads * queries,
            load_cycles=int(cycles.load.sum()),
            compute_cycles=int(cycles.compute.sum()),
            total_cycles=cycles.total,
        )


def _counted(moves: Movement, opened_rows: NDArray[np.int64], row_hits: NDArray[np.int64]) -> Moved:
    load, reuse, evict, refetch = (np.count_nonzero(of, axis=-1).astype(np.int64) for of in moves)
    return Moved(load, reuse, evict, refetch, opened_rows, row_hits)


def gain(run: AttentionRun, dense: AttentionRun) -> Gain:
    """What `run` needs less than as many heads of `dense`, a run of one head."""
    heads = run.heads / dense.heads
    ours, theirs = run.cycles, dense.cycles
    return Gain(
        compute=_ratio(heads * int(theirs.compute.sum()), int(ours.compute.sum())),
        over_ideal=_ratio(heads * int(theirs.compute.sum()), ours.total),
        time=_ratio(heads * theirs.total, ours.total),
        energy=_ratio(heads * dense.cost.joules, run.cost.joules),
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.inf
