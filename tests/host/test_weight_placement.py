"""Weights beside caches: the busiest unit has as few as possible, and what is said to fit is just what fits."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.llm.catalogue import published_model
from host.llm.model import toy
from host.llm.parameters import kv_bytes_per_token, weight_bytes
from host.llm.quantisation import INT4, INT8, QuantConfig
from host.machines.bank_chip import bank_chips
from host.machines.capacity import MachineCapacityError
from host.machines.chip_memory import ChipMemory
from host.machines.kv_placement import KvPlacement
from host.machines.placement import Group, kv_groups, max_batch, max_context, place, place_weights

pytestmark = pytest.mark.quick

ALONE, SHARED = KvPlacement(), KvPlacement(4, "scores")
spreads = st.sampled_from(("even", "skewed"))
placements = st.sampled_from((ALONE, KvPlacement(2, "parts"), KvPlacement(3, "scores")))


class Memories(NamedTuple):
    units: int
    unit_bytes: int
    name: str = "any"


memories = st.builds(Memories, st.integers(3, 12), st.integers(2_000, 60_000))


@pytest.fixture(scope="module")
def aim():
    return ChipMemory(bank_chips().load("aim-8die"))


def fits(make):
    try:
        return make()
    except MachineCapacityError:
        return None


def test_document_2(aim):
    model = published_model("llama-7b")
    assert max_context(aim, model, INT4, SHARED, count_kv="seed") == 15128
    assert max_context(aim, model, INT4, SHARED) == 7564
    assert max_context(aim, model, QuantConfig(4, 16, 4), SHARED) == 1891
    assert max_context(aim, model, INT4, ALONE, spread="even") == 1891
    assert max_context(aim, model, INT4, SHARED, counted="matrices") == 7064
    skewed = place(aim, model, INT4, ALONE, context=4096)
    assert [(group.units, group.weight_bytes) for group in skewed.groups] == [(32, 16 << 20), (96, 28_819_456)]
    assert float(skewed.slowdown) == pytest.approx(1.1166, rel=1e-4)
    even = place(aim, model, INT4, ALONE, context=1891, spread="even")
    assert even.slowdown == 1
    assert {group.weight_bytes for group in even.groups} == {Fraction(weight_bytes(model, INT4, "gemv"), 128)}


@given(kv=st.lists(st.integers(0, 6), min_size=1, max_size=4), unit_bytes=st.integers(1, 6), weights=st.integers(0, 24))
def test_no_placement_of_whole_bytes_is_better(kv, unit_bytes, weights):
    """Against every placement of whole bytes; splitting a byte gains less than one."""
    best = min(
        (
            max(chosen)
            for chosen in product(range(unit_bytes + 1), repeat=len(kv))
            if _holds(chosen, kv, unit_bytes, weights)
        ),
        default=None,
    )
    placed = fits(
        lambda: place_weights(
            [Group(1, Fraction(one)) for one in kv], unit_bytes=unit_bytes, weights=weights, spread="skewed"
        )
    )
    assert (placed is None) == (best is None)
    if placed is not None:
        assert sum(group.units * group.weight_bytes for group in placed.groups) == weights
        assert all(
            group.weight_bytes >= 0 and group.weight_bytes + group.kv_bytes <= unit_bytes for group in placed.groups
        )
        busiest = max(group.weight_bytes for group in placed.groups)
        assert best - 1 < busiest <= best
        assert placed.slowdown >= 1


def _holds(chosen, kv, unit_bytes, weights):
    return sum(chosen) == weights and all(one + cache <= unit_bytes for one, cache in zip(chosen, kv, strict=True))


@given(memory=memories, placement=placements, batch=st.integers(1, 6), context=st.integers(0, 200))
def test_groups_hold_all_caches(memory, placement, batch, context):
    model = toy()
    groups = kv_groups(memory, model, INT8, placement, context=context, batch=batch)
    assert sum(group.units for group in groups) == memory.units
    total = batch * context * kv_bytes_per_token(model, INT8)
    assert sum(group.units * group.kv_bytes for group in groups) == total


@given(memory=memories, placement=placements, batch=st.integers(1, 6), spread=spreads)
def test_the_longest_context_fits_and_one_token_more_does_not(memory, placement, batch, spread):
    model = toy(layers=1)
    longest = fits(lambda: max_context(memory, model, INT4, placement, spread=spread, batch=batch))
    if longest is None:
        assert memory.units * memory.unit_bytes < weight_bytes(model, INT4, "gemv")
        return
    for tokens in (longest, longest + 1):
        placed = fits(
            lambda tokens=tokens: place(memory, model, INT4, placement, context=tokens, batch=batch, spread=spread)
        )
        assert (placed is not None) == (tokens == longest)


@given(memory=memories, placement=placements, context=st.integers(1, 100), spread=spreads)
def test_the_largest_batch_fits_and_one_request_more_does_not(memory, placement, context, spread):
    model = toy(layers=1)
    largest = fits(lambda: max_batch(memory, model, INT4, placement, context=context, spread=spread))
    if largest is None:
        assert memory.units * memory.unit_bytes < weight_bytes(model, INT4, "gemv")
        return
    for batch in {max(largest, 1), largest + 1}:
        placed = fits(
            lambda batch=batch: place(memory, model, INT4, placement, context=context, batch=batch, spread=spread)
        )
        assert (placed is not None) == (batch == largest)


@given(memory=memories, placement=placements, context=st.integers(0, 100))
def test_a_skewed_spread_is_even_where_that_fits(memory, placement, context):
    model = toy(layers=1)
    even, skewed = (
        fits(lambda spread=spread: place(memory, model, INT4, placement, context=context, spread=spread))
        for spread in ("even", "skewed")
    )
    if even is not None:
        assert skewed.slowdown == 1
        assert sorted(skewed.groups, key=str) == sorted(even.groups, key=str)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda aim: place(aim, published_model("llama-7b"), INT4, ALONE, context=8193), "Split heads"),
        (
            lambda aim: place(aim, published_model("llama-7b"), INT4, ALONE, context=1892, spread="even"),
            "llama-7b with 1 x 1,892 tokens on aim-8die: weights spread evenly",
        ),
        (lambda aim: place(aim, published_model("llama-7b"), INT4, SHARED, context=7565), "do not fit beside"),
        (lambda aim: max_context(aim, published_model("llama-7b"), INT8, SHARED), "resident already"),
    ],
)
def test_what_does_not_fit_is_said(aim, make, message):
    with pytest.raises(MachineCapacityError, match=message):
        make(aim)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda aim: place(aim, toy(), INT4, ALONE, context=-1), "context = -1"),
        (lambda aim: place(aim, toy(), INT4, ALONE, context=1, batch=-1), "batch = -1"),
        (lambda aim: place(aim, toy(), INT4, ALONE, context=1, spread="odd"), "even, skewed"),
        (lambda aim: place_weights([Group(1, Fraction(0))], unit_bytes=1, weights=-1, spread="even"), "weights = -1"),
        (lambda aim: max_context(aim, toy(), INT4, ALONE, count_kv="k"), "both, seed"),
        (lambda aim: max_context(aim, toy(), INT4, ALONE, batch=0), "batch = 0"),
        (lambda aim: max_batch(aim, toy(), INT4, ALONE, context=0), "context = 0"),
    ],
)
def test_what_cannot_be_is_refused(aim, make, message):
    with pytest.raises(ValueError, match=message):
        make(aim)
