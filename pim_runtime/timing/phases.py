"""Kernel time phase by phase: the closed form of `kernel` before its phases are added up.

For reports that show where in a launch the time goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..counters import Counter, LaunchCounters
from ..hardware import TICKS_PER_CYCLE, Hardware
from .cost import PS_PER_US, rounded
from .kernel import barrier_ticks
from .prices import Ticks, dma_load_ticks, issue_ticks, occupancy_ticks, stall_ticks
from .variable import completed_patterns

__all__ = ["PhaseTicks", "duration_ps", "phase_ticks"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseTicks:
    """Exact time of every phase by reason: int64 [nr_patterns, nr_phases], in ticks of 1/TICKS_PER_CYCLE cycle.

    compute, dma, barrier: as in `KernelTicks`, whose parts are their sums over the phases.
    alone: what each tasklet would take without the others, its slots and its DMAs, int64
        [nr_patterns, nr_phases, nr_tasklets]; never longer than compute + dma.
    """

    compute: Ticks
    dma: Ticks
    barrier: Ticks
    alone: Ticks


def phase_ticks(counters: LaunchCounters, hardware: Hardware) -> PhaseTicks:
    """Phases of every pattern of counters, without the launch. Source and limits: `kernel.kernel_ticks`.

    Raises ValueError for more tasklets than the hardware has.
    """
    issue = issue_ticks(hardware)
    reissue = issue * hardware.pipeline.reissue_cycles
    of_tasklet = completed_patterns(counters, hardware)
    of_all = of_tasklet.sum(axis=2)
    alone = of_tasklet @ (reissue + stall_ticks(hardware))
    compute = np.maximum(of_all @ (issue + dma_load_ticks(hardware)), (of_tasklet @ reissue).max(axis=2))
    memory = np.maximum(of_all @ occupancy_ticks(hardware), alone.max(axis=2))
    return PhaseTicks(
        compute=compute,
        dma=np.maximum(memory, compute) - compute,
        barrier=_barriers(of_tasklet[..., Counter.BARRIERS], hardware),
        alone=alone,
    )


def duration_ps(ticks: int, hardware: Hardware) -> int:
    """Picoseconds of exact ticks, rounded half up."""
    return rounded(Fraction(ticks * PS_PER_US, TICKS_PER_CYCLE * hardware.pipeline.clock_mhz))


def _barriers(left: Ticks, hardware: Hardware) -> Ticks:
    """Ticks of the barriers that end each phase; left: [nr_patterns, nr_phases, nr_tasklets], those a tasklet left."""
    opened = left.max(axis=2)
    waiting = -(-left.sum(axis=2) // np.maximum(opened, 1))
    prices = [0, *(barrier_ticks(size, hardware) for size in range(1, int(waiting.max(initial=0)) + 1))]
    ticks: Ticks = opened * np.array(prices, np.int64)[waiting]
    return ticks
