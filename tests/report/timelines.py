"""Timelines for tests of reports, made by hand: what they count is known without running a kernel."""

from __future__ import annotations

import numpy as np

from pim_runtime.counters import NR_COUNTERS, Counter, LaunchCounters
from pim_runtime.hardware import load_profile
from pim_runtime.timeline import Timeline
from pim_runtime.timing import LaunchWork, TransferWork

__all__ = ["HARDWARE", "PHASES", "add_launch", "add_transfer", "attention_step", "counters_of"]

HARDWARE = load_profile("upmem-v1a")
PHASES = (
    {Counter.SLOTS: 700, Counter.READS: 3, Counter.READ_BYTES: 3 * 256, Counter.BARRIERS: 1},
    {Counter.SLOTS: 20, Counter.READS: 9, Counter.READ_BYTES: 9 * 2048, Counter.BARRIERS: 1},
    {Counter.SLOTS: 90, Counter.STATED: 10, Counter.MUL32: 5, Counter.WRITES: 1, Counter.WRITE_BYTES: 64},
)


def counters_of(nr_dpus, nr_tasklets=16, *, phases=PHASES, extra_slots=lambda dpu, tasklet: 0, measured=None):
    """Every tasklet of every DPU counts `phases`, and `extra_slots` more in the first."""
    rows = np.zeros((nr_dpus, len(phases), nr_tasklets, NR_COUNTERS), np.int64)
    for phase, counts in enumerate(phases):
        for counter, count in counts.items():
            rows[:, phase, :, counter] = count
    for dpu, tasklet in np.ndindex(nr_dpus, nr_tasklets):
        rows[dpu, 0, tasklet, Counter.SLOTS] += extra_slots(dpu, tasklet)
    return LaunchCounters.of(rows, measured)


def ranks_of(timeline, first_dpu, nr_dpus):
    """Ranks that consecutive DPUs lie in."""
    per_rank = timeline.hardware.geometry.dpus_per_rank
    return range(first_dpu // per_rank, (first_dpu + nr_dpus - 1) // per_rank + 1)


def add_transfer(timeline, mode, what, nr_dpus, bytes_per_dpu, *, first_dpu=0):
    """A transfer of all ranks that the DPUs lie in."""
    ranks = ranks_of(timeline, first_dpu, nr_dpus)
    work = TransferWork(mode=mode, nr_dpus=nr_dpus, nr_ranks=len(ranks), bytes_per_dpu=bytes_per_dpu)
    return timeline.append(
        "read" if mode == "pull" else "write",
        mode=mode,
        what=what,
        first_dpu=first_dpu,
        nr_dpus=nr_dpus,
        nbytes=nr_dpus * bytes_per_dpu,
        transfers=nr_dpus,
        work=work,
        ranks=ranks,
    )


def add_launch(timeline, what, *counters, first_dpu=0, lines=()):
    """A launch of programs side by side."""
    nr_dpus = sum(one.nr_dpus for one in counters)
    ranks = ranks_of(timeline, first_dpu, nr_dpus)
    return timeline.append(
        "launch",
        mode="synchronous",
        what=what,
        first_dpu=first_dpu,
        nr_dpus=nr_dpus,
        nbytes=0,
        transfers=0,
        work=LaunchWork(counters=counters, nr_ranks=len(ranks), lines=lines),
        ranks=ranks,
    )


def attention_step(nr_dpus=150, nr_tasklets=16):
    """Load, push, launch, pull. In the launch DPU n has n more slots per tasklet than DPU 0."""
    timeline = Timeline(HARDWARE)
    ranks = ranks_of(timeline, 0, nr_dpus)
    timeline.append(
        "load", mode="serial", what="scores", nr_dpus=nr_dpus, nbytes=0, transfers=0, work=None, ranks=ranks
    )
    add_transfer(timeline, "push", "query", nr_dpus, 64)
    add_launch(timeline, "scores", counters_of(nr_dpus, nr_tasklets, extra_slots=lambda dpu, tasklet: dpu + tasklet))
    add_transfer(timeline, "pull", "output", nr_dpus, 256)
    return timeline
