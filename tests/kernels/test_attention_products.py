"""Products of weights and V of softmax (K-1): in 32 bits where they are proven to fit, with the same sums."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests.attention import ONLINE, SOFTMAX, Case, assert_same, make_case, run

from host.attention.operands import operand_type
from pim_runtime import EngineOptions
from pim_runtime.counters import Counter

INTERPRETED = EngineOptions(engine="interpreted")
TOKENS, DIM, NR_TASKLETS = 40, 5, 4
# Beside its multiply (timing-model 4.1, 4.3): two addresses, two loads, the move of the weight, an addition of two
# words, the store, two of the loop. The extension is that of a 32-bit product.
ELEMENT_SLOTS, EXTENSION_SLOTS = 2 + 2 + 1 + 2 + 1 + 2, 1

pytestmark = pytest.mark.quick
every_softmax = pytest.mark.parametrize(
    ("variant", "probability_bits"),
    [(variant, bits) for variant in (*SOFTMAX[:2], ONLINE[0]) for bits in (24, 25)],
    ids=str,
)


def equal_weights(variant, probability_bits, values):
    """A case of which every token has weight 2**probability_bits and the same row of V."""
    blank = make_case(variant, tokens=TOKENS, dim=DIM, patterns=("zero",), probability_bits=probability_bits)
    v = np.broadcast_to(np.array(values, blank.v.dtype), blank.v.shape)
    return Case(spec=blank.spec, q=blank.q, k=blank.k, v=v)


@every_softmax
def test_the_largest_weight_times_the_outermost_values_is_exact(hardware, variant, probability_bits):
    operands = operand_type(variant.dtype)
    values = [operands.kv_min, operands.kv_max, -1, 0, 1]
    case = equal_weights(variant, probability_bits, values)
    sums = run(case, hardware, nr_tasklets=NR_TASKLETS, options=INTERPRETED).answers
    assert set(sums.weight_sum.flat) == {TOKENS << probability_bits}
    assert sums.weighted_values.ravel().tolist() == [(TOKENS << probability_bits) * value for value in values]


@every_softmax
def test_one_token_with_all_the_weight(hardware, variant, probability_bits):
    """Weights 2**P and 0, in the first, a middle and the last row of a pass; all rows have the lowest value."""
    lowest = operand_type(variant.dtype).kv_min
    case = make_case(variant, tokens=TOKENS, dim=DIM, probability_bits=probability_bits, logit_scale=40.0)
    for winner in (0, 18, 39):
        k = np.full_like(case.k, lowest)
        k[..., winner, :] = 1
        one_hot = Case(spec=case.spec, q=np.ones_like(case.q), k=k, v=np.full_like(case.v, lowest))
        sums = run(one_hot, hardware, nr_tasklets=NR_TASKLETS, options=INTERPRETED).answers
        assert_same(sums, one_hot.expected(nr_tasklets=NR_TASKLETS))
        assert set(sums.weighted_values.flat) == {lowest << probability_bits}


@every_softmax
def test_the_clock_counts_the_multiply_that_fits(hardware, variant, probability_bits):
    """How counts grow with the head size; equal rows have equal scores, so that no sum is rescaled."""

    bits = 32 if probability_bits == 24 else 64

    def counted(dim):
        case = make_case(variant, tokens=TOKENS, dim=dim, probability_bits=probability_bits, patterns=("all equal",))
        assert case.spec.products == f"int{bits}"
        counters = run(case, hardware, nr_tasklets=NR_TASKLETS, options=INTERPRETED).result.counters
        return counters.rows.sum(axis=(0, 1, 2))

    growth, products = counted(2 * DIM) - counted(DIM), TOKENS * DIM
    assert growth[Counter.MUL32] == products * (bits == 32)
    assert growth[Counter.MUL64] == products * (bits == 64)
    element = ELEMENT_SLOTS + EXTENSION_SLOTS * (bits == 32)
    assert growth[Counter.STATED] == products * element * (variant.norm == "softmax")
