"""Amounts that depend on the data: equal to a model in Python, on the DPUs that measure, and left out elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_kernels import amounts, launched, of_arrays, priced

from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.counters import VARIABLE_PARTS, Counter
from pim_runtime.device import div, dpu_function, int16, int32, int64, uint16, uint32, uint64

pytestmark = pytest.mark.quick

LENGTH = 8  # operand pairs per launch
LOW_WORD = 0xFFFF_FFFF


def operands(kind):
    """LENGTH numbers of a type: any, small, and the extremes."""
    low, high = np.iinfo(kind.dtype).min, np.iinfo(kind.dtype).max
    extremes = [number for number in (low, low + 1, -1, 0, 1, 255, 256, high - 1, high) if low <= number]
    one = st.one_of(st.integers(low, high), st.integers(max(low, -300), 300), st.sampled_from(extremes))
    return st.lists(one, min_size=LENGTH, max_size=LENGTH)


@dpu_function
def products(t, a, b, out, n):
    for i in range(len(a)):
        out[i] = a[i] * b[i]


def quotients(kind):
    """out = a / b as in C."""

    @dpu_function
    def divide(t, a, b, out, n):
        for i in range(len(a)):
            out[i] = div(kind, a[i], b[i])

    return divide


def mul16_slots(a, b):
    """Timing model 3.2: the first instruction tests whether both operands fit 8 bits."""
    return 1 if 0 <= a < 256 and 0 <= b < 256 else 7


def mul32_slots(a, b):
    """Timing model 1.1: 7 + max(1, bits of the smaller pattern)."""
    return 7 + max(1, min(a & LOW_WORD, b & LOW_WORD).bit_length())


def udiv32_slots(a, b):
    """8 + steps; 6 when a has fewer significant bits than b."""
    steps = a.bit_length() - b.bit_length() + 1
    return 8 + steps if steps > 0 else 6


def sdiv32_slots(a, b):
    """As unsigned magnitudes, + 7 for none negative, + 10 for a negative dividend, + 9 for a negative divisor."""
    return udiv32_slots(abs(a), abs(b)) + (10 if a < 0 else 9 if b < 0 else 7)


def variable_slots(function, kind, a, b):
    """Slots of the routines alone."""
    return priced({**of_arrays(function, kind, LENGTH, a, b), Counter.SLOTS: 0})


@settings(max_examples=40)
@given(a=operands(int16), b=operands(int16))
def test_signed_16_bit_products(a, b):
    assert variable_slots(products, int16, a, b) == sum(map(mul16_slots, a, b))


@settings(max_examples=40)
@given(a=operands(uint16), b=operands(uint16))
def test_unsigned_16_bit_products(a, b):
    assert variable_slots(products, uint16, a, b) == sum(map(mul16_slots, a, b))


@settings(max_examples=60)
@given(a=operands(int32), b=operands(int32))
def test_signed_32_bit_products(a, b):
    assert variable_slots(products, int32, a, b) == sum(map(mul32_slots, a, b))


@settings(max_examples=40)
@given(a=operands(uint32), b=operands(uint32))
def test_unsigned_32_bit_products(a, b):
    assert variable_slots(products, uint32, a, b) == sum(map(mul32_slots, a, b))


@settings(max_examples=40)
@given(a=operands(uint32), b=operands(uint32))
def test_unsigned_32_bit_quotients(a, b):
    divisors = [number or 1 for number in b]
    assert variable_slots(quotients(uint32), uint32, a, divisors) == sum(map(udiv32_slots, a, divisors))


@settings(max_examples=60)
@given(a=operands(int32), b=operands(int32))
def test_signed_32_bit_quotients(a, b):
    divisors = [number if number not in (0, -1) else 1 for number in b]  # lowest / -1 overflows
    assert variable_slots(quotients(int32), int32, a, divisors) == sum(map(sdiv32_slots, a, divisors))


@settings(max_examples=40)
@given(a=operands(int64), b=operands(int64))
def test_64_bit_quotients_take_a_step_per_bit(a, b):
    divisors = [number if number not in (0, -1) else 1 for number in b]
    steps = [max(0, abs(x).bit_length() - abs(y).bit_length()) for x, y in zip(a, divisors, strict=True)]
    counts = of_arrays(quotients(int64), int64, LENGTH, a, divisors)
    assert counts[Counter.DIV64] == LENGTH
    assert counts.get(Counter.DIV64_STEPS, 0) == sum(steps)


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [
        (1 << 40, 3, 39),
        ((1 << 63) - 1, 1, 62),
        ((1 << 63) + 1, 1, 63),
    ],
)
def test_unsigned_64_bit_quotients(a, b, steps):
    counts = of_arrays(quotients(uint64), uint64, LENGTH, a, b)
    assert counts[Counter.DIV64_STEPS] == LENGTH * steps


@settings(max_examples=20)
@given(a=operands(int64), b=operands(int64))
def test_64_bit_products_do_not_depend_on_the_data(a, b):
    assert of_arrays(products, int64, LENGTH, a, b) == of_arrays(products, int64, LENGTH, 1, 1)


# which DPUs measure

NR_DPUS = 6
VARIABLE = list(VARIABLE_PARTS)
OFF = EngineOptions(engine="interpreted", timing="off")
mixed = DpuProgram("mixed")
left, right, result = (mixed.host(name, int32, LENGTH) for name in ("left", "right", "result"))


@mixed.kernel
def mixed_kernel(t):
    """One product and one quotient per element."""
    x, y, out = left.array(t), right.array(t), result.array(t)
    for i in range(LENGTH):
        out[i] = x[i] * y[i] // 3


def launch_mixed(timing):
    """(result, numbers left behind) of different data on each of NR_DPUS DPUs."""
    numbers = np.random.default_rng(7).integers(-(1 << 30), 1 << 30, (2, NR_DPUS, LENGTH), dtype=np.int32)
    options = EngineOptions(engine="interpreted", timing=timing)
    return launched(mixed, {"left": numbers[0], "right": numbers[1] >> 20}, options, nr_dpus=NR_DPUS)


@pytest.mark.parametrize(
    ("timing", "measuring"),
    [
        ("exact", range(6)),
        ("sample:1", [0]),
        ("sample:2", [0, 3]),
        ("sample:3", [0, 2, 4]),
        ("sample:4", [0, 1, 3, 4]),
        ("sample:6", range(6)),
        ("sample:8", range(6)),
        ("static", []),
    ],
)
def test_measuring_dpus_are_spread_over_the_launch(timing, measuring):
    """They count as exactly as with timing="exact"; the others count all but what depends on the data."""
    (exact, expected), (found, numbers) = launch_mixed("exact"), launch_mixed(timing)
    counters = found.counters
    assert np.flatnonzero(counters.measured[counters.pattern_of]).tolist() == list(measuring)
    rows = exact.counters.rows.copy()
    assert (rows[..., VARIABLE].sum(axis=(1, 2))[:, [VARIABLE.index(Counter.MUL32_STEPS)]] > 0).all()
    others = np.setdiff1d(np.arange(NR_DPUS), list(measuring))
    for counter in VARIABLE:
        rows[others, ..., counter] = 0
    assert np.array_equal(counters.rows, rows)
    assert np.array_equal(numbers["result"], expected["result"])


def test_a_sample_of_all_dpus_is_exact_by_line():
    (exact, _), (sampled, _) = launch_mixed("exact"), launch_mixed("sample:8")
    assert [(row.line, row.counts.tolist()) for row in exact.lines.rows] == [
        (row.line, row.counts.tolist()) for row in sampled.lines.rows
    ]


def test_lines_of_a_sample_are_scaled_to_all_dpus():
    """A line's measured amount, times operations of all DPUs by operations of those that measure, rounded down."""
    (exact, _), (sampled, _) = launch_mixed("exact"), launch_mixed("sample:2")
    measured = exact.counters.rows[[0, 3]].sum(axis=(0, 1, 2))
    (line,) = [row.counts for row in sampled.lines.rows if row.counts[Counter.MUL32]]
    for counter in (Counter.MUL32_STEPS, Counter.DIV32_VARIABLE):
        seen = int(measured[counter])
        assert line[counter] == seen + 4 * LENGTH * seen // (2 * LENGTH)


def test_a_kernel_without_such_operations_measures_everywhere():
    plain = DpuProgram("plain")
    numbers = plain.host("numbers", int32, LENGTH)

    @plain.kernel
    def kernel(t):
        view = numbers.array(t)
        for i in range(LENGTH):
            view[i] = view[i] + 1

    for timing in ("static", "sample:1"):
        result, _ = launched(plain, options=EngineOptions(engine="interpreted", timing=timing), nr_dpus=3)
        assert result.counters.measured.all()


def test_timing_off_counts_nothing_and_takes_no_time():
    (exact, expected), (found, numbers) = launch_mixed("exact"), launch_mixed("off")
    assert amounts(found) == {}
    assert found.lines.rows == ()
    assert np.array_equal(numbers["result"], expected["result"])
    assert amounts(exact) != {}
    with DpuSet(1, machine=Machine(load_profile("upmem-v1a")), options=OFF) as dpus:
        dpus.load(mixed)
        dpus.exec()
        launch = next(row for row in dpus.timeline.rows if row.operation == "launch")
    assert launch.duration_ps == 0
    assert launch.costs == ()
