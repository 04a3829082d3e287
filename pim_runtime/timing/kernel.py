"""Cycles of the kernel on every DPU: pipeline, DMA and barriers.

Owns the closed form. A phase takes the longest of three bounds, each a sum over its tasklets or the worst of them:

    pipeline   sum (slots + load of the DMAs)       the DPU issues one instruction per cycle
    tasklet    max (reissue * slots + DMA stalls)   a tasklet issues one per reissue distance, and waits for its DMAs
    engine     sum (occupancy of the DMAs)          one DMA engine serves all tasklets
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..counters import Counter, LaunchCounters
from ..hardware import TICKS_PER_CYCLE, Hardware
from .cost import PS_PER_US, rounded
from .prices import Ticks, dma_load_ticks, issue_ticks, occupancy_ticks, stall_ticks
from .variable import completed_patterns

__all__ = [
    "KernelTicks",
    "PhaseBounds",
    "barrier_ticks",
    "barriers_ticks",
    "dpu_kernel_cycles",
    "duration_ps",
    "kernel_ticks",
    "phase_bounds",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelTicks:
    """Exact kernel time by reason: int64 [nr_patterns], in ticks of 1/TICKS_PER_CYCLE cycle.

    compute: per phase what it would take if DMAs only loaded the pipeline.
    dma: what the phases take beyond compute.  barrier: barriers opened, each at the price of those that waited.
    """

    compute: Ticks
    dma: Ticks
    barrier: Ticks

    @property
    def total(self) -> Ticks:
        return self.compute + self.dma + self.barrier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseBounds:
    """Bounds of every phase, int64 [nr_patterns, nr_phases] ticks.

    compute: of the pipeline, and of the tasklet with the most slots.
    memory: of the engine, and of the slowest tasklet.
    alone: what each tasklet would take without the others, int64 [nr_patterns, nr_phases, nr_tasklets].
    """

    compute: Ticks
    memory: Ticks
    alone: Ticks


def kernel_ticks(counters: LaunchCounters, hardware: Hardware) -> KernelTicks:
    """Kernel time of every pattern of counters, without the launch. Exact below 2^63 ticks, 30 days at 350 MHz.

    compute: per phase the larger of the pipeline bound and the slots of the slowest tasklet.
    Source: runs of github.com/tud-ccc/cnm-cost-model (Vecadd, ReduceOp, Scan), met with a mean absolute error of 0.5 %
    at 16 tasklets, 3.0 % at 8 and 0.8 % at 1 to 4.
    Raises ValueError for more tasklets than the hardware has.
    """
    rows = completed_patterns(counters, hardware)
    bounds = phase_bounds(rows, hardware)
    return KernelTicks(
        compute=bounds.compute.sum(axis=1),
        dma=(np.maximum(bounds.memory, bounds.compute) - bounds.compute).sum(axis=1),
        barrier=barriers_ticks(rows, hardware).sum(axis=1),
    )


def phase_bounds(rows: NDArray[np.int64], hardware: Hardware) -> PhaseBounds:
    """Bounds of the phases of completed patterns, int64 [nr_patterns, nr_phases, nr_tasklets, NR_COUNTERS].

    Raises ValueError for more tasklets than the hardware has.
    """
    _require_tasklets(rows.shape[2], hardware)
    issue = issue_ticks(hardware)
    reissue = issue * hardware.pipeline.reissue_cycles
    of_all, alone = rows.sum(axis=2), rows @ (reissue + stall_ticks(hardware))
    return PhaseBounds(
        compute=np.maximum(of_all @ (issue + dma_load_ticks(hardware)), (rows @ reissue).max(axis=2)),
        memory=np.maximum(of_all @ occupancy_ticks(hardware), alone.max(axis=2)),
        alone=alone,
    )


def dpu_kernel_cycles(counters: LaunchCounters, hardware: Hardware) -> NDArray[np.int64]:
    """Kernel cycles of every DPU, int64 [nr_dpus], rounded up; the launch is not included."""
    cycles: NDArray[np.int64] = -(-kernel_ticks(counters, hardware).total // TICKS_PER_CYCLE)
    return cycles[counters.pattern_of]


def barrier_ticks(nr_tasklets: int, hardware: Hardware) -> int:
    """Ticks of one barrier of `nr_tasklets`, interpolated between the points of the profile and rounded half up.

    Raises ValueError for fewer than one tasklet or more than the hardware has.
    """
    _require_tasklets(nr_tasklets, hardware)
    points = hardware.sync.barrier
    for (x, y), (next_x, next_y) in pairwise(points):
        if nr_tasklets <= next_x:
            return rounded((y + Fraction((next_y - y) * (nr_tasklets - x), next_x - x)) * TICKS_PER_CYCLE)
    return points[-1][1] * TICKS_PER_CYCLE


def barriers_ticks(rows: NDArray[np.int64], hardware: Hardware) -> Ticks:
    """Ticks of the barriers that end the phases of completed patterns, int64 [nr_patterns, nr_phases].

    Each is priced for those that waited for it. Only the last phase of very many stands for several barriers, taken to
    be equally large.
    """
    left = rows[..., Counter.BARRIERS]
    opened = left.max(axis=2)
    waiting = -(-left.sum(axis=2) // np.maximum(opened, 1))
    prices = [0, *(barrier_ticks(size, hardware) for size in range(1, int(waiting.max(initial=0)) + 1))]
    ticks: Ticks = opened * np.array(prices, np.int64)[waiting]
    return ticks


def duration_ps(ticks: int, hardware: Hardware) -> int:
    """Picoseconds of exact ticks, rounded half up."""
    return rounded(Fraction(ticks * PS_PER_US, TICKS_PER_CYCLE * hardware.pipeline.clock_mhz))


def _require_tasklets(nr_tasklets: int, hardware: Hardware) -> None:
    limit = hardware.dpu.max_tasklets
    if not 1 <= nr_tasklets <= limit:
        raise ValueError(
            f"{nr_tasklets} tasklets on {hardware.name}: a DPU runs 1 to {limit} (dpu.max_tasklets). "
            f"Use at most {limit}."
        )
