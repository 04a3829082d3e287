"""The performance counter (SDK `perfcounter.h`): one per DPU, shared by its tasklets, in steps of 16.

It is deterministic and never runs backwards. COUNT_INSTRUCTIONS counts the issue slots so far (none with timing="off"),
COUNT_CYCLES adds the time for which the DMA engine was busy: the cycles of a DPU whose pipeline is kept full. The
clock of a launch (timing.kernel) is more exact, since it knows which tasklets waited.
"""

from __future__ import annotations

from ..counters import NR_COUNTERS, Counter
from .faults import FaultCode, fault
from .library import library
from .meters import FIRST_METER
from .raw import peek, poke
from .run_record import METER_PRICES, METERS, NR_METERS, PERF_CONFIG, PERF_COSTS, PERF_START, TOTALS
from .tasklet import Tasklet

__all__ = [
    "COUNT_CYCLES",
    "COUNT_INSTRUCTIONS",
    "COUNT_NOTHING",
    "COUNT_SAME",
    "perfcounter_config",
    "perfcounter_get",
]

COUNT_SAME, COUNT_CYCLES, COUNT_INSTRUCTIONS, COUNT_NOTHING = 0, 1, 2, 3  # perfcounter_config_t


@library
def elapsed(t: Tasklet) -> int:
    """What the configured counter has counted since boot, in 1/16 units."""
    config = peek(t.run + 8 * PERF_CONFIG)
    if config == COUNT_NOTHING:
        return 0
    total = 0
    for counter in range(NR_COUNTERS):
        total += peek(t.run + 8 * (TOTALS + counter)) * price(t, config, counter)
    nr_meters, prices = peek(t.run + 8 * NR_METERS), peek(t.run + 8 * METER_PRICES)
    for tasklet in range(t.nr_tasklets):
        meters = peek(t.run + 8 * METERS) + 8 * nr_meters * tasklet
        for meter in range(FIRST_METER, nr_meters):
            amount = peek(meters + 8 * meter)
            for entry in range(peek(prices + 8 * meter), peek(prices + 8 * (meter + 1)), 2):
                total += amount * peek(prices + 8 * (entry + 1)) * price(t, config, peek(prices + 8 * entry))
    return total


@library
def price(t: Tasklet, config: int, counter: int) -> int:
    """What one unit of a counter adds, in 1/16: all its cycles, or its issue slots only."""
    dma = (counter >= Counter.READS) & (counter <= Counter.WRITE_BYTES)
    if (config == COUNT_INSTRUCTIONS) & dma:
        return 16 if (counter == Counter.READS) | (counter == Counter.WRITES) else 0
    return peek(t.run + 8 * (PERF_COSTS + counter))


@library
def perfcounter_get(t: Tasklet) -> int:
    """Counts since the last reset, a multiple of 16."""
    return ((elapsed(t) - peek(t.run + 8 * PERF_START)) >> 4) & -16


@library
def perfcounter_config(t: Tasklet, config: int, reset: bool) -> int:
    """Choose what is counted (COUNT_CYCLES, COUNT_INSTRUCTIONS, COUNT_NOTHING, COUNT_SAME); returns the previous value.

    Faults for the SDK's "both" configurations, which this chip version does not have.
    """
    previous = perfcounter_get(t)
    if (config < COUNT_SAME) | (config > COUNT_NOTHING):
        fault(t, FaultCode.PERFCOUNTER, config, 0, 0, 0)
    if config != COUNT_SAME:
        poke(t.run + 8 * PERF_CONFIG, config)
        poke(t.run + 8 * PERF_START, elapsed(t) - 16 * (0 if reset else previous))
    elif reset:
        poke(t.run + 8 * PERF_START, elapsed(t))
    return previous
