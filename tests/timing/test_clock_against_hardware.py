"""Both forms of the clock against launch times that were measured on hardware.

Source: github.com/tud-ccc/cnm-cost-model, UPMEM/{Vecadd,ReduceOp,Scan}/output, one DPU, 256 blocks per tasklet.
Slots are those of the compiler listings beside the kernels, not automatic counts. The DMA and launch constants of the
profile were fitted to runs of 1 and 16 tasklets of the same set, so only 2 to 8 tasklets test the model on other data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from counter_rows import reduce, scan, vecadd

from pim_runtime.counters import LaunchCounters
from pim_runtime.hardware import TICKS_PER_CYCLE, DmaLine, load_profile
from pim_runtime.timing import launch_costs
from pim_runtime.timing.kernel import barrier_ticks
from pim_runtime.timing.phase_events import TaskletEvents, phase_end_ticks

pytestmark = pytest.mark.quick

HARDWARE = load_profile("upmem-v1a")
BLOCKS = 256


class Run(NamedTuple):
    """One measured run."""

    kernel: Callable[..., LaunchCounters]
    nr_tasklets: int
    block_elements: int
    element_bytes: int
    measured_ms: float

    @property
    def counters(self):
        return self.kernel(self.nr_tasklets, BLOCKS, self.block_elements, self.element_bytes)


FEW = [
    Run(vecadd, 1, 16, 2, 1.482333),
    Run(vecadd, 2, 8, 2, 0.893),
    Run(vecadd, 2, 16, 4, 1.552667),
    Run(vecadd, 4, 8, 2, 0.894333),
    Run(vecadd, 4, 32, 2, 2.72),
    Run(vecadd, 4, 8, 4, 0.956667),
    Run(reduce, 1, 64, 2, 3.944),
    Run(reduce, 1, 256, 8, 22.472),
    Run(reduce, 4, 8, 2, 0.728333),
    Run(scan, 1, 256, 4, 22.111),
    Run(scan, 1, 8, 8, 1.176333),
]

EIGHT = [  # all that were published
    Run(vecadd, 8, 8, 2, 0.984),
    Run(vecadd, 8, 16, 2, 1.555333),
    Run(vecadd, 8, 256, 2, 19.505),
    Run(vecadd, 8, 8, 4, 1.043333),
    Run(vecadd, 8, 16, 4, 1.619333),
    Run(vecadd, 8, 32, 4, 2.879667),
    Run(vecadd, 8, 64, 4, 5.354),
    Run(vecadd, 8, 256, 4, 20.125),
    Run(reduce, 8, 8, 2, 0.743333),
    Run(reduce, 8, 256, 2, 15.1),
    Run(reduce, 8, 8, 4, 0.83),
    Run(reduce, 8, 16, 4, 1.207333),
    Run(reduce, 8, 64, 4, 4.088),
    Run(scan, 8, 8, 4, 1.128),
    Run(scan, 8, 64, 4, 5.834333),
    Run(vecadd, 8, 8, 8, 1.303667),
    Run(vecadd, 8, 64, 8, 6.303667),
    Run(vecadd, 8, 256, 8, 23.459667),
    Run(reduce, 8, 8, 8, 1.031667),
    Run(reduce, 8, 32, 8, 3.08),
    Run(scan, 8, 8, 8, 1.374667),
    Run(scan, 8, 16, 8, 2.122333),
]

MANY = [
    Run(scan, 16, 8, 2, 1.816667),  # the worst of all runs with 16 tasklets
    Run(vecadd, 16, 8, 2, 1.676667),
    Run(vecadd, 16, 64, 2, 7.076667),
    Run(vecadd, 16, 32, 8, 6.259),
    Run(reduce, 16, 8, 2, 1.178333),
    Run(reduce, 16, 16, 4, 1.790333),
    Run(reduce, 16, 64, 8, 7.785),
    Run(scan, 16, 16, 2, 2.252333),
    Run(scan, 16, 64, 4, 7.915667),
    Run(scan, 16, 128, 8, 21.647667),
]


def errors_percent(runs, clock):
    """Modelled against measured, of each run."""
    modelled_ms = [
        sum(cost.duration_ps for cost in launch_costs(run.counters, nr_ranks=1, hardware=HARDWARE, clock=clock)) / 1e9
        for run in runs
    ]
    return 100 * np.array([ms / run.measured_ms - 1 for ms, run in zip(modelled_ms, runs, strict=True)])


@pytest.mark.parametrize(
    ("runs", "clock", "mean", "worst"),
    [
        (FEW, "closed", 1.25, 5.0),
        (FEW, "event", 1.25, 5.0),
        (EIGHT, "closed", 3.1, 12.3),
        (EIGHT, "event", 2.9, 12.1),
        (MANY, "closed", 1.1, 7.4),
        (MANY, "event", 1.1, 7.4),
    ],
)
def test_errors_against_hardware(runs, clock, mean, worst):
    """FEW and MANY are a part of the published runs; over all, the mean is 0.8 % of 33 and 0.5 % of 64 runs."""
    errors = np.abs(errors_percent(runs, clock))
    assert errors.mean() < mean
    assert errors.max() < worst


def test_the_event_form_is_nearer_to_hardware_at_eight_tasklets():
    closed, simulated = (errors_percent(EIGHT, clock) for clock in ("closed", "event"))
    assert np.abs(simulated).mean() < np.abs(closed).mean() - 0.1
    assert abs(simulated.mean()) < abs(closed.mean())


# --- the same rules with the DMAs of a block where the source has them ----------------------------------------------


def in_source_order(run):
    """Phases of the tasklets of a run, with reads in a row before the loop over a block and its write after it."""
    wide, elements = run.element_bytes == 8, run.block_elements
    per_element = {vecadd: [10 if wide else 9], reduce: [10 if wide else 7], scan: [5 if wide else 4, 7 if wide else 6]}
    # Slots before each read or write of a block, and after the last; one line per phase.
    around = {
        vecadd: [("RRW", (4, 2, 5), 5)],
        reduce: [("RR", (4, 2), 7)],
        scan: [("R", (3,), 6), ("RW", (3, 4), 6)],
    }
    for slots, (dmas, before, after) in zip(per_element[run.kernel], around[run.kernel], strict=True):
        gaps, tail = list(before), after
        if dmas[-1] == "W":
            gaps[-1] += slots * elements
        else:
            tail += slots * elements
        gaps_of_next = [tail + gaps[0], *gaps[1:]]
        issue = [*gaps, *gaps_of_next * (BLOCKS - 1), tail]
        block_bytes = elements * run.element_bytes
        yield TaskletEvents(
            issue=[slots * TICKS_PER_CYCLE for slots in issue],
            occupancy=[
                line_ticks(HARDWARE.dma.read_occupancy if dma == "R" else HARDWARE.dma.write_occupancy, block_bytes)
                for dma in dmas * BLOCKS
            ],
            stall=[
                line_ticks(HARDWARE.dma.read_stall if dma == "R" else HARDWARE.dma.write_stall, block_bytes)
                for dma in dmas * BLOCKS
            ],
        )


def line_ticks(line: DmaLine, nbytes):
    return int((line.setup_cycles + line.cycles_per_byte * nbytes) * TICKS_PER_CYCLE)


def test_what_counters_do_not_tell_is_the_order_of_dmas():
    """Counters know how many DMAs there are, not that two follow each other: worth half a percent on average."""
    errors = []
    for run in EIGHT:
        launch, *_ = launch_costs(run.counters, nr_ranks=1, hardware=HARDWARE)
        ticks = sum(
            barrier_ticks(run.nr_tasklets, HARDWARE)
            + phase_end_ticks([tasklet] * run.nr_tasklets, reissue_cycles=11, dma_load_ticks=15_000)
            for tasklet in in_source_order(run)
        )
        modelled_ms = launch.duration_ps / 1e9 + ticks / TICKS_PER_CYCLE / 350_000
        errors.append(100 * abs(modelled_ms / run.measured_ms - 1))
    assert np.mean(errors) < 2.4
    assert max(errors) < 10.6
