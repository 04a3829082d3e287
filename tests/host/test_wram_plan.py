"""WRAM of the attention programs: the plan is what they allocate, and fewer columns at a time change no bit."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_for_tests.attention import (
    LINEAR,
    ONLINE,
    SOFTMAX,
    VARIANTS,
    WIDE,
    WRAP,
    assert_same,
    decode,
    make_case,
    make_set,
    make_spec,
)

from dpu_kernels.attention import attention_program, online_program
from host.attention import contexts
from host.attention.wram_plan import CapacityError, plan_wram
from pim_runtime import EngineOptions
from pim_runtime.errors import DpuFaultError

INTERPRETED = EngineOptions(engine="interpreted")
WORST_ALIGNMENT = 56  # bytes that a tasklet may lose so that its buffers start on 64; reserved for each
PLENTY = 1 << 24
BY_COLUMNS = [variant for variant in VARIANTS if variant.norm != "softmax_online"]


def heap_of(spec, hardware, nr_tasklets):
    """WRAM that the program leaves for buffers."""
    if spec.norm == "softmax_online":
        program = online_program(spec.dtype, spec.exponential)
    else:
        program = attention_program(spec.dtype, spec.norm, spec.acc, spec.exponential)
    return program.build(hardware, nr_tasklets=nr_tasklets).wram_heap_bytes


def accepted(spec, nr_tasklets, heap_bytes):
    try:
        return plan_wram(spec, nr_tasklets=nr_tasklets, heap_bytes=heap_bytes)
    except CapacityError:
        return None


def least(is_enough, most):
    """The least number up to `most` for which a monotone condition holds."""
    too_small, enough = 0, most
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        too_small, enough = (too_small, middle) if is_enough(middle) else (middle, enough)
    return enough


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(("queries", "dim", "nr_tasklets"), [(1, 7, 24), (3, 24, 5)])
def test_the_plan_is_what_the_program_allocates(hardware, monkeypatch, variant, queries, dim, nr_tasklets):
    """Smaller WRAMs are tried until the program runs out of it: it takes all that is planned, but for the alignment."""
    case = make_case(variant, tokens=2, dim=dim, queries=queries)
    spec = case.spec
    planned = least(lambda size: getattr(accepted(spec, nr_tasklets, size), "columns", 0) == dim, PLENTY) - 1
    plan, heap_bytes = plan_wram(spec, nr_tasklets=nr_tasklets, heap_bytes=PLENTY), heap_of(spec, hardware, nr_tasklets)
    monkeypatch.setattr(contexts, "plan_wram", lambda *arguments, **named: plan)

    def runs(eighths):
        wram_bytes = hardware.dpu.wram_bytes - heap_bytes + 8 * eighths
        trimmed = dataclasses.replace(hardware, dpu=dataclasses.replace(hardware.dpu, wram_bytes=wram_bytes))
        try:
            answers = decode(case, trimmed, nr_tasklets=nr_tasklets, options=INTERPRETED)
        except DpuFaultError:
            return False
        assert_same(answers, case.expected(nr_tasklets=nr_tasklets))
        return True

    assert runs(planned // 8)
    reserved = nr_tasklets * WORST_ALIGNMENT
    assert not runs((planned - reserved) // 8 - 1)


@pytest.mark.parametrize("variant", BY_COLUMNS, ids=str)
def test_fewer_columns_at_a_time_change_no_bit(hardware, monkeypatch, variant):
    """Every plan from whole rows to 16 columns, as more queries bring them about; the last ones are odd."""
    for dim, queries in ((49, 3), (79, 1)):
        case = make_case(variant, tokens=37, dim=dim, queries=queries, patterns=("random", "alternating"), window=31)
        plans = {accepted(case.spec, 24, heap_bytes) for heap_bytes in range(0, 200_000, 512)} - {None}
        assert {plan.columns for plan in plans} == {dim, *range(16, dim, 16)}
        for plan in plans:
            monkeypatch.setattr(contexts, "plan_wram", lambda *arguments, chosen=plan, **named: chosen)
            for nr_tasklets in (2, 12):
                assert_same(decode(case, hardware, nr_tasklets=nr_tasklets), case.expected(), where=str(plan))


@pytest.mark.parametrize("variant", [WIDE[0], WIDE[3], SOFTMAX[1], LINEAR[0]], ids=str)
def test_many_queries_go_by_columns(hardware, variant):
    case = make_case(variant, tokens=30, dim=120, queries=8)
    with make_set(case, hardware) as attention:
        assert attention.contexts.wram.columns < 120
        attention.load_kv(case.k, case.v)
        assert_same(attention.decode(case.q), case.expected())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_widest_rows_run_with_24_tasklets(hardware, variant):
    heap_bytes = heap_of(make_spec(variant, dim=1, max_tokens=9), hardware, 24)

    def refused(dim):
        return accepted(make_spec(variant, dim=dim, max_tokens=9), 24, heap_bytes) is None

    widest = least(refused, 4096) - 1
    case = make_case(variant, tokens=9, dim=widest)
    assert_same(decode(case, hardware, nr_tasklets=24), case.expected(nr_tasklets=24))
    with pytest.raises(CapacityError, match=r"a DMA moves 2048|bytes of WRAM buffers for 24 tasklets") as refusal:
        make_set(make_case(variant, tokens=9, dim=widest + 1), hardware, nr_tasklets=24)
    assert refusal.value.longest_context == 0


@pytest.mark.quick
@given(
    variant=st.sampled_from(BY_COLUMNS),
    dim=st.integers(1, 300),
    queries=st.integers(1, 32),
    nr_tasklets=st.integers(2, 24),
    heap_bytes=st.integers(1 << 10, 60_000),
)
def test_the_widest_columns_that_fit_are_chosen(variant, dim, queries, nr_tasklets, heap_bytes):
    spec = make_spec(variant, dim=dim, max_tokens=9, queries=queries)
    plan = accepted(spec, nr_tasklets, heap_bytes)
    if plan is None:
        return
    assert plan.columns == dim or plan.columns % 16 == 0
    assert plan.buffer_bytes >= spec.storage.row_bytes(dim)
    roomier = plan_wram(spec, nr_tasklets=nr_tasklets - (nr_tasklets > 2), heap_bytes=heap_bytes + 8)
    assert roomier.columns >= plan.columns


@pytest.mark.quick
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (make_spec(WRAP[2], dim=1025, max_tokens=1), "rows of 1025 int16 elements need 2056 bytes"),
        (make_spec(WRAP[0], dim=2049, max_tokens=1), "rows of 2049 int8 elements need 2056 bytes"),
        (make_spec(LINEAR[1], dim=4, max_tokens=1, queries=32), "scores of 32 queries need 2112 bytes"),
        (make_spec(ONLINE[0], dim=120, max_tokens=1, queries=16), "16 queries of 120 int8 .* 17 tasklets"),
    ],
    ids=str,
)
def test_the_message_says_what_is_too_large(spec, message):
    with pytest.raises(CapacityError, match=message):
        plan_wram(spec, nr_tasklets=17, heap_bytes=55_840)
