"""Attention on DPUs is the integer reference bit for bit, whatever the shape, the operands and the tasklets (C0-02)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import PATTERNS, VARIANTS, Sizes, assert_same, make_case, make_set, run

from host.attention.layout import CapacityError

TASKLETS = (2, 5, 12, 17, 24)
LENGTHS = (1, 2, 7, 8, 9, 64, 200, 4096)
LOGIT_SCALES = {"usual": None, "huge": 1e300, "tiny": 1e-300, "one score apart is half": 0.7}
WRAM_FOR_BUFFERS = 53 * 1024

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


@every_variant
def test_every_length_with_every_number_of_tasklets(hardware, variant):
    for tokens in LENGTHS:
        case = make_case(variant, tokens=tokens, dim=12, patterns=("random", "random"), seed=tokens)
        expected = case.expected()
        for nr_tasklets in TASKLETS:
            outputs = run(case, hardware, nr_tasklets=nr_tasklets).outputs
            assert_same(outputs, expected, where=f"{tokens} tokens, {nr_tasklets} tasklets")


@every_variant
@settings(max_examples=50, deadline=None)
@given(
    nr_tasklets=st.integers(2, 24),
    tokens=st.sampled_from(LENGTHS) | st.integers(1, 300),
    dim=st.integers(1, 128),
    seed=st.integers(0, 1 << 32),
    patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(tuple),
    logit_scale=st.none() | st.floats(-25, 2).map(lambda exponent: 10.0**exponent),
)
def test_random_shapes(hardware, variant, nr_tasklets, tokens, dim, seed, patterns, logit_scale):
    case = make_case(variant, tokens=tokens, dim=dim, patterns=patterns, seed=seed, logit_scale=logit_scale)
    assert_same(run(case, hardware, nr_tasklets=nr_tasklets).outputs, case.expected())


@pytest.mark.parametrize(
    ("variant", "scale"),
    [
        pytest.param(variant, scale, id=f"{variant}-{scale}")
        for variant in VARIANTS
        for scale in (LOGIT_SCALES if variant.norm == "softmax" else ["usual"])
    ],
)
def test_adversarial_operands(hardware, variant, scale):
    for tokens in (1, 2, 9, 20, 129):
        for dim in (1, 6, 128):
            case = make_case(variant, tokens=tokens, dim=dim, patterns=PATTERNS, logit_scale=LOGIT_SCALES[scale])
            assert_same(run(case, hardware).outputs, case.expected(), where=f"{tokens} tokens x {dim}")


@pytest.mark.quick
@every_variant
def test_the_whole_range_is_tried_where_the_accumulators_allow_it(variant):
    case = make_case(variant, tokens=64, dim=16, patterns=("all lowest",))
    if variant.acc == "wrap" or variant.dtype != "int32":
        assert case.q.min() == case.k.min() == case.v.min() == np.iinfo(variant.dtype).min
    else:
        assert case.operand_max == -case.k.min() > 2**18


@pytest.mark.parametrize("variant", VARIANTS[6:], ids=str)
def test_weights_halve_down_to_the_last_bit(hardware, variant):
    """Logits ln(2) apart; head j has value 1 at token j only, so its output is the weight of that token."""
    tokens, one = 41, 1 << 24
    case = make_case(variant, tokens=tokens, dim=1, patterns=("zero",) * tokens, logit_scale=math.log(2))
    case.q[:] = 1
    case.k[..., 0] = -np.arange(tokens)
    case.v[0, :, :, 0] = np.eye(tokens)
    sums = run(case, hardware).outputs
    halves = [one >> halvings for halvings in range(25)]
    weights = [*halves, 1] + [0] * 15  # half of the last bit is rounded up, a quarter down
    assert sums.weighted_values[0, :, 0].tolist() == weights
    assert set(sums.weight_sum.flat) == {sum(weights)}
    assert not sums.maximum.any()


@pytest.mark.parametrize("dim", [127, 128, 129, 255, 256, 257])
def test_a_dimension_that_does_not_fit_the_scores_type_divides_like_any_other(hardware, dim):
    """As in C, where int8 operands of a division are promoted to int."""
    case = make_case(VARIANTS[0], tokens=1000, dim=dim)
    assert str(case.variant) == "int8-div_d-wrap"
    outputs = run(case, hardware).outputs
    assert_same(outputs, case.expected())
    assert outputs.any() == (dim <= 128)  # beyond, every int8 score divided by dim is 0


def widest(variant):
    """Dimensions of the widest rows that a DMA moves and WRAM holds for 24 tasklets."""
    return max(
        dim
        for dim in range(1, 2049)
        for sizes in [Sizes.of(variant, dim)]
        if max(sizes.row, sizes.output) <= 2048 and sizes.wram_bytes(variant) <= WRAM_FOR_BUFFERS
    )


@every_variant
def test_the_widest_rows_run_with_24_tasklets(hardware, variant):
    case = make_case(variant, tokens=9, dim=widest(variant))
    assert_same(run(case, hardware, nr_tasklets=24).outputs, case.expected())


@every_variant
def test_wider_rows_are_refused(hardware, variant):
    case = make_case(variant, tokens=9, dim=widest(variant) + 1)
    with pytest.raises(CapacityError, match=r"a DMA moves 2048|bytes of WRAM buffers per tasklet"):
        make_set(case, hardware)
