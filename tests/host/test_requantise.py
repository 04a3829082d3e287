"""Requantisation: the rounded product bit for bit, its distance to the real one, ties, signs and saturation (B-7)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from host.attention import bounds
from host.attention.requantise import dyadic, requantise

pytestmark = pytest.mark.quick

factors = st.one_of(st.floats(1e-25, 2.0**31, exclude_max=True), st.integers(-80, 30).map(lambda n: 2.0**n))
accumulators = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-300, 300))
DTYPES = [np.int8, np.int16, np.int32]


def half_away(x: Fraction) -> int:
    size = math.floor(abs(x) + Fraction(1, 2))
    return size if x >= 0 else -size


@given(factor=factors)
def test_dyadic_numbers_are_close(factor: float) -> None:
    multiplier, shift = map(int, dyadic(factor))
    if factor >= 2.0**-64:
        assert 2**30 <= multiplier <= 2**31
        assert 0 <= shift <= 95
    error = abs(Fraction(multiplier, 2**shift) - Fraction(factor))
    assert error <= (Fraction(factor) / 2**31 if factor >= 2.0**-64 else Fraction(1, 2**96))


@given(accumulator=accumulators, factor=factors, dtype=st.sampled_from(DTYPES))
@example(accumulator=-(2**63), factor=2.0**31 - 1, dtype=np.int32)
@example(accumulator=-(2**63), factor=2.0**-63, dtype=np.int8)
@example(accumulator=2**62, factor=2.0**-63, dtype=np.int8)
@example(accumulator=2**62 - 1, factor=2.0**-63, dtype=np.int8)
@example(accumulator=2**63 - 1, factor=5e-324, dtype=np.int16)
def test_results_are_the_exact_product_rounded_once_and_saturated(
    accumulator: int, factor: float, dtype: type[np.signedinteger]
) -> None:
    multiplier, shift = map(int, dyadic(factor))
    limits = np.iinfo(dtype)
    wanted = min(max(half_away(Fraction(accumulator * multiplier, 2**shift)), limits.min), limits.max)
    result = requantise(np.array([accumulator]), factor, dtype=dtype)
    assert result.dtype == dtype
    assert int(result[0]) == wanted


@given(accumulator=accumulators, factor=factors)
def test_distance_to_the_real_product_is_bounded(accumulator: int, factor: float) -> None:
    product = accumulator * Fraction(factor)
    result = int(requantise(np.array([accumulator]), factor, dtype=np.int32)[0])
    if abs(product) < 2**31 - 2:
        bound = bounds.requantisation_bound(accumulator, factor=factor)
        assert abs(result - product) <= Fraction(float(bound))
    else:
        assert abs(result - product) <= 2 or result in (-(2**31), 2**31 - 1)


@pytest.mark.parametrize("shift", [1, 20, 31, 32, 33, 40, 62, 63])
def test_ties_go_away_from_zero(shift: int) -> None:
    ties = np.array([-5, -3, -1, 1, 3, 5], np.int64) << min(shift - 1, 60)
    results = requantise(ties, 2.0 ** -(min(shift - 1, 60) + 1), dtype=np.int8)
    assert results.tolist() == [-3, -2, -1, 1, 2, 3]


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_saturate_at_both_ends(dtype: type[np.signedinteger]) -> None:
    limits = np.iinfo(dtype)
    ends = np.array([limits.min - 1, limits.min, limits.max, limits.max + 1], np.int64)
    assert requantise(ends, 1.0, dtype=dtype).tolist() == [limits.min, limits.min, limits.max, limits.max]
    assert requantise(ends << 20, 2.0**-20, dtype=dtype).tolist() == [limits.min, limits.min, limits.max, limits.max]


def test_factors_broadcast_per_column() -> None:
    assert requantise(np.array([[100, 100], [-7, -7]]), [0.5, 0.25], dtype=np.int8).tolist() == [[50, 25], [-4, -2]]


def test_the_bound_is_nearly_attained() -> None:
    """Far below a tie the rounding of the result dominates: an odd number of halves is off by exactly 1/2."""
    error = abs(int(requantise(np.array([2**30 - 1]), 0.5, dtype=np.int32)[0]) - (2**30 - 1) / 2)
    assert error >= 0.3 * bounds.requantisation_bound(2**30 - 1, factor=0.5)
    assert abs(int(requantise(np.array([3]), 0.5, dtype=np.int32)[0]) - 1.5) == pytest.approx(
        bounds.requantisation_bound(3, factor=0.5), rel=1e-8
    )


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan, 2.0**31])
def test_impossible_factors_are_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="factor"):
        requantise(np.array([1]), factor, dtype=np.int8)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_other_types_are_refused(dtype: type[np.generic]) -> None:
    with pytest.raises(TypeError, match="int8"):
        requantise(np.array([1]), 0.5, dtype=dtype)
