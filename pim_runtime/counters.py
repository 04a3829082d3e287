"""What a launch counted: issue slots, DMAs and synchronisation of every tasklet in every phase.

Owns the layout of a counter row and the record that carries the rows of one launch. Engines fill it,
`timing` prices it; nothing here knows what an event costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["NR_COUNTERS", "Counter", "LaunchCounters"]


class Counter(IntEnum):
    """Columns of a counter row.

    SLOTS: instruction issue slots of the kernel. A DMA instruction is not among them: it is one READS or WRITES.
    READS, WRITES: DMAs from MRAM to WRAM, and back.            READ_BYTES, WRITE_BYTES: what they moved.
    LOCKS: mutex locks plus unlocks.                            SYNCS: semaphore and handshake operations.
    ALLOCS: calls of `mem_alloc`.
    """

    SLOTS = 0
    READS = 1
    READ_BYTES = 2
    WRITES = 3
    WRITE_BYTES = 4
    LOCKS = 5
    SYNCS = 6
    ALLOCS = 7


NR_COUNTERS = len(Counter)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaunchCounters:
    """Counters of one launch. A phase ends when a barrier opens; DPUs are in the order in which they were launched.

    rows: int64 [nr_dpus, nr_phases, nr_tasklets, NR_COUNTERS]. Missing phases of a DPU are rows of zeros.
    barriers: int64 [nr_dpus], how often a barrier opened on each DPU.

    Raises TypeError for another dtype, ValueError for another shape.
    """

    rows: NDArray[np.int64]
    barriers: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, array in (("rows", self.rows), ("barriers", self.barriers)):
            if array.dtype != np.int64:
                raise TypeError(
                    f"LaunchCounters.{name} has dtype {array.dtype}, but counters are int64: "
                    f"use {name}.astype(np.int64)"
                )
        if self.rows.ndim != 4 or self.rows.shape[3] != NR_COUNTERS or 0 in self.rows.shape:
            raise ValueError(
                f"LaunchCounters.rows has shape {self.rows.shape}, but must be [nr_dpus, nr_phases, "
                f"nr_tasklets, {NR_COUNTERS}] with at least one of each: one row per tasklet and phase"
            )
        if self.barriers.shape != self.rows.shape[:1]:
            raise ValueError(
                f"LaunchCounters.barriers has shape {self.barriers.shape}, but rows has "
                f"{self.nr_dpus} DPUs: give one count per DPU"
            )

    @property
    def nr_dpus(self) -> int:
        return len(self.rows)

    @property
    def nr_phases(self) -> int:
        return int(self.rows.shape[1])

    @property
    def nr_tasklets(self) -> int:
        return int(self.rows.shape[2])

    def total(self, counter: Counter) -> int:
        """Sum of one counter over all DPUs, phases and tasklets."""
        return int(self.rows[..., counter].sum())
