"""Counters by hand: of launches written as nested lists, and of the kernels of the published runs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pim_runtime.counters import NR_COUNTERS, Counter, LaunchCounters

BARRIER = {Counter.BARRIERS: 1}


def counters_of(*dpus, measured=None):
    """Counters of DPUs, each a list of phases, each a list of tasklets, each a dict of counters."""
    rows = np.zeros((len(dpus), len(dpus[0]), len(dpus[0][0]), NR_COUNTERS), np.int64)
    for index in np.ndindex(rows.shape[:3]):
        dpu, phase, tasklet = index
        for counter, count in dpus[dpu][phase][tasklet].items():
            rows[(*index, counter)] = count
    return LaunchCounters.of(rows, None if measured is None else np.array(measured))


def blocks(count, *, slots, reads=0, writes=0, block_bytes):
    """One tasklet that walks `count` blocks; `slots` are those of the published listing, DMA instructions included."""
    return {
        Counter.SLOTS: count * (slots - reads - writes),
        Counter.READS: count * reads,
        Counter.READ_BYTES: count * reads * block_bytes,
        Counter.WRITES: count * writes,
        Counter.WRITE_BYTES: count * writes * block_bytes,
    }


def vecadd(nr_tasklets, count, elements, element_bytes):
    slots = (10 if element_bytes == 8 else 9) * elements + 16
    tasklet = blocks(count, slots=slots, reads=2, writes=1, block_bytes=elements * element_bytes)
    return counters_of([[BARRIER] * nr_tasklets, [tasklet] * nr_tasklets])


def reduce(nr_tasklets, count, elements, element_bytes):
    # With 8 bytes the listing has 9 slots per element, but the slopes of the runs fit 10.
    slots = (10 if element_bytes == 8 else 7) * elements + 13
    tasklet = blocks(count, slots=slots, reads=2, block_bytes=elements * element_bytes)
    return counters_of([[BARRIER] * nr_tasklets, [tasklet] * nr_tasklets])


def scan(nr_tasklets, count, elements, element_bytes):
    wide = element_bytes == 8
    total = blocks(count, slots=(5 if wide else 4) * elements + 9, reads=1, block_bytes=elements * element_bytes)
    prefix = blocks(
        count, slots=(7 if wide else 6) * elements + 13, reads=1, writes=1, block_bytes=elements * element_bytes
    )
    return counters_of([[BARRIER] * nr_tasklets, [total | BARRIER] * nr_tasklets, [prefix] * nr_tasklets])


@st.composite
def launches(draw):
    """Counters of up to 4 DPUs, 3 phases and 24 tasklets, idle or busy; a barrier ends all phases but the last."""
    nr_dpus, nr_phases, nr_tasklets = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 24))
    rows = np.random.default_rng(draw(st.integers(0, 2**32))).integers(
        0, draw(st.sampled_from([2, 100, 10**8])), (nr_dpus, nr_phases, nr_tasklets, NR_COUNTERS)
    )
    rows[..., Counter.BARRIERS] = (np.arange(nr_phases) < nr_phases - 1)[:, None]
    return LaunchCounters.of(rows)
