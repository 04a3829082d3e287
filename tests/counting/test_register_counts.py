"""Slots of values that a register holds already, of addresses, loads and stores."""

from __future__ import annotations

import pytest
from small_kernels import of_arrays, of_expression, of_numbers, slots

from pim_runtime import device
from pim_runtime.device import dpu_function, int8, int16, int32, int64, uint8, uint16

pytestmark = pytest.mark.quick


def test_a_register_keeps_what_was_computed():
    assert of_expression("(x + y) ^ (x + y)") == slots(2)
    assert of_expression("x * y + x * y") == slots(2 + 1, MUL32=1, MUL32_STEPS=1)
    assert of_expression("x // y + x // y") == slots(2 + 1, SDIV32=1, DIV32_VARIABLE=1)


def test_a_register_forgets_what_has_changed():
    @dpu_function
    def changed(t, x, y):
        before = x + y
        x ^= 1
        return before ^ (x + y)

    @dpu_function
    def changed_in_a_branch(t, x, y):
        before = x + y
        if y > 100:
            x ^= 1
        return before ^ (x + y)

    assert of_numbers(changed) == slots(4)
    assert of_numbers(changed_in_a_branch) == slots(1 + 1 + 2)


def test_copies_constants_and_dead_code():
    @dpu_function
    def copies(t, x, y):
        z = x
        x, y = y, z
        return y

    @dpu_function
    def dead(t, x, y):
        z = x * y  # noqa: F841 - that nobody reads it is the point
        if 1 > 2:
            x = x * y
        return x

    @dpu_function
    def moved(t, x, y):
        z = 5
        if x > y:
            z = 6
        return z

    @dpu_function
    def only_constant(t, x, y):
        z = 5
        return x + z

    assert of_numbers(copies) == {}
    assert of_numbers(dead) == {}
    assert of_numbers(moved, 1, 2) == slots(1 + 1)
    assert of_numbers(moved, 2, 1) == slots(1 + 1 + 1)
    assert of_numbers(only_constant) == slots(1)


def test_loads_of_the_same_element():
    @dpu_function
    def twice(t, a, b, out, n):
        out[0] = a[0] + a[0]

    @dpu_function
    def around_a_store(t, a, b, out, n):
        x = a[0]
        out[1] = n
        out[0] = x + a[0]

    @dpu_function
    def around_a_dma(t, a, b, out, n):
        x = a[0]
        device.mram_read(t, 0, b, 16)
        out[0] = x + a[0]

    assert of_arrays(twice) == slots(3)
    assert of_arrays(around_a_store) == slots(1 + 1 + 1 + 1 + 1)  # `out` may be `a`
    assert of_arrays(around_a_dma) == slots(1 + 1 + 1 + 1, READS=1, READ_BYTES=16)


def test_addresses():
    @dpu_function
    def one_index(t, a, b, out, n):
        out[n] = a[n] + b[n]

    @dpu_function
    def neighbours(t, a, b, out, n):
        out[n] = a[n + 1] + a[n - 1]

    @dpu_function
    def in_place(t, a, b, out, n):
        out[n] += 1

    @dpu_function
    def indirect(t, a, b, out, n):
        out[n] = a[b[n]]

    @dpu_function
    def window(t, a, b, out, n):
        part = a.window(n, 2)
        out[0] = part[1]

    assert of_arrays(one_index, n=4) == slots(3 + 2 + 1 + 1)
    assert of_arrays(neighbours, n=4) == slots(2 + 2 + 1 + 1)  # constant offsets go into the load
    assert of_arrays(in_place, n=4) == slots(1 + 1 + 1 + 1)
    assert of_arrays(indirect, n=4) == slots(3 + 2 + 1)
    assert of_arrays(window, n=4) == slots(1 + 1 + 1)


@pytest.mark.parametrize("kind", [uint8, uint16, int8, int16, int32], ids=str)
def test_loads_extend_and_stores_truncate_for_free(kind):
    @dpu_function
    def moved(t, a, b, out, n):
        out[0] = a[0] + b[0]

    assert of_arrays(moved, kind) == slots(4)


def test_a_store_to_a_wider_element_masks():
    @dpu_function
    def masked(t, a, b, out, n):
        out[0] = uint8(a[0] + 1)

    assert of_arrays(masked, int32) == slots(1 + 1 + 1 + 1)


def test_a_store_to_64_bits_extends():
    @dpu_function
    def extended(t, a, b, out, n):
        out[0] = n

    assert of_arrays(extended, int64) == slots(1 + 1)


def test_calls_inside_attributes_are_counted():
    @dpu_function
    def allocated(t, a, b, out, n):
        out[0] = device.mem_alloc(t, uint8, 8).address

    assert of_arrays(allocated) == slots(1, ALLOCS=1)
