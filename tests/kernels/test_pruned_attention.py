"""Attention that prunes on DPUs (S4-13, K-9): what is kept, bits of the answers, DMAs in closed form."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.pruned import INTERPRETED, PrunedCase, pruned_run

from dpu_kernels.pruning import pruned_attention_program
from host.attention import contexts
from host.attention.attention_set import AttentionSet
from host.attention.partition import Partition
from host.attention.spec import AttentionSpec
from host.attention.wram_plan import CapacityError, plan_wram
from host.sprint.dpu_selector import DpuSelector
from host.sprint.scores import AnalogFormat
from host.sprint.thresholding import Thresholder
from pim_runtime import EngineOptions, Machine
from pim_runtime.errors import DpuFaultError

LOST_TO_ALIGNMENT = 56  # bytes, at most, of each tasklet
SCORE_STEP = 5_000.0  # of thresholds; scores of ten random dimensions deviate by some 17,000


def assert_equal(ours, theirs):
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(found, expected)


def check(case, hardware, **how):
    """The host's thresholds keep the same, the references answer the same, the closed form counts the same DMAs."""
    outcome = pruned_run(case, hardware, **how)
    np.testing.assert_array_equal(outcome.kept, case.kept())
    assert_equal(outcome.answers, case.expected(outcome.kept))
    assert outcome.dmas == outcome.traffic.total
    return outcome


analog_formats = st.builds(
    AnalogFormat, mode=st.just("trunc"), q_bits=st.integers(1, 8), levels=st.sampled_from(["floor", "mid_rise"])
) | st.builds(AnalogFormat, mode=st.just("round"), q_bits=st.integers(1, 8))


@settings(max_examples=25)
@given(
    norm=st.sampled_from(["softmax", "div_d", "zscore"]),
    tokens=st.integers(1, 90),
    dim=st.integers(1, 20),
    queries=st.sampled_from([1, 1, 2, 3]),
    window=st.none() | st.integers(1, 90),
    thresholder=st.builds(Thresholder, analog=analog_formats, offset=st.sampled_from(["none", "bias", "conservative"])),
    theta=st.sampled_from([-np.inf, np.inf]) | st.integers(-6, 12).map(lambda steps: steps * SCORE_STEP + 0.5),
    nr_tasklets=st.integers(2, 24),
    paging=st.sampled_from(["contiguous", "paged"]),
    seed=st.integers(0, 99),
)
def test_pruned_attention(hardware, nr_tasklets, paging, **case):
    check(PrunedCase(**case), hardware, nr_tasklets=nr_tasklets, paging=paging)


@pytest.mark.quick
@pytest.mark.parametrize("theta", [(20_000.0, 0.0, np.inf, -np.inf)], ids=["theta of each query"])
def test_queries_that_share_a_head_have_masks_of_their_own(hardware, theta):
    """A row of K or V moves once if any query keeps it (S0-15); a query that keeps none has sums of 0."""
    outcome = check(PrunedCase(queries=4, theta=theta), hardware)
    assert outcome.traffic.keys.transfers == 43
    assert outcome.kept.sum(axis=1).tolist()[2:] == [0, 43]
    assert [part[2].any() for part in outcome.answers] == [False, False, False]


@pytest.mark.parametrize("norm", ["softmax", "div_d", "zscore"])
def test_without_a_threshold_answers_are_the_dense_ones(hardware, norm):
    """C4-03: theta = -inf, all bits."""
    case = PrunedCase(norm=norm, theta=-np.inf, tokens=11, dim=5, queries=2)
    pruned, dense = (pruned_run(case, hardware, selection=selection) for selection in ("pruned", "dense"))
    assert_equal(pruned.answers, dense.answers)


@pytest.mark.quick
def test_survivors_are_attended_to_as_if_there_were_no_others(hardware):
    """C4-03: dense attention over the kept rows alone, all bits."""
    case = PrunedCase(theta=5_000.0)
    pruned = pruned_run(case, hardware)
    q, k, v = case.operands()
    rows = pruned.kept[0]
    alone = replace(case, tokens=int(rows.sum()))

    class Survivors(PrunedCase):
        __slots__ = ()

        def operands(self):
            return q, k[:, :, rows], v[:, :, rows]

    names = ("norm", "tokens", "dim", "kv_heads", "queries", "window", "theta", "thresholder", "seed")
    survivors = Survivors(**{name: getattr(alone, name) for name in names})
    assert_equal(pruned.answers, pruned_run(survivors, hardware, selection="dense").answers)


@pytest.mark.quick
@pytest.mark.parametrize("norm", ["softmax", "div_d"])
@pytest.mark.parametrize("partition", [Partition(3), Partition(3, "interleave")], ids=["block", "interleave"])
def test_parts_of_a_head_keep_what_the_whole_head_keeps(hardware, norm, partition):
    """M-1, M-2: parts merge; one that kept nothing counts for nothing."""
    case = PrunedCase(norm=norm, theta=15_000.0, kv_heads=2)
    split, whole = pruned_run(case, hardware, partition=partition), pruned_run(case, hardware)
    np.testing.assert_array_equal(split.kept, whole.kept)
    if norm == "div_d":
        assert_equal(split.answers, whole.answers)
    else:
        np.testing.assert_array_equal(split.answers[0], whole.answers[0])
        ours, theirs = (outcome.answers[2] / outcome.answers[1][:, None] for outcome in (split, whole))
        np.testing.assert_allclose(ours, theirs, atol=256 * 2.0**-16)  # 255 = R_v, and 40 tokens of 2**-24


@pytest.mark.quick
def test_z_scores_of_survivors_need_whole_heads(hardware):
    """Their statistics would have to be merged before the weights are known (M-5)."""
    with pytest.raises(ValueError, match="whole heads"):
        pruned_run(PrunedCase(norm="zscore"), hardware, partition=Partition(2))


@pytest.mark.quick
def test_bytes_are_those_of_the_specification(hardware):
    """S4-13: L d/2 of packed halves, |keep| d of K and of V; rows of a multiple of 16 elements need no padding."""
    outcome = check(PrunedCase(dim=16, tokens=40), hardware)
    kept = int(outcome.kept.sum())
    assert 0 < kept < 40
    assert outcome.traffic.nibbles.nbytes == 40 * 16 // 2
    assert (outcome.traffic.keys.nbytes, outcome.traffic.values.nbytes) == (kept * 16, kept * 16)


@pytest.mark.quick
@pytest.mark.parametrize("norm", ["softmax", "div_d", "zscore"])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("paging", ["contiguous", "paged"])
def test_closed_form_of_dense_attention(hardware, norm, queries, paging):
    case = PrunedCase(norm=norm, queries=queries, window=30)
    outcome = pruned_run(case, hardware, selection="dense", paging=paging)
    assert outcome.dmas == outcome.traffic.total


def test_wide_heads_multiply_and_take_several_passes(hardware):
    """Tables of many queries or dimensions do not fit WRAM; results and DMAs of decisions are the same."""
    many = check(PrunedCase(dim=90, tokens=20, queries=8, theta=50_000.0), hardware, nr_tasklets=12)
    narrow = check(PrunedCase(dim=24, tokens=9), hardware)
    assert (many.decision, narrow.decision) == ("multiply", "tables")
    assert many.traffic.values.transfers > many.traffic.keys.transfers
    assert many.traffic.values.nbytes == many.traffic.keys.nbytes


def test_both_engines_agree(hardware):
    """Bits, kept tokens and every counter."""
    case = PrunedCase(queries=2, tokens=90, theta=(10_000.0, 25_000.0))
    for nr_tasklets in (5, 17):
        exact = [EngineOptions(engine=engine, timing="exact") for engine in ("compiled", "interpreted")]
        compiled, interpreted = (check(case, hardware, nr_tasklets=nr_tasklets, options=one) for one in exact)
        np.testing.assert_array_equal(compiled.counters, interpreted.counters)


@pytest.mark.quick
@pytest.mark.parametrize("paging", ["contiguous", "paged"])
def test_appended_tokens_and_waves(hardware, paging):
    """Packed rows grow with K and V; two heads on one DPU run one after the other, each with its threshold."""
    case = PrunedCase(kv_heads=2, tokens=20, theta=(4_000.0, 25_000.0))
    (q, k, v), machine = case.operands(), Machine(hardware)
    how = {"batch": 1, "nr_tasklets": 3, "machine": machine, "options": INTERPRETED, "paging": paging}
    with AttentionSet(case.spec, nr_dpus=1, **how) as attention:
        attention.load_kv(k[:, :, :17], v[:, :, :17])
        for token in range(17, 20):
            attention.append(k[:, :, token], v[:, :, token])
        sums = attention.decode(q, theta=case.theta)
        assert_equal([part[0] for part in sums], case.expected(case.kept()))
        with pytest.raises(ValueError, match="2 waves"):
            attention.pull_kept()


@pytest.mark.parametrize(("decision", "queries", "dim"), [("tables", 1, 7), ("tables", 3, 24), ("multiply", 3, 24)])
def test_the_plan_is_what_the_program_allocates(hardware, monkeypatch, decision, queries, dim):
    """As for dense attention: with less WRAM than planned, beside what alignment may need, the program runs out."""
    nr_tasklets, case = 5, PrunedCase(queries=queries, dim=dim, tokens=9)

    def accepted(heap_bytes):
        try:
            return plan_wram(case.spec, nr_tasklets=nr_tasklets, heap_bytes=heap_bytes)
        except CapacityError:
            return None

    def is_enough(heap_bytes):
        plan = accepted(heap_bytes)
        return plan is not None and plan.columns == dim and decision in ("multiply", plan.decision)

    enough = bisect_left(range(1 << 16), True, key=is_enough)
    plan = accepted(enough)
    monkeypatch.setattr(contexts, "plan_wram", lambda *arguments, **named: plan)
    heap_bytes = pruned_attention_program("softmax").build(hardware, nr_tasklets=nr_tasklets).wram_heap_bytes

    def runs(nr_bytes):
        wram_bytes = hardware.dpu.wram_bytes - heap_bytes + nr_bytes // 8 * 8
        trimmed = replace(hardware, dpu=replace(hardware.dpu, wram_bytes=wram_bytes))
        try:
            return check(case, trimmed, nr_tasklets=nr_tasklets).decision == decision
        except DpuFaultError:
            return False

    assert runs(enough)
    assert not runs(enough - nr_tasklets * LOST_TO_ALIGNMENT - 16)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize(
    ("thresholder", "says"),
    [
        (Thresholder(analog=AnalogFormat(msb_bits=5)), "packed nibbles"),
        (Thresholder(noise_sigma=1.0), "noise_sigma = 0"),
        (Thresholder(adc_bits=4), "adc_bits = 1"),
        (Thresholder(columns=2, combine="per_column_or"), "combine = 'sum'"),
    ],
)
def test_what_only_an_analog_circuit_has(thresholder, says):
    with pytest.raises(ValueError, match=says):
        DpuSelector(thresholder=thresholder)


@pytest.mark.quick
@pytest.mark.parametrize(
    "other",
    [
        {"norm": "zscore_linear"},
        {"dtype": "int16"},
        {"norm": "div_d", "acc": "wrap"},
        {"alibi_slopes": (0.1,)},
    ],
    ids=str,
)
def test_what_dpus_do_not_prune(other):
    sizes = {"heads": 1, "kv_heads": 1, "dim": 8, "max_tokens": 8, "q_max": 7, "kv_max": 7, "logit_scales": (0.1,)}
    with pytest.raises(ValueError, match="DPUs prune int8"):
        AttentionSpec(**{"dtype": "int8", "norm": "softmax", **sizes, "selector": DpuSelector(), **other})


@pytest.mark.quick
@pytest.mark.parametrize(
    ("selection", "theta", "says"),
    [
        ("pruned", None, "no theta"),
        ("dense", 1.0, "without a selector"),
        ("pruned", np.nan, "without NaN"),
        ("pruned", [1.0, 2.0, 3.0], "broadcast"),
        ("pruned", np.zeros((2, 1)), "broadcast"),
        ("pruned", np.zeros((1, 1, 1)), "broadcast"),
    ],
)
def test_thresholds_that_do_not_belong_to_the_queries(hardware, selection, theta, says):
    case = PrunedCase(tokens=3)
    spec = case.spec if selection == "pruned" else replace(case.spec, selector=None)
    q, k, v = case.operands()
    with AttentionSet(spec, batch=1, nr_tasklets=2, machine=Machine(hardware), options=INTERPRETED) as attention:
        attention.load_kv(k, v)
        with pytest.raises(ValueError, match=says):
            attention.push_q(q, theta=theta)
        with pytest.raises(ValueError, match="pull_kept"):
            attention.pull_kept()
