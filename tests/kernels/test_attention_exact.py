"""Attention on DPUs is the integer reference bit for bit, whatever the shape, the operands and the tasklets (C0-02)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import (
    SOFTMAX,
    VARIANTS,
    WRAP,
    Case,
    Variant,
    assert_same,
    decode,
    make_case,
)
from kernels_for_tests.attention_operands import PATTERNS

TASKLETS = (2, 5, 12, 17, 24)
LENGTHS = (1, 2, 7, 8, 9, 64, 200, 4096)
LOGIT_SCALES = {"usual": None, "huge": 1e300, "tiny": 1e-300, "one score apart is half": 0.7}
EXPONENTIALS = ("lut256_mid", "lut256_floor", "poly2", "poly3", "iexp")

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


@every_variant
def test_every_length_with_every_number_of_tasklets(hardware, variant):
    for tokens in LENGTHS:
        case = make_case(variant, tokens=tokens, dim=12, seed=tokens)
        for nr_tasklets in TASKLETS:
            answers = decode(case, hardware, nr_tasklets=nr_tasklets)
            expected = case.expected(nr_tasklets=nr_tasklets)
            assert_same(answers, expected, where=f"{tokens} tokens, {nr_tasklets} tasklets")


@every_variant
@settings(max_examples=15)
@given(
    nr_tasklets=st.integers(2, 24),
    tokens=st.sampled_from(LENGTHS[:-1]) | st.integers(1, 300),
    dim=st.integers(1, 63) | st.sampled_from([65, 120, 127]),
    queries=st.sampled_from([1, 2, 3, 4, 8]),
    seed=st.integers(0, 1 << 32),
    patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(tuple),
    logit_scale=st.none() | st.floats(-25, 2).map(lambda exponent: 10.0**exponent),
    probability_bits=st.just(24) | st.integers(1, 24),
)
def test_random_shapes(hardware, variant, nr_tasklets, dim, queries, **shape):
    if queries > 1:  # their sums share the WRAM
        nr_tasklets = min(nr_tasklets, 20)
        dim = min(dim, 4096 // (queries * nr_tasklets))
    case = make_case(variant, dim=dim, queries=queries, **shape)
    assert_same(decode(case, hardware, nr_tasklets=nr_tasklets), case.expected(nr_tasklets=nr_tasklets))


@pytest.mark.parametrize(
    ("variant", "scale"),
    [
        pytest.param(variant, scale, id=f"{variant}-{scale}")
        for variant in VARIANTS
        for scale in (LOGIT_SCALES if variant.is_softmax else ["usual"])
    ],
)
def test_adversarial_operands(hardware, variant, scale):
    for tokens in (1, 2, 9, 20, 129):
        for dim in (1, 6, 127):
            case = make_case(variant, tokens=tokens, dim=dim, patterns=PATTERNS, logit_scale=LOGIT_SCALES[scale])
            assert_same(decode(case, hardware), case.expected(), where=f"{tokens} tokens x {dim}")


@every_variant
def test_one_worker_adds_up_many_of_the_largest_products(hardware, variant):
    """Narrow sums are emptied into wide ones before they could overflow."""
    case = make_case(variant, tokens=1030, dim=5, patterns=("all lowest", "alternating"))
    assert_same(decode(case, hardware, nr_tasklets=2), case.expected(nr_tasklets=2))


@pytest.mark.parametrize("exponential", EXPONENTIALS)
def test_every_exponential(hardware, exponential):
    variant = Variant(dtype="int8", norm="softmax", exponential=exponential)
    for scale in LOGIT_SCALES.values():
        for queries in (1, 3):
            case = make_case(variant, tokens=129, dim=6, patterns=PATTERNS, queries=queries, logit_scale=scale)
            assert_same(decode(case, hardware), case.expected(), where=f"c = {scale}, {queries} queries")


@pytest.mark.quick
@every_variant
def test_the_whole_range_is_tried_where_the_accumulators_allow_it(variant):
    case = make_case(variant, tokens=64, dim=16, patterns=("all lowest",))
    lowest = case.spec.operands.kv_min
    if variant.acc == "wrap" or variant.dtype != "int32":
        assert case.k.min() == case.v.min() == lowest
        assert case.q.min() == case.spec.operands.q_min
    else:
        assert case.k.min() < -(2**14)


@pytest.mark.parametrize("variant", SOFTMAX[1:], ids=str)
def test_weights_halve_down_to_the_last_bit(hardware, variant):
    """Logits ln(2) apart; request j has value 1 at token j only, so its output is the weight of that token."""
    tokens, one = 41, 1 << 24
    blank = make_case(variant, tokens=tokens, dim=1, batch=tokens, patterns=("zero",), logit_scale=math.log(2))
    case = Case(
        spec=blank.spec,
        q=np.ones_like(blank.q),
        k=np.broadcast_to(-np.arange(tokens)[:, None], blank.k.shape).astype(blank.k.dtype),
        v=np.eye(tokens, dtype=blank.v.dtype)[:, None, :, None],
    )
    sums = decode(case, hardware)
    halves = [one >> halvings for halvings in range(25)]
    weights = [*halves, 1] + [0] * 15  # half of the last bit is rounded up, a quarter down
    assert sums.weighted_values[:, 0, 0].tolist() == weights
    assert set(sums.weight_sum.flat) == {sum(weights)}
    assert not sums.maximum.any()


@pytest.mark.parametrize("dim", [127, 129, 255, 256, 257])
def test_a_dimension_that_does_not_fit_the_scores_type_divides_like_any_other(hardware, dim):
    """As in C, where int8 operands of a division are promoted to int."""
    variant = WRAP[1]
    assert str(variant) == "int8-div_d-wrap"
    case = make_case(variant, tokens=1000, dim=dim)
    answers = decode(case, hardware)
    assert_same(answers, case.expected())
    assert answers.any() == (dim <= 128)  # beyond, every int8 score divided by dim is 0
