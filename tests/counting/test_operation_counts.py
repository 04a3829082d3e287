"""Slots of single operations by width: arithmetic, constants, casts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_kernels import function_of, of_arrays, of_expression, of_numbers, slots

from pim_runtime.device import dpu_function, int8, int16, int32, int64, uint32

pytestmark = pytest.mark.quick

WIDTHS = [(int8, 1), (int16, 1), (int32, 1), (int64, 2)]


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
