"""Prices of counted events, one row per bound of the closed form: what one unit of each counter adds to it.

Every bound of a phase is linear in the counters of a row, so each is a row of prices, int64 [NR_COUNTERS].
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..counters import NR_COUNTERS, Counter
from ..hardware import TICKS_PER_CYCLE, DmaLine, Hardware

__all__ = ["Ticks", "dma_load_ticks", "issue_ticks", "occupancy_ticks", "slot_prices", "stall_ticks"]

Ticks: TypeAlias = NDArray[np.int64]


def issue_ticks(hardware: Hardware) -> Ticks:
    """Ticks of the issue slots of one unit of each counter, [NR_COUNTERS]."""
    return slot_prices(hardware) * TICKS_PER_CYCLE


def slot_prices(hardware: Hardware) -> Ticks:
    """Issue slots of one unit of each counter, [NR_COUNTERS]."""
    routines, sync = hardware.instructions, hardware.sync
    return _prices(
        {
            Counter.SLOTS: 1,
            Counter.STATED: 1,
            Counter.MUL16: routines.mul16_slots,
            Counter.MUL16_LONG: routines.mul16_long_slots,
            Counter.MUL32: routines.mul32_slots,
            Counter.MUL32_STEPS: routines.mul32_step_slots,
            Counter.MUL64: routines.mul64_slots,
            Counter.UDIV32: routines.udiv32_slots,
            Counter.SDIV32: routines.udiv32_slots + routines.sdiv32_extra_slots,
            Counter.DIV32_VARIABLE: 1,
            Counter.DIV64: routines.div64_slots,
            Counter.DIV64_STEPS: routines.div64_step_slots,
            Counter.READS: hardware.dma.issue_slots,
            Counter.WRITES: hardware.dma.issue_slots,
            Counter.LOCKS: sync.lock_slots,
            Counter.SYNCS: sync.sync_slots,
            Counter.ALLOCS: sync.alloc_slots,
        }
    )


def dma_load_ticks(hardware: Hardware) -> Ticks:
    """Ticks by which DMAs load the pipeline beyond their instruction."""
    load = _ticks(hardware.dma.pipeline_load_slots)
    return _prices({Counter.READS: load, Counter.WRITES: load})


def occupancy_ticks(hardware: Hardware) -> Ticks:
    """Ticks for which DMAs occupy the engine of their DPU."""
    return _dma_prices(hardware.dma.read_occupancy, hardware.dma.write_occupancy)


def stall_ticks(hardware: Hardware) -> Ticks:
    """Ticks that a tasklet waits for its DMAs when the engine is free."""
    return _dma_prices(hardware.dma.read_stall, hardware.dma.write_stall)


def _dma_prices(read: DmaLine, write: DmaLine) -> Ticks:
    return _prices(
        {
            Counter.READS: _ticks(read.setup_cycles),
            Counter.READ_BYTES: _ticks(read.cycles_per_byte),
            Counter.WRITES: _ticks(write.setup_cycles),
            Counter.WRITE_BYTES: _ticks(write.cycles_per_byte),
        }
    )


def _prices(of: dict[Counter, int]) -> Ticks:
    prices = np.zeros(NR_COUNTERS, np.int64)
    for counter, ticks in of.items():
        prices[counter] = ticks
    return prices


def _ticks(cycles: Decimal) -> int:
    return int(Fraction(cycles) * TICKS_PER_CYCLE)
