"""The event form of kernel time: every DMA of every tasklet in turn, for tasklets that do unequal work.

Owns the way from counters to the events of a phase, of which the counters only know sums: the slots of a tasklet lie
evenly around its DMAs, its reads and writes alternate evenly, and all have their mean size. Never below the closed
form, whose bounds hold in whatever order things happen, and much slower to compute: measured here, 3 us per DMA.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..counters import Counter, LaunchCounters
from ..hardware import Hardware
from .kernel import KernelTicks, barriers_ticks, phase_bounds
from .phase_events import TaskletEvents, phase_end_ticks
from .prices import Ticks, dma_load_ticks, issue_ticks, occupancy_ticks, stall_ticks
from .variable import completed_patterns

__all__ = ["MOST_DMAS", "event_kernel_ticks"]

MOST_DMAS = 50_000
"""DMAs of a phase of one DPU that are simulated. Of a longer phase an equal share of every tasklet's work is simulated,
and its time taken as often as the share goes into the whole, because long phases repeat themselves."""

_READ = slice(Counter.READS, Counter.READ_BYTES + 1)  # a number of DMAs, and their bytes
_WRITE = slice(Counter.WRITES, Counter.WRITE_BYTES + 1)

# Of a tasklet: issue ticks; reads, their occupancy and stall; writes, their occupancy and stall.
_Work: TypeAlias = NDArray[np.int64]


def event_kernel_ticks(counters: LaunchCounters, hardware: Hardware, *, most_dmas: int = MOST_DMAS) -> KernelTicks:
    """Kernel time of every pattern of counters, without the launch. Phases that are alike are simulated once.

    compute: per phase the larger of the pipeline bound and the time in which the tasklets would issue their slots.
    Source: runs of github.com/tud-ccc/cnm-cost-model, met with a mean absolute error of 0.5 % at 16 tasklets, 2.9 % at
    8 and 0.8 % at 1 to 4. With their DMAs in the order of the source, which counters do not tell, 8 have 2.3 %.
    Raises ValueError for more tasklets than the hardware has, and for fewer than one DMA to simulate.
    """
    if most_dmas < 1:
        raise ValueError(f"most_dmas is {most_dmas}: a phase is simulated with at least one DMA. Pass most_dmas >= 1.")
    rows = completed_patterns(counters, hardware)
    barrier = barriers_ticks(rows, hardware).sum(axis=1)
    bounds = phase_bounds(rows, hardware)
    issue = rows @ issue_ticks(hardware)
    alone = np.maximum(bounds.compute, _shared_pipeline(issue, hardware.pipeline.reissue_cycles))
    total = np.maximum(_simulated(rows, hardware, most_dmas), np.maximum(bounds.compute, bounds.memory))
    compute = np.minimum(alone, total)
    return KernelTicks(compute=compute.sum(axis=1), dma=(total - compute).sum(axis=1), barrier=barrier)


def _shared_pipeline(issue: Ticks, reissue_cycles: int) -> Ticks:
    """Ticks until the last of the tasklets that issue together has ended; issue [..., nr_tasklets].

    While n of them run, each slot of each takes max(reissue, n) cycles.
    """
    ends = np.sort(issue, axis=-1)
    running = np.arange(issue.shape[-1], 0, -1)
    steps: Ticks = np.diff(ends, axis=-1, prepend=0) @ np.maximum(running, reissue_cycles)
    return steps


def _simulated(rows: NDArray[np.int64], hardware: Hardware, most_dmas: int) -> Ticks:
    """Ticks of every phase, [nr_patterns, nr_phases]."""
    work = _work(rows, hardware)
    distinct, where = np.unique(work.reshape(-1, *work.shape[2:]), axis=0, return_inverse=True)
    load = int(dma_load_ticks(hardware)[Counter.READS])
    reissue = hardware.pipeline.reissue_cycles
    ticks = np.array([_phase_ticks(phase, reissue, load, most_dmas) for phase in distinct], np.int64)
    return ticks[where.reshape(work.shape[:2])]


def _work(rows: NDArray[np.int64], hardware: Hardware) -> _Work:
    """[nr_patterns, nr_phases, nr_tasklets, 7]"""
    occupancy, stall = occupancy_ticks(hardware), stall_ticks(hardware)
    parts = [rows @ issue_ticks(hardware)]
    for dma in (_READ, _WRITE):
        parts += [rows[..., dma.start], rows[..., dma] @ occupancy[dma], rows[..., dma] @ stall[dma]]
    return np.stack(parts, axis=-1)


def _phase_ticks(phase: _Work, reissue_cycles: int, load_ticks: int, most_dmas: int) -> int:
    nr_dmas = int(phase[:, 1].sum() + phase[:, 4].sum())
    shares = max(1, -(-nr_dmas // most_dmas))
    tasklets = [_events(tasklet.tolist(), shares) for tasklet in phase]
    return shares * phase_end_ticks(tasklets, reissue_cycles=reissue_cycles, dma_load_ticks=load_ticks)


def _events(tasklet: Sequence[int], shares: int) -> TaskletEvents:
    """One of so many shares of what a tasklet does, with fewer DMAs, but at least one if there are any."""
    issue, reads, read_occupancy, read_stall, writes, write_occupancy, write_stall = (
        -(-total // shares) for total in tasklet
    )
    is_write = np.diff(np.arange(reads + writes + 1) * writes // max(1, reads + writes)) == 1
    return TaskletEvents(
        issue=_even_parts(issue, reads + writes + 1).tolist(),
        occupancy=_merged(is_write, read_occupancy, write_occupancy),
        stall=_merged(is_write, read_stall, write_stall),
    )


def _merged(is_write: NDArray[np.bool_], read_total: int, write_total: int) -> list[int]:
    """Ticks of each DMA, in order, from the sums over reads and over writes."""
    ticks = np.empty(len(is_write), np.int64)
    for chosen, total in ((is_write, write_total), (~is_write, read_total)):
        ticks[chosen] = _even_parts(total, int(np.count_nonzero(chosen)))
    return ticks.tolist()


def _even_parts(total: int, count: int) -> Ticks:
    """`count` integers that differ by at most 1 and add up to `total`."""
    if count == 0:
        return np.zeros(0, np.int64)
    each, rest = divmod(total, count)
    return each + np.diff(np.arange(count + 1) * rest // count)
