"""Attention on a SPRINT chip, head after head: who loads, who computes, how long it takes, what energy (S4-8 to S4-10).

Takes the kept tokens of any method; joins the spatial locality of the buffer, memory controller, corelets and prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

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
from .timing import NO_THRESHOLDS, QueryTimes, Timing, thresholds_of

__all__ = ["Accelerator", "AttentionRun", "Gain", "Moved", "QueryCycles", "Selecting", "gain"]

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


class QueryCycles(NamedTuple):
    """Parts of each query, int64 [heads, queries], but for the thresholds, for which every query takes the same time.

    load: from the pruning vector until the last token is there. compute: of the slowest corelet. end: of each query,
    from the start of the first one on.
    """

    thresholds: int
    load: NDArray[np.int64]
    compute: NDArray[np.int64]
    end: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Until the last query is done; heads follow one another."""
        return int(self.end[:, -1].sum())


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

    mapping: tokens to corelets, "interleave" as document 4 has it, or "block". timing: what goes on at the same time.
    retention: what stays in the buffer.

    Raises ValueError for a head without dimensions, or a choice that there is not.
    """

    chip: SprintChip
    dim: int
    quant: QuantConfig = INT8
    mapping: PartitionLayout = "interleave"
    timing: Timing = field(default_factory=Timing)
    retention: Retention = "kept"
    corelets: Partition = field(init=False)

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"dim = {self.dim}: a head has at least 1 dimension.")
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
        for one without queries, tokens or heads, or an unknown way to select.
        """
        check_mask("keep", keep)
        if selecting not in get_args(Selecting):
            raise ValueError(f"selecting = {selecting!r}: choose one of {', '.join(get_args(Selecting))}.")
        if not keep.size:
            raise ValueError(f"keep has shape {keep.shape}: attention has heads, queries and tokens.")
        heads = keep.reshape(-1, *keep.shape[-2:])
        tokens = corelet_tokens(heads, self.corelets)
        compute = compute_cycles(tokens, dim=self.dim, lanes=self.chip.corelets.lanes)
        moves = movement(heads, capacity_tokens=self.capacity_tokens, retention=self.retention)
        thresholds = thresholds_of(self.chip, keep.shape[-1]) if selecting == "in memory" else NO_THRESHOLDS
        controller = MemoryController(chip=self.chip, token_bytes=self.token_bytes)
        owner = self.corelets.over(keep.shape[-1]).owner(np.arange(keep.shape[-1]))
        per_head = [
            self.timing.queries(
                load,
                controller,
                thresholds=thresholds,
                compute=of_head,
                owner=owner,
                key_cycles=key_cycles(self.dim, self.chip.corelets.lanes),
            )
            for load, of_head in zip(moves.load, compute, strict=True)
        ]
        times = QueryTimes(*map(np.stack, zip(*per_head, strict=True)))
        cycles = QueryCycles(thresholds.latency, times.load, compute, times.end)
        in_memory_macs = heads.size * self.dim if selecting == "in memory" else 0
        return AttentionRun(
            tokens=tokens,
            moved=_counted(moves, times),
            cycles=cycles,
            cost=attention_cost(self.chip, self._events(heads, moves, cycles, in_memory_macs)),
        )

    def dense(self, queries: int, tokens: int) -> AttentionRun:
        """One head that keeps everything and has no thresholds: the baseline, with padding in both numbers.

        Raises ValueError for less than one query or token.
        """
        if queries < 1 or tokens < 1:
            raise ValueError(f"dense attention of {queries} queries to {tokens} tokens: both are at least 1.")
        return self.run(np.ones((queries, tokens), np.bool_), selecting="nothing")

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
            threshold_cycles=cycles.thresholds * heads * queries,
            load_cycles=int(cycles.load.sum()),
            compute_cycles=int(cycles.compute.sum()),
            total_cycles=cycles.total,
        )


def _counted(moves: Movement, times: QueryTimes) -> Moved:
    load, reuse, evict, refetch = (np.count_nonzero(of, axis=-1).astype(np.int64) for of in moves)
    return Moved(load, reuse, evict, refetch, times.opened_rows, times.row_hits)


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
