"""Slots per element and around the loop, of every loop whose compiled form is published (timing-model 4.1 to 4.3)."""

from __future__ import annotations

import pytest
from small_kernels import of_arrays, of_views, priced, slots

from pim_runtime.counters import Counter
from pim_runtime.device import dpu_function, int8, int16, int32, int64, uint8, uint16, uint32, uint64

pytestmark = pytest.mark.quick

LENGTHS = (4, 8, 24)
# C's int: 16-bit sums stay in a register of 32 bits, a store cuts them.
REGISTER = {int16: int32, uint16: uint32}


@dpu_function
def vector_add(t, a, b, out):
    for i in range(len(a)):
        out[i] = a[i] + b[i]


@dpu_function
def vector_add_by_number(t, a, b, out, n):
    for i in range(n):
        out[i] = a[i] + b[i]


def reduction(kind):
    """Sum of two arrays, left in `out`."""

    @dpu_function
    def reduce(t, a, b, out):
        total = register(0)
        for i in range(len(a)):
            total = register(total + a[i] + b[i])
        out[0] = total

    register = REGISTER.get(kind, kind)
    return reduce


def first_pass(kind):
    """Sum of one array, left in `out`."""

    @dpu_function
    def summed(t, a, b, out):
        total = register(0)
        for i in range(len(a)):
            total = register(total + a[i])
        out[0] = total

    register = REGISTER.get(kind, kind)
    return summed


def second_pass(kind):
    """Prefix sums in place."""

    @dpu_function
    def prefixes(t, a, b, out):
        total = register(0)
        for i in range(len(a)):
            total = register(total + a[i])
            a[i] = total

    register = REGISTER.get(kind, kind)
    return prefixes


@dpu_function
def dot(t, a, b, out, n):
    total = 0
    for i in range(len(a)):
        total += a[i] * b[i]
    out[0] = total


@dpu_function
def dot_of_views(t, a, b, out):
    total = 0
    for i in range(len(a)):
        total += a[i] * b[i]
    out[0] = total


@dpu_function
def axpy(t, a, b, out, n):
    k = a[0]
    for i in range(len(b)):
        out[i] = out[i] + k * b[i]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("kind", "element"), [(uint16, 9), (uint32, 9), (uint64, 10)], ids=str)
def test_vector_add_goes_by_index(kind, element, length):
    """4.2: 3 addresses, 2 loads, add, store, 2 loop; an add of 64 bits takes two. The index is reset once."""
    assert of_views(vector_add, kind, length) == slots(element * length + 1)
    assert of_arrays(vector_add_by_number, kind, length, n=length) == slots(element * length + 1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("kind", "element"), [(uint16, 7), (uint32, 7), (uint64, 9)], ids=str)
def test_reduction_steps_pointers(kind, element, length):
    """4.2: 2 loads, 2 adds, 2 pointers, 1 loop (the listing of uint64 has 9). Around it: two pointers, the count, the
    start of the sum and its store."""
    around = 3 + 1 + 1
    assert of_views(reduction(kind), kind, length) == slots(element * length + around)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("kind", "element"), [(uint16, 4), (uint32, 4), (uint64, 5)], ids=str)
def test_first_pass_of_scan_steps_a_pointer(kind, element, length):
    """4.2: load, add, pointer, 1 loop."""
    around = 2 + 1 + 1
    assert of_views(first_pass(kind), kind, length) == slots(element * length + around)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("kind", "element"), [(uint16, 6), (uint32, 6), (uint64, 7)], ids=str)
def test_second_pass_of_scan_needs_one_address(kind, element, length):
    """4.2: address, load, add, store, 2 loop; an element that is loaded and stored needs one address (4.1, rule 2)."""
    assert of_views(second_pass(kind), kind, length) == slots(element * length + 1 + 1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    ("kind", "factors", "element"),
    [
        (int8, (1, 1), 8),
        (int8, (-128, 127), 8),
        (int16, (1, 255), 8),
        (int16, (256, 1), 14),
        (int16, (1, -1), 14),
        (int32, (1, 1), 15),
        (int32, (1, -1), 15),
        (int32, (0, 9), 15),
        (int32, (-3, 100), 8 + 6 + 7),
        (int32, (-1, -1), 8 + 6 + 32),
    ],
    ids=str,
)
def test_dot_product_of_constant_length(kind, factors, element, length):
    """4.3: 2 addresses, 2 loads, multiply, add, 2 loop. Around it: the index, the start of the sum and its store."""
    assert priced(of_arrays(dot, kind, length, *factors)) == element * length + 3


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    ("kind", "factors", "element"),
    [
        (int8, (2, 3), 9),
        (int16, (2, 255), 9),
        (int16, (2, 256), 15),
        (int32, (1, 1), 17),
        (int32, (12, 1000), 10 + 6 + 4),
        (int32, (-1, -1), 10 + 6 + 32),
    ],
    ids=str,
)
def test_scaled_addition_of_constant_length(kind, factors, element, length):
    """4.3: 2 addresses, 2 loads, multiply, add, store, 2 loop; a called multiply takes an argument move. Around it: the
    factor's load and the index."""
    assert priced(of_arrays(axpy, kind, length, *factors)) == element * length + 2


@pytest.mark.parametrize("length", LENGTHS)
def test_wide_dot_product_and_scaled_addition(length):
    """int64: an add of two words, a called multiply (129 slots), whose operands both come from loads or take moves."""
    assert of_arrays(dot, int64, length, 3, 5) == slots((8 - 1 + 1) * length + 3, MUL64=length)
    # the factor is moved into its registers, one move counted per operand
    assert of_arrays(axpy, int64, length, 3, 5) == slots((9 - 1 + 1 + 1) * length + 2, MUL64=length)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("kind", "element"), [(int8, 7), (uint8, 7), (int16, 7), (int32, 14)], ids=str)
def test_dot_product_of_run_time_length_steps_pointers(kind, element, length):
    """4.1, rule 3: 2 pointers, 2 loads, multiply, add, 1 loop."""
    assert priced(of_views(dot_of_views, kind, length, 1, 1)) == element * length + 3 + 1 + 1


@pytest.mark.parametrize("kind", [int8, int16, int32, int64], ids=str)
def test_copying_takes_an_address_per_array(kind):
    @dpu_function
    def copy(t, a, b, out):
        for i in range(len(a)):
            out[i] = a[i]

    assert of_views(copy, kind, 8) == slots(6 * 8 + 1)


def test_clearing_steps_by_index():
    @dpu_function
    def clear(t, a, b, out):
        for i in range(len(out)):
            out[i] = 0

    assert of_views(clear, int32, 8) == slots(4 * 8 + 1)


def test_sum_in_memory_stays_in_the_loop():
    """4.1, rule 5: an accumulator that is selected at run time is loaded and stored in every iteration."""

    @dpu_function
    def in_memory(t, a, b, out, n):
        for i in range(len(a)):
            out[n] += a[i]

    @dpu_function
    def in_a_register(t, a, b, out, n):
        total = out[n]
        for i in range(len(a)):
            total += a[i]
        out[n] = total

    kept = of_arrays(in_a_register, int32, 8)
    assert kept == slots(5 * 8 + 1 + 3)  # index, shared address of out[n], load, store
    assert of_arrays(in_memory, int32, 8) == slots(7 * 8 + 1 + 1)


def test_index_used_otherwise_keeps_the_index_form():
    @dpu_function
    def weighted(t, a, b, out):
        total = 0
        for i in range(len(a)):
            total += a[i] + i
        out[0] = total

    assert of_views(weighted, int32, 8) == slots((1 + 1 + 2 + 2) * 8 + 1 + 1 + 1)


def test_loop_that_indexes_nothing_goes_by_index():
    @dpu_function
    def doubling(t, a, b, out):
        total = 1
        for _ in range(len(a)):
            total = total + total
        out[0] = total

    assert of_views(doubling, int32, 8) == slots((1 + 2) * 8 + 1 + 1 + 1)


def test_multiplies_are_counted_by_the_width_of_their_type():
    for kind, counter in ((int16, Counter.MUL16), (int32, Counter.MUL32), (int64, Counter.MUL64)):
        assert of_arrays(dot, kind, 4, 1, 1)[counter] == 4
