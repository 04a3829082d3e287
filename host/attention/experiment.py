"""One attention experiment: run a workload on DPUs step by step, and keep outputs, modelled and measured times."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_runtime import EngineOptions, Machine
from pim_runtime.timeline import Timeline

from .attention_set import AttentionSet
from .sums import SoftmaxSums
from .workload import Workload

__all__ = ["Outcome", "run_workload"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a run left.

    outputs: [steps, batch, heads, dim], integers for norm "div_d", else SoftmaxSums with these leading axes.
    timeline: every command, modelled. decode_rows: index of the timeline's first row after loading K and V.
    load_seconds, fill_seconds, decode_seconds: wall time here of program load (with compilation), K/V transfer, steps.
    """

    outputs: NDArray[np.signedinteger[Any]] | SoftmaxSums
    timeline: Timeline
    decode_rows: int
    nr_dpus: int
    nr_ranks: int
    load_seconds: float
    fill_seconds: float
    decode_seconds: float


def run_workload(
    workload: Workload,
    *,
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
        batch=workload.batch,
        heads=workload.heads,
        dim=workload.dim,
        max_tokens=workload.tokens,
        dtype=workload.k.dtype,
        norm=workload.norm,
        acc=workload.acc,
        operand_max=workload.limit,
        plans=workload.plans,
        nr_tasklets=nr_tasklets,
        machine=machine,
        options=options,
    ) as attention:
        loaded = time.perf_counter()
        attention.load_kv(workload.k, workload.v)
        filled, decode_rows = time.perf_counter(), len(attention.timeline)
        steps = []
        for queries in workload.queries:
            steps.append(attention.decode(np.ascontiguousarray(queries)))
            advance(1)
        return Outcome(
            outputs=_stacked(steps),
            timeline=attention.timeline,
            decode_rows=decode_rows,
            nr_dpus=len(attention.dpus),
            nr_ranks=len(attention.dpus.ranks()),
            load_seconds=loaded - started,
            fill_seconds=filled - loaded,
            decode_seconds=time.perf_counter() - filled,
        )


def _stacked(steps: list[Any]) -> NDArray[np.signedinteger[Any]] | SoftmaxSums:
    if isinstance(steps[0], SoftmaxSums):
        return SoftmaxSums(*(np.stack(parts) for parts in zip(*steps, strict=True)))
    return np.stack(steps)
