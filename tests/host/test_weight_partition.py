"""Matrices cut over units: what moves, what is added, and that nothing of the products is lost."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.llm.catalogue import published_model, published_models
from host.llm.model import toy, with_exact_ffn
from host.llm.parameters import parameters
from host.llm.quantisation import INT4, QuantConfig
from host.machines.weight_partition import (
    Gemv,
    WeightPartition,
    controller_elements,
    gemv_traffic,
    model_gemvs,
    oned_in,
    oned_out,
    weight_traffic,
    weight_work,
)

pytestmark = pytest.mark.quick

sizes = st.integers(1, 300)
partitions = st.builds(WeightPartition, st.integers(1, 32), st.integers(1, 32), st.sampled_from(("none", "mesh")))


def test_document_2_by_hand():
    model = published_model("llama-7b")
    h, m, v, layers = 4096, 11008, 32000, 32
    traffic = weight_traffic(model, oned_out(128))
    assert traffic.transfers == 2 * (1 + 7 * layers) == 450
    assert traffic.volume == (v + h) + layers * (4 * 2 * h + 3 * (h + m)) == 2_534_656
    assert controller_elements(model) == v + layers * (4 * h + 2 * m)
    assert weight_traffic(model, WeightPartition(16, 8)).volume == 12_277_760


def test_fused_products_share_their_inputs():
    model = published_model("llama-7b")
    fused, separate = (weight_traffic(model, oned_out(128), fusion=fusion) for fusion in ("fused", "separate"))
    assert fused.transfers == 2 * (1 + 4 * 32) == 258
    assert fused.up == separate.up
    assert separate.down - fused.down == 32 * (2 + 1) * 4096
    assert fused.macs == separate.macs


@given(inputs=sizes, outputs=sizes, partition=partitions, rows=st.integers(1, 16))
def test_partial_sums_are_what_a_cut_of_the_inputs_costs(inputs, outputs, partition, rows):
    gemv = Gemv("any", Fraction(inputs), Fraction(outputs), 1)
    whole, cut = gemv_traffic(gemv, oned_out(1), rows=rows), gemv_traffic(gemv, partition, rows=rows)
    assert cut.macs == whole.macs == rows * inputs * outputs
    assert cut.down == whole.down
    assert cut.up == whole.up + cut.controller_adds
    meshed = partition.bank_links == "mesh"
    assert cut.controller_adds == (0 if meshed else rows * (partition.input_parts - 1) * outputs)


@given(units=st.integers(1, 256))
def test_one_dimension_is_two_with_one_part(units):
    model = toy()
    assert oned_out(units) == WeightPartition(units, 1)
    assert oned_in(units) == WeightPartition(1, units)
    assert weight_traffic(model, oned_in(units)).up == units * weight_traffic(model, oned_out(units)).up
    assert weight_traffic(model, oned_in(units, "mesh")).volume == weight_traffic(model, oned_out(units)).volume


@given(partition=partitions, rows=st.integers(1, 16), fusion=st.sampled_from(("separate", "fused")))
def test_work_is_the_traffic_in_bytes(partition, rows, fusion):
    model, quant = toy(), QuantConfig(4, 8, 16)
    work = weight_work(model, quant, partition, fusion=fusion, rows=rows)
    traffic = weight_traffic(model, partition, fusion=fusion, rows=rows)
    assert work.transfers == traffic.transfers
    assert work.link_bytes == 2 * traffic.volume
    assert work.read_bytes == Fraction(parameters(model, "gemv"), 2)  # once, however many rows there are
    assert sum(one.times * one.macs for one in work.rounds) == rows * parameters(model, "gemv")
    partial_sums = traffic.up if traffic.controller_adds else 0
    assert work.controller_bytes == 2 * (controller_elements(model, rows=rows) + partial_sums)


@pytest.mark.parametrize("name", [name for name, one in published_models().items() if one.model.vocabulary])
def test_products_of_every_model_have_all_its_weights(name):
    model = published_model(name)
    for fusion in ("separate", "fused"):
        gemvs = model_gemvs(model, fusion)
        assert sum(one.times * one.inputs * one.outputs for one in gemvs) == parameters(model, "gemv")


def test_fractions_of_a_feed_forward_network_are_kept():
    model = with_exact_ffn(published_model("llama-7b"))
    assert Fraction(8 * 4096, 3) in {gemv.outputs for gemv in model_gemvs(model)}


def test_two_matrices_have_no_gate():
    names = [gemv.name for gemv in model_gemvs(published_model("opt-175b"))]
    assert names.count("ffn_up") == 1
    assert names.count("qkv") == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: oned_out(0), "output_parts = 0"),
        (lambda: oned_in(-1), "input_parts = -1"),
        (lambda: WeightPartition(1, 1, "ring"), "none, mesh"),
        (lambda: weight_work(toy(), INT4, oned_out(4), rows=0), "0 rows"),
        (lambda: model_gemvs(published_model("mt-530b")), "vocabulary"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
