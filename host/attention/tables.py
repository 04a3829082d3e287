"""The cells that stand beside the published ones: one decode step, modelled on DPUs and measured on this computer.

Owns how a cell is produced: div_d with wrapping sums on data of all ones, the published program and shape.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_runtime import EngineOptions, Machine

from .attention_set import parts_to_fill
from .cpu_attention import cpu_div_d
from .experiment import run_workload
from .operands import operand_type
from .partition import Partition
from .published import pim_attention
from .reference import attention_div_d
from .workload import Method, Workload, synthetic_workload

__all__ = ["ComparedCell", "Execution", "compare", "local_thread_counts", "published_workload"]

PS_PER_US = 1_000_000
MEASURED_RUNS = 3

Integers = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCell:
    """One dtype and batch.

    modelled_us: push, run and pull of a step on the emulated DPUs, one head each as published.
    filled_us: the same with every head split by tokens over as many DPUs as there are for it (S0-8).
    local_us: microseconds on this computer, by threads.
    outputs: elements that were compared with the integer reference, those of the DPUs and of each CPU run.
    different: how many of them differ.
    """

    batch: int
    nr_dpus: int
    modelled_us: float
    filled_dpus: int
    filled_us: float
    local_us: Mapping[int, float]
    outputs: int
    different: int

    @property
    def best_local_us(self) -> float | None:
        """The fastest run on this computer, None if there was none."""
        return min(self.local_us.values(), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Where a cell is produced: the emulated DPUs, and threads of this computer (none: it is not measured).

    filled_dpus: how many DPUs there are to split heads over.
    """

    machine: Machine
    filled_dpus: int
    options: EngineOptions
    nr_tasklets: int
    thread_counts: Sequence[int]


def published_workload(dtype: str, batch: int) -> Workload:
    """All ones at the published shape. Raises ValueError for what does not fit this computer's memory."""
    table = pim_attention()
    return synthetic_workload(
        Method(dtype=operand_type(dtype).name, norm="div_d", acc="wrap"),
        batch=batch,
        heads=table.heads,
        tokens=table.tokens,
        dim=table.dim,
        data="ones",
        seed=0,
    )


def compare(
    workload: Workload, batches: Sequence[int], execution: Execution, *, advance: Callable[[int], None]
) -> Iterator[ComparedCell]:
    """Cells of the first requests of a workload of all ones, for every batch; `advance(1)` after every run of one.

    Raises what `run_workload` and `cpu_div_d` raise.
    """
    expected = attention_div_d(workload.queries[0, 0, 0], workload.k[0, 0], workload.v[0, 0], acc="wrap")
    for batch in batches:
        part = replace(workload, queries=workload.queries[:, :batch], k=workload.k[:batch], v=workload.v[:batch])
        modelled_us, nr_dpus, dpu_outputs = _modelled(part, execution, Partition())
        parts = parts_to_fill(part.spec, batch=batch, nr_dpus=execution.filled_dpus)
        filled_us, filled_dpus, filled_outputs = _modelled(part, execution, Partition(parts))
        advance(1)
        outputs, local_us = [dpu_outputs, filled_outputs], {}
        for threads in execution.thread_counts:
            local_us[threads], cpu_outputs = _measured(part, threads)
            outputs.append(cpu_outputs)
            advance(1)
        yield ComparedCell(
            batch=batch,
            nr_dpus=nr_dpus,
            modelled_us=modelled_us,
            filled_dpus=filled_dpus,
            filled_us=filled_us,
            local_us=local_us,
            outputs=sum(one.size for one in outputs),
            different=sum(int((one != expected).sum()) for one in outputs),
        )


def local_thread_counts() -> tuple[int, ...]:
    """1, 2, 4, ... and all cores that this process may use."""
    cores = len(os.sched_getaffinity(0))
    return (*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores)


def _modelled(workload: Workload, execution: Execution, partition: Partition) -> tuple[float, int, Integers]:
    """Microseconds of the decode step on the DPUs, their number, and the outputs [batch, heads, dim]."""
    outcome = run_workload(
        workload,
        partition=partition,
        nr_tasklets=execution.nr_tasklets,
        machine=execution.machine,
        options=execution.options,
        advance=lambda steps: None,
    )
    step = outcome.timeline.rows[outcome.decode_rows :]
    outputs = np.asarray(outcome.outputs)[0]
    return sum(row.duration_ps for row in step) / PS_PER_US, outcome.nr_dpus, outputs


def _measured(workload: Workload, nr_threads: int) -> tuple[float, Integers]:
    """Median microseconds of the same step on this computer, after a run that is not timed, and its outputs."""
    q, k, v = np.ascontiguousarray(workload.queries[0]), workload.k, workload.v
    outputs = cpu_div_d(q, k, v, acc="wrap", nr_threads=nr_threads)
    seconds = []
    for _ in range(MEASURED_RUNS):
        started = time.perf_counter()
        cpu_div_d(q, k, v, acc="wrap", nr_threads=nr_threads)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e6, outputs
