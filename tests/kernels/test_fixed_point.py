"""dpu_kernels.fixed_point on both engines: equal to exact Python integers, at the ends of every range too."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.fixed_point import FUNCTIONS, NR_ROWS, fixed_point

from host.attention.requantise import dyadic
from host.attention.requantise import requantise as requantise_on_host
from pim_runtime import DpuSet, EngineOptions, Machine, load_profile


@pytest.fixture(scope="module", params=["compiled", "interpreted"])
def dpu(request):
    """One loaded DPU per engine."""
    with DpuSet(1, machine=Machine(load_profile("upmem-v1a")), options=EngineOptions(engine=request.param)) as dpus:
        dpus.load(fixed_point)
        yield dpus


def results(dpu, function, rows):
    """The function applied to rows of up to four arguments; the unused rest of a launch repeats the last row."""
    rows = [tuple(row) + (0,) * (4 - len(row)) for row in rows]
    rows += [rows[-1]] * (NR_ROWS - len(rows))
    dpu.copy("function", np.full((1, 1), FUNCTIONS.index(function), np.int32))
    for name, column in zip(("first", "second", "third", "fourth"), zip(*rows, strict=True), strict=True):
        dpu.copy(name, np.array([column], np.int64))
    dpu.exec()
    out = np.zeros((1, NR_ROWS), np.int64)
    dpu.copy(out, "results")
    return out[0].tolist()


def rounded_up(x):
    """Halves up."""
    return math.floor(x + Fraction(1, 2))


def rounded_away(x):
    """Halves away from zero."""
    return rounded_up(x) if x >= 0 else -rounded_up(-x)


signed_62 = st.integers(-(2**62), 2**62) | st.integers(-100, 100)


def check(dpu, function, rows, expected):
    assert results(dpu, function, rows)[: len(rows)] == [expected(*row) for row in rows]


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(st.integers(-(2**61), 2**61), st.integers(0, 62)), min_size=1, max_size=NR_ROWS))
def test_round_shift(dpu, rows):
    check(dpu, "round_shift", rows, lambda a, n: rounded_up(Fraction(a, 2**n)))


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(st.integers(-(2**31), 2**31), st.integers(-60, 30)), min_size=1, max_size=NR_ROWS))
def test_scale(dpu, rows):
    check(dpu, "scale", rows, lambda a, n: rounded_up(Fraction(a) * Fraction(2) ** n))


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(signed_62, st.integers(1, 2**62) | st.integers(1, 50)), min_size=1, max_size=NR_ROWS))
def test_round_divide(dpu, rows):
    check(dpu, "round_divide", rows, lambda a, b: rounded_away(Fraction(a, b)))


def test_bit_length_and_square_root_around_powers_of_two(dpu):
    values = sorted({min(max(0, 2**n + d), 2**63 - 1) for n in range(64) for d in (-1, 0, 1)})
    for start in range(0, len(values), NR_ROWS):
        rows = [(value,) for value in values[start : start + NR_ROWS]]
        check(dpu, "bit_length", rows, int.bit_length)
        check(dpu, "int_sqrt", rows, math.isqrt)


@settings(max_examples=30)
@given(roots=st.lists(st.integers(0, math.isqrt(2**63 - 1)), min_size=1, max_size=NR_ROWS // 2))
def test_square_root_of_squares_and_their_neighbours(dpu, roots):
    rows = [(value,) for root in roots for value in (root * root, max(0, root * root - 1))]
    check(dpu, "int_sqrt", rows, math.isqrt)


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**30)), min_size=1, max_size=NR_ROWS))
def test_times_q30(dpu, rows):
    check(dpu, "times_q30", rows, lambda a, w: rounded_up(Fraction(a * w, 2**30)))


LIMITS = {127: np.int8, 32767: np.int16, 2**31 - 1: np.int32}


@settings(max_examples=60)
@given(
    accumulators=st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | signed_62, min_size=1, max_size=NR_ROWS),
    factor=st.floats(2.0**-70, 2.0**30, exclude_min=True),
    highest=st.sampled_from(sorted(LIMITS)),
)
def test_requantise_equals_the_host_and_exact_rounding(dpu, accumulators, factor, highest):
    multiplier, shift = (int(part) for part in dyadic(factor))
    rows = [(a, multiplier, shift, highest) for a in accumulators]

    def exact(a, m, n, top):
        return min(max(rounded_away(Fraction(a * m, 2**n)), -top - 1), top)

    check(dpu, "requantise", rows, exact)
    on_host = requantise_on_host(np.array(accumulators), factor, dtype=LIMITS[highest])
    assert on_host.tolist() == [exact(*row) for row in rows]
