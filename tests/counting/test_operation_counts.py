"""Slots of single operations by width: arithmetic, constants, casts, values that a register holds already."""

from __future__ import annotations

import linecache
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_kernels import of_arrays, of_numbers, slots

from pim_runtime import device
from pim_runtime.device import dpu_function, int8, int16, int32, int64, uint8, uint16, uint32

pytestmark = pytest.mark.quick

NUMBERS = count()
WIDTHS = [(int8, 1), (int16, 1), (int32, 1), (int64, 2)]


def function_of(text):
    """A helper f(t, x, y) that returns the value of an expression in kernel language."""
    filename = f"<expression {next(NUMBERS)}>"
    source = f"@dpu_function\ndef f(t, x, y):\n    return {text}\n"
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    names = {name: getattr(device, name) for name in device.__all__}
    exec(compile(source, filename, "exec"), names)
    return names["f"]


def of_expression(text, kind=int32, x=5, y=3, result=None):
    """Counts of an expression of two variables x and y, stored as their type or as `result`."""
    return of_numbers(function_of(text), x, y, (kind, kind), result)


@pytest.mark.parametrize(("kind", "words"), WIDTHS, ids=str)
@pytest.mark.parametrize(
    ("text", "operations"),
    [
        ("x + y", 1),
        ("x - y", 1),
        ("x & y", 1),
        ("x | y", 1),
        ("x ^ y", 1),
        ("-x", 1),
        ("~x", 1),
        ("abs(x)", 2),
        ("min(x, y)", 2),
        ("max(x, y)", 2),
        ("max(x, y, 3)", 4),
        ("x * 3", 1),
        ("x - y * 4", 2),
        ("x // 1", 0),
        ("x % 8", 1),
        ("int(x)", 0),
        ("x", 0),
        ("3 + 4 * 5", 0),
    ],
)
def test_operations_take_a_slot_per_word(text, operations, kind, words):
    """Timing model 3.4: an ALU operation 1, of 64 bits 2; min, max and abs compare, branch and move."""
    assert of_expression(text, kind) == slots(operations * words)


@pytest.mark.parametrize(
    ("text", "narrow", "wide"),
    [
        ("x < y", 1, 2),
        ("x == y", 1, 2),
        ("x + y > 0", 2, 4),
        ("x < y < 9", 2, 4),
        ("not x", 1, 2),
        ("bool(x)", 1, 2),
        ("less({}, x, y)", 1, 2),
        ("clz({}, x)", 1, 3),
        ("popcount({}, x)", 1, 3),
    ],
)
def test_operations_whose_result_is_an_int(text, narrow, wide):
    """A comparison of 64 bits looks at both words; counting bits chooses between them."""
    for kind in (int8, int16, int32):
        assert of_expression(text.format(kind), kind, x=1, result=int32) == slots(narrow)
    assert of_expression(text.format("int64"), int64, x=1, result=int32) == slots(wide)


@pytest.mark.parametrize("kind", [int8, int16, int32], ids=str)
@pytest.mark.parametrize("text", ["x + y * 4", "x + (y << 2)", "(x << 5) + y"])
def test_shift_and_add_is_one_instruction(text, kind):
    assert of_expression(text, kind) == slots(1)


@pytest.mark.parametrize(
    ("text", "narrow", "wide"),
    [("x << 3", 1, 3), ("x >> 3", 1, 3), ("x << 32", 1, 1), ("x << y", 1, 8), ("x >> y", 1, 8), ("x // 8", 1, 3)],
)
def test_shifts_of_two_words_move_bits_between_them(text, narrow, wide):
    assert of_expression(text, int32) == slots(narrow)
    assert of_expression(text, int64) == slots(wide)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (int8, slots(1)),
        (int16, slots(0, MUL16=1)),
        (int32, slots(2, MUL32=1, MUL32_STEPS=1)),
        (int64, slots(2, MUL64=1)),
    ],
    ids=str,
)
def test_multiplies_by_width(kind, counts):
    """Timing model 3.2. A library call wants its operands in two registers: two moves."""
    assert of_expression("x * y", kind) == counts


def test_narrow_factor_does_not_make_a_wide_one_cheap():
    """C's int * int8 is a 32-bit multiply; int8 * int8 * int8 multiplies an int once."""
    assert of_numbers(function_of("x * y"), 5, 3, (int8, int32)) == slots(2, MUL32=1, MUL32_STEPS=1)
    assert of_expression("(x * y) * x", int8) == slots(1 + 1, MUL32=1, MUL32_STEPS=2)


def test_casts_show_the_compiler_narrow_factors():
    assert of_expression("int8(x) * int8(y)", int32) == slots(1)
    assert of_expression("int16(x) * int8(y)", int32) == slots(0, MUL16=1)
    assert of_expression("(x & 255) * (y & 255)", int32) == slots(2 + 1)
    assert of_expression("(x & 255) * (y & 65535)", int32) == slots(2, MUL16=1)


def signed_digits(number):
    """Non-zero digits of the shortest sum of powers of two with signs, least significant first."""
    digits = []
    while number:
        digit = 0 if number % 2 == 0 else 2 - number % 4
        digits.append(digit)
        number = (number - digit) // 2
    return digits


@settings(max_examples=100)
@given(factor=st.one_of(st.integers(1, 1 << 12), st.integers(1, (1 << 31) - 1)))
def test_products_with_constants_are_chains_of_shift_and_adds(factor):
    """One instruction per non-zero digit but the first, one for the trailing zeros; more than 6 are a call."""
    digits = signed_digits(factor)
    chain = sum(map(bool, digits)) - 1 + (digits[0] == 0)
    called = slots(2, MUL32=1)  # of 1, which takes no further steps
    assert of_expression(f"x * {factor}", x=1) == (slots(chain) if chain <= 6 else called)


@pytest.mark.parametrize(("factor", "chain"), [(0, 1), (-1, 1), (-3, 2), (-8, 2), (255, 1), (100, 3)])
def test_other_constant_factors(factor, chain):
    assert of_expression(f"x * {factor}") == slots(chain)


def test_constant_of_eight_bits_multiplies_a_byte_in_one_slot():
    assert of_expression("x * 87", int8) == slots(1)
    assert of_expression("x * 300", int8) == slots(4)


@pytest.mark.parametrize(
    ("text", "kind", "counts"),
    [
        ("x // y", int32, slots(2, SDIV32=1, DIV32_VARIABLE=1)),
        ("x % y", int32, slots(2, SDIV32=1, DIV32_VARIABLE=1)),
        ("x // y", int8, slots(2, SDIV32=1, DIV32_VARIABLE=1)),
        ("x // y", uint32, slots(2, UDIV32=1, DIV32_VARIABLE=1)),
        ("x // y", int64, slots(2, DIV64=1, DIV64_STEPS=1)),
        ("div(int32, x, 8)", int32, slots(3)),
        ("rem(int32, x, 8)", int32, slots(5)),
        ("div(uint32, x, 8)", uint32, slots(1)),
        ("rem(uint32, x, 8)", uint32, slots(1)),
        ("div(int32, x, y)", int32, slots(2, SDIV32=1, DIV32_VARIABLE=1)),
        ("div(uint32, x, y)", uint32, slots(2, UDIV32=1, DIV32_VARIABLE=1)),
        ("div(int64, x, 8)", int64, slots(6)),
    ],
    ids=str,
)
def test_divisions(text, kind, counts):
    """Timing model 3.3: a call by width and sign; a signed one by a power of two is sign, add and shift."""
    assert of_expression(text, kind) == counts


@pytest.mark.parametrize(
    ("text", "narrow", "word", "wide"),
    [
        ("add({}, x, y)", 2, 1, 2),
        ("sub({}, x, y)", 2, 1, 2),
        ("neg({}, x)", 2, 1, 2),
        ("shl({}, x, 3)", 1, 1, 3),
        ("shr({}, x, 3)", 1, 1, 3),
    ],
)
def test_named_arithmetic(text, narrow, word, wide):
    """Narrow sums are masked (LUT: two slots for u16 ADD and SUB)."""
    assert of_expression(text.format("int16"), int16) == slots(narrow)
    assert of_expression(text.format("int32"), int32) == slots(word)
    assert of_expression(text.format("int64"), int64) == slots(wide)


def test_casts_cost_where_a_clean_value_is_used():
    assert of_expression("int16(x)", int32, result=int16) == slots(0)  # the store truncates
    assert of_expression("int16(x)", int32) == slots(1)
    assert of_expression("int16(x + y) + 1", int32) == slots(1 + 1)
    assert of_expression("int16(x + y) < 1", int32) == slots(1 + 1 + 1)
    assert of_expression("int16(x + y) >> 1", int32) == slots(1 + 1 + 1)
    assert of_expression("uint32(x)", int32) == slots(0)
    assert of_expression("int16(x)", int8) == slots(0)


def test_extensions_to_64_bits_take_a_slot_and_loads_do_them():
    assert of_expression("int64(x)", int32, result=int64) == slots(1)
    assert of_expression("x", int32, result=int64) == slots(1)
    assert of_expression("int64(x + y)", int32, result=int64) == slots(1 + 1 + 2)  # a sum that may not wrap
    assert of_expression("int64(x)", int64) == slots(0)
    assert of_expression("int64(x) + int64(y)", int32, result=int64) == slots(1 + 1 + 2)

    @dpu_function
    def widened(t, a, b, out, n):
        out[0] = int64(a[0])

    assert of_arrays(widened, int32) == slots(2)


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
