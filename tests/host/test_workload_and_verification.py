"""Workloads hold the integers they promise, runs keep every step, and verification misses no element."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from host.attention.experiment import Outcome, run_workload
from host.attention.output import relative_l2, softmax_to_real
from host.attention.ranges import AccumulatorOverflow, largest_operand
from host.attention.reference import attention_div_d, attention_softmax, float_attention
from host.attention.samples import RealOperands, random_reals, shipped_operands
from host.attention.sums import SoftmaxSums
from host.attention.verification import verify
from host.attention.workload import real_workload, synthetic_workload
from pim_runtime import EngineOptions, Machine
from pim_runtime.timeline import Timeline

HEADS, POSITIONS, TOKENS, DIM = 3, 10, 14, 6
REAL = random_reals(5, heads=HEADS, queries=POSITIONS, tokens=TOKENS, dim=DIM)
DTYPES = ["int8", "int16", "int32"]


def real(dtype="int8", norm="softmax", batch=4):
    return real_workload(REAL, dtype=dtype, norm=norm, acc="wide", batch=batch)


def synthetic(dtype="int8", norm="softmax", acc="wide", data="random", seed=0, tokens=TOKENS):
    return synthetic_workload(
        batch=2, heads=HEADS, tokens=tokens, dim=DIM, dtype=dtype, norm=norm, acc=acc, data=data, seed=seed
    )


def answered(workload):
    """An outcome as exact kernels leave it, without a run."""
    steps = [step_outputs(workload, queries) for queries in workload.queries]
    outputs = SoftmaxSums(*map(np.stack, zip(*steps, strict=True))) if workload.plans else np.stack(steps)
    return Outcome(
        outputs=outputs,
        timeline=Timeline(),
        decode_rows=0,
        nr_dpus=workload.batch * workload.heads,
        nr_ranks=1,
        load_seconds=0.0,
        fill_seconds=0.0,
        decode_seconds=0.0,
    )


def step_outputs(workload, queries):
    if not workload.plans:
        return attention_div_d(queries, workload.k, workload.v, acc=workload.acc)
    heads = [
        attention_softmax(queries[:, head], workload.k[:, head], workload.v[:, head], plan)
        for head, plan in enumerate(workload.plans)
    ]
    return SoftmaxSums(*(np.stack(parts, axis=1) for parts in zip(*heads, strict=True)))


def ignore(done):
    """Progress that nobody watches."""


# --- workloads -------------------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
def test_real_workload_holds_the_quantised_tensors(dtype):
    workload = real(dtype)
    assert (workload.batch, workload.heads, workload.tokens, workload.dim) == (4, HEADS, TOKENS, DIM)
    assert workload.queries.dtype == workload.k.dtype == workload.v.dtype == dtype
    largest = largest_operand(dtype=dtype, norm="softmax", acc="wide", dim=DIM, max_tokens=TOKENS)
    assert workload.limit == largest
    for values, scale, tensor in (
        (workload.k[0], workload.origin.k.scale, REAL.k),
        (workload.v[3], workload.origin.v.scale, REAL.v),
    ):
        assert (np.abs(values.astype(np.int64)).max(axis=(1, 2)) == largest).all()
        np.testing.assert_allclose(values * scale[:, None, None], tensor, atol=0.51 * scale.max())
    logit_scales = workload.origin.q.scale * workload.origin.k.scale / math.sqrt(DIM)
    np.testing.assert_allclose(workload.logit_scales, logit_scales, rtol=1e-15)
    assert len(workload.plans) == HEADS


@pytest.mark.quick
@pytest.mark.parametrize(("batch", "steps"), [(1, 10), (4, 3), (5, 2), (10, 1), (16, 1)])
def test_real_queries_are_spread_over_the_batch_in_order(batch, steps):
    workload = real(batch=batch)
    assert workload.queries.shape == (steps, batch, HEADS, DIM)
    for step in range(steps):
        for request in range(batch):
            position = min(step * batch + request, POSITIONS - 1)
            np.testing.assert_array_equal(workload.queries[step, request], workload.origin.q.values[:, position])
    assert (workload.k == workload.k[:1]).all()
    assert (workload.v == workload.v[:1]).all()


@pytest.mark.quick
def test_real_workload_of_div_d_has_no_plan_and_smaller_int32_operands():
    workload = real("int32", "div_d")
    assert workload.plans == ()
    assert TOKENS * workload.limit**3 < 2**63 <= TOKENS * (workload.limit + 1) ** 3


@pytest.mark.quick
def test_wrapping_real_tensors_is_refused():
    with pytest.raises(ValueError, match="real tensors need acc='wide'"):
        real_workload(REAL, dtype="int8", norm="div_d", acc="wrap", batch=1)


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("norm", "acc"), [("div_d", "wrap"), ("div_d", "wide"), ("softmax", "wide")])
def test_synthetic_workload_keeps_to_its_limit(dtype, norm, acc):
    ones = synthetic(dtype, norm, acc, data="ones")
    assert ones.limit == 1
    assert all((operand == 1).all() for operand in (ones.queries, ones.k, ones.v))
    workload = synthetic(dtype, norm, acc, tokens=2000)
    assert workload.queries.shape == (1, 2, HEADS, DIM)
    assert workload.k.shape == workload.v.shape == (2, HEADS, 2000, DIM)
    assert workload.limit == largest_operand(dtype=dtype, norm=norm, acc=acc, dim=DIM, max_tokens=2000)
    lowest = int(np.iinfo(dtype).min) if acc == "wrap" else -workload.limit
    assert lowest <= workload.k.min() < lowest * 0.99
    assert workload.limit * 0.99 < workload.k.max() <= workload.limit
    assert len(workload.plans) == (HEADS if norm == "softmax" else 0)
    assert workload.origin is None


@pytest.mark.quick
def test_synthetic_workload_repeats_with_its_seed():
    first, again, other = synthetic(seed=1), synthetic(seed=1), synthetic(seed=2)
    for name in ("queries", "k", "v"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
def test_synthetic_logits_make_a_softmax_that_is_neither_uniform_nor_one_hot(dtype):
    workload = synthetic_workload(
        batch=8, heads=8, tokens=500, dim=64, dtype=dtype, norm="softmax", acc="wide", data="random", seed=0
    )
    scores = (workload.k.astype(float) @ workload.queries[0].astype(float)[..., None])[..., 0]
    assert (scores * workload.logit_scales[:, None]).std() == pytest.approx(2, rel=0.1)


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_that_wraps_is_refused_by_name(dtype):
    with pytest.raises(ValueError, match="softmax has no wrapping form"):
        synthetic(dtype, "softmax", "wrap")


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["div_d", "softmax"])
def test_a_run_keeps_every_step(hardware, norm):
    workload, done, machine = real(norm=norm), [], Machine(hardware)
    outcome = run_workload(workload, nr_tasklets=5, machine=machine, options=EngineOptions(), advance=done.append)
    assert done == [1, 1, 1]
    assert (outcome.nr_dpus, outcome.nr_ranks, machine.free_ranks) == (12, 1, 40)
    expected = answered(workload).outputs
    for ours, theirs in zip(outcome.outputs, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    steps = outcome.timeline.rows[outcome.decode_rows :]
    assert [row.operation for row in steps] == 3 * ["write", "launch", "read"]
    assert outcome.timeline.rows[outcome.decode_rows - 1].what == "arguments"
    assert min(outcome.load_seconds, outcome.fill_seconds, outcome.decode_seconds) > 0


def test_a_run_over_many_ranks_counts_them(hardware):
    workload = synthetic_workload(
        batch=5, heads=33, tokens=2, dim=4, dtype="int8", norm="div_d", acc="wrap", data="random", seed=0
    )
    outcome = run_workload(workload, nr_tasklets=3, machine=Machine(hardware), options=EngineOptions(), advance=ignore)
    assert (outcome.nr_dpus, outcome.nr_ranks) == (165, 3)
    np.testing.assert_array_equal(outcome.outputs, answered(workload).outputs)


@pytest.mark.quick
def test_a_run_refuses_operands_beyond_its_limit(hardware):
    workload, machine = dataclasses.replace(synthetic("int16"), limit=9), Machine(hardware)
    interpreted = EngineOptions(engine="interpreted")
    with pytest.raises(ValueError, match=r"k reaches .* proven for 9"):
        run_workload(workload, nr_tasklets=2, machine=machine, options=interpreted, advance=ignore)
    with pytest.raises(AccumulatorOverflow):
        run_workload(
            dataclasses.replace(synthetic("int32"), limit=1 << 31),
            nr_tasklets=2,
            machine=machine,
            options=interpreted,
            advance=ignore,
        )
    assert machine.free_ranks == 40


# --- verification ----------------------------------------------------------------------------------------------------


WORKLOADS = {
    "real softmax": lambda: real("int8", "softmax"),
    "real div_d": lambda: real("int16", "div_d"),
    "synthetic softmax": lambda: synthetic("int32", "softmax"),
    "synthetic div_d": lambda: synthetic("int16", "div_d"),
    "synthetic wrap": lambda: synthetic("int8", "div_d", "wrap"),
}


@pytest.fixture(params=WORKLOADS)
def workload(request):
    return WORKLOADS[request.param]()


def compared_heads(workload):
    """(queries that count, contexts that differ)."""
    return (POSITIONS, HEADS) if workload.origin else (1, 2 * HEADS)


@pytest.mark.quick
def test_exact_answers_pass(workload):
    done = []
    verification = verify(workload, answered(workload), advance=done.append)
    queries, contexts = compared_heads(workload)
    assert done == [1] * contexts
    assert verification.different == 0
    assert verification.compared == queries * contexts * (DIM + 2 if workload.plans else DIM)
    assert (verification.kernel is None) == (workload.acc == "wrap")
    assert (verification.real is None) == (workload.origin is None or workload.norm == "div_d")
    for agreement in (verification.kernel, verification.real):
        if agreement is not None:
            assert len(agreement.relative_l2) == contexts
            assert 0 <= agreement.worst_share_of_bound <= 1


@pytest.mark.quick
def test_every_wrong_element_is_found(workload):
    outcome, found = answered(workload), 0
    parts = tuple(outcome.outputs) if workload.plans else (outcome.outputs,)
    for part in parts:
        for place in np.ndindex(part.shape):
            part[place] += part.dtype.type(1)
            found += verify_difference(workload, outcome, place)
            part[place] -= part.dtype.type(1)
    queries, contexts = compared_heads(workload)
    assert found == queries * contexts * (DIM + 2 if workload.plans else DIM)


def verify_difference(workload, outcome, place):
    """Differences found; answers to made-up repetitions of the last query do not count."""
    different = verify(workload, outcome, advance=ignore).different
    step, request = place[:2]
    is_made_up = workload.origin is not None and step * workload.batch + request >= POSITIONS
    assert different == (0 if is_made_up else 1)
    return different


@pytest.mark.quick
@pytest.mark.parametrize("name", ["real softmax", "synthetic softmax"])
def test_answers_far_off_exceed_the_bounds(name):
    workload = WORKLOADS[name]()
    outcome = answered(workload)
    outcome.outputs.weighted_values[:, :, 1] *= -3
    verification = verify(workload, outcome, advance=ignore)
    assert verification.kernel.worst_share_of_bound > 1
    assert (np.array(verification.kernel.relative_l2) > 1).any()
    if workload.origin is not None:
        assert verification.real.worst_share_of_bound > 1
        assert [error > 1 for error in verification.real.relative_l2] == [False, True, False]


@pytest.mark.quick
def test_div_d_off_by_more_than_truncation_exceeds_the_bound():
    workload = synthetic("int16", "div_d")
    outcome = answered(workload)
    outcome.outputs[0, 1, 2, 3] += int(np.abs(workload.v[1, 2, :, 3].astype(np.int64)).sum())
    assert verify(workload, outcome, advance=ignore).kernel.worst_share_of_bound > 0.5
    outcome.outputs[0, 1, 2, 3] += int(np.abs(workload.v[1, 2, :, 3].astype(np.int64)).sum())
    assert verify(workload, outcome, advance=ignore).kernel.worst_share_of_bound > 1


@pytest.mark.quick
def test_errors_are_those_of_the_unquantised_tensors():
    workload = real("int8")
    outcome = answered(workload)
    errors = []
    for head in range(HEADS):
        sums = SoftmaxSums(*(part[:, :, head].reshape(-1, *part.shape[3:])[:POSITIONS] for part in outcome.outputs))
        reference = float_attention(REAL.q[head], REAL.k[head, None], REAL.v[head, None], scale=1 / math.sqrt(DIM))
        ours = softmax_to_real(sums, v_scale=workload.origin.v.scale[head])
        errors.append(float(relative_l2(ours, reference)))
    verification = verify(workload, outcome, advance=ignore)
    assert verification.real.relative_l2 == pytest.approx(errors, rel=1e-12)
    assert 0 < max(errors) < 0.05


@pytest.mark.quick
def test_a_head_of_zeros_is_exact():
    nothing = RealOperands(q=np.zeros((1, 2, 4)), k=np.zeros((1, 3, 4)), v=np.zeros((1, 3, 4)))
    workload = real_workload(nothing, dtype="int8", norm="softmax", acc="wide", batch=1)
    verification = verify(workload, answered(workload), advance=ignore)
    assert (verification.different, verification.real.relative_l2) == (0, (0.0,))
    assert (answered(workload).outputs.weight_sum == 3 << 24).all()


@pytest.mark.quick
def test_the_shipped_sample_makes_full_steps():
    workload = real_workload(shipped_operands(), dtype="int8", norm="softmax", acc="wide", batch=32)
    assert workload.queries.shape == (12, 32, 24, 32)
    assert workload.k.shape == (32, 24, 384, 32)
    assert workload.k.strides[0] == 0  # one copy for the whole batch
