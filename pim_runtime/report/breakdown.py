"""Where the time of commands goes, and what their kernels executed: by reason, by class of instruction, by evidence.

Owns the sums over the rows of a timeline. Everything is modelled; nothing was measured on this computer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..counters import NR_COUNTERS, VARIABLE_PARTS, Counter, LaunchCounters
from ..hardware import Hardware
from ..timeline import REASONS, Row
from ..timing import LaunchWork
from ..timing.cost import Reason
from ..timing.prices import slot_prices
from ..timing.variable import completed_patterns

__all__ = ["Evidence", "InstructionClass", "evidence", "instruction_mix", "reason_name", "reason_times", "total_counts"]

CLASSES: tuple[tuple[str, Counter, tuple[Counter, ...]], ...] = (
    ("one slot: ALU, branch, load, store, 8-bit multiply", Counter.SLOTS, ()),
    ("stated by the author", Counter.STATED, ()),
    ("16-bit multiply", Counter.MUL16, (Counter.MUL16_LONG,)),
    ("32-bit multiply", Counter.MUL32, (Counter.MUL32_STEPS,)),
    ("64-bit multiply", Counter.MUL64, ()),
    ("32-bit division", Counter.UDIV32, (Counter.SDIV32, Counter.DIV32_VARIABLE)),
    ("64-bit division", Counter.DIV64, (Counter.DIV64_STEPS,)),
    ("DMA from MRAM", Counter.READS, ()),
    ("DMA to MRAM", Counter.WRITES, ()),
    ("mutex lock, unlock", Counter.LOCKS, ()),
    ("semaphore, handshake", Counter.SYNCS, ()),
    ("mem_alloc", Counter.ALLOCS, ()),
)
"""Name of a class of instructions, the counter of its operations, and the counters that belong to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionClass:
    """What all DPUs executed of one class. `operations` may take several slots each."""

    name: str
    operations: int
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Issue slots of all DPUs by what their number rests on. All three are among `slots`, and do not overlap.

    stated: the kernel's author says so.  counted: from the kernel as it ran, with its data where they matter.
    inferred: the data-dependent part of multiplies and divisions on DPUs where it was not counted: the mean of those
    where it was, or what the profile assumes if it was counted nowhere.
    """

    slots: int
    stated: int
    counted: int
    inferred: int


def reason_times(rows: Sequence[Row]) -> dict[Reason, int]:
    """Picoseconds of every reason, in the order of `Reason`; a reason without time has 0. They add up to all time."""
    return {reason: sum(row.cost_ps(reason) for row in rows) for reason in REASONS}


def reason_name(reason: Reason) -> str:
    """A reason as people write it."""
    return "DMA" if reason == "dma" else reason.replace("_", " ")


def total_counts(rows: Sequence[Row], hardware: Hardware) -> NDArray[np.int64]:
    """Counters of all launches, summed over DPUs, phases and tasklets, int64 [NR_COUNTERS]."""
    totals = np.zeros(NR_COUNTERS, np.int64)
    for counters in _launched(rows):
        totals += _sum(counters, completed_patterns(counters, hardware))
    return totals


def instruction_mix(rows: Sequence[Row], hardware: Hardware) -> tuple[InstructionClass, ...]:
    """Every class of instructions that ran, most slots first. Their slots add up to all slots of the kernels."""
    totals = total_counts(rows, hardware)
    slots = totals * slot_prices(hardware)
    classes = [
        InstructionClass(
            name=name,
            operations=int(totals[first]) + (int(totals[Counter.SDIV32]) if first is Counter.UDIV32 else 0),
            slots=int(slots[[first, *others]].sum()),
        )
        for name, first, others in CLASSES
    ]
    return tuple(sorted((one for one in classes if one.operations), key=lambda one: (-one.slots, one.name)))


def evidence(rows: Sequence[Row], hardware: Hardware) -> Evidence:
    """What the slots of all launches rest on."""
    prices = slot_prices(hardware)
    slots, stated, inferred = 0, 0, 0
    for counters in _launched(rows):
        patterns = completed_patterns(counters, hardware)
        of_all = _sum(counters, patterns) * prices
        not_counted = _sum(counters, patterns * ~counters.measured[:, None, None, None]) * prices
        slots += int(of_all.sum())
        stated += int(of_all[Counter.STATED])
        inferred += int(not_counted[list(VARIABLE_PARTS)].sum())
    return Evidence(slots=slots, stated=stated, counted=slots - stated - inferred, inferred=inferred)


def _launched(rows: Sequence[Row]) -> Iterator[LaunchCounters]:
    """Counters of every program of every launch."""
    for row in rows:
        if isinstance(row.work, LaunchWork):
            yield from row.work.counters


def _sum(counters: LaunchCounters, patterns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Patterns summed over the DPUs that have them, phases and tasklets, [NR_COUNTERS]."""
    nr_dpus_with = np.bincount(counters.pattern_of, minlength=len(patterns))
    total: NDArray[np.int64] = np.tensordot(nr_dpus_with, patterns.sum(axis=(1, 2)), axes=1)
    return total
