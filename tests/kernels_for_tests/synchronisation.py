"""Kernels around barriers, semaphores, mutexes and handshakes, whose results do not depend on the order of tasklets."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import (
    barrier_wait,
    charge,
    handshake_notify,
    handshake_wait_for,
    int32,
    int64,
    me,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    nr_tasklets,
    sem_give,
    sem_take,
)

__all__ = ["LOCK", "NO_LOCK", "TRYLOCK", "count_together", "pass_token", "produce_and_consume", "scan"]

scan = DpuProgram("scan", nr_tasklets=16)
rounds_of_scan = scan.host("rounds", int32)
values = scan.host("values", int64, 24)
steps_taken = scan.host("steps_taken", int64, 24)
have_read = scan.barrier("have_read")
have_written = scan.barrier("have_written")


@scan.kernel
def scan_kernel(t):
    """Prefix sums over the tasklets by doubling distances, `rounds` times over: two barriers in nested loops."""
    slots, steps = values.array(t), 0
    for _ in range(rounds_of_scan.load(t)):
        distance = 1
        while distance < nr_tasklets(t):
            term = 0
            if me(t) >= distance:
                term = slots[me(t) - distance]
            charge(t, 3 + me(t))
            yield barrier_wait(t, have_read)
            slots[me(t)] += term
            yield barrier_wait(t, have_written)
            distance *= 2
            steps += 1
    steps_taken.array(t)[me(t)] = steps


produce_and_consume = DpuProgram("produce_and_consume", nr_tasklets=16)
items = produce_and_consume.host("items", int32)
sum_of_squares = produce_and_consume.host("sum_of_squares", int64)
ring = produce_and_consume.wram("ring", int64, 4)
head = produce_and_consume.wram("head", int32)
tail = produce_and_consume.wram("tail", int32)
free = produce_and_consume.semaphore("free", 4)
filled = produce_and_consume.semaphore("filled", 0)
at_the_head = produce_and_consume.mutex("at_the_head")


@produce_and_consume.kernel
def produce_and_consume_kernel(t):
    """Tasklet 0 puts squares into a ring of four; every other tasklet takes `items` of them."""
    slots = ring.array(t)
    if me(t) == 0:
        for item in range(items.load(t) * (nr_tasklets(t) - 1)):
            yield sem_take(t, free)
            slots[tail.load(t) & 3] = item * item
            tail.store(t, tail.load(t) + 1)
            sem_give(t, filled)
    else:
        for _ in range(items.load(t)):
            yield sem_take(t, filled)
            yield mutex_lock(t, at_the_head)
            sum_of_squares.store(t, sum_of_squares.load(t) + slots[head.load(t) & 3])
            head.store(t, head.load(t) + 1)
            mutex_unlock(t, at_the_head)
            sem_give(t, free)


NO_LOCK, LOCK, TRYLOCK = 0, 1, 2

count_together = DpuProgram("count_together", nr_tasklets=16)
strategy = count_together.host("strategy", int32)
rounds_of_count = count_together.host("rounds", int32)
counter = count_together.host("counter", int64)
refusals = count_together.host("refusals", int64)
lock = count_together.mutex("lock")
elsewhere = count_together.semaphore("elsewhere", 100)


@count_together.kernel
def count_together_kernel(t):
    """Every tasklet adds 1 to `counter`, `rounds` times, and lets others run between its load and its store."""
    for _ in range(rounds_of_count.load(t)):
        if strategy.load(t) == LOCK:
            yield mutex_lock(t, lock)
        elif strategy.load(t) == TRYLOCK:
            while not mutex_trylock(t, lock):
                refusals.store(t, refusals.load(t) + 1)
                yield sem_take(t, elsewhere)
                sem_give(t, elsewhere)
        seen = counter.load(t)
        yield sem_take(t, elsewhere)
        sem_give(t, elsewhere)
        counter.store(t, seen + 1)
        if strategy.load(t) != NO_LOCK:
            mutex_unlock(t, lock)


pass_token = DpuProgram("pass_token", nr_tasklets=16)
rounds_of_token = pass_token.host("rounds", int32)
token = pass_token.host("token", int64)


@pass_token.kernel
def pass_token_kernel(t):
    """A token goes round all tasklets by handshakes; each maps it to 3 * token + its own number + 1."""
    before = me(t) - 1 if me(t) > 0 else nr_tasklets(t) - 1
    for _ in range(rounds_of_token.load(t)):
        if me(t) > 0:
            yield handshake_wait_for(t, before)
        token.store(t, 3 * token.load(t) + me(t) + 1)
        yield handshake_notify(t)
        if me(t) == 0:
            yield handshake_wait_for(t, before)
