"""Slots that the author of a kernel states."""

from __future__ import annotations

import pytest
from small_kernels import of_arrays, of_numbers, slots

from pim_runtime.device import (
    charge,
    dpu_function,
    mram_read,
    stated,
)

pytestmark = pytest.mark.quick


@dpu_function
def summing(t, x, y):
    r = 0
    for _ in range(x):
        r += y
    return r


@dpu_function
def all_stated(t, x, y):
    stated(t, 100)
    r = 0
    for i in range(x):
        r += i
        if i > y:
            r -= 1
    return r


@dpu_function
def stated_with_routines(t, x, y):
    stated(t, x)
    return x * y // x


@dpu_function
def stated_loop(t, x, y):
    r = y
    for _ in range(x):
        stated(t, 5)
        r = (r ^ y) + 1
    return r


@dpu_function
def stated_branch(t, x, y):
    if x > y:
        stated(t, 11)
        return x + y - 1
    return x ^ y


@dpu_function
def stated_helper(t, x, y):
    return all_stated(t, x, y) + 1


@dpu_function
def called_in_stated(t, x, y):
    stated(t, 7)
    return summing(t, x, y) + x * y


@dpu_function
def charged(t, x, y):
    charge(t, 100)
    return x + y


@dpu_function
def charged_amounts(t, x, y):
    for i in range(x):
        charge(t, i)
    return x


@pytest.mark.parametrize(
    ("function", "x", "y", "counts"),
    [
        (all_stated, 4, 2, slots(0, STATED=100)),
        (stated_with_routines, 4, 1, slots(0, STATED=4, MUL32=1, SDIV32=1)),
        (stated_loop, 4, 1, slots(1, STATED=4 * 5)),  # the loop's start is outside
        (stated_branch, 4, 1, slots(1, STATED=11)),
        (stated_branch, 1, 4, slots(1 + 1)),
        (stated_helper, 4, 2, slots(1, STATED=100)),
        (called_in_stated, 4, 1, slots(0, STATED=7, MUL32=1)),
        (charged, 4, 1, slots(1, STATED=100)),
        (charged_amounts, 4, 1, slots(1 + 4 * 2, STATED=0 + 1 + 2 + 3)),
    ],
)
def test_stated_blocks(function, x, y, counts):
    """`stated` replaces plain slots of a block and of what is nested in it; library routines are counted anyway."""
    assert of_numbers(function, x, y) == counts


def test_stated_blocks_count_their_dmas():
    @dpu_function
    def reads(t, a, b, out, n):
        stated(t, 5)
        mram_read(t, 0, a, n)

    assert of_arrays(reads, n=16) == slots(0, STATED=5, READS=1, READ_BYTES=16)
