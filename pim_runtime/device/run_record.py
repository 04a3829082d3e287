"""The run record: scratch memory in which a running DPU keeps what is not DPU memory.

One record of NR_CELLS int64 cells per host thread; a record serves one DPU after the other. It holds where execution
stands (for fault reports), what blocks each tasklet, the owners of the mutex bits, and where the meters are. Only the
device library and the engines read it.
"""

from __future__ import annotations

from ..counters import NR_COUNTERS

__all__ = [
    "DPU",
    "FAULT_CODE",
    "FAULT_SITE",
    "FAULT_VALUES",
    "INTERRUPT",
    "LOG_BYTES",
    "MAX_ITERATIONS",
    "MAX_TASKLETS",
    "METERS",
    "METER_PRICES",
    "METER_TOTALS",
    "MRAM_END",
    "MUTEX_OWNERS",
    "NEXT_TICKET",
    "NR_CELLS",
    "NR_FAULT_VALUES",
    "NR_METERS",
    "NR_MUTEX_BITS",
    "PERF_CONFIG",
    "PERF_COSTS",
    "PERF_START",
    "PHASE",
    "SITES",
    "STATES",
    "TASKLET",
    "TICKETS",
    "TOTALS",
    "WRAM_END",
]

MAX_TASKLETS = 24
NR_MUTEX_BITS = 256
NR_FAULT_VALUES = 4

DPU = 0  # index of the DPU in the launched shard
TASKLET = 1  # tasklet that is running
PHASE = 2  # barriers opened so far
FAULT_CODE = 3  # FaultCode, 0 while there is none
FAULT_SITE = 4  # site of the fault when the faulting operation knows it, else 0
FAULT_VALUES = 5  # NR_FAULT_VALUES numbers that the fault's message shows
LOG_BYTES = 9  # size of the log ring at the start of MRAM; 0 without printf
PERF_CONFIG = 10  # what the performance counter counts
PERF_START = 11  # its value at the last reset
NEXT_TICKET = 12  # arrival order of blocked tasklets
MRAM_END = 13  # size of the DPU's MRAM
WRAM_END = 14  # size of the DPU's WRAM
NR_METERS = 15  # meters of the program, the cells in front of them included
METERS = 16  # address of the meters of all tasklets, int64 [MAX_TASKLETS, NR_METERS]
METER_PRICES = 17  # address of what one unit of each meter stands for (counting.meters)
METER_TOTALS = 18  # address of the meters of all DPUs so far, int64 [2, NR_METERS]: without and with measuring
MAX_ITERATIONS = 19  # loop iterations that a tasklet may run in a launch
INTERRUPT = 20  # address of a cell that the host sets to interrupt the launch
PERF_COSTS = 21  # cycles per unit of each counter, in 1/16 cycle
TOTALS = PERF_COSTS + NR_COUNTERS  # counters of the DPU, all tasklets, flushed so far
STATES = TOTALS + NR_COUNTERS  # what each tasklet waits for: a yield code, RUNNABLE or FINISHED
SITES = STATES + MAX_TASKLETS  # source place of each tasklet's latest call into the device library
TICKETS = SITES + MAX_TASKLETS  # arrival order of each blocked tasklet
MUTEX_OWNERS = TICKETS + MAX_TASKLETS  # tasklet + 1 that holds the bit, 0 when free
NR_CELLS = MUTEX_OWNERS + NR_MUTEX_BITS
