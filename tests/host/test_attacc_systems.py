"""Systems of document 1: what must hold of any of them, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.attacc.classes import energy_by_class, seconds_by_class
from host.attacc.energy import total
from host.attacc.memory import request_bytes, working_bytes
from host.attacc.pim_attention import PimAttention
from host.attacc.slo_grid import Point
from host.attacc.systems import attacc_system, decode_contexts
from host.attacc.tradeoff import AREA_PER_ROW, area_factor, model_with_groups, tradeoffs
from host.llm.catalogue import published_model
from host.llm.model import toy, with_exact_ffn
from host.llm.operators import Step, layer_operators
from host.llm.parameters import kv_bytes_per_token, weight_bytes
from host.llm.quantisation import FP16, INT8, QuantConfig
from host.machines.capacity import MachineCapacityError
from host.machines.hbm_pim import hbm_pims

pytestmark = pytest.mark.quick

GPT3 = published_model("gpt3-175b")
MODELS = (GPT3, published_model("llama2-70b"), toy(), with_exact_ffn(published_model("llama-65b")))
DGX = attacc_system("dgx", GPT3, FP16)
ATTACC = attacc_system("dgx+attacc", GPT3, FP16, schedule="head_level", ffn="coprocessed")
CPU = attacc_system("dgx-cpu", GPT3, FP16)
FEW = settings(max_examples=20)

systems = st.sampled_from(
    (
        DGX,
        CPU,
        attacc_system("2xdgx", GPT3, FP16),
        ATTACC,
        replace(ATTACC, schedule="batch_level", ffn="gpu"),
        replace(ATTACC, schedule="attention_level", fidelity="simple"),
        replace(ATTACC, attention=PimAttention(hbm_pims().load("attacc-buffer"), reuse_rows=4)),
    )
)
quants = st.sampled_from((FP16, INT8, QuantConfig(4, 8, 16)))
batches, contexts = st.integers(2, 200), st.integers(1, 5000)


@FEW
@given(systems, st.sampled_from(MODELS), quants, batches, contexts)
def test_seconds_alone_are_those_of_the_tree(system, model, quant, batch, context):
    chosen = replace(system, model=model, quant=quant)
    step = chosen.iteration(batch, context)
    assert chosen.step_s(batch, context) == pytest.approx(step.seconds, rel=1e-12)
    assert step.seconds > 0
    assert all(leaf.seconds >= 0 for leaf in step.leaves)


@FEW
@given(systems, batches, contexts)
def test_energies_add_up_to_the_joules_of_the_step(system, batch, context):
    step, energies = system.iteration(batch, context), system.energies(batch, context)
    assert total(list(energies.values())).joules == pytest.approx(step.joules, rel=1e-12)
    by_class = energy_by_class(energies)
    assert total(list(by_class.values())).joules == pytest.approx(total(list(energies.values())).joules, rel=1e-12)


@FEW
@given(systems, batches, contexts)
def test_classes_add_up_to_the_step(system, batch, context):
    step = system.iteration(batch, context)
    seconds = sum(seconds_by_class(step).values())
    if system.schedule == "batch_level":
        # Two halves that overlap. Of an odd batch both take as long as the larger one (S1-11), and only one of them is.
        assert batch % 2 or seconds >= step.seconds
    else:
        assert seconds == pytest.approx(step.seconds, rel=1e-12)


@FEW
@given(systems, batches, contexts, st.integers(1, 500))
def test_longer_contexts_are_not_faster(system, batch, context, more):
    attention, longer = (seconds_by_class(system.iteration(batch, tokens)) for tokens in (context, context + more))
    assert attention["attention"] <= longer["attention"]
    # What is hidden grows with what hides it, so that the step may stay the same, but for rounding.
    assert system.step_s(batch, context) <= system.step_s(batch, context + more) * (1 + 1e-2)


@FEW
@given(batches, contexts)
def test_schedules_order_the_steps(batch, context):
    sequential, attention, head, shared = (
        replace(ATTACC, schedule=schedule, ffn=ffn).step_s(batch, context)
        for schedule, ffn in (
            ("sequential", "gpu"),
            ("attention_level", "gpu"),
            ("head_level", "gpu"),
            ("head_level", "coprocessed"),
        )
    )
    assert shared <= head <= attention <= sequential
    assert seconds_by_class(ATTACC.iteration(batch, context))["softmax"] == 0


@given(st.sampled_from(MODELS), quants, contexts, st.integers(0, 10**13))
def test_capacity_rules_differ_by_one_at_most(model, quant, context, room):
    from host.attacc.memory import requests_that_fit

    room += weight_bytes(model, quant, "layers")
    strict, attacc = (
        requests_that_fit(model, quant, context=context, room_bytes=room, rule=rule, where="a machine")
        for rule in ("strict", "attacc")
    )
    assert attacc - 1 <= strict <= attacc
    each = request_bytes(model, quant, context)
    assert strict * each <= room - weight_bytes(model, quant, "layers") < (strict + 1) * each


def test_bytes_of_a_request_in_numbers():
    """S1-14 for GPT-3 and for a model of three matrices whose sizes are rounded as document 1's simulator does."""
    scores = 4095 * 96
    assert working_bytes(GPT3, FP16, 4095) == 2 * 2 * scores + scores
    assert request_bytes(GPT3, FP16, 4095) == 4095 * kv_bytes_per_token(GPT3, FP16) + 5 * scores
    llama = with_exact_ffn(published_model("llama-65b"))
    assert working_bytes(llama, FP16, 10) == (Fraction(8 * 8192, 3) + 8192) * 2 + 640
    assert weight_bytes(llama, FP16, "layers") == 80 * 12 * 8192**2 * 2


def test_the_steps_of_a_request():
    assert list(decode_contexts(10, 4)) == [11, 12, 13]
    assert DGX.last_step(3, 10, 4) == DGX.iteration(3, 13)
    with pytest.raises(ValueError, match="give at least 2 for a step"):
        decode_contexts(10, 1)
    with pytest.raises(ValueError, match="prompt of 0 tokens"):
        decode_contexts(0, 4)
    with pytest.raises(ValueError, match="at most 65,536"):
        decode_contexts(1, 10**9)


@pytest.mark.parametrize(("batch", "context"), [(0, 100), (-1, 100), (1, 0), (1, -5)])
@pytest.mark.parametrize("system", [DGX, ATTACC, CPU])
def test_sizes_that_are_none(system, batch, context):
    with pytest.raises(ValueError, match="must be at least 1"):
        system.iteration(batch, context)


def test_models_that_do_not_fit():
    large = published_model("mt-530b")
    with pytest.raises(MachineCapacityError, match=r"dgx, requests of 255 tokens.*resident already"):
        attacc_system("dgx", large, FP16).max_batch(128, 128, slo_s=None)
    with pytest.raises(MachineCapacityError, match="not even one request fits"):
        DGX.max_batch(10**7, 2, slo_s=0.05)
    with pytest.raises(ValueError, match="must be positive"):
        DGX.max_batch(128, 128, slo_s=0.0)


@FEW
@given(systems, st.integers(2, 30), st.integers(1, 3000))
def test_prompts(system, batch, tokens):
    prompt = system.prompt(batch, tokens)
    operators = layer_operators(GPT3, Step(batch=batch, context=tokens, new_tokens=tokens))
    flops = GPT3.layers * sum(operator.flops for operator in operators if operator.matmul is not None)
    peak = float(system.server.gpus.tflops) * 1e12 * system.server.gpus.count
    assert prompt.seconds > flops / peak
    assert prompt.seconds <= system.prompt(batch, 2 * tokens).seconds
    sent = [leaf.moved_bytes for leaf in prompt.leaves if leaf.name == "send k, v"]
    on_gpus = system.attention.link_gb_per_s is None
    assert sent == [] if on_gpus else sent == [batch * tokens * kv_bytes_per_token(GPT3, FP16)]


def test_what_only_pim_can_overlap():
    with pytest.raises(ValueError, match=r"there is no PIM. Take the schedule sequential"):
        replace(DGX, schedule="head_level")
    with pytest.raises(ValueError, match="there is no PIM"):
        replace(CPU, ffn="coprocessed")
    with pytest.raises(ValueError, match="keeps the PIM busy"):
        replace(ATTACC, schedule="batch_level")
    with pytest.raises(ValueError, match="choose one of sequential, "):
        replace(ATTACC, schedule="layer_level")
    with pytest.raises(ValueError, match="a request in each of two halves"):
        replace(ATTACC, schedule="batch_level", ffn="gpu").iteration(1, 100)
    with pytest.raises(ValueError, match="no system 'dgy': choose one of dgx, "):
        attacc_system("dgy", GPT3, FP16)
    with pytest.raises(ValueError, match="a unit has at least 1 row"):
        PimAttention(hbm_pims().load("attacc-bank"), 0)


@given(batches, contexts)
@FEW
def test_fixed_energy_charges_both_products(batch, context):
    fixed, public = (replace(ATTACC, energy_mode=mode).energies(batch, context) for mode in ("fixed", "public"))
    assert public["context"].arithmetic_j == 0
    assert fixed["context"].arithmetic_j == fixed["score"].arithmetic_j == public["score"].arithmetic_j > 0
    for name in ("score", "context"):
        assert fixed[name].link_j == pytest.approx(8 * public[name].link_j)
        assert fixed[name].memory_j == public[name].memory_j
    macs = GPT3.layers * batch * GPT3.heads * GPT3.dim * context
    assert fixed["score"].arithmetic_j == pytest.approx(macs * 0.32e-12)


def test_banks_read_what_a_gpu_reads():
    """Where tokens and elements fill the units, commands read K and V and no byte more."""
    step = ATTACC.iteration(10, 2048)
    read = sum(leaf.moved_bytes for leaf in step.leaves if leaf.name in ("score", "context"))
    assert read == 10 * 2048 * kv_bytes_per_token(GPT3, FP16)


@FEW
@given(st.sampled_from((1, 2, 4, 8, 96)), st.integers(1, 100))
def test_reuse_divides_attention_by_the_heads_it_serves(queries, rows):
    model = model_with_groups(GPT3, queries)
    system = replace(ATTACC, model=model, attention=PimAttention(ATTACC.pim, rows))
    reads = -(-queries // rows)
    plain, reused = (seconds_by_class(one.iteration(20, 2048))["attention"] for one in (ATTACC, system))
    assert reused == pytest.approx(plain * reads / queries)


def test_trade_off_of_shared_heads():
    point = Point(128, 128)
    found = tradeoffs(ATTACC, DGX, groups=(1, 8), rows=(1, 8), point=point, batch=16, slo_s=0.03)
    plain, wasted, shared, reused = found
    assert [(one.queries, one.rows) for one in found] == [(1, 1), (1, 8), (8, 1), (8, 8)]
    assert plain.kv_bytes_per_token == 8 * shared.kv_bytes_per_token
    assert plain.attention_s == wasted.attention_s == shared.attention_s == pytest.approx(8 * reused.attention_s)
    assert plain.kv_read_bytes == shared.kv_read_bytes == 8 * reused.kv_read_bytes
    assert reused.flops_per_byte == pytest.approx(8 * plain.flops_per_byte)
    assert reused.joules_per_token < shared.joules_per_token < plain.joules_per_token
    assert shared.speedup < plain.speedup
    assert (plain.area_factor, reused.area_factor) == (1, 1 + 7 * AREA_PER_ROW) == (area_factor(1), area_factor(8))
    assert plain.choice.batch <= shared.choice.batch <= reused.choice.batch
    with pytest.raises(ValueError, match="groups of 5 query heads: gpt3-175b has 96"):
        model_with_groups(GPT3, 5)
    with pytest.raises(ValueError, match="dgx has no PIM"):
        tradeoffs(DGX, DGX, groups=(1,), rows=(1,), point=point, batch=1, slo_s=None)


def test_cpus_as_they_are_take_four_times_as_long():
    real = attacc_system("dgx-cpu", GPT3, FP16, cpus="dgx-cpus")
    assert seconds_by_class(real.iteration(54, 2048))["attention"] == pytest.approx(
        4 * seconds_by_class(CPU.iteration(54, 2048))["attention"]
    )
    assert CPU.energies(54, 2048)["score"].joules == 0
