"""Attention on DPUs is the integer reference bit for bit, whatever the shape, the operands and the tasklets (C0-02)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import PATTERNS, VARIANTS, Sizes, assert_same, make_case, make_set, run

TASKLETS = (2, 5, 12, 17, 24)
LENGTHS = (1, 2, 7, 8, 9, 64, 200, 4096)
LOGIT_SCALES = {"usual": None, "huge": 1e300, "tiny": 1e-300, "one score apart is half": 0.7}

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
@settings(max_examples=40, deadline=None)
@given(
    nr_tasklets=st.sampled_from(TASKLETS),
    tokens=st.sampled_from(LENGTHS) | st.integers(1, 300),
    dim=st.integers(1, 130),
    seed=st.integers(0, 1 << 32),
    patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(tuple),
)
def test_random_shapes(hardware, variant, nr_tasklets, tokens, dim, seed, patterns):
    case = make_case(variant, tokens=tokens, dim=dim, patterns=patterns, seed=seed)
    assert_same(run(case, hardware, nr_tasklets=nr_tasklets).outputs, case.expected())


@every_variant
@pytest.mark.parametrize("scale", LOGIT_SCALES)
def test_adversarial_operands(hardware, variant, scale):
    if variant.norm == "div_d" and scale != "usual":
        pytest.skip("div_d has no logit scale")
    for tokens in (1, 2, 9, 20, 129):
        for dim in (1, 6, 128):
            case = make_case(variant, tokens=tokens, dim=dim, patterns=PATTERNS, logit_scale=LOGIT_SCALES[scale])
            assert_same(run(case, hardware).outputs, case.expected(), where=f"{tokens} tokens x {dim}, heads {PATTERNS}")


@every_variant
def test_the_whole_range_is_used_where_the_accumulators_allow_it(variant):
    case = make_case(variant, tokens=64, dim=16, patterns=("all lowest",))
    if variant.acc == "wrap" or variant.dtype != "int32":
        assert case.q.min() == case.k.min() == case.v.min() == np.iinfo(variant.dtype).min
    else:
        assert case.operand_max == -case.k.min() > 2**20


@pytest.mark.parametrize("dim", [127, 128, 129, 255, 256, 257])
def test_a_dimension_that_does_not_fit_the_scores_type_divides_like_any_other(hardware, dim):
    """As in C, where int8 operands of a division are promoted to int."""
    case = make_case(VARIANTS[0], tokens=1000, dim=dim)
    assert str(case.variant) == "int8-div_d-wrap"
    outputs = run(case, hardware).outputs
    assert_same(outputs, case.expected())
    assert outputs.any() == (dim <= 128)  # beyond, every int8 score divided by dim is 0


@every_variant
def test_the_widest_rows_that_are_planned_run_with_24_tasklets(hardware, variant):
    """WRAM holds the buffers of all tasklets, or the layout refuses the rows."""
    case = make_case(variant, tokens=9, dim=widest(variant), patterns=("random",))
    assert_same(run(case, hardware, nr_tasklets=24).outputs, case.expected())


def widest(variant):
    """Dimensions of the widest rows that 51 KiB of WRAM hold for 24 tasklets, and a DMA moves."""
    fitting = [
        dim
        for dim in range(1, 2049)
        for sizes in [Sizes.of(variant, dim)]
        if max(sizes.row, sizes.output) <= 2048 and sizes.wram_bytes(variant) <= 51 * 1024
    ]
    return max(fitting)


@every_variant
def test_one_step_more_is_refused(hardware, variant):
    from host.attention.layout import CapacityError

    case = make_case(variant, tokens=1, dim=widest(variant) + 1)
    with pytest.raises(CapacityError):
        make_set(case, hardware)
