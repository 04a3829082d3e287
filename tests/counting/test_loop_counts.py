"""Slots of loops, by the iterations that really run, and of what a compiler computes in front of them."""

from __future__ import annotations

import pytest
from small_kernels import of_numbers, slots

from pim_runtime.device import (
    dpu_function,
)

pytestmark = pytest.mark.quick


@dpu_function
def counting_down(t, x, y):
    while x > 0:
        x -= 1
    return y


@dpu_function
def while_both(t, x, y):
    while x > 0 and y > 0:
        x -= 1
    return y


@dpu_function
def summing(t, x, y):
    r = 0
    for _ in range(x):
        r += y
    return r


@dpu_function
def in_twos(t, x, y):
    r = 0
    for i in range(0, x, 2):
        r += i
    return r


@dpu_function
def backwards(t, x, y):
    r = 0
    for i in range(x, 0, -2):
        r += i
    return r


@dpu_function
def breaking(t, x, y):
    r = 0
    for i in range(x):
        if i == y:
            break
        r += y
    return r


@dpu_function
def returning(t, x, y):
    r = 0
    for i in range(x):
        if i == y:
            return r
        r += y
    return r


@dpu_function
def continuing(t, x, y):
    r = 0
    for i in range(x):
        if i == y:
            continue
        r += y
    return r


@dpu_function
def triangle(t, x, y):
    r = 0
    for i in range(x):
        for _ in range(i):
            r += y
    return r


@dpu_function
def square(t, x, y):
    r = 0
    for _ in range(x):
        for _ in range(x):
            r += y
    return r


@dpu_function
def inner_break(t, x, y):
    r = 0
    for _ in range(x):
        for j in range(x):
            if j == y:
                break
            r += y
    return r


START = 1 + 1  # of the sum, and of the index


@pytest.mark.parametrize("x", [0, 1, 2, 5, 9])
@pytest.mark.parametrize(
    ("function", "number"),
    [
        (counting_down, lambda x: x * (1 + 1) + 1),  # a loop is tested in front and behind every iteration
        (while_both, lambda x: x * (2 + 1) + 1),
        (summing, lambda x: START + x * (1 + 2)),
        (in_twos, lambda x: START + (x + 1) // 2 * (1 + 2)),
        (backwards, lambda x: START + (x + 1) // 2 * (1 + 2)),
        # tests, iterations, additions; an iteration that leaves the loop pays for closing it as any other
        (breaking, lambda x: START + min(x, 3) * (1 + 2) + min(x, 2)),
        (returning, lambda x: START + min(x, 3) * (1 + 2) + min(x, 2)),
        (continuing, lambda x: START + x * (1 + 2) + x - (x > 2)),
        (triangle, lambda x: START + x * (1 + 2) + x * (x - 1) // 2 * (1 + 2)),
        (square, lambda x: START + x * (1 + 2) + x * x * (1 + 2)),
        (inner_break, lambda x: START + x * (1 + 2 + min(x, 3) * (1 + 2) + min(x, 2))),
    ],
    ids=lambda value: getattr(getattr(value, "function", None), "__name__", ""),
)
def test_loops(function, number, x):
    """Timing model 4.1: index increment and compare-and-branch per iteration."""
    assert of_numbers(function, x, 2) == slots(number(x))


def test_a_single_iteration_is_no_loop():
    @dpu_function
    def once(t, x, y):
        for i in range(7, 8):
            x += i * y
        return x

    assert of_numbers(once) == slots(1 + 1)  # 7 y is one shift-and-subtract


def test_a_constant_loop_of_no_iteration_is_dead():
    @dpu_function
    def never(t, x, y):
        for _ in range(0):
            x += y * y
        return x

    assert of_numbers(never) == {}


@pytest.mark.parametrize("x", [1, 4, 7])
def test_what_a_loop_does_not_change_is_computed_in_front_of_it(x):
    @dpu_function
    def invariant_sum(t, x, y):
        r = 0
        for _ in range(x):
            r ^= x + y
        return r

    @dpu_function
    def invariant_product(t, x, y):
        r = 0
        for _ in range(x):
            for _ in range(2):
                r ^= x * y
        return r

    @dpu_function
    def changing_product(t, x, y):
        r = 1
        for _ in range(x):
            r = r * y
        return r

    @dpu_function
    def stepped_product(t, x, y):
        r = 0
        for i in range(x):
            r ^= i * y
        return r

    assert of_numbers(invariant_sum, x) == slots(START + 1 + x * (1 + 2))
    inner = 1 + 2 * (1 + 2)
    assert of_numbers(invariant_product, x, 1) == slots(START + 2 + x * (inner + 2), MUL32=1)
    assert of_numbers(changing_product, x, 1) == slots(START + x * (2 + 2), MUL32=x)
    assert of_numbers(stepped_product, x) == slots(START + x * (1 + 1 + 2))  # an addition instead of a product
