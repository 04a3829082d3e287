"""Slots of branches, by what really runs."""

from __future__ import annotations

import pytest
from small_kernels import of_numbers, slots

from pim_runtime.device import (
    dpu_function,
)

pytestmark = pytest.mark.quick


@dpu_function
def early_return(t, x, y):
    if x > y:
        return x + y
    return x * 3 + 1


@dpu_function
def if_else(t, x, y):
    if x > y:
        r = x + y
    else:
        r = x - y
        r -= 1
    return r


@dpu_function
def chain_of_ifs(t, x, y):
    r = y
    if x == 1:
        r = y + 1
    elif x == 2:
        r = y + 2 - x
    else:
        r = (y ^ x) - (y & x)
    return r


@dpu_function
def nested_ifs(t, x, y):
    r = y
    if x > 0:
        r = y + x
        if x > 1:
            r = y - x
    return r


@dpu_function
def both(t, x, y):
    r = y
    if x > 0 and y > 0:
        r = x + y
    return r


@dpu_function
def either(t, x, y):
    r = y
    if x > 0 or y > 0:
        r = x + y
    return r


@dpu_function
def chosen(t, x, y):
    return x + y if x > y else y


@pytest.mark.parametrize(
    ("function", "x", "y", "number"),
    [
        (early_return, 2, 1, 1 + 1),
        (early_return, 1, 2, 1 + 2),
        (if_else, 2, 1, 1 + 1 + 1),  # a jump over the other branch
        (if_else, 1, 2, 1 + 2),
        (chain_of_ifs, 1, 5, 1 + 1 + 1),
        (chain_of_ifs, 2, 5, 2 + 1 + 2),
        (chain_of_ifs, 3, 5, 2 + 3),
        (nested_ifs, 0, 5, 1),
        (nested_ifs, 1, 5, 1 + 1 + 1),
        (nested_ifs, 2, 5, 1 + 1 + 1 + 1),
        (both, 0, 1, 1),
        (both, 1, 0, 2),
        (both, 1, 1, 3),
        (either, 1, 0, 2),
        (either, 0, 1, 3),
        (either, 0, 0, 2),
        (chosen, 2, 1, 1 + 1 + 1),  # compare and branch, add, move
        (chosen, 1, 2, 1 + 1),
    ],
)
def test_branches(function, x, y, number):
    """Timing model 4.1, rule 7: one slot to compare and branch; a branch that is not taken costs nothing more."""
    assert of_numbers(function, x, y) == slots(number)


def test_a_branch_fuses_with_the_operation_it_tests():
    @dpu_function
    def bit(t, x, y):
        if x & 6:
            return x
        return y

    @dpu_function
    def no_bit(t, x, y):
        if (x & 6) == 0:
            return x
        return y

    @dpu_function
    def more(t, x, y):
        if x + y > 3:
            return x
        return y

    @dpu_function
    def opposite(t, x, y):
        if not x > y:
            return x
        return y

    assert of_numbers(bit) == slots(1)
    assert of_numbers(no_bit) == slots(1)
    assert of_numbers(more) == slots(2)
    assert of_numbers(opposite) == slots(1)


def test_a_branch_does_not_fuse_with_a_call():
    @dpu_function
    def product(t, x, y):
        if x * y:
            return x
        return y

    assert of_numbers(product, 1, 1) == slots(2 + 1, MUL32=1)
