"""Pruned attention on emulated DPUs beside dense attention on the same data (S4-13).

Owns the experiment: heads decode queries one after the other, over K and V that stay, and what is kept, what is moved
and how long the machine takes is noted. The kernel is dpu_kernels.pruning, its host side host.attention.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpu_kernels.pruning import PrunedNorm
from host.attention.answers import Answers, rearrange
from host.attention.attention_set import AttentionSet
from host.attention.layout import Paging
from host.attention.partition import WHOLE, Partition
from host.attention.spec import AttentionSpec
from host.attention.wram_plan import WramPlan
from pim_runtime import EngineOptions, Machine
from pim_runtime.counters import Counter

from .dpu_selector import DpuSelector
from .inputs import QueryStream
from .thresholding import Thresholder

__all__ = [
    "DEFAULT_TASKLETS",
    "DpuRun",
    "DpuSetup",
    "PrunedRun",
    "at_positions",
    "prune_on_dpus",
    "run_on_dpus",
    "stream_spec",
]

DEFAULT_TASKLETS = 12  # eleven workers fill the pipeline, and leave WRAM for the tables of a head of 128 dimensions
_INT8_MAX = 128
_PS_PER_S = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class DpuSetup:
    """Where and how a stream runs; the meaning is that of AttentionSet.

    kv_heads: heads of K and V, each of them shared by equally many neighbouring heads of the stream; None: as many as
        there are different ones.
    machine: None for the default one. options: of the engine.
    """

    norm: PrunedNorm = "softmax"
    kv_heads: int | None = None
    partition: Partition = WHOLE
    paging: Paging = "contiguous"
    nr_tasklets: int = DEFAULT_TASKLETS
    machine: Machine | None = None
    options: EngineOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DpuRun:
    """What n queries of all heads left, one step after the other.

    answers: the record of the norm, arrays [heads, n, ...]. kept: bool [heads, n, tokens].
    launch_s: modelled time of a step's launch, float64 [n]: the slowest DPU's. step_s: with its transfers.
    dmas, dma_bytes: between MRAM and WRAM, of all DPUs, int64 [n].
    wram: how WRAM was divided; its `decision` says how nibbles were multiplied. nr_dpus: that took part.
    """

    answers: Answers
    kept: NDArray[np.bool_]
    launch_s: NDArray[np.float64]
    step_s: NDArray[np.float64]
    dmas: NDArray[np.int64]
    dma_bytes: NDArray[np.int64]
    wram: WramPlan
    nr_dpus: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrunedRun:
    """A run with pruning beside a dense one. theta: float64 [heads, n]."""

    theta: NDArray[np.float64]
    dense: DpuRun
    pruned: DpuRun

    @property
    def kept_fraction(self) -> float:
        """Kept tokens of all that these queries saw."""
        return float(self.pruned.kept.mean())

    @property
    def speed_up(self) -> float:
        """Modelled time of all launches, dense over pruned."""
        return float(self.dense.launch_s.sum() / self.pruned.launch_s.sum())

    @property
    def step_speed_up(self) -> float:
        """As `speed_up`, with the transfers of queries and outputs."""
        return float(self.dense.step_s.sum() / self.pruned.step_s.sum())

    @property
    def bytes_saved(self) -> float:
        """Share of the dense DMA bytes that pruning does not move; negative where it moves more."""
        return 1 - float(self.pruned.dma_bytes.sum() / self.dense.dma_bytes.sum())


def at_positions(stream: QueryStream, positions: Sequence[int]) -> QueryStream:
    """The stream with some of its queries. Raises ValueError for none, or positions that do not exist."""
    chosen, there_are = np.asarray(positions, np.int64), stream.queries.shape[1]
    if not chosen.size or chosen.min() < 0 or chosen.max() >= there_are:
        raise ValueError(f"positions {list(positions)}: the stream has queries 0 to {there_are - 1}; choose some")
    return replace(stream, queries=np.ascontiguousarray(stream.queries[:, chosen]))


def stream_spec(stream: QueryStream, setup: DpuSetup, thresholder: Thresholder) -> AttentionSpec:
    """What DPUs compute with pruning; without its selector, what they compute densely.

    Raises ValueError for heads that do not share K and V as `setup` says, and as AttentionSpec and DpuSelector do.
    """
    _shared_rows(stream, setup)
    return AttentionSpec(
        heads=stream.heads,
        kv_heads=_kv_heads(stream, setup),
        dim=stream.dim,
        max_tokens=stream.tokens,
        dtype="int8",
        norm=setup.norm,
        q_max=_INT8_MAX,
        kv_max=_INT8_MAX,
        logit_scales=tuple(stream.logit_scales.tolist()) if setup.norm == "softmax" else (),
        selector=DpuSelector(thresholder=thresholder),
    )


def run_on_dpus(stream: QueryStream, setup: DpuSetup, spec: AttentionSpec, theta: ArrayLike | None = None) -> DpuRun:
    """Decode every query of the stream with the whole of K and V, padding included.

    theta: with a selector, broadcast to [heads, n]. Raises what AttentionSet raises.
    """
    nr_queries = stream.queries.shape[1]
    thresholds = None if theta is None else np.broadcast_to(theta, stream.queries.shape[:2])
    answers: list[Answers] = []
    kept: list[NDArray[np.bool_]] = []
    counts: list[NDArray[np.int64]] = []
    launch_ps, step_ps = (np.zeros(nr_queries, np.int64) for _ in range(2))
    with AttentionSet(
        spec,
        batch=1,
        partition=setup.partition,
        paging=setup.paging,
        nr_tasklets=setup.nr_tasklets,
        machine=setup.machine,
        options=setup.options,
    ) as attention:
        attention.load_kv(*_shared_rows(stream, setup))
        for step in range(nr_queries):
            before = len(attention.timeline.rows)
            attention.push_q(stream.queries[None, :, step], theta=None if thresholds is None else thresholds[:, step])
            counters = [launch.counters.rows for launch in attention.launch()]
            answers.append(rearrange([attention.pull_o()], lambda found: found[0]))
            rows = attention.timeline.rows[before:]
            launch_ps[step] = sum(row.duration_ps for row in rows if row.operation == "launch")
            step_ps[step] = sum(row.duration_ps for row in rows)
            counts.append(np.concatenate(counters).sum(axis=(0, 1, 2)))
            kept.append(
                np.ones((stream.heads, stream.tokens), np.bool_) if thresholds is None else attention.pull_kept()[0]
            )
        events = np.stack(counts)
        return DpuRun(
            answers=rearrange(answers, lambda *pieces: np.stack(pieces, axis=1)),
            kept=np.stack(kept, axis=1),
            launch_s=launch_ps / _PS_PER_S,
            step_s=step_ps / _PS_PER_S,
            dmas=events[:, [Counter.READS, Counter.WRITES]].sum(axis=1),
            dma_bytes=events[:, [Counter.READ_BYTES, Counter.WRITE_BYTES]].sum(axis=1),
            wram=attention.contexts.wram,
            nr_dpus=len(attention.dpus),
        )


def prune_on_dpus(
    stream: QueryStream,
    thetas: Sequence[ArrayLike],
    *,
    positions: Sequence[int],
    thresholder: Thresholder | None = None,
    setup: DpuSetup | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[PrunedRun]:
    """A run per threshold, and one dense run that all of them are compared with; padding is left away.

    thetas: numbers, or arrays that broadcast to [heads, queries] of the stream, as `calibrated_pruning` finds them;
    -inf keeps everything. positions: of the queries that run. advance(1) is called after each run, 1 + len(thetas).
    Raises ValueError for positions that do not exist, or what DPUs cannot decide with; CapacityError for heads that do
    not fit a DPU; DpuFaultError.
    """
    whole, how, where = stream.unpadded, thresholder or Thresholder(), setup or DpuSetup()
    running, chosen = at_positions(whole, positions), np.asarray(positions)
    spec, runs = stream_spec(whole, where, how), []
    dense = run_on_dpus(running, where, replace(spec, selector=None))
    for theta in thetas:
        if advance is not None:
            advance(1)
        own = np.broadcast_to(np.asarray(theta, np.float64), whole.queries.shape[:2])[:, chosen]
        runs.append(PrunedRun(theta=own, dense=dense, pruned=run_on_dpus(running, where, spec, own)))
    if advance is not None:
        advance(1)
    return runs


def _shared_rows(stream: QueryStream, setup: DpuSetup) -> tuple[NDArray[Any], NDArray[Any]]:
    """K and V [1, kv_heads, tokens, dim]. Raises ValueError unless heads that share them have the same."""
    kv_heads = _kv_heads(stream, setup)
    if kv_heads < 1 or stream.heads % kv_heads:
        raise ValueError(f"kv_heads = {kv_heads} for {stream.heads} heads: each of them serves equally many heads")
    group = stream.heads // kv_heads
    shared = stream.keys[::group], stream.values[::group]
    for name, rows, own in zip(("keys", "values"), shared, (stream.keys, stream.values), strict=True):
        if not np.array_equal(rows.repeat(group, axis=0), own):
            raise ValueError(f"kv_heads = {kv_heads}: {group} heads each would share {name}, but theirs differ")
    return shared[0][None], shared[1][None]


def _kv_heads(stream: QueryStream, setup: DpuSetup) -> int:
    """As set up; else as many as differ, where equally many neighbouring heads share each of them."""
    if setup.kv_heads is not None:
        return setup.kv_heads
    differs = [
        any(not np.array_equal(rows[head], rows[head - 1]) for rows in (stream.keys, stream.values))
        for head in range(1, stream.heads)
    ]
    starts = np.flatnonzero([True, *differs])
    group = stream.heads // len(starts)
    is_even = np.array_equal(starts, np.arange(len(starts)) * group) and group * len(starts) == stream.heads
    return len(starts) if is_even else stream.heads
