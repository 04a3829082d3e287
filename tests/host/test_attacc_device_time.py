"""Executed streams against the closed forms: commands, cycles, and what the report of a run makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels_for_tests.attacc import PLACEMENTS, load_device
from kernels_for_tests.attention import SOFTMAX

from host.attacc.commands import head_commands
from host.attacc.device.experiment import DeviceOutcome, executed_cycles, run_on_device
from host.attacc.hbm_pim_times import head_cycles, waves
from host.attention.workload import Method, synthetic_workload
from host.machines.hbm_pim import HbmPim, hbm_pims

pytestmark = pytest.mark.quick

every_profile = pytest.mark.parametrize("profile", hbm_pims().available())
DTYPES = [variant.dtype for variant in SOFTMAX]


def narrow(hardware: HbmPim, *, stacks: int = 1, channels: int = 2) -> HbmPim:
    """The same with fewer channels, so that waves are cheap."""
    return replace(hardware, stacks=replace(hardware.stacks, devices=1, stacks_per_device=stacks, channels=channels))


def run(hardware: HbmPim, *, reuse_rows: int = 1, dtype: str = "int16", **shape: int) -> DeviceOutcome:
    workload = synthetic_workload(Method(dtype=dtype, norm="softmax"), data="random", seed=0, **shape)
    return run_on_device(workload, hardware, reuse_rows=reuse_rows)


@settings(max_examples=15)
@given(
    profile=st.sampled_from(hbm_pims().available()),
    dtype=st.sampled_from(DTYPES),
    batch=st.integers(1, 4),
    heads=st.integers(1, 4),
    tokens=st.integers(1, 300),
    dim=st.integers(1, 140),
    stacks=st.integers(1, 2),
)
def test_cycles_of_heads_with_k_and_v_of_their_own(profile, dtype, batch, heads, tokens, dim, stacks):
    """Exactly S1-9: waves of heads, each with its commands and with the rows that they open."""
    hardware = narrow(hbm_pims().load(profile), stacks=stacks)
    outcome = run(hardware, dtype=dtype, batch=batch, heads=heads, tokens=tokens, dim=dim)
    bits = outcome.device.spec.operands.bits
    counts = head_commands(hardware.units, tokens=tokens, dim=dim, element_bits=bits)
    per_head = sum(product.total for product in head_cycles(hardware.timing, counts))
    assert outcome.cycles == waves(hardware, batch * heads) * per_head
    assert outcome.shares_as_stated
    assert outcome.seconds == pytest.approx(outcome.stated_s, rel=1e-12)
    assert {name: outcome.activity.commands[name] for name in outcome.stated} == outcome.stated


@settings(max_examples=15)
@given(
    profile=st.sampled_from(PLACEMENTS),
    waves_of_kv_heads=st.integers(1, 2),
    queries=st.integers(1, 6),
    reuse_rows=st.integers(1, 7),
    tokens=st.integers(1, 80),
)
def test_cycles_of_heads_that_share_k_and_v_for_all_channels(profile, waves_of_kv_heads, queries, reuse_rows, tokens):
    hardware = narrow(load_device(profile))
    kv_heads = 2 * waves_of_kv_heads
    outcome = run(
        hardware, batch=1, heads=queries * kv_heads, kv_heads=kv_heads, tokens=tokens, dim=24, reuse_rows=reuse_rows
    )
    assert outcome.shares_as_stated
    assert outcome.seconds == pytest.approx(outcome.stated_s, rel=1e-12)


@settings(max_examples=15)
@given(batch=st.integers(1, 3), kv_heads=st.integers(1, 3), queries=st.integers(1, 5), reuse_rows=st.integers(1, 6))
def test_few_kv_heads_leave_channels_idle(batch, kv_heads, queries, reuse_rows):
    """The closed form shares out query heads, as though all channels had all K and V: it is a lower bound."""
    hardware = narrow(load_device("attacc-bank"), channels=4)
    outcome = run(
        hardware, batch=batch, heads=queries * kv_heads, kv_heads=kv_heads, tokens=40, dim=16, reuse_rows=reuse_rows
    )
    if outcome.shares_as_stated:
        assert outcome.seconds == pytest.approx(outcome.stated_s, rel=1e-12)
    else:
        assert outcome.stated_s < outcome.seconds <= outcome.stated_s * queries * (1 + 1e-12)


@every_profile
def test_longer_contexts_and_wider_elements_take_longer(profile):
    hardware = narrow(hbm_pims().load(profile))
    cycles = [run(hardware, batch=1, heads=2, tokens=tokens, dim=128).cycles for tokens in (16, 80, 320)]
    assert cycles == sorted(set(cycles))
    by_width = [run(hardware, batch=1, heads=2, tokens=64, dim=256, dtype=dtype).cycles for dtype in DTYPES]
    assert by_width == sorted(set(by_width))


def test_placements_are_in_the_order_of_their_units():
    """C1-07 on executed commands: bank < bank group < buffer."""
    cycles = [run(narrow(load_device(p)), batch=1, heads=2, tokens=160, dim=128).cycles for p in PLACEMENTS]
    assert cycles == sorted(set(cycles))


@settings(max_examples=15)
@given(queries=st.integers(2, 8), tokens=st.integers(1, 200))
def test_rows_that_serve_all_queries_take_a_share_of_the_time(queries, tokens):
    """C1-14 on executed commands: with R >= g the products take 1 / g of those without reuse."""
    assume(queries > 1)
    hardware = narrow(load_device("attacc-bank"))
    alone, shared = (
        run(hardware, batch=2, heads=queries, kv_heads=1, tokens=tokens, dim=32, reuse_rows=rows)
        for rows in (1, queries)
    )
    assert alone.cycles == queries * shared.cycles
    assert alone.activity.columns_read == queries * shared.activity.columns_read
    assert alone.activity.row_openings == {mode: queries * n for mode, n in shared.activity.row_openings.items()}
    assert all((ours == theirs).all() for ours, theirs in zip(alone.answers, shared.answers, strict=True))


def test_the_longest_channel_decides():
    hardware = narrow(load_device("attacc-bank"))
    outcome = run(hardware, batch=3, heads=1, tokens=33, dim=16)
    by_channel = {place: executed_cycles(hardware, activity) for place, activity in outcome.activities.items()}
    assert by_channel == {(0, 0): outcome.cycles, (0, 1): outcome.cycles // 2}
