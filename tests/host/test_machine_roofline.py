"""The roofline: a plateau, then a line; what bounds a step; from which batch on it is compute."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.llm.catalogue import published_model
from host.llm.model import toy
from host.llm.operators import Step, layer_operators, minimal_bytes
from host.llm.parameters import attention_flops, gemv_flops, kv_bytes_peak, weight_bytes
from host.llm.quantisation import FP16, INT4, INT8, QuantConfig
from host.machines.gpus import gpu_servers
from host.machines.roofline import (
    Roof,
    compute_bound_batch,
    crossover_tokens,
    kv_projection_cost,
    operator_cost,
    roof_of,
    roofed,
    step_cost,
)

pytestmark = pytest.mark.quick

A100 = Roof(flops_per_s=312e12, bytes_per_s=1555e9)
ROOFS = st.builds(Roof, flops_per_s=st.integers(1, 10**15).map(float), bytes_per_s=st.integers(1, 10**13).map(float))
MODEL = toy(layers=3, hidden=24, heads=4, kv_heads=2, dim=6, ffn=40, vocabulary=30)


def test_the_profile_of_document_3():
    assert roof_of(gpu_servers().load("a100-40")) == A100


def test_several_gpus_add_up():
    eight = roof_of(gpu_servers().load("dgx-a100-hbm3"))
    assert eight.flops_per_s == 8 * 312e12


@pytest.mark.parametrize(("bits", "expected"), [(16, 312e3 / 1555), (8, 156e3 / 1555), (32, 624e3 / 1555)])
def test_crossover(bits, expected):
    assert crossover_tokens(A100, weight_bits=bits) == pytest.approx(expected, rel=1e-15)


@given(ROOFS, st.sampled_from([FP16, INT8, INT4]), st.integers(1, 10**6))
def test_a_plateau_up_to_the_crossover_and_a_line_beyond(roof, quant, tokens):
    crossover = roof.balance * quant.weight_bits / 16
    cost = kv_projection_cost(MODEL, quant, roof, tokens=tokens)
    plateau = float(Fraction(2 * 3 * 24 * 12 * quant.weight_bits, 8) / Fraction(roof.bytes_per_s))
    assert cost.bound_by == ("compute" if tokens >= crossover else "unit bandwidth")
    assert cost.seconds == pytest.approx(plateau * max(1, float(tokens / crossover)), rel=1e-12)


@given(ROOFS, st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_longer_of_computing_and_moving(roof, operations, moved):
    cost = roofed("a part", roof, operations=operations, moved_bytes=Fraction(moved))
    assert cost.seconds == pytest.approx(max(operations / roof.flops_per_s, moved / roof.bytes_per_s), rel=1e-12)
    assert (cost.operations, cost.moved_bytes) == (operations, moved)


def test_a_step_moves_weights_once_and_caches_for_every_request():
    model = published_model("llama2-70b")
    cost = step_cost(model, INT4, A100, Step(batch=7, context=1000))
    kv = kv_bytes_peak(model, INT4, batch=7, prompt=1000, new_tokens=0)
    assert cost.moved_bytes == weight_bytes(model, INT4, "gemv") + kv
    assert cost.operations == 7 * (gemv_flops(model) + attention_flops(model, 1000))


def test_without_a_vocabulary_the_output_matrix_is_left_out():
    model = published_model("mt-530b")
    assert step_cost(model, FP16, A100, Step(batch=1, context=1)).moved_bytes == pytest.approx(
        weight_bytes(model, FP16, "layers"), rel=1e-4
    )


def test_an_operator_reads_and_writes_memory():
    (softmax,) = (op for op in layer_operators(MODEL, Step(batch=2, context=9)) if op.name == "softmax")
    cost = operator_cost(softmax, FP16, A100)
    assert (cost.name, cost.bound_by) == ("softmax", "unit bandwidth")
    assert cost.seconds == pytest.approx(float(minimal_bytes(softmax, FP16)) / 1555e9)


@given(
    ROOFS,
    st.builds(QuantConfig, *[st.sampled_from([4, 8, 16, 32])] * 3),
    st.integers(1, 10**4),
    st.integers(1, 10**6),
)
def test_the_first_batch_that_compute_bounds(roof, quant, context, batch):
    def bound_by(requests: int) -> str:
        return step_cost(MODEL, quant, roof, Step(batch=requests, context=context)).bound_by

    first = compute_bound_batch(MODEL, quant, roof, context=context)
    if first is None:
        assert bound_by(batch) == "unit bandwidth"
        return
    assert bound_by(first) == bound_by(first + batch) == "compute"
    if first > 1:
        assert bound_by(first - 1) == "unit bandwidth"


def test_caches_keep_large_batches_from_being_bound_by_compute():
    model = published_model("opt-175b")
    assert compute_bound_batch(model, FP16, A100, context=1) == 202
    assert compute_bound_batch(model, FP16, A100, context=544) is None


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["flops_per_s", "bytes_per_s"])
def test_roofs_are_positive(name, value):
    with pytest.raises(ValueError, match=f"{name} = .*must be positive and finite"):
        Roof(**{"flops_per_s": 1.0, "bytes_per_s": 1.0, name: value})


def test_what_is_too_small_is_refused():
    with pytest.raises(ValueError, match="tokens = 0: must be at least 1"):
        kv_projection_cost(MODEL, FP16, A100, tokens=0)
    with pytest.raises(ValueError, match="weight_bits = 0"):
        crossover_tokens(A100, weight_bits=0)
