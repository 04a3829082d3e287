"""One attention experiment: run a workload on DPUs step by step, and keep outputs, modelled and measured times."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pim_runtime import EngineOptions, Machine
from pim_runtime.timeline import Timeline

from .answers import Answers, rearrange
from .attention_set import AttentionSet
from .layout import Paging
from .partition import WHOLE, Partition
from .workload import Workload

__all__ = ["Outcome", "run_workload"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a run left.

    outputs: answers of all queries, [steps, batch, heads, ...]. nr_waves: launches per step, one after the other.
    timeline: every command, modelled. decode_rows: index of the timeline's first row after loading K and V.
    load_seconds, fill_seconds, decode_seconds: wall time here of program load (with compilation), K/V transfer, steps.
    """

    outputs: Answers
    timeline: Timeline
    decode_rows: int
    nr_dpus: int
    nr_ranks: int
    nr_waves: int
    partition: Partition
    nr_tasklets: int
    load_seconds: float
    fill_seconds: float
    decode_seconds: float


def run_workload(
    workload: Workload,
    *,
    partition: Partition = WHOLE,
    paging: Paging = "contiguous",
    nr_dpus: int | None = None,
    nr_tasklets: int,
    machine: Machine,
    options: EngineOptions,
    advance: Callable[[int], None],
) -> Outcome:
    """Load K and V, then decode every step; `advance(1)` is called after each step.

    Raises what AttentionSet raises, and DpuFaultError.
    """
    started = time.perf_counter()
    with AttentionSet(
        workload.spec,
        batch=workload.batch,
        partition=partition,
        paging=paging,
        nr_dpus=nr_dpus,
        nr_tasklets=nr_tasklets,
        machine=machine,
        options=options,
    ) as attention:
        loaded = time.perf_counter()
        attention.load_kv(workload.k, workload.v)
        filled, decode_rows = time.perf_counter(), len(attention.timeline)
        steps: list[Answers] = []
        for queries in workload.queries:
            steps.append(attention.decode(np.ascontiguousarray(queries)))
            advance(1)
        return Outcome(
            outputs=rearrange(steps, lambda *pieces: np.stack(pieces)),
            timeline=attention.timeline,
            decode_rows=decode_rows,
            nr_dpus=len(attention.dpus),
            nr_ranks=len(attention.dpus.ranks()),
            nr_waves=attention.nr_waves,
            partition=partition,
            nr_tasklets=nr_tasklets,
            load_seconds=loaded - started,
            fill_seconds=filled - loaded,
            decode_seconds=time.perf_counter() - filled,
        )
