"""Slots that attention states: the published loop counts, and multiplies that depend on the data (timing-model 3.2)."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests.attention import VARIANTS

from host.attention.instruction_counts import StatedSlots, state_slots
from host.attention.softmax_plan import softmax_plan

pytestmark = pytest.mark.quick

DIM = 128
WRAP, WIDE, SOFTMAX = VARIANTS[:3], VARIANTS[3:6], VARIANTS[6:]


def stated(variant, k, v=None):
    k = np.atleast_2d(np.asarray(k, variant.dtype))
    v = k if v is None else np.atleast_2d(np.asarray(v, variant.dtype))
    bound = k.shape[1] * variant.largest(k.shape[1], len(k)) ** 2
    plan = softmax_plan(logit_scale=1.0, score_bound=bound) if variant.norm == "softmax" else None
    return state_slots(kind=variant.kind, norm=variant.norm, acc=variant.acc, k=k, v=v, plan=plan)


def full(value, rows=8, dim=DIM):
    return np.full((rows, dim), value)


@pytest.mark.parametrize(
    ("variant", "dot", "axpy", "row"), [(WRAP[0], 8, 9, 30), (WRAP[1], 8, 9, 30), (WRAP[2], 15, 17, 48)], ids=str
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
    slots = stated(WRAP[2], full(value))
    assert slots.score == DIM * (7 + multiply) + 48


def test_the_smaller_of_two_patterns_counts():
    k = np.array([[5] * DIM, [-1] * DIM])  # the last row stands for the query
    assert stated(WRAP[2], k).score == DIM * 7 + DIM * (7 + 3 + 7 + 32) // 2 + 48


@pytest.mark.parametrize(("value", "multiply"), [(0, 1), (255, 1), (256, 7), (-1, 7), (-(2**15), 7), (2**15 - 1, 7)])
def test_a_16_bit_multiply_is_short_when_both_operands_are_bytes(value, multiply):
    assert stated(WRAP[1], full(value)).score == DIM * (7 + multiply) + 30


@pytest.mark.parametrize("value", [0, 1, 127, -128])
def test_an_8_bit_multiply_takes_one_slot(value):
    assert stated(WRAP[0], full(value)).score == DIM * 8 + 30
    assert stated(WRAP[0], full(value)).weighted_row == DIM * 9 + 30


def test_wide_accumulators_add_64_bits():
    # int8 scores stay 32 bits wide; every output is 64 bits wide.
    assert stated(WIDE[0], full(1)).score == DIM * 8 + 30
    assert stated(WIDE[1], full(1)).score == DIM * (8 + 1) + 30
    # A product of two int32 operands needs 64 bits.
    assert stated(WIDE[2], full(1)).score == DIM * (7 + 1 + 129) + 48
    # Weights of int8 operands are 32-bit integers (score 128 / 128 = 1), those of others 64-bit ones.
    assert stated(WIDE[0], full(1)).weighted_row == DIM * (8 + 1 + 8 + 1) + 30
    assert stated(WIDE[1], full(1)).weighted_row == DIM * (8 + 1 + 129) + 30


@pytest.mark.parametrize("variant", SOFTMAX, ids=str)
def test_softmax_states_its_own_normalisation(variant):
    slots = stated(variant, full(1))
    assert slots.norm == 170
    # All weights are 2**24, of 25 bits, and the values 1 are the smaller operand of every multiply. For operands wider
    # than int8 the product may need more than 32 bits, whatever the data.
    multiply = 8 + 1 if variant.dtype == "int8" else 129
    row = 48 if variant.dtype == "int32" else 30
    assert slots.weighted_row == DIM * (8 + 1 + multiply) + row


@pytest.mark.parametrize("variant", WIDE + SOFTMAX, ids=str)
def test_wide_outputs_are_merged_by_adding(variant):
    assert stated(variant, full(1)).merged_row == DIM * (8 + 1) + (48 if variant.dtype == "int32" else 30)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_only_the_first_64_tokens_are_looked_at(variant):
    rng = np.random.default_rng(0)
    largest = min(variant.largest(DIM, 100), np.iinfo(variant.dtype).max)
    first, rest = (rng.integers(-largest, largest, (n, DIM)).astype(variant.dtype) for n in (64, 36))
    assert stated(variant, np.vstack([first, rest])) == stated(variant, first)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(("tokens", "dim"), [(1, 1), (1, 128), (64, 1), (7, 13)])
def test_slots_are_positive_integers_for_every_shape(variant, tokens, dim):
    slots = stated(variant, full(1, tokens, dim))
    for value in (slots.score, slots.norm, slots.weighted_row, slots.merged_row):
        assert type(value) is int
        assert value > 0
