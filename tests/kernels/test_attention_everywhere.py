"""Attention leaves the same bits with every number of tasklets and host threads, in both engines and in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import VARIANTS, assert_same, make_case, run

from host.attention import attention_set
from pim_runtime import EngineOptions

INTERPRETED = EngineOptions(engine="interpreted")

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


@every_variant
def test_every_number_of_tasklets(hardware, variant):
    case = make_case(variant, tokens=201, dim=11)
    expected = case.expected()
    for nr_tasklets in range(2, 25):
        assert_same(run(case, hardware, nr_tasklets=nr_tasklets).outputs, expected, where=f"{nr_tasklets} tasklets")


@every_variant
def test_every_number_of_threads(hardware, variant):
    case = make_case(variant, tokens=65, dim=16, patterns=("random",) * 70)
    one, *others = (run(case, hardware, options=EngineOptions(threads=threads)) for threads in (1, 2, 5))
    assert_same(one.outputs, case.expected())
    for other in others:
        assert_same(other.outputs, one.outputs)
        assert_counted_alike(other, one)


@pytest.mark.parametrize("nr_tasklets", [2, 17])
@every_variant
def test_both_engines(hardware, variant, nr_tasklets):
    case = make_case(variant, tokens=21, dim=5, patterns=("random", "alternating"))
    compiled, interpreted = (
        run(case, hardware, nr_tasklets=nr_tasklets, options=options) for options in (EngineOptions(), INTERPRETED)
    )
    assert_same(interpreted.outputs, case.expected())
    assert_same(compiled.outputs, interpreted.outputs)
    assert_counted_alike(compiled, interpreted)


@pytest.mark.quick
@every_variant
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1 << 32), nr_tasklets=st.integers(2, 24))
def test_any_order_of_tasklets(hardware, variant, seed, nr_tasklets):
    case = make_case(variant, tokens=18, dim=3, seed=seed)
    shuffled = EngineOptions(engine="interpreted", tasklet_order="random", seed=seed)
    outcome = run(case, hardware, nr_tasklets=nr_tasklets, options=shuffled)
    assert_same(outcome.outputs, case.expected())
    assert_counted_alike(outcome, run(case, hardware, nr_tasklets=nr_tasklets, options=INTERPRETED))


def assert_counted_alike(ours, theirs):
    """Equal counters of every tasklet, and equal modelled time of every command."""
    np.testing.assert_array_equal(ours.result.counters.rows, theirs.result.counters.rows)
    np.testing.assert_array_equal(ours.result.counters.barriers, theirs.result.counters.barriers)
    assert ours.timeline == theirs.timeline


@pytest.mark.quick
@every_variant
def test_a_constant_head_size_changes_neither_bits_nor_counters(hardware, variant, monkeypatch):
    case = make_case(variant, tokens=21, dim=64)
    options = EngineOptions(engine="interpreted")
    constant = run(case, hardware, nr_tasklets=3, options=options)
    monkeypatch.setattr(attention_set, "USUAL_DIMS", ())
    general = run(case, hardware, nr_tasklets=3, options=options)
    assert_same(constant.outputs, general.outputs)
    np.testing.assert_array_equal(constant.result.counters.rows, general.result.counters.rows)
    launches = [[row.costs for row in outcome.timeline if row.operation == "launch"] for outcome in (constant, general)]
    assert launches[0] == launches[1]
