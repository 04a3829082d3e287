"""Barriers, mutexes, semaphores and handshakes (SDK `barrier.h mutex.h sem.h handshake.h`; upmem-sdk 3.5).

What may block is yielded: `yield barrier_wait(t, done)`. The functions return a yield code (primitive << 32 | operand)
on which the scheduler (device/scheduler.py) acts. What never blocks is called: `mutex_unlock(t, lock)`.
Between two yields a tasklet runs alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faults import FaultCode, fault
from .library import library
from .raw import peek, peek8, poke, poke8
from .run_record import MUTEX_OWNERS
from .tasklet import Tasklet

if TYPE_CHECKING:
    from ..symbols import Barrier, Mutex, Semaphore

__all__ = [
    "BARRIER",
    "BLOCKING",
    "COUNT",
    "HANDSHAKE_NOTIFY",
    "HANDSHAKE_WAIT",
    "INITIAL_COUNT",
    "MUTEX",
    "SEMAPHORE",
    "barrier_wait",
    "handshake_notify",
    "handshake_wait_for",
    "mutex_lock",
    "mutex_trylock",
    "mutex_unlock",
    "sem_give",
    "sem_take",
]

BARRIER, MUTEX, SEMAPHORE, HANDSHAKE_NOTIFY, HANDSHAKE_WAIT = 1, 2, 3, 4, 5
COUNT, INITIAL_COUNT = 1, 2  # byte offsets in barrier_t and sem_t {wait_queue, count, initial_count, lock}


@library
def barrier_wait(t: Tasklet, barrier: Barrier) -> int:
    """`yield barrier_wait(t, b)`: continue when as many tasklets wait as the barrier counts."""
    return BARRIER << 32 | barrier.address


@library
def mutex_lock(t: Tasklet, mutex: Mutex) -> int:
    """`yield mutex_lock(t, m)`: continue as the holder of the mutex. Not recursive: locking twice never returns."""
    return MUTEX << 32 | mutex.bit


@library
def mutex_trylock(t: Tasklet, mutex: Mutex) -> bool:
    """Take the mutex if it is free; True when this tasklet holds it now. Does not block."""
    cell = t.run + 8 * (MUTEX_OWNERS + mutex.bit)
    free = peek(cell) == 0
    if free:
        poke(cell, t.me + 1)
    return free


@library
def mutex_unlock(t: Tasklet, mutex: Mutex) -> None:
    """Free the mutex. As on hardware anyone may, also when it is free already."""
    poke(t.run + 8 * (MUTEX_OWNERS + mutex.bit), 0)


@library
def sem_take(t: Tasklet, semaphore: Semaphore) -> int:
    """`yield sem_take(t, s)`: continue after taking one unit; waiting tasklets are served in order of arrival."""
    return SEMAPHORE << 32 | semaphore.address


@library
def sem_give(t: Tasklet, semaphore: Semaphore) -> None:
    """Give one unit. The counter is 8 bits wide, as in the SDK."""
    cell = t.wram + semaphore.address + COUNT
    poke8(cell, peek8(cell) + 1)


@library
def handshake_notify(t: Tasklet) -> int:
    """`yield handshake_notify(t)`: a rendezvous; continue when somebody waits for this tasklet."""
    return HANDSHAKE_NOTIFY << 32


@library
def handshake_wait_for(t: Tasklet, notifier: int) -> int:
    """`yield handshake_wait_for(t, n)`: continue when tasklet `n` notifies. Only one tasklet may wait for another."""
    if (notifier < 0) | (notifier >= t.nr_tasklets):
        fault(t, FaultCode.TASKLET_ID, notifier, t.nr_tasklets - 1, 0, 0)
    return HANDSHAKE_WAIT << 32 | notifier


BLOCKING = ("barrier_wait", "handshake_notify", "handshake_wait_for", "mutex_lock", "sem_take")
