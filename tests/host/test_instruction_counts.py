"""Slots that attention states: the published loop counts, and multiplies that depend on the data (timing-model 3.2)."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests.attention import LINEAR, ONLINE, SOFTMAX, VARIANTS, WIDE, WRAP, ZSCORE, make_spec

from host.attention.instruction_counts import StatedSlots, state_slots

pytestmark = pytest.mark.quick

DIM = 128
DTYPES = ("int4", "int8", "int16", "int32")
INT4, INT8, INT16, INT32 = range(4)


def stated(variant, k, v=None):
    spec = make_spec(variant, dim=np.shape(k)[-1], max_tokens=max(1, np.ndim(k) and len(k)), logit_scale=1.0)
    k = np.atleast_2d(np.asarray(k, spec.operands.dtype))
    v = k if v is None else np.atleast_2d(np.asarray(v, spec.operands.dtype))
    return state_slots(spec, k=k, v=v)


def full(value, rows=8, dim=DIM):
    return np.full((rows, dim), value)


@pytest.mark.parametrize(
    ("variant", "dot", "axpy", "row"),
    [(WRAP[INT8], 8, 9, 30), (WRAP[INT16], 8, 9, 30), (WRAP[INT32], 15, 17, 48)],
    ids=str,
)
def test_published_loops_on_ones(variant, dot, axpy, row):
    slots = StatedSlots(score=DIM * dot + row, norm=12, weighted_row=DIM * axpy + row, merged_row=DIM * axpy + row)
    assert stated(variant, full(1)) == slots


@pytest.mark.parametrize(
    ("value", "multiply"),
    [(0, 8), (1, 8), (2, 9), (3, 9), (4, 10), (2**15 - 1, 22), (2**30, 38), (2**31 - 1, 38), (-1, 39), (-(2**31), 39)],
)
def test_a_32_bit_multiply_takes_a_step_per_bit_of_the_smaller_pattern(value, multiply):
    # Patterns are unsigned: a negative number has 32 bits.
    slots = stated(WRAP[INT32], full(value))
    assert slots.score == DIM * (7 + multiply) + 48


def test_the_smaller_of_two_patterns_counts():
    k = np.array([[5] * DIM, [-1] * DIM])  # the last row stands for the query
    assert stated(WRAP[INT32], k).score == DIM * 7 + DIM * (7 + 3 + 7 + 32) // 2 + 48


@pytest.mark.parametrize(("value", "multiply"), [(0, 1), (255, 1), (256, 7), (-1, 7), (-(2**15), 7), (2**15 - 1, 7)])
def test_a_16_bit_multiply_is_short_when_both_operands_are_bytes(value, multiply):
    assert stated(WRAP[INT16], full(value)).score == DIM * (7 + multiply) + 30


@pytest.mark.parametrize("value", [0, 1, 127, -128])
def test_an_8_bit_multiply_takes_one_slot(value):
    assert stated(WRAP[INT8], full(value)).score == DIM * 8 + 30
    assert stated(WRAP[INT8], full(value)).weighted_row == DIM * 9 + 30


def test_wide_accumulators_add_64_bits():
    # int8 scores stay 32 bits wide; every output is 64 bits wide.
    assert stated(WIDE[INT8], full(1)).score == DIM * 8 + 30
    assert stated(WIDE[INT16], full(1)).score == DIM * (8 + 1) + 30
    # A product of two int32 operands needs 64 bits.
    assert stated(WIDE[INT32], full(1)).score == DIM * (7 + 1 + 129) + 48
    # Weights of int8 operands are 32-bit integers (score 128 / 128 = 1), those of others 64-bit ones.
    assert stated(WIDE[INT8], full(1)).weighted_row == DIM * (8 + 1 + 8 + 1) + 30
    assert stated(WIDE[INT16], full(1)).weighted_row == DIM * (8 + 1 + 129) + 30


@pytest.mark.parametrize("variant", [*SOFTMAX, *ONLINE], ids=str)
def test_softmax_states_its_own_normalisation(variant):
    slots = stated(variant, full(1))
    assert slots.norm == 170
    # All weights are 2**24, of 25 bits, and the values 1 are the smaller operand of every multiply. For operands wider
    # than int8 the product may need more than 32 bits, whatever the data.
    multiply = 8 + 1 if variant.dtype in ("int4", "int8") else 129
    unpacking = 3 if variant.dtype == "int4" else 0
    row = 48 if variant.dtype == "int32" else 30
    assert slots.weighted_row == DIM * (8 + 1 + multiply + unpacking) + row


@pytest.mark.parametrize("variant", [*ZSCORE, *LINEAR], ids=str)
def test_z_scores_measure_every_score(variant):
    """Three 64-bit multiplies for limbs of squares, least and greatest; then two to centre and scale it (K-5)."""
    scores = stated(variant, full(1)).score - stated(WIDE[DTYPES.index(variant.dtype)], full(1)).score
    assert scores == 3 * 129 + 20
    assert stated(variant, full(1)).norm == (0 if variant.norm == "zscore_linear" else 2 * 129 + 20)


def test_nibbles_are_unpacked_before_use():
    """Three slots per element of a row of K or V; partial sums hold none."""
    nibbles, bytes_ = stated(WIDE[INT4], full(1)), stated(WIDE[INT8], full(1))
    assert nibbles.score - bytes_.score == nibbles.weighted_row - bytes_.weighted_row == 3 * DIM
    assert nibbles.merged_row == bytes_.merged_row


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.acc == "wide"], ids=str)
def test_wide_outputs_are_merged_by_adding(variant):
    assert stated(variant, full(1)).merged_row == DIM * (8 + 1) + (48 if variant.dtype == "int32" else 30)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_only_the_first_64_tokens_are_looked_at(variant):
    rng, spec = np.random.default_rng(0), make_spec(variant, dim=DIM, max_tokens=100)
    largest = min(spec.kv_max, spec.operands.kv_max)
    rows = rng.integers(-largest, largest, (100, DIM)).astype(spec.operands.dtype)
    assert state_slots(spec, k=rows, v=rows) == state_slots(spec, k=rows[:64], v=rows[:64])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(("tokens", "dim"), [(1, 1), (1, 128), (64, 1), (7, 13)])
def test_slots_are_whole_and_only_those_of_no_normalisation_are_none(variant, tokens, dim):
    slots = stated(variant, full(1, tokens, dim))
    for value in (slots.score, slots.weighted_row, slots.merged_row, slots.norm + (variant.norm == "zscore_linear")):
        assert type(value) is int
        assert value > 0
