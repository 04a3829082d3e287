"""A kernel with every kind of loop that can run for ever, or long: which one runs is said at run time."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import barrier_wait, dpu_function, int32, int64, me, mutex_trylock, mutex_unlock

__all__ = [
    "BRIEF",
    "HELPER",
    "LEFT",
    "LOCK",
    "NESTED",
    "RANGE",
    "WHILE",
    "lengths",
    "line_of",
    "loops",
    "sums",
    "turns",
    "which",
]

WHILE, HELPER, RANGE, NESTED, LEFT, LOCK, BRIEF = range(1, 8)

loops = DpuProgram("loops", nr_tasklets=2)
which = loops.host("which", int32)
lengths = loops.host("lengths", int64, 2)
sums = loops.host("sums", int64, 2)
lock = loops.mutex("lock")


@dpu_function
def count_up(start, length):
    """A helper without a tasklet: `length` iterations, for ever if that is negative."""
    steps = 0
    while steps != length:  # HELPER
        steps += 1
    return start + steps


@dpu_function
def added(length):
    total = 0
    for i in range(length):  # RANGE
        total += i
    return total


@loops.kernel
def run_loops(t):
    """Tasklet i runs a loop of lengths[i] iterations."""
    kind, length, total = which.load(t), lengths.array(t)[me(t)], 0
    if kind == WHILE:
        while total != length:  # WHILE
            total += 1
    elif kind == HELPER:
        total = count_up(0, length)
    elif kind == RANGE:
        total = added(length)
    elif kind == NESTED:
        for i in range(length):  # NESTED
            total += added(length) - i
    elif kind == LEFT:
        for i in range(1 << 40):  # LEFT
            if i == length:
                break
            total += 1
    elif kind == LOCK:
        while not mutex_trylock(t, lock):  # LOCK
            total += 1
        if length == 0:
            mutex_unlock(t, lock)
    elif kind == BRIEF:
        for i in range(4096):
            total += i
    sums.array(t)[me(t)] = total


turns = DpuProgram("turns", nr_tasklets=2)
turns_left = turns.host("turns_left", int64)
everyone = turns.barrier("everyone")


@turns.kernel
def take_turns(t):
    """Both tasklets meet again and again, for ever if `turns_left` is negative."""
    left = turns_left.load(t)
    while left != 0:
        left -= 1
        yield barrier_wait(t, everyone)


def line_of(kind_name):
    """The line of a loop, by the comment behind it."""
    with open(__file__, encoding="utf-8") as source:
        return next(number for number, line in enumerate(source, 1) if line.rstrip().endswith(f":  # {kind_name}"))
