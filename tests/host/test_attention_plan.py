"""The softmax plan: its constants and invariants, and the weights it yields against K-6 in Python integers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attention.bounds import kernel_relative_error
from host.attention.exponential import RELATIVE_ERROR, Exponential
from host.attention.reference import softmax_weights, weights_of_differences
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan

LOGIT_SCALES = st.floats(-300, 300).map(lambda exponent: 10.0**exponent) | st.floats(1e-12, 10)
SCORE_BOUNDS = st.integers(0, 61).flatmap(lambda bits: st.integers(0, 2**bits))
PROBABILITY_BITS = st.integers(1, 30)


def literal_weights(scores: list[int], logit_scale: float, score_bound: int, probability_bits: int) -> list[int]:
    """K-6 step by step, with unbounded integers and the left shift that saturates at 2**40."""
    x = logit_scale * math.log2(math.e) * 2**16
    reach = (probability_bits + 2) * 2**16 / x
    limits = [2 * score_bound] + ([math.ceil(reach) + 1] if math.isfinite(reach) else [])
    g = max(0, min(limits).bit_length() - 31)
    mantissa, exponent = math.frexp(min(x, 1e300)) if g == 0 else math.frexp(math.ldexp(x, g))
    multiplier, sh = round(mantissa * 2**31), 31 - exponent

    def rsh(a: int, s: int) -> int:
        return (a + (1 << (s - 1))) >> s if s > 0 else min(a << -s, 2**40)

    table = [round(2.0 ** (30 - i / 256)) for i in range(257)]
    weights = []
    for s in scores:
        difference = max(scores) - s
        t = rsh(rsh(difference, g) * multiplier, sh)
        n, i, r = t >> 16, (t >> 8) & 255, t & 255
        y = table[i] - (((table[i] - table[i + 1]) * r + 128) >> 8)
        gone = difference > min(limits) or n > probability_bits + 1
        weights.append(0 if gone else rsh(y, 30 - probability_bits + n))
    return weights


@given(logit_scale=LOGIT_SCALES, score_bound=SCORE_BOUNDS, probability_bits=PROBABILITY_BITS, data=st.data())
def test_weights_are_those_of_the_literal_steps(
    logit_scale: float, score_bound: int, probability_bits: int, data: st.DataObject
) -> None:
    near = min(score_bound, math.ceil(min(40 / logit_scale, 2**61)))
    scores = data.draw(st.lists(st.integers(-near, near) | st.integers(-score_bound, score_bound), min_size=1))
    plan = softmax_plan(logit_scale=logit_scale, score_bound=score_bound, probability_bits=probability_bits)
    weights = softmax_weights(np.array(scores, dtype=np.int64), plan)
    assert weights.tolist() == literal_weights(scores, logit_scale, score_bound, probability_bits)


@given(
    logit_scale=LOGIT_SCALES | st.just(5e-324) | st.just(1.7e308),
    score_bound=SCORE_BOUNDS,
    probability_bits=PROBABILITY_BITS,
)
def test_every_intermediate_of_the_device_fits_int64(
    logit_scale: float, score_bound: int, probability_bits: int
) -> None:
    plan = softmax_plan(logit_scale=logit_scale, score_bound=score_bound, probability_bits=probability_bits)
    assert 0 <= plan.max_difference <= 2 * score_bound
    assert 0 <= plan.pre_shift <= 32
    assert 0 <= plan.shift <= 62
    assert plan.multiplier <= 2**31
    assert plan.multiplier >= 2**30 or plan.shift == 62
    reduced = (plan.max_difference + (2**plan.pre_shift >> 1)) >> plan.pre_shift
    assert reduced <= 2**31
    assert reduced * plan.multiplier + 2**62 // 2 < 2**63
    for value in (plan.multiplier, plan.shift, plan.pre_shift, plan.max_difference, plan.probability_bits):
        assert type(value) is int


@given(logit_scale=LOGIT_SCALES, score_bound=SCORE_BOUNDS)
def test_slope_is_dyadic_to_31_bits(logit_scale: float, score_bound: int) -> None:
    plan = softmax_plan(logit_scale=logit_scale, score_bound=score_bound)
    slope = Fraction(min(logit_scale * math.log2(math.e) * 2**16, 2.0**30)) * 2**plan.pre_shift
    error = abs(Fraction(plan.multiplier, 2**plan.shift) - slope)
    assert error <= max(slope / 2**31, Fraction(1, 2**63))


def test_table_is_correctly_rounded() -> None:
    table = [int(entry) for entry in softmax_plan(logit_scale=1.0, score_bound=1).table]
    assert len(table) == 257
    for i, entry in enumerate(table):
        # |entry - 2**(30 - i/256)| <= 1/2, raised to the power of 256 to stay in integers
        assert (2 * entry - 1) ** 256 <= 2 ** (31 * 256 - i) <= (2 * entry + 1) ** 256


def test_interpolated_table_is_within_its_relative_error_for_every_argument() -> None:
    unit_plan = SoftmaxPlan(
        probability_bits=30,
        multiplier=2**30,
        shift=30,
        pre_shift=0,
        max_difference=2**16,
        octaves=30,
        exponential="lut256_lerp",
        table=softmax_plan(logit_scale=1.0, score_bound=1).table,
    )
    scores = -np.arange(2**16)
    weights = softmax_weights(scores, unit_plan)
    relative = np.abs(weights / np.exp2(30 + scores / 2**16) - 1).max()
    # the margin pays for the second-order terms that the sum of first-order errors in rho leaves out
    assert 9.1e-7 < relative < 9.2e-7 - 1e-10


@pytest.mark.parametrize("probability_bits", [1, 8, 15, 24, 30])
@pytest.mark.parametrize("logit_scale", [3e-9, 7e-4, 0.11, 5.0])
def test_each_weight_is_within_rho_and_half_a_unit(logit_scale: float, probability_bits: int) -> None:
    bound = min(2**55, math.ceil(30 / logit_scale))
    plan = softmax_plan(logit_scale=logit_scale, score_bound=bound, probability_bits=probability_bits)
    scores = np.unique(np.concatenate([np.linspace(-bound, bound, 5001).astype(np.int64), [bound]]))
    exact = np.exp(-logit_scale * (bound - scores).astype(np.float64))
    error = np.abs(softmax_weights(scores, plan) * 2.0**-probability_bits - exact)
    assert (error <= kernel_relative_error(probability_bits) * exact + 2.0 ** -(probability_bits + 1)).all()


def test_huge_scale_keeps_only_the_maximum_and_never_shifts_left() -> None:
    plan = softmax_plan(logit_scale=1e300, score_bound=2**40)
    assert (plan.max_difference, plan.pre_shift, plan.shift) == (2, 0, 0)
    assert softmax_weights(np.array([5, 4, 5, -(2**40)]), plan).tolist() == [2**24, 0, 2**24, 0]


@pytest.mark.parametrize("logit_scale", [5e-324, 1e-200, 1e-30])
def test_tiny_scale_weighs_all_tokens_alike(logit_scale: float) -> None:
    plan = softmax_plan(logit_scale=logit_scale, score_bound=2**61)
    assert plan.max_difference == 2**62
    assert softmax_weights(np.array([-(2**61), 0, 2**61]), plan).tolist() == [2**24] * 3


def test_no_range_of_scores_leaves_one_weight() -> None:
    plan = softmax_plan(logit_scale=0.1, score_bound=0)
    assert (plan.max_difference, plan.pre_shift) == (0, 0)
    assert softmax_weights(np.zeros(3, np.int32), plan).tolist() == [2**24] * 3


def test_plans_are_values() -> None:
    assert softmax_plan(logit_scale=0.1, score_bound=9) == softmax_plan(logit_scale=0.1, score_bound=9)
    assert softmax_plan(logit_scale=0.1, score_bound=9) != softmax_plan(logit_scale=0.2, score_bound=9)
    assert not softmax_plan(logit_scale=0.1, score_bound=9).table.flags.writeable


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logit_scale": 0.0}, "logit_scale"),
        ({"logit_scale": -1.0}, "logit_scale"),
        ({"logit_scale": math.nan}, "logit_scale"),
        ({"logit_scale": math.inf}, "logit_scale"),
        ({"score_bound": -1}, "score_bound"),
        ({"score_bound": 2**61 + 1}, "score_bound"),
        ({"probability_bits": 0}, "probability_bits"),
        ({"probability_bits": 31}, "probability_bits"),
        ({"octaves": 23}, "octaves = 23: choose 24"),
        ({"octaves": 31}, "octaves"),
        ({"exponential": "exact"}, "lut256_lerp, lut256_mid, lut256_floor, poly2, poly3, iexp"),
        ({"exponential": "int8_normalised"}, "8-bit probabilities are not offered"),
    ],
)
def test_impossible_plans_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"logit_scale": 0.1, "score_bound": 100, "probability_bits": 24}
    with pytest.raises(ValueError, match=message):
        softmax_plan(**{**arguments, **change})


@pytest.mark.parametrize("exponential", RELATIVE_ERROR)
@pytest.mark.parametrize("logit_scale", [3e-9, 7e-4, 0.11, 5.0])
def test_each_weight_of_a_variant_is_within_its_rho(exponential: Exponential, logit_scale: float) -> None:
    bits, bound = 24, min(2**55, math.ceil(30 / logit_scale))
    plan = softmax_plan(logit_scale=logit_scale, score_bound=bound, probability_bits=bits, exponential=exponential)
    differences = np.unique(np.linspace(0, 2 * bound, 5001).astype(np.int64))
    exact = np.exp(-logit_scale * differences.astype(np.float64))
    weights = softmax_weights(-differences, plan)
    rho = RELATIVE_ERROR[exponential] + math.log(2) * (2.0**-17 + (bits + 2) * 2.0**-30)
    allowed = rho * exact + 2.0 ** -(bits + 1)
    ratio = float((np.abs(weights * 2.0**-bits - exact) / allowed).max())
    assert ratio <= 1, f"worst error / bound = {ratio}"
    assert 0 <= weights.min() <= weights.max() <= 2**bits
    assert (np.diff(weights) <= 0).all()


def test_more_octaves_tell_smaller_weights_from_zero_and_change_no_other() -> None:
    usual = softmax_plan(logit_scale=0.01, score_bound=10**6, probability_bits=15)
    wide = softmax_plan(logit_scale=0.01, score_bound=10**6, probability_bits=15, octaves=30)
    assert (usual.octaves, wide.octaves) == (15, 30)
    assert wide.max_difference > usual.max_difference
    scores = np.arange(-5000, 1)
    assert softmax_weights(scores, wide).tolist() == softmax_weights(scores, usual).tolist()
    rare = np.array([1900])  # exp(-19), about 27 octaves down
    assert weights_of_differences(rare, wide, 30).item() == round(math.exp(-19) * 2**30)
    with pytest.raises(ValueError, match="octaves=30"):
        weights_of_differences(rare, usual, 30)
