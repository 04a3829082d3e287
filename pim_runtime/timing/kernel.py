"""Cycles of the kernel on every DPU: pipeline, DMA and barriers.

Owns the closed form. A phase takes the longest of three bounds, each a sum over its tasklets or the worst of them:

    pipeline   sum (slots + load of the DMAs)       the DPU issues one instruction per cycle
    tasklet    max (reissue * slots + DMA stalls)   a tasklet issues one per reissue distance, and waits for its DMAs
    engine     sum (occupancy of the DMAs)          one DMA engine serves all tasklets
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..counters import NR_COUNTERS, Counter, LaunchCounters
from ..hardware import TICKS_PER_CYCLE, DmaLine, Hardware
from .cost import rounded

__all__ = ["KernelTicks", "barrier_ticks", "dpu_kernel_cycles", "kernel_ticks"]

Ticks: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelTicks:
    """Exact kernel time by reason: int64 [nr_dpus], in ticks of 1/TICKS_PER_CYCLE cycle.

    compute: per phase the larger of the pipeline bound and the slots of the slowest tasklet.
    dma: what the phases take beyond compute.  barrier: barriers opened, at BARRIER(nr_tasklets) each.
    """

    compute: Ticks
    dma: Ticks
    barrier: Ticks

    @property
    def total(self) -> Ticks:
        return self.compute + self.dma + self.barrier


def kernel_ticks(counters: LaunchCounters, hardware: Hardware) -> KernelTicks:
    """Kernel time of every DPU without the launch. Exact below 2^63 ticks, 30 days at 350 MHz.

    Source: runs of github.com/tud-ccc/cnm-cost-model (Vecadd, ReduceOp, Scan), met with a mean absolute error of 0.5 %
    at 16 tasklets, 3.0 % at 8 and 0.8 % at 1 to 4.
    Raises ValueError for more tasklets than the hardware has.
    """
    issue = _issue_ticks(hardware)
    reissue = issue * hardware.pipeline.reissue_cycles
    of_tasklet = counters.rows
    of_all = of_tasklet.sum(axis=2)
    compute = np.maximum(of_all @ (issue + _dma_load_ticks(hardware)), (of_tasklet @ reissue).max(axis=2))
    memory = np.maximum(
        of_all @ _occupancy_ticks(hardware), (of_tasklet @ (reissue + _stall_ticks(hardware))).max(axis=2)
    )
    return KernelTicks(
        compute=compute.sum(axis=1),
        dma=(np.maximum(memory, compute) - compute).sum(axis=1),
        barrier=counters.barriers * barrier_ticks(counters.nr_tasklets, hardware),
    )


def dpu_kernel_cycles(counters: LaunchCounters, hardware: Hardware) -> NDArray[np.int64]:
    """Kernel cycles of every DPU, int64 [nr_dpus], rounded up; the launch is not included."""
    return -(-kernel_ticks(counters, hardware).total // TICKS_PER_CYCLE)


def barrier_ticks(nr_tasklets: int, hardware: Hardware) -> int:
    """Ticks of one barrier of `nr_tasklets`, interpolated between the points of the profile and rounded half up.

    Raises ValueError for fewer than one tasklet or more than the hardware has.
    """
    limit = hardware.dpu.max_tasklets
    if not 1 <= nr_tasklets <= limit:
        raise ValueError(
            f"{nr_tasklets} tasklets on {hardware.name}: a DPU runs 1 to {limit} (dpu.max_tasklets). "
            f"Use at most {limit}."
        )
    points = hardware.sync.barrier
    for (x, y), (next_x, next_y) in pairwise(points):
        if nr_tasklets <= next_x:
            return rounded((y + Fraction((next_y - y) * (nr_tasklets - x), next_x - x)) * TICKS_PER_CYCLE)
    return points[-1][1] * TICKS_PER_CYCLE


# Every bound is linear in the counters of a row, so each is a row of prices: ticks per unit of each counter.


def _issue_ticks(hardware: Hardware) -> Ticks:
    return _prices(
        {
            Counter.SLOTS: TICKS_PER_CYCLE,
            Counter.READS: hardware.dma.issue_slots * TICKS_PER_CYCLE,
            Counter.WRITES: hardware.dma.issue_slots * TICKS_PER_CYCLE,
            Counter.LOCKS: hardware.sync.lock_slots * TICKS_PER_CYCLE,
            Counter.SYNCS: hardware.sync.sync_slots * TICKS_PER_CYCLE,
            Counter.ALLOCS: hardware.sync.alloc_slots * TICKS_PER_CYCLE,
        }
    )


def _dma_load_ticks(hardware: Hardware) -> Ticks:
    load = _ticks(hardware.dma.pipeline_load_slots)
    return _prices({Counter.READS: load, Counter.WRITES: load})


def _occupancy_ticks(hardware: Hardware) -> Ticks:
    return _dma_prices(hardware.dma.read_occupancy, hardware.dma.write_occupancy)


def _stall_ticks(hardware: Hardware) -> Ticks:
    return _dma_prices(hardware.dma.read_stall, hardware.dma.write_stall)


def _dma_prices(read: DmaLine, write: DmaLine) -> Ticks:
    return _prices(
        {
            Counter.READS: _ticks(read.setup_cycles),
            Counter.READ_BYTES: _ticks(read.cycles_per_byte),
            Counter.WRITES: _ticks(write.setup_cycles),
            Counter.WRITE_BYTES: _ticks(write.cycles_per_byte),
        }
    )


def _prices(of: dict[Counter, int]) -> Ticks:
    prices = np.zeros(NR_COUNTERS, np.int64)
    for counter, ticks in of.items():
        prices[counter] = ticks
    return prices


def _ticks(cycles: Decimal) -> int:
    return int(Fraction(cycles) * TICKS_PER_CYCLE)
