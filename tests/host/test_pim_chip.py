"""Document 2: its table in three readings, and sizes and sweeps of its chip."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.chip.document import PimChip, banks_per_head, columns, head_per_bank, lambda_threshold_s, total
from host.chip.sizing import (
    Dies,
    bank_buffers,
    cmem_bytes,
    cram_bytes,
    dies_for,
    operations_per_byte,
    prefill_tokens_per_s,
)
from host.chip.sweeps import scaled, sweep, with_axes
from host.claims.judging import prints_as
from host.claims.registry import load_registry
from host.llm.catalogue import published_model
from host.llm.quantisation import INT4, INT8, QuantConfig
from host.machines.bank_chip import bank_chips
from host.machines.kv_placement import KvPlacement
from host.machines.weight_partition import WeightPartition, oned_in
from pim_runtime.errors import ProfileError

pytestmark = pytest.mark.quick

PLACES = {"head_per_bank": head_per_bank(), "four_banks_per_head": banks_per_head(4)}


@pytest.fixture(scope="module")
def aim():
    return bank_chips().load("aim-8die")


@pytest.fixture(scope="module")
def chip(aim):
    return PimChip(aim, published_model("llama-7b"), unit_system="seed", seed_compat="formula")


@pytest.mark.parametrize("place", PLACES)
def test_as_printed_is_the_printed_table(chip, place):
    printed = load_registry().published["seed2_table"][place]
    cost = replace(chip, kv=PLACES[place], seed_compat="as_printed").token_latency(4096)
    terms = [*columns(cost), total(cost)]
    assert [term.seconds for term in terms] == printed["seconds"]
    assert [term.transfers for term in terms] == printed["lambda_count"]


@pytest.mark.parametrize("place", PLACES)
def test_the_formulas_give_what_is_printed_but_for_two_slips(chip, place):
    printed = load_registry().published["seed2_table"][place]
    terms = columns(replace(chip, kv=PLACES[place]).token_latency(4096))
    assert all(prints_as(term.seconds, shown) for term, shown in zip(terms, printed["seconds"], strict=False) if shown)
    counts = [term.transfers for term in terms]
    expected = list(printed["lambda_count"][:6])
    if place == "four_banks_per_head":
        assert expected[3] == 192
        expected[3] = 128
    assert counts == expected


def test_lambda_is_beside_what_is_printed(chip, aim):
    slow = replace(
        chip, chip=aim.with_values({"link.transfer_us": 100}), kv=banks_per_head(4), seed_compat="as_printed"
    )
    cost = slow.token_latency(4096)
    assert cost.seconds == pytest.approx(642e-4 + 1.27e-3)
    assert total(cost) == (642, pytest.approx(1.27e-3))
    assert sum(term.transfers for term in columns(cost)) == 642


def test_a_long_lambda_does_not_swallow_the_rest(chip, aim):
    slow = replace(chip, chip=aim.with_values({"link.transfer_us": 10**15}))
    assert columns(slow.token_latency(4096)) == columns(chip.token_latency(4096))
    assert total(slow.token_latency(4096)) == total(chip.token_latency(4096))


def test_compat_changes_one_term(chip):
    four = replace(chip, kv=banks_per_head(4))
    formula, right = four.token_latency(4096), replace(four, seed_compat="none").token_latency(4096)
    differing = [
        index for index, pair in enumerate(zip(columns(formula), columns(right), strict=True)) if pair[0] != pair[1]
    ]
    assert differing == [5]
    assert columns(formula)[5].seconds == pytest.approx(32 * (4096 + 4 * 4096) / 2 / 2**30 / 100)
    alone = replace(chip, seed_compat="none").token_latency(4096)
    assert columns(alone) == columns(chip.token_latency(4096))


def test_k_and_v_of_the_new_token_double_what_moves(chip):
    plain, packed, apart = (
        columns(replace(chip, kv=head_per_bank(append)).token_latency(4096))[3]
        for append in ("not counted", "packed with q", "own transfer")
    )
    assert packed.seconds == apart.seconds == pytest.approx(2 * plain.seconds)
    assert (plain.transfers, packed.transfers, apart.transfers) == (64, 64, 96)


def test_bits_enter_where_they_belong(chip):
    for place in PLACES.values():
        base = columns(replace(chip, kv=place).token_latency(4096))
        weights = columns(replace(chip, kv=place, quant=QuantConfig(8, 4, 4)).token_latency(4096))
        caches = columns(replace(chip, kv=place, quant=QuantConfig(4, 8, 4)).token_latency(4096))
        moved = columns(replace(chip, kv=place, quant=QuantConfig(4, 4, 16)).token_latency(4096))
        assert weights[0].seconds == pytest.approx(2 * base[0].seconds)
        assert caches[1].seconds > base[1].seconds
        assert [weights[index] for index in range(1, 6)] == list(base[1:])
        for index in (2, 3, 4, 5):
            assert moved[index].seconds == pytest.approx(4 * base[index].seconds)


def test_wider_weights_keep_banks_at_their_bandwidth_and_narrow_ones_too(chip):
    for quant in (INT4, INT8):
        assert replace(chip, quant=quant).token_latency(4096).part("weights", "units").bound_by == "unit bandwidth"


def test_partitions_and_fusion_of_weights(chip):
    plain = columns(chip.token_latency(4096))
    cut = columns(replace(chip, weights=WeightPartition(16, 8)).token_latency(4096))
    assert cut[2].seconds / plain[2].seconds == pytest.approx(4.8440, rel=1e-4)
    assert cut[4].seconds > plain[4].seconds
    assert columns(replace(chip, weights=oned_in(128, "mesh")).token_latency(4096)) == plain
    assert columns(replace(chip, fusion="fused").token_latency(4096))[2].transfers == 258


def test_the_threshold_of_lambda_is_where_transfers_are_half(chip, aim):
    threshold_s = lambda_threshold_s(replace(chip, kv=banks_per_head(4)).token_latency(4096))
    assert threshold_s == pytest.approx(9.0391e-4 / 578, rel=1e-4)
    (point,) = sweep(
        replace(chip, kv=banks_per_head(4)), 4096, {"lambda_s": [Decimal(round(threshold_s * 1e12)) / 10**12]}
    )
    assert point.cost.seconds_by("link latency") == pytest.approx(point.cost.seconds / 2, rel=1e-5)


def test_sweep_is_every_combination(chip):
    points = sweep(chip, 4096, {"lambda_s": [Decimal(0), Decimal("1e-6")], "context": [Decimal(1), Decimal(4096)]})
    assert [tuple(point.values.values()) for point in points] == [
        (0, 1),
        (0, 4096),
        (Decimal("1e-6"), 1),
        (Decimal("1e-6"), 4096),
    ]
    assert points[1].cost == chip.token_latency(4096)
    assert points[1].tokens_per_s == 1 / points[1].cost.seconds


@given(
    axis=st.sampled_from(("bm_gb_per_s", "cbm_gb_per_s", "cm_gb_per_s")),
    low=st.decimals("0.1", 5000, places=1),
    more=st.decimals("0.1", 5000, places=1),
)
def test_more_bandwidth_is_never_slower(chip, axis, low, more):
    slow, fast = sweep(replace(chip, kv=banks_per_head(4)), 4096, {axis: [low, low + more]})
    assert fast.tokens_per_s >= slow.tokens_per_s


@given(lambdas=st.lists(st.integers(0, 10**9), min_size=2, max_size=2).map(sorted))
def test_time_grows_with_lambda_by_its_count(chip, lambdas):
    """In whole picoseconds, the finest that a profile states."""
    slow = sweep(chip, 4096, {"lambda_s": [Decimal(one).scaleb(-12) for one in lambdas]})
    grown_s = slow[1].cost.seconds - slow[0].cost.seconds
    assert grown_s == pytest.approx(514e-12 * (lambdas[1] - lambdas[0]), abs=1e-15, rel=1e-9)


def test_a_tenth_of_all_bandwidths_takes_ten_times_as_long(chip, aim):
    slow = replace(chip, chip=scaled(aim, Decimal("0.1"))).token_latency(4096)
    assert slow.seconds == pytest.approx(10 * chip.token_latency(4096).seconds)


def test_with_axes_sets_all_dies_together(aim):
    changed = with_axes(aim, {"bm_gb_per_s": Decimal(512), "cbm_gb_per_s": Decimal(4), "lambda_s": Decimal("1e-4")})
    assert (changed.banks.die_gb_per_s, changed.link.die_gb_per_s, changed.link.transfer_us) == (
        64,
        Decimal("0.5"),
        100,
    )
    assert {quantity.source for quantity in changed.provenance if quantity.provenance == "assumed"} >= {
        "set by the user"
    }
    assert with_axes(aim, {}) is aim


def test_sizes_by_hand(aim):
    model = published_model("llama-7b")
    assert dies_for(model, INT4, aim) == Dies(weights_only=7, power_of_two=8)
    assert cram_bytes(16384, INT4) == 8192
    assert cram_bytes(16384, INT4, heads=32) == 256 << 10
    assert cmem_bytes(16384, INT4) == 128 << 20
    assert [(one.inputs, one.tile_bytes, one.passes) for one in bank_buffers(model, INT4, aim)] == [
        (4096, 32 << 10, 1),
        (11008, 86 << 10, 2),
    ]
    assert [operations_per_byte(bits) for bits in (4, 8, 16)] == [4, 2, 1]


@given(tile=st.integers(1, 64), ops=st.floats(1e9, 1e15), bandwidth=st.floats(1e9, 1e13))
def test_prefill_is_bound_by_the_slower(tile, ops, bandwidth):
    model = published_model("llama-7b")
    rate = prefill_tokens_per_s(model, INT4, ops_per_s=ops, bytes_per_s=bandwidth, tile=tile)
    assert rate == pytest.approx(min(ops / (2 * 6607077376), bandwidth * tile / 3303538688))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda chip: replace(chip, seed_compat="as_drawn"), "none, formula, as_printed"),
        (lambda chip: replace(chip, kv=KvPlacement(4, "parts")), "compat none"),
        (lambda chip: replace(chip, unit_system="metric").token_latency(1), "si, seed"),
        (lambda chip: chip.token_latency(0), "context = 0"),
        (lambda chip: replace(chip, seed_compat="as_printed").token_latency(4095), "4,095 tokens"),
        (lambda chip: replace(chip, seed_compat="as_printed", quant=INT8).token_latency(4096), "bits"),
        (
            lambda chip: replace(chip, seed_compat="as_printed", kv=banks_per_head(2)).token_latency(4096),
            "2 banks per head",
        ),
        (lambda chip: replace(chip, kv=banks_per_head(129)).token_latency(4096), "129 units per head"),
        (lambda chip: sweep(chip, 4096, {"colour": [Decimal(1)]}), "lambda_s, bm_gb_per_s"),
        (lambda chip: sweep(chip, 4096, {"lambda_s": []}), "no values"),
        (lambda chip: sweep(chip, 4096, {"context": [Decimal("1.5")]}), "whole number"),
        (lambda chip: cram_bytes(0, INT4), "context = 0"),
        (lambda chip: bank_buffers(chip.model, INT4, chip.chip, tile=0), "tile = 0"),
        (lambda chip: prefill_tokens_per_s(chip.model, INT4, ops_per_s=0, bytes_per_s=1), "must be positive"),
    ],
)
def test_what_cannot_be_is_refused(chip, make, message):
    with pytest.raises(ValueError, match=message):
        make(chip)


@pytest.mark.parametrize(
    "values", [{"lambda_s": Decimal(-1)}, {"bm_gb_per_s": Decimal(0)}, {"cm_gb_per_s": Decimal("nan")}]
)
def test_rates_that_a_chip_cannot_have_are_refused(aim, values):
    with pytest.raises(ProfileError, match="set by the user"):
        with_axes(aim, values)
