"""Slots of calls: own functions, functions of other translation units, DMAs and the device library."""

from __future__ import annotations

import pytest
from small_kernels import launched, of_arrays, of_numbers, slots

from pim_runtime import DpuProgram, KernelError
from pim_runtime.counters import Counter
from pim_runtime.device import (
    COUNT_CYCLES,
    barrier_wait,
    dpu_function,
    extern_function,
    handshake_notify,
    handshake_wait_for,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    mutex_lock,
    mutex_unlock,
    nr_tasklets,
    perfcounter_config,
    perfcounter_get,
    sem_give,
    sem_take,
    uint8,
)

pytestmark = pytest.mark.quick


@dpu_function
def sum_of(t, x, y):
    return x + y


@extern_function
def far_sum(t, x, y):
    return x + y


@extern_function
def far_constant(t):
    return 1


@extern_function
def far_sum_of_four(t, x, y, z, w):
    return x + y + z + w


@dpu_function
def by_constant(t, x, k):
    if k == 3:
        return x
    return x * k


@extern_function
def far_by_constant(t, x, k):
    if k == 3:
        return x
    return x * k


def test_static_functions_are_inlined():
    @dpu_function
    def calls(t, x, y):
        return sum_of(t, sum_of(t, x, y), y)

    @dpu_function
    def folded(t, x, y):
        return by_constant(t, x, 3)

    assert of_numbers(calls) == slots(2)
    assert of_numbers(folded) == slots(0)


def test_functions_of_other_translation_units_are_called():
    """Timing model 4.1, rule 8: call and return, up to three argument moves."""

    @dpu_function
    def two_arguments(t, x, y):
        return far_sum(t, x, y)

    @dpu_function
    def twice(t, x, y):
        return far_sum(t, x, y) ^ far_sum(t, x, y)

    @dpu_function
    def no_argument(t, x, y):
        return far_constant(t)

    @dpu_function
    def four_arguments(t, x, y):
        return far_sum_of_four(t, x, y, x, y)

    assert of_numbers(two_arguments) == slots(2 + 2 + 1)
    assert of_numbers(twice) == slots(2 * (2 + 2 + 1) + 1)
    assert of_numbers(no_argument) == slots(2)
    assert of_numbers(four_arguments) == slots(2 + 3 + 3)


def test_other_translation_units_see_no_constants():
    @dpu_function
    def calls(t, x, y):
        return far_by_constant(t, x, 3)

    counts = of_numbers(calls)
    assert counts[Counter.SLOTS] > 2 + 2 + 1  # a frame and saved registers, since it may call the multiply
    assert Counter.MUL32 not in counts


def test_recursion_is_refused():
    @dpu_function
    def again(t, x, y):
        return again(t, x - 1, y) if x > 0 else y

    with pytest.raises(KernelError, match="calls itself"):
        of_numbers(again)


def test_dma_of_constant_size_is_one_instruction():
    @dpu_function
    def constant(t, a, b, out, n):
        mram_read(t, 0, a, 16)
        mram_write(t, a, 64, a.nbytes)

    assert of_arrays(constant) == {
        Counter.READS: 1,
        Counter.READ_BYTES: 16,
        Counter.WRITES: 1,
        Counter.WRITE_BYTES: 32,
    }


def test_dma_of_variable_size_is_encoded():
    """Timing model 3.4: 3 slots to encode; a second DMA of the same size in the block 1."""

    @dpu_function
    def one(t, a, b, out, n):
        mram_read(t, 0, a, n)

    @dpu_function
    def same_size(t, a, b, out, n):
        mram_read(t, 0, a, n)
        mram_read(t, 64, b, n)

    @dpu_function
    def other_direction(t, a, b, out, n):
        mram_read(t, 0, a, n)
        mram_write(t, a, 64, n)

    @dpu_function
    def other_size(t, a, b, out, n):
        mram_read(t, 0, a, n)
        n += 8
        mram_read(t, 64, b, n)

    @dpu_function
    def in_a_loop(t, a, b, out, n):
        for _ in range(3):
            mram_read(t, 0, a, n)

    assert of_arrays(one, n=16) == slots(3, READS=1, READ_BYTES=16)
    assert of_arrays(same_size, n=16) == slots(3 + 1, READS=2, READ_BYTES=32)
    assert of_arrays(other_direction, n=16) == slots(3 + 3, READS=1, READ_BYTES=16, WRITES=1, WRITE_BYTES=16)
    assert of_arrays(other_size, n=16) == slots(3 + 1 + 3, READS=2, READ_BYTES=40)
    assert of_arrays(in_a_loop, n=16) == slots(1 + 3 * (2 + 3), READS=3, READ_BYTES=48)


def test_synchronisation_has_counters_of_its_own():
    program = DpuProgram("synchronised", nr_tasklets=2)
    mutex, full, done = program.mutex("mutex"), program.semaphore("full", 0), program.barrier("done")

    @program.kernel
    def kernel(t):
        yield mutex_lock(t, mutex)
        mutex_unlock(t, mutex)
        mem_alloc(t, uint8, 8)
        if me(t) == 0:
            sem_give(t, full)
            yield handshake_wait_for(t, 1)
        else:
            yield sem_take(t, full)
            yield handshake_notify(t)
        yield barrier_wait(t, done)
        yield barrier_wait(t, done)

    counters = launched(program)[0].counters
    assert counters.total(Counter.LOCKS) == 2 * 2
    assert counters.total(Counter.ALLOCS) == 2
    assert counters.total(Counter.SYNCS) == 2 * 2
    assert counters.rows[0, :, :, Counter.BARRIERS].tolist() == [[1, 1], [1, 1], [0, 0]]


def test_registers_and_counters_of_the_dpu():
    @dpu_function
    def who(t, x, y):
        return me(t) + nr_tasklets(t)

    @dpu_function
    def clock(t, x, y):
        perfcounter_config(t, COUNT_CYCLES, True)
        return perfcounter_get(t)

    @dpu_function
    def reset(t, x, y):
        mem_reset(t)
        return x

    assert of_numbers(who) == slots(1)
    assert of_numbers(clock) == slots(3 + 2)
    assert of_numbers(reset) == slots(2)
