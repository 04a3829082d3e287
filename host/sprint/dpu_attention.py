"""Pruned attention on emulated DPUs beside dense attention on the same data (S4-13).

Owns the experiment: heads decode queries one after the other, over K and V that stay, and what is kept, what is moved
and how long the machine takes is noted. The kernel is dpu_kernels.pruning, its host side host.attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpu_kernels.pruning import Decision, PrunedNorm
from host.attention.answers import Answers, rearrange
from host.attention.attention_set import AttentionSet
from host.attention.layout import Paging
from host.attention.partition import WHOLE, Partition
from host.attention.spec import AttentionSpec
from pim_runtime import EngineOptions, Machine
from pim_runtime.counters import Counter

from .arguments import check_queries_keys_and_values
from .calibration import quantile_threshold
from .dpu_selector import DpuSelector
from .scores import approximate_scores
from .thresholding import Thresholder

__all__ = [
    "DEFAULT_TASKLETS",
    "DpuHeads",
    "DpuRun",
    "DpuSetup",
    "PrunedRun",
    "kept_fraction_thresholds",
    "prune_on_dpus",
]

DEFAULT_TASKLETS = 12  # eleven workers fill the pipeline, and leave WRAM for the tables of a head of 128 dimensions
_INT8_MAX = 128
_DMA_BYTES = [Counter.READ_BYTES, Counter.WRITE_BYTES]
_DMAS = [Counter.READS, Counter.WRITES]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DpuHeads:
    """Attention heads as int8: queries [heads, n, dim], keys and values [kv_heads, tokens, dim].

    Query head h belongs to KV head h // (heads / kv_heads). logit_scales: float64 [heads], logit per unit of score.
    """

    queries: NDArray[np.int8]
    keys: NDArray[np.int8]
    values: NDArray[np.int8]
    logit_scales: NDArray[np.float64]

    def __post_init__(self) -> None:
        heads, kv_heads = self.queries.shape[0], self.keys.shape[0]
        if self.queries.ndim != 3 or self.keys.ndim != 3 or heads % max(1, kv_heads):
            raise ValueError(
                f"queries {self.queries.shape}, keys {self.keys.shape}: they are [heads, n, dim] and [kv_heads, tokens, "
                "dim], and heads a multiple of kv_heads"
            )
        check_queries_keys_and_values(self.queries, self.keys_of_heads, self.values_of_heads)

    @property
    def keys_of_heads(self) -> NDArray[np.int8]:
        """Keys [heads, tokens, dim]; heads that share them repeat them."""
        return self.keys.repeat(len(self.queries) // len(self.keys), axis=0)

    @property
    def values_of_heads(self) -> NDArray[np.int8]:
        """As `keys_of_heads`."""
        return self.values.repeat(len(self.queries) // len(self.values), axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DpuSetup:
    """Where and how it runs; the meaning is that of AttentionSet.

    machine: None for the default one. options: of the engine.
    """

    norm: PrunedNorm = "softmax"
    partition: Partition = WHOLE
    paging: Paging = "contiguous"
    nr_tasklets: int = DEFAULT_TASKLETS
    machine: Machine | None = None
    options: EngineOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DpuRun:
    """What the queries of all heads left, one step after the other.

    answers: the record of the norm, arrays [heads, n, ...]. kept: bool [heads, n, tokens].
    launch_s: modelled time of a step's launch, float64 [n]: the slowest DPU's. step_s: with its transfers.
    dmas, dma_bytes: between MRAM and WRAM, of all DPUs, int64 [n]. decision: how nibbles were multiplied.
    """

    answers: Answers
    kept: NDArray[np.bool_]
    launch_s: NDArray[np.float64]
    step_s: NDArray[np.float64]
    dmas: NDArray[np.int64]
    dma_bytes: NDArray[np.int64]
    decision: Decision
    nr_dpus: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrunedRun:
    """A run at a keep fraction beside the dense one. keep_fraction: wanted. theta: float64 [heads, 1]."""

    keep_fraction: float
    theta: NDArray[np.float64]
    dense: DpuRun
    pruned: DpuRun

    @property
    def kept_fraction(self) -> float:
        """Kept tokens of all."""
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


def attention_spec(
    heads: DpuHeads, setup: DpuSetup, selection: Literal["dense", "pruned"], thresholder: Thresholder
) -> AttentionSpec:
    """What DPUs compute. Raises as AttentionSpec and DpuSelector do."""
    scales = tuple(heads.logit_scales.tolist()) if setup.norm == "softmax" else ()
    return AttentionSpec(
        heads=len(heads.queries),
        kv_heads=len(heads.keys),
        dim=heads.keys.shape[2],
        max_tokens=heads.keys.shape[1],
        dtype="int8",
        norm=setup.norm,
        q_max=_INT8_MAX,
        kv_max=_INT8_MAX,
        logit_scales=scales,
        selector=DpuSelector(thresholder=thresholder) if selection == "pruned" else None,
    )


def run_on_dpus(heads: DpuHeads, setup: DpuSetup, spec: AttentionSpec, theta: ArrayLike | None) -> DpuRun:
    """Decode every query; theta broadcasts to [heads, n], None without a selector. Raises what AttentionSet raises."""
    nr_queries, tokens = heads.queries.shape[1], heads.keys.shape[1]
    thresholds = None if theta is None else np.broadcast_to(theta, heads.queries.shape[:2])
    answers: list[Answers] = []
    kept: list[NDArray[np.bool_]] = []
    counts: list[NDArray[np.int64]] = []
    launch_ps, step_ps = np.zeros(nr_queries), np.zeros(nr_queries)
    with AttentionSet(
        spec,
        batch=1,
        partition=setup.partition,
        paging=setup.paging,
        nr_tasklets=setup.nr_tasklets,
        machine=setup.machine,
        options=setup.options,
    ) as attention:
        attention.load_kv(heads.keys[None], heads.values[None])
        for step in range(nr_queries):
            before = len(attention.timeline.rows)
            attention.push_q(heads.queries[None, :, step], theta=None if thresholds is None else thresholds[:, step])
            launches = attention.launch()
            answers.append(rearrange([attention.pull_o()], lambda found: found[0]))
            rows = attention.timeline.rows[before:]
            launch_ps[step] = sum(row.duration_ps for row in rows if row.operation == "launch")
            step_ps[step] = sum(row.duration_ps for row in rows)
            counters = [launch.counters.rows for launch in launches]
            counts.append(sum((rows.reshape(-1, rows.shape[-1]).sum(axis=0) for rows in counters), np.int64(0)))
            every = np.ones((len(heads.queries), tokens), np.bool_)
            kept.append(every if thresholds is None else attention.pull_kept()[0])
        return DpuRun(
            answers=rearrange(answers, lambda *pieces: np.stack(pieces, axis=1)),
            kept=np.stack(kept, axis=1),
            launch_s=launch_ps / 1e12,
            step_s=step_ps / 1e12,
            dmas=np.array([count[_DMAS].sum() for count in counts]),
            dma_bytes=np.array([count[_DMA_BYTES].sum() for count in counts]),
            decision=attention.contexts.wram.decision,
            nr_dpus=len(attention.dpus),
        )


def kept_fraction_thresholds(heads: DpuHeads, keep_fraction: float, thresholder: Thresholder) -> NDArray[np.float64]:
    """Thresholds [heads, 1] with which the heads keep so many of their tokens, over all of their queries (S4-3).

    A fraction of 1 gives -inf: everything is kept, whatever the scores are. Raises as `quantile_threshold`.
    """
    if keep_fraction == 1:
        return np.full((len(heads.queries), 1), -np.inf)
    scores = approximate_scores(heads.queries, heads.keys_of_heads, thresholder.analog)
    lifted = scores + thresholder.offsets(heads.queries)[..., None]
    return quantile_threshold(lifted, keep_fraction, scope="head")


def prune_on_dpus(
    heads: DpuHeads,
    keep_fractions: Sequence[float],
    *,
    thresholder: Thresholder | None = None,
    setup: DpuSetup | None = None,
) -> list[PrunedRun]:
    """A run per keep fraction, and one dense run that all of them are compared with.

    Raises ValueError for fractions outside 0 to 1 or what DPUs cannot decide with, CapacityError for heads that do not
    fit a DPU, DpuFaultError.
    """
    how, where = thresholder or Thresholder(), setup or DpuSetup()
    pruned_spec = attention_spec(heads, where, "pruned", how)
    thetas = [kept_fraction_thresholds(heads, fraction, how) for fraction in keep_fractions]
    dense = run_on_dpus(heads, where, replace(pruned_spec, selector=None), None)
    return [
        PrunedRun(
            keep_fraction=fraction,
            theta=theta,
            dense=dense,
            pruned=run_on_dpus(heads, where, pruned_spec, theta),
        )
        for fraction, theta in zip(keep_fractions, thetas, strict=True)
    ]
