"""Operators of a layer against the formulas of parameters, caches and operations, and against numbers by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.llm.catalogue import published_model
from host.llm.model import toy
from host.llm.operator_classes import class_totals
from host.llm.operators import Extra, Step, layer_operators, minimal_bytes, output_operator
from host.llm.parameters import (
    attention_flops,
    attention_parameters,
    ffn_parameters,
    gemv_flops,
    hidden_state_bytes,
    kv_bytes_peak,
    kv_bytes_per_token,
    kv_elements_per_token,
    kv_projection_parameters,
    parameters,
)
from host.llm.quantisation import FP16, INT4, QuantConfig

pytestmark = pytest.mark.quick

ALL = get_args(Extra)
NAMES = ["norm", "qkv", "score", "softmax", "context", "projection", "residual"]
NAMES += ["norm", "ffn_up", "activation", "ffn_down", "residual"]
SMALL = st.integers(1, 12)
MODELS = st.builds(
    lambda layers, hidden, kv_heads, queries, dim, ffn, vocabulary: toy(
        layers=layers,
        hidden=hidden,
        heads=kv_heads * queries,
        kv_heads=kv_heads,
        dim=dim,
        ffn=ffn,
        vocabulary=vocabulary,
    ),
    *[SMALL] * 7,
)
STEPS = st.builds(Step, batch=SMALL, context=SMALL, new_tokens=SMALL)
QUANTS = st.builds(QuantConfig, *[st.sampled_from([4, 8, 16, 32])] * 3)


@given(MODELS, STEPS)
def test_operators_add_up_to_the_formulas(model, step):
    operators = layer_operators(model, step)
    assert [operator.name for operator in operators] == NAMES
    assert sum(op.weight_elements for op in operators) == attention_parameters(model) + ffn_parameters(model)
    kv_elements = step.batch * step.context * kv_elements_per_token(model)
    assert model.layers * sum(op.kv_elements for op in operators) == kv_elements
    products = sum(op.flops for op in operators if op.matmul)
    expected = 2 * step.rows * parameters(model, "layers") + step.rows * attention_flops(model, step.context)
    assert model.layers * products == expected
    one = Step(batch=1, context=step.context)
    decoded = sum(op.flops for op in layer_operators(model, one) if op.matmul)
    assert model.layers * decoded + output_operator(model, one).flops == gemv_flops(model) + attention_flops(
        model, step.context
    )


@given(MODELS, STEPS, st.sets(st.sampled_from(ALL)))
def test_extras_only_add_element_wise_operators(model, step, extras):
    plain, more = layer_operators(model, step), layer_operators(model, step, extras=extras)
    assert tuple(op for op in more if op.extra is None) == plain
    assert {op.extra for op in more} - {None} == extras
    assert all(op.kind == "element-wise" and op.matmul is None for op in more if op.extra)


@given(MODELS, STEPS, QUANTS)
def test_classes_share_everything(model, step, quant):
    operators = layer_operators(model, step, extras=ALL)
    totals = class_totals(operators, quant)
    assert [total.kind for total in totals] == ["contraction", "normalisation", "element-wise"]
    assert sum(total.operators for total in totals) == len(operators)
    assert sum(total.flops_share for total in totals) == sum(total.bytes_share for total in totals) == 1
    assert sum(total.moved_bytes for total in totals) == sum(minimal_bytes(op, quant) for op in operators)


def test_operations_of_a_layer_of_bert_large():
    """Document 3's profile: 8 requests of 512 tokens; 5 operations per element of softmax and norms."""
    step = Step(batch=8, context=512, new_tokens=512)
    operators = layer_operators(published_model("bert-large"), step, extras=ALL)
    rows, scores = 8 * 512, 8 * 16 * 512 * 512
    contractions, normalisations, element_wise = (total.flops for total in class_totals(operators, FP16))
    assert contractions == 2 * rows * 1024 * (3 * 1024 + 1024 + 4 * 1024 + 4 * 1024) + 2 * 2 * scores * 64
    assert normalisations == 5 * (scores + 2 * rows * 1024)
    biases = rows * (3 * 1024 + 1024 + 4096 + 1024)
    assert element_wise == biases + rows * 4096 + (scores + 2 * rows * 1024) + 2 * rows * 1024 + scores


def test_bytes_of_an_operator_by_hand():
    model = toy(layers=1, hidden=6, heads=2, kv_heads=1, dim=3, ffn=5)
    operators = {op.name: op for op in layer_operators(model, Step(batch=2, context=7), extras=ALL)}
    mixed = QuantConfig(4, 8, 16)
    assert minimal_bytes(operators["qkv"], mixed) == Fraction(6 * 12, 2) + 2 * (2 * 6 + 2 * 12)
    assert minimal_bytes(operators["score"], mixed) == 2 * 7 * 3 + 2 * (2 * 2 * 3 + 2 * 2 * 7)
    assert minimal_bytes(operators["qkv_bias"], mixed) == Fraction(12, 2) + 2 * (24 + 24)
    assert minimal_bytes(operators["residual"], mixed) == 2 * (2 * 12 + 12)
    assert minimal_bytes(operators["ffn_up_bias"], INT4) == Fraction(10, 2) + Fraction(2 * 10 + 2 * 10, 2)


@given(MODELS, QUANTS, SMALL, SMALL, SMALL)
def test_caches_grow_with_the_batch_and_with_tokens(model, quant, batch, prompt, new_tokens):
    one = kv_bytes_peak(model, quant, batch=1, prompt=prompt, new_tokens=new_tokens)
    assert kv_bytes_peak(model, quant, batch=batch, prompt=prompt, new_tokens=new_tokens) == batch * one
    assert one == (prompt + new_tokens) * kv_bytes_per_token(model, quant)


@given(MODELS)
def test_projections_of_keys_and_values_are_part_of_attention(model):
    q_and_output = 2 * model.layers * model.hidden * model.heads * model.dim
    assert kv_projection_parameters(model) == model.layers * attention_parameters(model) - q_and_output
    assert hidden_state_bytes(model, FP16, tokens=3) == 2 * 3 * model.layers * model.hidden


@given(MODELS, SMALL)
def test_parameters_grow_with_every_size(model, more):
    larger = toy(
        layers=model.layers + more,
        hidden=model.hidden,
        heads=model.heads,
        kv_heads=model.kv_heads,
        dim=model.dim,
        ffn=int(model.ffn) + more,
        vocabulary=int(model.vocabulary or 0) + more,
    )
    for counted in ("layers", "gemv", "matrices", "all"):
        assert parameters(larger, counted) > parameters(model, counted)
    assert parameters(model, "layers") < parameters(model, "gemv") < parameters(model, "matrices")
    assert parameters(model, "matrices") < parameters(model, "all")


def test_parameters_of_published_models_by_hand():
    assert parameters(published_model("llama-7b"), "all") == 6_738_415_616  # of the released weights
    assert parameters(published_model("mistral-7b"), "all") == 7_241_732_096
    assert parameters(published_model("llama2-70b"), "all") == 68_976_648_192


def test_no_operators_have_no_classes():
    with pytest.raises(ValueError, match="at least one"):
        class_totals((), FP16)
