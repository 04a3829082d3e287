"""A kernel whose tasklets use memory wrongly on request: it runs through, and is wrong. `mend` is 1 for the twin."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from pim_runtime.device import (
    Tasklet,
    barrier_wait,
    extern_function,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    mutex_lock,
    mutex_unlock,
    nr_tasklets,
    wram_view,
)
from pim_runtime.program import DpuProgram

__all__ = ["Share", "carry", "deep", "elements", "share", "sharing", "small_stacks", "stack_up"]


class Share(enum.IntEnum):
    """What the tasklets do."""

    ADD_UP = 0
    NEIGHBOUR = 1
    SHARED_BUFFER = 2
    SAME_WORD = 3
    TWO_LOCKS = 4
    FRESH_HEAP = 5
    FRESH_MRAM = 6
    LAST_ONE_WINS = 7
    UNLOCK_FOR_ANOTHER = 8
    UNLOCK_FREE = 9
    KEEP_LOCK = 10
    CARRY_ON = 11
    CARRY_ON_IN_MRAM = 12
    NULL_POINTER = 13
    RELEASED_HEAP = 14
    READ_BEFORE_WRITTEN = 15
    UNASSIGNED = 16


sharing = DpuProgram("sharing", nr_tasklets=4)
elements = sharing.mram_noinit("elements", int64, 64)
given = sharing.mram_noinit("given", int64, 64)
what = sharing.host("what", int64)
mend = sharing.host("mend", int64)
total = sharing.host("total", int64)
largest = sharing.host("largest", int64)
slots = sharing.wram("slots", int64, 8)
buffer = sharing.wram("buffer", int64, 32)
lock = sharing.mutex("lock")
other_lock = sharing.mutex("other_lock")
everyone = sharing.barrier("everyone")


@sharing.kernel
def share(t: Tasklet) -> Iterator[int]:
    """Four tasklets do `what`, safely if `mend` is 1."""
    i, do, mended = me(t), what.load(t), mend.load(t)
    if i == 0:
        mem_reset(t)
    yield barrier_wait(t, everyone)
    if do == Share.ADD_UP:
        if mended == 1:
            yield mutex_lock(t, lock)
        total.store(t, total.load(t) + i)  # without the lock
        if mended == 1:
            mutex_unlock(t, lock)
    elif do == Share.NEIGHBOUR:
        slots.array(t)[i] = 10 * i  # mine
        if mended == 1:
            yield barrier_wait(t, everyone)
        slots.array(t)[4 + i] = slots.array(t)[(i + 1) % nr_tasklets(t)]  # the neighbour's
    elif do == Share.SHARED_BUFFER:
        mine = buffer.array(t).window(8 * i * mended, 8)
        mram_read(t, given.address + 64 * i, mine, 64)  # into the buffer of all
    elif do == Share.SAME_WORD:
        mram_write(t, buffer.array(t), elements.address + 8 * i * mended, 8)  # all to one word
    elif do == Share.TWO_LOCKS:
        if i == 3 and mended == 0:
            yield mutex_lock(t, other_lock)
        else:
            yield mutex_lock(t, lock)
        total.store(t, total.load(t) + i)  # under one of two locks
        if i == 3 and mended == 0:
            mutex_unlock(t, other_lock)
        else:
            mutex_unlock(t, lock)
    elif do == Share.FRESH_HEAP:
        block = mem_alloc(t, int64, 4)
        if mended == 1:
            block[0] = 0
        slots.array(t)[i] = block[0] + 1  # of fresh heap
    elif do == Share.FRESH_MRAM:
        block = mem_alloc(t, int64, 4)
        mram_read(t, elements.address + 32 * i, block, 32)
        slots.array(t)[i] = block[0]  # of fresh MRAM
    elif do == Share.LAST_ONE_WINS:
        yield mutex_lock(t, lock)
        if mended == 0 or i > largest.load(t):
            largest.store(t, i)
        mutex_unlock(t, lock)
    elif do == Share.UNLOCK_FOR_ANOTHER:
        if i == 0:
            yield mutex_lock(t, lock)
            yield barrier_wait(t, everyone)
            if mended == 1:
                mutex_unlock(t, lock)
        else:
            yield barrier_wait(t, everyone)
        if i == 2 and mended == 0:
            mutex_unlock(t, lock)  # of tasklet 0
    elif do == Share.UNLOCK_FREE:
        if i == 1:
            if mended == 1:
                yield mutex_lock(t, lock)
            mutex_unlock(t, lock)  # which nobody holds
    elif do == Share.KEEP_LOCK:
        if i == 3:
            yield mutex_lock(t, lock)  # and never releases it
            if mended == 1:
                mutex_unlock(t, lock)
    elif do == Share.CARRY_ON:
        if i == 0:
            if mended == 1:
                total.store(t, 0)
            total.store(t, total.load(t) + 5)  # on what is there
    elif do == Share.CARRY_ON_IN_MRAM:
        if i == 0:
            block = mem_alloc(t, int64, 1)
            block[0] = 0
            if mended == 0:
                mram_read(t, given.address, block, 8)
            block[0] += 5  # on what MRAM holds
            mram_write(t, block, given.address, 8)
    elif do == Share.NULL_POINTER:
        if i == 0:
            wram_view(t, int64, slots.address * mended, 1)[0] = 7  # through a null pointer
    elif do == Share.RELEASED_HEAP:
        if i == 0:
            block = mem_alloc(t, int64, 2)
            block[0] = 3
            if mended == 0:
                mem_reset(t)
                block = mem_alloc(t, int64, 2)
            total.store(t, block[0])  # of released heap
    elif do == Share.UNASSIGNED:
        if i > 0 or mended == 1:
            found = 10 * i
        slots.array(t)[i] = found  # what only some have assigned
    elif do == Share.READ_BEFORE_WRITTEN and mended == 1:
        mram_write(t, buffer.array(t).window(2 * i, 2), elements.address + 16 * i, 16)


small_stacks = DpuProgram("small_stacks", nr_tasklets=2, stack_bytes=64)
carry = small_stacks.host("carry", int64)
depth = small_stacks.host("depth", int64)


@extern_function
def deep(t: Tasklet, a: int, b: int) -> int:
    """A helper with many variables."""
    c, d = a + b, a - b
    e, f = c * d, c ^ d
    g, h = e + f, e - f
    return g ^ h


@small_stacks.kernel
def stack_up(t: Tasklet) -> None:
    """Call a helper whose frame does not fit, if `depth` asks for it."""
    if me(t) == 0 and depth.load(t) != 0:
        carry.store(t, deep(t, 5, 3))  # too deep
