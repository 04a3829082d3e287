"""Who may run: boots a DPU's run record, blocks tasklets on yield codes and lets them go on.

One source for both engines (the compiler compiles it into every driver). Tasklets run one at a time, each until it
yields; a state is RUNNABLE, FINISHED, or the yield code that the tasklet waits on (device.sync).
"""

from __future__ import annotations

from ..counters import NR_COUNTERS, Counter
from .faults import FaultCode, raise_fault
from .guards import spend
from .library import library
from .meters import FIRST_METER, ITERATIONS_IN_RESERVE, MEASURES, RUN
from .perfcounter import COUNT_NOTHING
from .raw import peek, peek8, poke, poke8
from .run_record import (
    DPU,
    FAULT_CODE,
    FAULT_SITE,
    FAULT_VALUES,
    MAX_ITERATIONS,
    MAX_TASKLETS,
    METER_PRICES,
    METER_TOTALS,
    METERS,
    MUTEX_OWNERS,
    NEXT_TICKET,
    NR_FAULT_VALUES,
    NR_METERS,
    NR_MUTEX_BITS,
    PERF_CONFIG,
    PERF_START,
    PHASE,
    SITES,
    STATES,
    TASKLET,
    TICKETS,
    TOTALS,
)
from .sync import BARRIER, COUNT, HANDSHAKE_NOTIFY, HANDSHAKE_WAIT, INITIAL_COUNT, MUTEX, SEMAPHORE
from .wram_map import LOG_WRAPPED, LOG_WRITTEN

__all__ = ["FINISHED", "MAX_PHASES", "OPERAND", "RUNNABLE", "block", "boot", "flush_counters", "may_run"]

RUNNABLE = 0
FINISHED = -1
MAX_PHASES = 1024  # phases whose counters are kept apart; later ones are added to the last
OPERAND = (1 << 32) - 1
WAIT_ITERATIONS = 64  # of a tasklet's budget of loop iterations: to wait takes about as long


@library
def boot(run: int, wram: int, dpu: int, counters: int, measured: bool) -> None:
    """Start a launch on one DPU: release the mutex bits, empty the log, clear the run record (upmem-sdk 3.3).

    measured: whether this DPU counts what depends on the data.
    """
    for cell in (DPU, TASKLET, PHASE, FAULT_CODE, FAULT_SITE, NEXT_TICKET, PERF_START):
        poke(run + 8 * cell, 0)
    for cell in range(FAULT_VALUES, FAULT_VALUES + NR_FAULT_VALUES):
        poke(run + 8 * cell, 0)
    poke(run + 8 * DPU, dpu)
    poke(run + 8 * PERF_CONFIG, COUNT_NOTHING)
    for counter in range(NR_COUNTERS):
        poke(run + 8 * (TOTALS + counter), 0)
    for tasklet in range(MAX_TASKLETS):
        poke(run + 8 * (STATES + tasklet), RUNNABLE)
        poke(run + 8 * (SITES + tasklet), 0)
    for cell in range(NR_COUNTERS * MAX_TASKLETS):
        poke(counters + 8 * cell, 0)
    nr_meters, meters = peek(run + 8 * NR_METERS), peek(run + 8 * METERS)
    for cell in range(nr_meters * MAX_TASKLETS):
        poke(meters + 8 * cell, 0)
    for tasklet in range(MAX_TASKLETS):
        row = meters + 8 * nr_meters * tasklet
        poke(row + 8 * MEASURES, 1 if measured else 0)
        poke(row + 8 * ITERATIONS_IN_RESERVE, peek(run + 8 * MAX_ITERATIONS))
        poke(row + 8 * RUN, run)
    for bit in range(NR_MUTEX_BITS):
        poke(run + 8 * (MUTEX_OWNERS + bit), 0)
    poke(wram + LOG_WRITTEN, 0)
    poke(wram + LOG_WRAPPED, 0)


@library
def state_of(run: int, tasklet: int) -> int:
    """RUNNABLE, FINISHED or the yield code that the tasklet waits on."""
    return peek(run + 8 * (STATES + tasklet))


@library
def set_state(run: int, tasklet: int, state: int) -> None:
    """Change what a tasklet waits for."""
    poke(run + 8 * (STATES + tasklet), state)


@library
def is_first(run: int, tasklet: int, nr_tasklets: int) -> bool:
    """True when nobody has waited longer for the same thing."""
    state, ticket = state_of(run, tasklet), peek(run + 8 * (TICKETS + tasklet))
    for other in range(nr_tasklets):
        if (state_of(run, other) == state) & (peek(run + 8 * (TICKETS + other)) < ticket):
            return False
    return True


@library
def may_run(run: int, wram: int, tasklet: int, nr_tasklets: int) -> bool:
    """Whether the tasklet can take a step now; takes the mutex or semaphore that it waited for."""
    state = state_of(run, tasklet)
    if state <= RUNNABLE:
        return state == RUNNABLE
    primitive, operand = state >> 32, state & OPERAND
    if primitive == MUTEX:
        cell = run + 8 * (MUTEX_OWNERS + operand)
        if (peek(cell) == 0) & is_first(run, tasklet, nr_tasklets):
            poke(cell, tasklet + 1)
            set_state(run, tasklet, RUNNABLE)
            return True
    elif primitive == SEMAPHORE:
        cell = wram + operand + COUNT
        if (peek8(cell) > 0) & is_first(run, tasklet, nr_tasklets):
            poke8(cell, peek8(cell) - 1)
            set_state(run, tasklet, RUNNABLE)
            return True
    return False


@library
def block(run: int, wram: int, tasklet: int, nr_tasklets: int, code: int, counters: int) -> None:
    """Act on what a tasklet yielded: it waits, or it completes a barrier or a handshake."""
    spend(meters_of(run, tasklet), WAIT_ITERATIONS, peek(run + 8 * (SITES + tasklet)))
    set_state(run, tasklet, code)
    ticket = peek(run + 8 * NEXT_TICKET)
    poke(run + 8 * (TICKETS + tasklet), ticket)
    poke(run + 8 * NEXT_TICKET, ticket + 1)
    primitive, operand = code >> 32, code & OPERAND
    if primitive == BARRIER:
        arrive(run, wram + operand, code, nr_tasklets, counters)
    elif primitive == HANDSHAKE_NOTIFY:
        for other in range(nr_tasklets):
            if state_of(run, other) == HANDSHAKE_WAIT << 32 | tasklet:
                set_state(run, other, RUNNABLE)
                set_state(run, tasklet, RUNNABLE)
    elif primitive == HANDSHAKE_WAIT:
        for other in range(nr_tasklets):
            if (other != tasklet) & (state_of(run, other) == code):
                raise_fault(run, FaultCode.SECOND_WAITER, operand, other, 0, 0)
        if state_of(run, operand) == HANDSHAKE_NOTIFY << 32:
            set_state(run, operand, RUNNABLE)
            set_state(run, tasklet, RUNNABLE)


@library
def arrive(run: int, barrier: int, code: int, nr_tasklets: int, counters: int) -> None:
    """One more tasklet waits; the last one opens the barrier for all, reloads it and begins a new phase.

    Faults when the barrier opens for fewer than it counts: those who waited in a launch that faulted have come as well.
    """
    missing = peek8(barrier + COUNT) - 1
    poke8(barrier + COUNT, missing)
    if missing == 0:
        waiting = 0
        for other in range(nr_tasklets):
            waiting += state_of(run, other) == code
        if waiting < peek8(barrier + INITIAL_COUNT):
            raise_fault(run, FaultCode.BARRIER_OPENS_EARLY, waiting, peek8(barrier + INITIAL_COUNT), 0, 0)
        poke8(barrier + COUNT, peek8(barrier + INITIAL_COUNT))
        for other in range(nr_tasklets):
            flush_counters(run, other, counters)
            if state_of(run, other) == code:
                set_state(run, other, RUNNABLE)
                cell = row_of(run, other, counters) + 8 * Counter.BARRIERS
                poke(cell, peek(cell) + 1)
        phase = peek(run + 8 * PHASE) + 1
        poke(run + 8 * PHASE, phase)
        if phase < MAX_PHASES:
            first = counters + 8 * NR_COUNTERS * MAX_TASKLETS * phase
            for cell in range(NR_COUNTERS * MAX_TASKLETS):
                poke(first + 8 * cell, 0)


@library
def row_of(run: int, tasklet: int, counters: int) -> int:
    """Address of a tasklet's counters in the current phase."""
    phase = min(peek(run + 8 * PHASE), MAX_PHASES - 1)
    return counters + 8 * NR_COUNTERS * (MAX_TASKLETS * phase + tasklet)


@library
def meters_of(run: int, tasklet: int) -> int:
    """Address of a tasklet's meters."""
    return peek(run + 8 * METERS) + 8 * peek(run + 8 * NR_METERS) * tasklet


@library
def flush_counters(run: int, tasklet: int, counters: int) -> None:
    """Add what the tasklet's meters stand for to its row of the current phase and to the DPU's totals."""
    row, nr_meters, prices = row_of(run, tasklet, counters), peek(run + 8 * NR_METERS), peek(run + 8 * METER_PRICES)
    meters = meters_of(run, tasklet)
    totals = peek(run + 8 * METER_TOTALS) + 8 * nr_meters * peek(meters + 8 * MEASURES)
    for meter in range(FIRST_METER, nr_meters):
        amount = peek(meters + 8 * meter)
        if amount != 0:
            poke(meters + 8 * meter, 0)
            poke(totals + 8 * meter, peek(totals + 8 * meter) + amount)
            for entry in range(peek(prices + 8 * meter), peek(prices + 8 * (meter + 1)), 2):
                counter, units = peek(prices + 8 * entry), amount * peek(prices + 8 * (entry + 1))
                poke(row + 8 * counter, peek(row + 8 * counter) + units)
                poke(run + 8 * (TOTALS + counter), peek(run + 8 * (TOTALS + counter)) + units)
