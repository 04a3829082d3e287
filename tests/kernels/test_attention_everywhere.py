"""Attention leaves the same bits with any number of tasklets and threads, in both engines, in any order (B-10)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import ONLINE, SOFTMAX, VARIANTS, WIDE, ZSCORE, assert_same, make_case, run

from host.attention import contexts
from pim_runtime import EngineOptions
from pim_runtime.counters import Counter

TASKLETS = (2, 5, 12, 17, 24)
INTERPRETED = EngineOptions(engine="interpreted")

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.norm != "softmax_online"], ids=str)
def test_every_number_of_tasklets(hardware, variant):
    case = make_case(variant, tokens=201, dim=11, queries=2, window=190)
    one = run(case, hardware, nr_tasklets=2).answers
    assert_same(one, case.expected())
    for nr_tasklets in range(3, 25) if variant.dtype == "int8" else TASKLETS:
        assert_same(run(case, hardware, nr_tasklets=nr_tasklets).answers, one, where=f"{nr_tasklets} tasklets")


@pytest.mark.parametrize("variant", ONLINE, ids=str)
def test_online_softmax_depends_on_the_number_of_tasklets(hardware, variant):
    """Each worker has a maximum of its own (K-8); with one that has all tokens in order, sums are another."""
    case = make_case(variant, tokens=201, dim=11, patterns=("random",) * 4)
    answers = [run(case, hardware, nr_tasklets=nr_tasklets).answers for nr_tasklets in TASKLETS]
    for nr_tasklets, sums in zip(TASKLETS, answers, strict=True):
        assert_same(sums, case.expected(nr_tasklets=nr_tasklets), where=f"{nr_tasklets} tasklets")
        np.testing.assert_array_equal(sums.maximum, answers[0].maximum)
    assert len({sums.weight_sum.tobytes() for sums in answers}) == len(TASKLETS)


@every_variant
def test_every_number_of_threads(hardware, variant):
    case = make_case(variant, tokens=65, dim=16, batch=14, patterns=("random",) * 5)
    for nr_tasklets in (2, 17):
        one, *others = (
            run(case, hardware, nr_tasklets=nr_tasklets, options=EngineOptions(threads=threads))
            for threads in (1, 2, 7)
        )
        assert_same(one.answers, case.expected(nr_tasklets=nr_tasklets))
        for other in others:
            assert_same(other.answers, one.answers)
            assert_counted_alike(other, one)


@pytest.mark.parametrize("nr_tasklets", [2, 17])
@every_variant
def test_both_engines(hardware, variant, nr_tasklets):
    case = make_case(variant, tokens=21, dim=5, queries=2, patterns=("random", "alternating"), window=19, alibi=0.3)
    compiled, interpreted = (
        run(case, hardware, nr_tasklets=nr_tasklets, options=options) for options in (EngineOptions(), INTERPRETED)
    )
    assert_same(interpreted.answers, case.expected(nr_tasklets=nr_tasklets))
    assert_same(compiled.answers, interpreted.answers)
    assert_counted_alike(compiled, interpreted)


@every_variant
@settings(max_examples=4)
@given(seed=st.integers(0, 1 << 32), nr_tasklets=st.integers(2, 24), paging=st.sampled_from(["contiguous", "paged"]))
def test_any_order_of_tasklets(hardware, variant, seed, nr_tasklets, paging):
    case = make_case(variant, tokens=18, dim=3, queries=1 + seed % 2, seed=seed)
    how = {"nr_tasklets": nr_tasklets, "paging": paging}
    shuffled = EngineOptions(engine="interpreted", tasklet_order="random", seed=seed)
    outcome = run(case, hardware, options=shuffled, **how)
    assert_same(outcome.answers, case.expected(nr_tasklets=nr_tasklets))
    assert_counted_alike(outcome, run(case, hardware, options=INTERPRETED, **how))


@pytest.mark.parametrize("variant", [WIDE[1], ZSCORE[1], SOFTMAX[0], SOFTMAX[1], ONLINE[0]], ids=str)
def test_a_constant_head_size_changes_neither_bits_nor_dmas(hardware, variant, monkeypatch):
    """Slots it does change: loops of constant length go by index, and multiplies by constants are shifts."""
    case = make_case(variant, tokens=21, dim=64)
    constant = run(case, hardware, nr_tasklets=3, options=INTERPRETED)
    monkeypatch.setattr(contexts, "USUAL_DIMS", ())
    general = run(case, hardware, nr_tasklets=3, options=INTERPRETED)
    assert [row.what for row in constant.timeline][:1] != [row.what for row in general.timeline][:1]
    assert_same(constant.answers, general.answers)
    ours, theirs = (outcome.result.counters.rows for outcome in (constant, general))
    events = [Counter.READS, Counter.READ_BYTES, Counter.WRITES, Counter.WRITE_BYTES, Counter.ALLOCS, Counter.BARRIERS]
    np.testing.assert_array_equal(ours[..., events], theirs[..., events])
    # No constant takes a multiply more than a number that is only known at run time.
    multiplies = [Counter.MUL16, Counter.MUL32, Counter.MUL64]
    assert (ours[..., multiplies].sum(axis=-1) <= theirs[..., multiplies].sum(axis=-1)).all()


def assert_counted_alike(ours, theirs):
    """Equal counters of every tasklet, and equal modelled time of every command."""
    np.testing.assert_array_equal(ours.result.counters.rows, theirs.result.counters.rows)
    np.testing.assert_array_equal(ours.result.counters.barriers, theirs.result.counters.barriers)
    assert ours.timeline == theirs.timeline
