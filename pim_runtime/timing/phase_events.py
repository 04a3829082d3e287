"""One phase of one DPU, event by event: tasklets share the pipeline and queue for the DMA engine.

Owns the queueing model and its integer arithmetic; knows no counters and no profile. Rules:

    A runnable tasklet issues min(1/reissue, 1/k) slots per cycle; k counts runnable tasklets, and DMAs that load the
    pipeline.
    A DMA starts when the engine is free, first come, first served; equally early ones in the order of their tasklets.
    It occupies the engine, stalls its tasklet, and loads the pipeline with some slots that delay no tasklet directly.

Every runnable tasklet issues equally fast. So one virtual clock, the slots that a tasklet would have issued had it run
since the start of the phase, serves all of them, and the next event of each lies at a fixed point of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

__all__ = ["TaskletEvents", "phase_end_ticks"]

VIRTUAL_PER_TICK = 5_354_228_880  # a multiple of 1 to 24: with up to 24 that issue, the virtual clock is exact


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskletEvents:
    """What one tasklet does in a phase, in ticks: slots and DMAs in turn, beginning and ending with slots.

    issue: ticks of the slots before each DMA and after the last, one more than there are DMAs.
    occupancy: ticks of the engine for each DMA.  stall: ticks of its tasklet from the start of each DMA.
    """

    issue: Sequence[int]
    occupancy: Sequence[int]
    stall: Sequence[int]


def phase_end_ticks(tasklets: Sequence[TaskletEvents], *, reissue_cycles: int, dma_load_ticks: int) -> int:
    """The tick at which the last tasklet ends; all start at 0.

    dma_load_ticks: load of one DMA on the pipeline. An event happens at the first tick at which it is due. Without
    DMAs the result is exact; with them, no tasklet ever issues faster than the rules say.
    """
    load, pipeline_only = dma_load_ticks * VIRTUAL_PER_TICK, len(tasklets)
    issuing = [(work.issue[0] * VIRTUAL_PER_TICK, tasklet) for tasklet, work in enumerate(tasklets)]
    heapify(issuing)
    stalled: list[tuple[int, int]] = []
    done = [0] * len(tasklets)
    nr_running = len(tasklets)
    now = virtual = engine_free = 0
    while nr_running:
        share = max(reissue_cycles, len(issuing))
        # The division rounds up, so that what is due has been issued in full.
        due = now + max(0, -((virtual - issuing[0][0]) * share // VIRTUAL_PER_TICK)) if issuing else None
        if due is None or (stalled and stalled[0][0] < due):
            wake, tasklet = heappop(stalled)
            virtual += (wake - now) * VIRTUAL_PER_TICK // share
            now = wake
            heappush(issuing, (virtual + tasklets[tasklet].issue[done[tasklet]] * VIRTUAL_PER_TICK, tasklet))
            continue
        virtual += (due - now) * VIRTUAL_PER_TICK // share
        now = due
        _, tasklet = heappop(issuing)
        if tasklet == pipeline_only:
            continue
        dma = done[tasklet]
        if dma == len(tasklets[tasklet].stall):
            nr_running -= 1
            continue
        start = max(now, engine_free)
        engine_free = start + tasklets[tasklet].occupancy[dma]
        heappush(stalled, (start + tasklets[tasklet].stall[dma], tasklet))
        heappush(issuing, (virtual + load, pipeline_only))
        done[tasklet] = dma + 1
    return now
