"""A kernel whose tasklets wait for ever on request; `amount` decides between the broken and the mended way."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from pim_runtime.device import (
    Tasklet,
    barrier_wait,
    handshake_notify,
    handshake_wait_for,
    int64,
    me,
    mutex_lock,
    mutex_unlock,
    sem_give,
    sem_take,
)
from pim_runtime.program import DpuProgram

__all__ = ["SECOND_LISTENER", "Wait", "wait", "waiting"]


class Wait(enum.IntEnum):
    """What the tasklets do."""

    HOLD = 0
    LOCK_TWICE = 1
    STARVE = 2
    MEET = 3
    WAIT_ALONE = 4
    NOTIFY_ALONE = 5
    CROWD = 6
    WAIT_FOR_EACH_OTHER = 7
    LISTEN = 8


SECOND_LISTENER = 8

waiting = DpuProgram("waiting", nr_tasklets=4)
what = waiting.host("what", int64)
amount = waiting.host("amount", int64)
finished = waiting.host("finished", int64, 4)
lock = waiting.mutex("lock")
units = waiting.semaphore("units", 0)
everyone = waiting.barrier("everyone")
crowd = waiting.barrier("crowd", 5)


@waiting.kernel
def wait(t: Tasklet) -> Iterator[int]:
    """Four tasklets do `what`."""
    i, n, do = me(t), amount.load(t), what.load(t)
    if do == Wait.HOLD:
        if i <= 2:
            yield mutex_lock(t, lock)  # behind one who keeps it
        if i != n:
            mutex_unlock(t, lock)
    elif do == Wait.LOCK_TWICE:
        if i == 3:
            yield mutex_lock(t, lock)
            if n == 0:
                mutex_unlock(t, lock)
            yield mutex_lock(t, lock)  # again
            mutex_unlock(t, lock)
    elif do == Wait.STARVE:
        if i == 0:
            for _ in range(n):
                sem_give(t, units)
        yield sem_take(t, units)
    elif do == Wait.MEET:
        if i < n:
            yield barrier_wait(t, everyone)
    elif do == Wait.WAIT_ALONE:
        if i == 2:
            yield handshake_wait_for(t, n)
        elif i == 3:
            yield handshake_notify(t)
    elif do == Wait.NOTIFY_ALONE:
        if i == 1:
            yield handshake_notify(t)  # who listens?
        elif i == n:
            yield handshake_wait_for(t, 1)
    elif do == Wait.CROWD:
        if n == 0:
            yield barrier_wait(t, crowd)
    elif do == Wait.WAIT_FOR_EACH_OTHER:
        if i == 0:
            yield mutex_lock(t, lock)
            yield handshake_wait_for(t, 1)  # first
            mutex_unlock(t, lock)
        elif i == 1:
            if n == 0:
                yield mutex_lock(t, lock)  # before it notifies
            yield handshake_notify(t)
            if n == 0:
                mutex_unlock(t, lock)
    elif do == Wait.LISTEN:
        if i == 0:
            yield handshake_wait_for(t, n & 7)
        elif (i == 1) & (n >= SECOND_LISTENER):
            yield handshake_wait_for(t, 3)  # too
        elif i == 3:
            yield handshake_notify(t)
    finished.array(t)[i] = 1
