"""What a launch counted: instructions, DMAs and synchronisation of every tasklet in every phase.

Owns the layout of a counter row and the record that carries the rows of one launch. Engines fill it,
`timing` prices it; nothing here knows what an event costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["NR_COUNTERS", "VARIABLE_PARTS", "Counter", "LaunchCounters"]


class Counter(IntEnum):
    """Columns of a counter row.

    SLOTS: instructions of one issue slot, as counted from the kernel: ALU, branch, load, store, move, 8-bit multiply.
    STATED: slots that the kernel's author states (`stated`, `charge`).
    MUL16, MUL32, MUL64: multiplies by width.            UDIV32, SDIV32, DIV64: divisions and remainders.
    MUL16_LONG: 16-bit multiplies with an operand outside 0 to 255.
    MUL32_STEPS: steps of 32-bit multiplies beyond the first: bits of the smaller unsigned operand, less one.
    DIV32_VARIABLE: slots of 32-bit divisions beyond those of non-negative operands and one quotient bit; may be < 0.
    DIV64_STEPS: quotient bits of 64-bit divisions beyond the first.
    READS, WRITES: DMAs from MRAM to WRAM, and back; their instruction is not among SLOTS.
    READ_BYTES, WRITE_BYTES: what they moved.            ALLOCS: calls of `mem_alloc`.
    LOCKS: mutex locks plus unlocks.                     SYNCS: semaphore and handshake operations.
    BARRIERS: barriers that the tasklet left at the end of the phase.
    """

    SLOTS = 0
    STATED = 1
    MUL16 = 2
    MUL16_LONG = 3
    MUL32 = 4
    MUL32_STEPS = 5
    MUL64 = 6
    UDIV32 = 7
    SDIV32 = 8
    DIV32_VARIABLE = 9
    DIV64 = 10
    DIV64_STEPS = 11
    READS = 12
    READ_BYTES = 13
    WRITES = 14
    WRITE_BYTES = 15
    LOCKS = 16
    SYNCS = 17
    ALLOCS = 18
    BARRIERS = 19


NR_COUNTERS = len(Counter)

VARIABLE_PARTS: Mapping[Counter, tuple[Counter, ...]] = MappingProxyType(
    {
        Counter.MUL16_LONG: (Counter.MUL16,),
        Counter.MUL32_STEPS: (Counter.MUL32,),
        Counter.DIV32_VARIABLE: (Counter.UDIV32, Counter.SDIV32),
        Counter.DIV64_STEPS: (Counter.DIV64,),
    }
)
"""Counters whose amount depends on the data, and the operations that they belong to."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaunchCounters:
    """Counters of one launch. A phase ends when a barrier opens; DPUs are in the order in which they were launched.

    DPUs that counted alike share one pattern, so that thousands of equal DPUs take the room of one.
    patterns: int64 [nr_patterns, nr_phases, nr_tasklets, NR_COUNTERS]. Missing phases of a DPU are rows of zeros.
    pattern_of: the pattern of each DPU, intp [nr_dpus].
    measured: bool [nr_patterns]; False where the data-dependent counters (VARIABLE_PARTS) were not counted and are 0.
    """

    patterns: NDArray[np.int64]
    pattern_of: NDArray[np.intp]
    measured: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: NDArray[np.int64], measured: NDArray[np.bool_] | None = None) -> LaunchCounters:
        """From a row per DPU, phase and tasklet, int64 [nr_dpus, nr_phases, nr_tasklets, NR_COUNTERS].

        measured: bool [nr_dpus], default all. Raises TypeError for another dtype, ValueError for another shape.
        """
        if rows.dtype != np.int64:
            raise TypeError(f"counter rows have dtype {rows.dtype}, but counters are int64: use rows.astype(np.int64)")
        if rows.ndim != 4 or rows.shape[3] != NR_COUNTERS or 0 in rows.shape:
            raise ValueError(
                f"counter rows have shape {rows.shape}, but must be [nr_dpus, nr_phases, nr_tasklets, {NR_COUNTERS}] "
                "with at least one of each: one row per tasklet and phase"
            )
        known = np.ones(len(rows), np.bool_) if measured is None else measured
        if known.shape != rows.shape[:1]:
            raise ValueError(f"`measured` has shape {known.shape}, but rows has {len(rows)} DPUs: give one per DPU")
        flat = rows.reshape(len(rows), -1)
        differs = (flat[1:] != flat[:-1]).any(axis=1) | (known[1:] != known[:-1])
        starts = np.concatenate([[0], 1 + np.flatnonzero(differs)])  # of runs of equal neighbours
        keys = [(flat[dpu].tobytes(), bool(known[dpu])) for dpu in starts]
        dpu_of = dict(zip(keys, starts, strict=True))
        patterns = {key: pattern for pattern, key in enumerate(sorted(dpu_of))}  # so the order of DPUs does not show
        chosen = [dpu_of[key] for key in patterns]
        lengths = np.diff(starts, append=len(rows))
        pattern_of = np.repeat(np.array([patterns[key] for key in keys], np.intp), lengths)
        return cls(patterns=rows[chosen], pattern_of=pattern_of, measured=known[chosen])

    @property
    def rows(self) -> NDArray[np.int64]:
        """Every DPU's counters, int64 [nr_dpus, nr_phases, nr_tasklets, NR_COUNTERS]; a copy."""
        return self.patterns[self.pattern_of]

    @property
    def barriers(self) -> NDArray[np.int64]:
        """How many barriers opened on each DPU, int64 [nr_dpus]."""
        opened: NDArray[np.int64] = self.patterns[..., Counter.BARRIERS].max(axis=2).sum(axis=1)
        return opened[self.pattern_of]

    @property
    def nr_dpus(self) -> int:
        return len(self.pattern_of)

    @property
    def nr_phases(self) -> int:
        return int(self.patterns.shape[1])

    @property
    def nr_tasklets(self) -> int:
        return int(self.patterns.shape[2])

    def total(self, counter: Counter) -> int:
        """Sum of one counter over all DPUs, phases and tasklets."""
        of_pattern = self.patterns[..., counter].sum(axis=(1, 2))
        return int(of_pattern[self.pattern_of].sum())
