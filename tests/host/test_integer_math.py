"""Scalar primitives on int64 arrays (K-3) against Python integers, over the whole range."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from host.attention.integer_math import bit_length, isqrt, magnitude, matmul, rdiv, rsh

pytestmark = pytest.mark.quick

POSITIVE = st.integers(0, 63).flatmap(lambda bits: st.integers(0, 2**bits - 1))
SIGNED = st.tuples(POSITIVE, st.sampled_from((1, -1))).map(math.prod)


@given(POSITIVE)
@example(2**63 - 1)
@example(3_037_000_499**2)
@example(3_037_000_499**2 - 1)
@example(2**62 - 1)
@example(2**52)
def test_root_is_the_exact_floor(x: int) -> None:
    assert isqrt(np.array([x])).tolist() == [math.isqrt(x)]


@given(st.integers(1, 3_037_000_499))
def test_root_is_exact_beside_squares(root: int) -> None:
    assert isqrt(np.array([root**2 - 1, root**2, root**2 + 1])).tolist() == [
        math.isqrt(root**2 - 1),
        root,
        math.isqrt(root**2 + 1),
    ]


@given(SIGNED, st.integers(1, 2**63 - 1))
@example(2**63 - 1, 2**63 - 1)
@example(-(2**63) + 1, 2)
@example(2**62, 2**63 - 1)
def test_division_rounds_half_away_from_zero(a: int, b: int) -> None:
    size = math.floor(Fraction(abs(a), b) + Fraction(1, 2))
    assert rdiv(np.array([a]), b).tolist() == [size if a >= 0 else -size]


@given(st.integers(-(2**61), 2**61), st.integers(0, 62))
def test_shift_rounds_half_up(a: int, shift: int) -> None:
    assert rsh(np.array([a]), shift).tolist() == [math.floor(Fraction(a, 2**shift) + Fraction(1, 2))]


@given(POSITIVE)
@example(2**63 - 1)
@example(2**53 - 1)
@example(2**60 - 1)
def test_bits_are_counted_exactly(x: int) -> None:
    assert bit_length(np.array([x])).tolist() == [x.bit_length()]


def test_magnitude_of_the_lowest_number_and_of_nothing() -> None:
    assert magnitude(np.array([-128, 127], np.int8)) == 128
    assert magnitude(np.array([], np.int8)) == 0


@pytest.mark.parametrize("largest", [3, 2**26, 2**40])
def test_products_are_exact_modulo_two_to_the_64(largest: int) -> None:
    generator = np.random.default_rng(largest)
    a, b = generator.integers(-largest, largest, (3, 5)), generator.integers(-largest, largest, (5, 2))
    exact = [[sum(x * y for x, y in zip(row, column, strict=True)) for column in b.T.tolist()] for row in a.tolist()]
    assert matmul(a, b).tolist() == [[(x + 2**63) % 2**64 - 2**63 for x in row] for row in exact]
