"""Cost parts of one synchronous launch: starting the ranks, then the kernel of the slowest DPU.

Owns the choice of that DPU and the conversion to time; `kernel` owns the cycles.
"""

from __future__ import annotations

import numpy as np

from ..counters import LaunchCounters
from ..hardware import Hardware
from .clock import Clock, ticks_by
from .cost import Cost, exact_us, rounded
from .kernel import duration_ps

__all__ = ["launch_costs", "launch_start_ps"]


def launch_costs(
    counters: LaunchCounters, *, nr_ranks: int, hardware: Hardware, clock: Clock = "closed"
) -> tuple[Cost, ...]:
    """The parts "launch", "compute", "dma" and "barrier", in this order; a part may be zero.

    The last three are those of the slowest DPU, because the launch ends when it ends.
    Raises ValueError for tasklets that the hardware does not have, for fewer than one rank, and for an unknown clock.
    """
    started_ps = launch_start_ps(nr_tasklets=counters.nr_tasklets, nr_ranks=nr_ranks, hardware=hardware)
    ticks = ticks_by(clock, counters, hardware)
    # The order of the DPUs must not show, so equally slow ones are told apart by their parts, not their index.
    slowest = np.lexsort((ticks.barrier, ticks.compute, ticks.total))[-1]
    return (
        Cost(reason="launch", duration_ps=started_ps),
        Cost(reason="compute", duration_ps=duration_ps(int(ticks.compute[slowest]), hardware)),
        Cost(reason="dma", duration_ps=duration_ps(int(ticks.dma[slowest]), hardware)),
        Cost(reason="barrier", duration_ps=duration_ps(int(ticks.barrier[slowest]), hardware)),
    )


def launch_start_ps(*, nr_tasklets: int, nr_ranks: int, hardware: Hardware) -> int:
    """Picoseconds of a launch before its kernel. Raises ValueError for fewer than one rank."""
    if nr_ranks < 1:
        raise ValueError(f"launch on {nr_ranks} ranks: a launch needs at least one. Pass nr_ranks >= 1.")
    launch = hardware.launch
    return rounded(
        exact_us(launch.setup_us)
        + exact_us(launch.us_per_tasklet) * nr_tasklets
        + exact_us(launch.us_per_further_rank) * (nr_ranks - 1)
    )
