"""Real activations: 24 heads of all-MiniLM-L6-v2, 384 queries each, every element checked.

The full sample runs with every dtype. How heads are split, paged and shared is tried on a few heads and queries of it.
"""

from __future__ import annotations

import numpy as np
import pytest

from host.attention.experiment import run_workload
from host.attention.float_answers import arithmetic_of, bound_of, real_outputs
from host.attention.partition import Partition
from host.attention.samples import RealOperands, shipped_operands
from host.attention.value_statistics import ValueStatistics
from host.attention.verification import verify
from host.attention.workload import Method, real_workload
from pim_runtime import EngineOptions, Machine
from pim_runtime.cli.attention import SAMPLE_ERROR_LIMITS

HEADS, POSITIONS, DIM = 24, 384, 32
SAMPLE = shipped_operands()
FEW = RealOperands(q=SAMPLE.q[4:10, ::48], k=SAMPLE.k[4:10], v=SAMPLE.v[4:10])  # 6 heads, 8 queries, all tokens
SPLITS = [Partition(parts, layout) for parts in (2, 4, 8) for layout in ("block", "interleave")]
SPLIT_NAMES = [f"{split.parts}-{split.layout}" for split in SPLITS]


@pytest.fixture
def run(hardware):
    """`run(workload, **options)` gives the outcome and its verification."""

    def run_and_verify(workload, *, nr_tasklets=17, **options):
        outcome = run_workload(
            workload,
            nr_tasklets=nr_tasklets,
            machine=Machine(hardware),
            options=EngineOptions(),
            advance=lambda steps: None,
            **options,
        )
        return outcome, verify(workload, outcome, advance=lambda contexts: None)

    return run_and_verify


def few(dtype="int8", norm="softmax", operands=FEW, **method):
    return real_workload(operands, Method(dtype=dtype, norm=norm, **method), batch=4)


def assert_same(ours, theirs):
    for one, other in zip(arrays(ours), arrays(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


def arrays(answers):
    """The arrays of answers, whatever record they are."""
    return (answers,) if isinstance(answers, np.ndarray) else tuple(answers)


def certificate(workload, outcome):
    """The bound of every output, in units of the integer values, [steps, batch, heads, dim]."""
    arithmetic = arithmetic_of(workload.spec, outcome.partition, outcome.nr_tasklets)
    return bound_of(workload.spec, outcome.outputs, ValueStatistics.of(workload.v[0]), arithmetic)


# --- the full sample -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SAMPLE_ERROR_LIMITS)
def test_softmax_attention_is_exact_and_close_to_float64(run, dtype):
    outcome, verification = run(real_workload(SAMPLE, Method(dtype=dtype, norm="softmax"), batch=32))
    assert (outcome.nr_dpus, outcome.nr_ranks) == (32 * HEADS, 12)
    assert verification.compared == HEADS * POSITIONS * (DIM + 2)  # outputs, largest score and sum of weights
    assert verification.different == 0
    errors = np.array(verification.real.relative_l2)
    assert len(errors) == HEADS
    mean, worst = SAMPLE_ERROR_LIMITS[dtype]
    assert errors.mean() <= mean
    assert errors.max() <= worst
    assert verification.real.worst_share_of_bound <= 1
    assert verification.kernel.worst_share_of_bound <= 1


@pytest.mark.parametrize("dtype", ["int4", "int8", "int16", "int32"])
def test_div_d_attention_is_exact(run, dtype):
    _, verification = run(real_workload(SAMPLE, Method(dtype=dtype, norm="div_d"), batch=32))
    assert (verification.compared, verification.different) == (HEADS * POSITIONS * DIM, 0)
    assert verification.kernel.worst_share_of_bound <= 1
    assert verification.real is None


def test_the_batch_does_not_change_the_outputs(run):
    """384 positions in 12 steps of 32 requests or in 4 of 96; a last step that is not full changes nothing either."""
    method = Method(dtype="int8", norm="softmax")
    one, _ = run(real_workload(SAMPLE, method, batch=32))
    for batch in (96, 100):
        other, verification = run(real_workload(SAMPLE, method, batch=batch))
        assert verification.different == 0
        for ours, theirs in zip(one.outputs, other.outputs, strict=True):
            of_position = theirs.reshape(-1, *theirs.shape[2:])[:POSITIONS]
            np.testing.assert_array_equal(of_position, ours.reshape(-1, *ours.shape[2:]))


def test_nibbles_cost_twelve_times_the_error_of_bytes(run):
    """int4 K and V under int8 queries: 18 times coarser steps, and an error that is large but within its bound."""
    errors = {}
    for dtype in ("int4", "int8"):
        _, verification = run(few(dtype))
        assert verification.different == 0
        assert verification.real.worst_share_of_bound <= 1
        errors[dtype] = float(np.mean(verification.real.relative_l2))
    assert 8 < errors["int4"] / errors["int8"] < 18


# --- split heads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["div_d", "zscore", "zscore_linear"])
@pytest.mark.parametrize("split", SPLITS, ids=SPLIT_NAMES)
def test_sums_of_integers_are_the_same_however_heads_are_split(run, norm, split):
    """B-10: parts of linear norms add up. For z-scores of bytes, K-5 and M-5 have the same constants."""
    workload = few(norm=norm)
    whole, _ = run(workload)
    outcome, verification = run(workload, partition=split, paging="paged")
    assert verification.different == 0
    assert outcome.nr_dpus == 4 * 6 * split.parts
    assert_same(outcome.outputs, whole.outputs)


@pytest.mark.parametrize(("dtype", "norm"), [("int8", "softmax"), ("int8", "softmax_online"), ("int32", "zscore")])
@pytest.mark.parametrize("split", SPLITS, ids=SPLIT_NAMES)
def test_split_heads_are_exact_and_within_both_certificates_of_whole_ones(run, dtype, norm, split):
    """Merging rounds (B-4), and the host finds the constants of large z-scores in another way than a DPU (M-5)."""
    workload = few(dtype, norm)
    whole, _ = run(workload)
    outcome, verification = run(workload, partition=split)
    assert verification.different == 0
    assert verification.kernel.worst_share_of_bound <= 1
    apart = np.abs(real_outputs(outcome.outputs) - real_outputs(whole.outputs))
    assert (apart <= certificate(workload, outcome) + certificate(workload, whole) + 1e-9).all()
    if norm != "zscore":
        assert verification.real.worst_share_of_bound <= 1


def test_z_scores_are_the_same_for_every_split(run):
    """M-5: their constants come from exact sums, so that it does not matter which part a token is in."""
    workload = few("int32", "zscore")
    first, *others = [run(workload, partition=split)[0] for split in SPLITS]
    for other in others:
        assert_same(other.outputs, first.outputs)


@pytest.mark.parametrize("norm", ["div_d", "softmax", "softmax_online", "zscore", "zscore_linear"])
def test_pages_do_not_change_a_bit(run, norm):
    workload = few(norm=norm)
    contiguous, _ = run(workload)
    paged, verification = run(workload, paging="paged", nr_dpus=7)
    assert (verification.different, paged.nr_waves) == (0, 4)
    assert_same(paged.outputs, contiguous.outputs)


# --- shared keys and values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [2, 3, 6])
@pytest.mark.parametrize("norm", ["div_d", "softmax", "softmax_online", "zscore"])
def test_shared_heads_are_the_same_as_repeated_ones(run, norm, group):
    """GQA: the query heads of a group share K and V of its first head."""
    k, v = FEW.k[::group], FEW.v[::group]
    shared, verification = run(few(norm=norm, operands=RealOperands(q=FEW.q, k=k, v=v)))
    assert verification.different == 0
    assert shared.nr_dpus == 4 * 6 // group
    repeated = RealOperands(q=FEW.q, k=k.repeat(group, axis=0), v=v.repeat(group, axis=0))
    alone, _ = run(few(norm=norm, operands=repeated))
    assert_same(shared.outputs, alone.outputs)


# --- masks and biases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["softmax", "softmax_online"])
@pytest.mark.parametrize(
    "method", [{"window": 50}, {"biases": "alibi"}, {"window": 50, "biases": "alibi"}], ids=["window", "alibi", "both"]
)
def test_masks_and_biases_are_exact_and_within_the_bound_of_real_attention(run, norm, method):
    _, verification = run(few(norm=norm, **method), partition=Partition(2, "interleave"))
    assert verification.different == 0
    assert verification.kernel.worst_share_of_bound <= 1
    assert verification.real.worst_share_of_bound <= 1
    assert 1e-3 < max(verification.real.relative_l2) < 0.05
