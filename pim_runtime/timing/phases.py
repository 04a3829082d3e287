"""Kernel time phase by phase: the closed form of `kernel` before its phases are added up.

For reports that show where in a launch the time goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..counters import LaunchCounters
from ..hardware import Hardware
from .kernel import barriers_ticks, phase_bounds
from .prices import Ticks
from .variable import completed_patterns

__all__ = ["PhaseTicks", "phase_ticks"]


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
    rows = completed_patterns(counters, hardware)
    bounds = phase_bounds(rows, hardware)
    return PhaseTicks(
        compute=bounds.compute,
        dma=np.maximum(bounds.memory, bounds.compute) - bounds.compute,
        barrier=barriers_ticks(rows, hardware),
        alone=bounds.alone,
    )
