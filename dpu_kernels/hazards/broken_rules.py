"""A kernel that breaks one rule of the machine on request: DMA, views, heap, arithmetic, stops, endless loops."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from pim_runtime.device import (
    Tasklet,
    assert_that,
    barrier_wait,
    div,
    dpu_function,
    halt,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    mutex_trylock,
    mutex_unlock,
    perfcounter_config,
    rem,
    uint8,
    wram_view,
)
from pim_runtime.program import DpuProgram

__all__ = ["Rule", "breaking_rules", "countdown", "misbehave", "ratio", "remainder", "table"]


class Rule(enum.IntEnum):
    """What the culprit does; a, b, c, d of the request say how."""

    NONE = 0
    READ = 1
    WRITE = 2
    LOAD = 3
    STORE = 4
    VIEW = 5
    WINDOW = 6
    ALLOC = 7
    FLOOR_DIVIDE = 8
    MODULO = 9
    DIV = 10
    REM = 11
    HELPER_DIVIDES = 12
    AFTER_HELPER = 13
    STEP = 14
    ASSERT_THAT = 15
    PYTHON_ASSERT = 16
    HALT = 17
    PERFCOUNTER = 18
    ENDLESS = 19
    LONG_LOOP = 20
    SPIN = 21
    HELPER_LOOPS = 22
    BARE_HELPER = 23


breaking_rules = DpuProgram("breaking_rules", nr_tasklets=4)
table = breaking_rules.mram_noinit("table", int64, 512)
request = breaking_rules.host("request", int64, 5)
culprit = breaking_rules.host("culprit", int64)
answer = breaking_rules.host("answer", int64)
bytes_ = breaking_rules.wram("bytes_", uint8, 4096)
words = breaking_rules.wram("words", int32, 8, initial=range(8))
everyone = breaking_rules.barrier("everyone")
gate = breaking_rules.mutex("gate")


@dpu_function
def ratio(t: Tasklet, a: int, b: int) -> int:
    """A helper that divides."""
    return a // b


@dpu_function
def remainder(a: int, b: int) -> int:
    """A helper without a tasklet, which divides."""
    return a % b


@dpu_function
def countdown(n: int, step: int) -> int:
    """A helper without a tasklet, which loops for ever with a step of 0."""
    steps = 0
    while n > 0:  # in a helper
        n -= step
        steps += 1
    return steps


@breaking_rules.kernel
def misbehave(t: Tasklet) -> Iterator[int]:
    """Tasklet `culprit` does `request` = [rule, a, b, c, d] after a barrier; the others only cross the barrier."""
    what, a, b = request.array(t)[0], request.array(t)[1], request.array(t)[2]
    c, d = request.array(t)[3], request.array(t)[4]
    if me(t) == 0:
        mem_reset(t)
        if what == Rule.SPIN:
            free = mutex_trylock(t, gate)
            if free and a == 0:
                mutex_unlock(t, gate)
    yield barrier_wait(t, everyone)
    if me(t) != culprit.load(t):
        return
    result = 1
    if what == Rule.READ:
        mram_read(t, a, bytes_.array(t).window(b, d), c)
    elif what == Rule.WRITE:
        mram_write(t, bytes_.array(t).window(b, d), a, c)
    elif what == Rule.LOAD:
        result = words.array(t)[a]
    elif what == Rule.STORE:
        words.array(t)[a] = b
    elif what == Rule.VIEW:
        result = len(wram_view(t, int32, a, b))
    elif what == Rule.WINDOW:
        result = len(words.array(t).window(a, b))
    elif what == Rule.ALLOC:
        result = len(mem_alloc(t, int64, a))
    elif what == Rule.FLOOR_DIVIDE:
        result = a // b
    elif what == Rule.MODULO:
        result = a % b
    elif what == Rule.DIV:
        result = div(int32, a, b)
    elif what == Rule.REM:
        result = rem(int32, a, b)
    elif what == Rule.HELPER_DIVIDES:
        result = ratio(t, a, b)
    elif what == Rule.AFTER_HELPER:
        result = ratio(t, a, 1) // b
    elif what == Rule.STEP:
        for i in range(0, a, b):
            result += i
    elif what == Rule.ASSERT_THAT:
        assert_that(t, a == b)
    elif what == Rule.PYTHON_ASSERT:
        assert a == b
    elif what == Rule.HALT:
        if a == b:
            halt(t)
    elif what == Rule.PERFCOUNTER:
        perfcounter_config(t, a, True)
    elif what == Rule.ENDLESS:
        while a > 0:  # by its own fault
            a -= b
    elif what == Rule.LONG_LOOP:
        for i in range(a):  # much longer than meant
            result ^= i
    elif what == Rule.SPIN:
        while not mutex_trylock(t, gate):  # nobody else runs meanwhile
            result += 1
        mutex_unlock(t, gate)
    elif what == Rule.HELPER_LOOPS:
        result = countdown(a, b)
    elif what == Rule.BARE_HELPER:
        result = remainder(a, b)
    answer.store(t, result)
