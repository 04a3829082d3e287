"""Workloads hold the integers they promise, runs keep every step, and verification misses no element."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.attention.answers import rearrange
from host.attention.expected import expected_answers
from host.attention.experiment import Outcome, run_workload
from host.attention.masks import alibi_slopes
from host.attention.operands import operand_type
from host.attention.output import relative_l2, softmax_to_real
from host.attention.partition import Partition
from host.attention.ranges import AccumulatorOverflow, OperandLimits, largest_operand, operand_limits
from host.attention.reference import float_attention, float_softmax
from host.attention.samples import RealOperands, random_reals, shipped_operands
from host.attention.sums import SoftmaxSums
from host.attention.verification import nr_contexts, verify
from host.attention.workload import HeadShape, Method, real_workload, synthetic_workload
from pim_runtime import EngineOptions, Machine
from pim_runtime.hardware import load_profile
from pim_runtime.timeline import Timeline

HEADS, POSITIONS, TOKENS, DIM = 3, 10, 14, 6
REAL = random_reals(5, heads=HEADS, queries=POSITIONS, tokens=TOKENS, dim=DIM)
SHARED = RealOperands(q=random_reals(6, heads=6, queries=POSITIONS, tokens=1, dim=DIM).q, k=REAL.k, v=REAL.v)
DTYPES = ["int4", "int8", "int16", "int32"]
NORMS = ["div_d", "zscore", "zscore_linear", "softmax", "softmax_online"]
WORKERS, WHOLE = 4, Partition()


def real(dtype="int8", norm="softmax", batch=4, operands=REAL, **method):
    return real_workload(operands, Method(dtype=dtype, norm=norm, **method), batch=batch)


def synthetic(dtype="int8", norm="softmax", acc="wide", data="random", seed=0, tokens=TOKENS, kv_heads=None):
    method = Method(dtype=dtype, norm=norm, acc=acc)
    shape = {"batch": 2, "heads": HEADS, "kv_heads": kv_heads, "tokens": tokens, "dim": DIM}
    return synthetic_workload(method, **shape, data=data, seed=seed)


def answered(workload, partition=WHOLE):
    """An outcome as exact kernels leave it, without a run."""
    steps = [
        rearrange(
            [
                expected_answers(workload.spec, q[None], k, v, partition=partition, nr_tasklets=WORKERS + 1)
                for q, k, v in zip(queries, workload.k, workload.v, strict=True)
            ],
            lambda *requests: np.concatenate(requests),
        )
        for queries in workload.queries
    ]
    return Outcome(
        outputs=rearrange(steps, lambda *each: np.stack(each)),
        timeline=Timeline(load_profile("upmem-v1a")),
        decode_rows=0,
        nr_dpus=workload.batch * workload.spec.kv_heads * partition.parts,
        nr_ranks=1,
        nr_waves=1,
        partition=partition,
        nr_tasklets=WORKERS + 1,
        load_seconds=0.0,
        fill_seconds=0.0,
        decode_seconds=0.0,
    )


def arrays(answers):
    """The arrays of answers, whatever record they are."""
    return (answers,) if isinstance(answers, np.ndarray) else tuple(answers)


def ignore(done):
    """Progress that nobody watches."""


# --- workloads -------------------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
def test_real_workload_holds_the_quantised_tensors(dtype):
    workload = real(dtype)
    spec = workload.spec
    assert (workload.batch, workload.tokens, spec.heads, spec.kv_heads, spec.dim) == (4, TOKENS, HEADS, HEADS, DIM)
    assert workload.queries.dtype == workload.k.dtype == workload.v.dtype == operand_type(dtype).dtype
    limits = operand_limits(dtype=dtype, norm="softmax", acc="wide", dim=DIM, max_tokens=TOKENS)
    assert (spec.q_max, spec.kv_max) == limits
    for values, scale, tensor in (
        (workload.k[0], workload.origin.k.scale, REAL.k),
        (workload.v[3], workload.origin.v.scale, REAL.v),
    ):
        assert (np.abs(values.astype(np.int64)).max(axis=(1, 2)) == limits.kv).all()
        np.testing.assert_allclose(values * scale[:, None, None], tensor, atol=0.51 * scale.max())
    logit_scales = workload.origin.q.scale * workload.origin.k.scale / math.sqrt(DIM)
    np.testing.assert_allclose(spec.logit_scales, logit_scales, rtol=1e-15)
    assert len(spec.plans) == HEADS


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
def test_query_heads_that_share_keys_have_logit_scales_of_their_own():
    workload = real(operands=SHARED)
    assert (workload.spec.heads, workload.spec.kv_heads, workload.k.shape[1]) == (6, 3, 3)
    q, k = workload.origin.q.scale, workload.origin.k.scale
    expected = [q[head] * k[head // 2] / math.sqrt(DIM) for head in range(6)]
    assert workload.spec.logit_scales == pytest.approx(expected, rel=1e-15)


@pytest.mark.quick
def test_real_workload_of_div_d_has_no_plan_and_smaller_int32_operands():
    spec = real("int32", "div_d").spec
    assert spec.plans == ()
    assert spec.q_max == spec.kv_max
    assert TOKENS * spec.kv_max**3 < 2**63 <= TOKENS * (spec.kv_max + 1) ** 3


@pytest.mark.quick
@pytest.mark.parametrize("method", [{"norm": "div_d", "acc": "wrap"}, {"norm": "div_d", "acc": "wrap", "window": 3}])
def test_wrapping_real_tensors_is_refused(method):
    with pytest.raises(ValueError, match="real tensors need acc='wide'"):
        real(**method)


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("norm", "acc"), [("div_d", "wrap"), *((norm, "wide") for norm in NORMS)])
def test_synthetic_workload_keeps_to_its_limits(dtype, norm, acc):
    ones = synthetic(dtype, norm, acc, data="ones")
    assert (ones.spec.q_max, ones.spec.kv_max) == (1, 1)
    assert all((operand == 1).all() for operand in (ones.queries, ones.k, ones.v))
    workload = synthetic(dtype, norm, acc, tokens=2000)
    spec, operands = workload.spec, operand_type(dtype)
    assert workload.queries.shape == (1, 2, HEADS, DIM)
    assert workload.k.shape == workload.v.shape == (2, HEADS, 2000, DIM)
    assert (spec.q_max, spec.kv_max) == operand_limits(dtype=dtype, norm=norm, acc=acc, dim=DIM, max_tokens=2000)
    lowest = operands.kv_min if acc == "wrap" else -spec.kv_max
    assert lowest <= workload.k.min() <= lowest * 0.99
    assert spec.kv_max * 0.99 < workload.k.max() <= spec.kv_max
    assert len(spec.plans) == (HEADS if spec.is_softmax else 0)
    assert workload.origin is None


@pytest.mark.quick
def test_synthetic_heads_can_share_keys_and_values():
    workload = synthetic(kv_heads=1)
    assert (workload.queries.shape, workload.k.shape) == ((1, 2, HEADS, DIM), (2, 1, TOKENS, DIM))
    with pytest.raises(ValueError, match="3 query heads on 2 KV heads"):
        synthetic(kv_heads=2)


@pytest.mark.quick
def test_synthetic_workload_repeats_with_its_seed():
    first, again, other = synthetic(seed=1), synthetic(seed=1), synthetic(seed=2)
    for name in ("queries", "k", "v"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
def test_synthetic_logits_make_a_softmax_that_is_neither_uniform_nor_one_hot(dtype):
    shape = {"batch": 8, "heads": 8, "tokens": 500, "dim": 64}
    workload = synthetic_workload(Method(dtype=dtype, norm="softmax"), **shape, data="random", seed=0)
    scores = (workload.k.astype(float) @ workload.queries[0].astype(float)[..., None])[..., 0]
    # Uniform over 15 integers is a little wider than uniform over the interval they span.
    assert (scores * workload.spec.logit_scales[0]).std() == pytest.approx(2, rel=0.15 if dtype == "int4" else 0.1)


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm", NORMS[1:])
def test_norms_that_wrap_are_refused_by_name(dtype, norm):
    with pytest.raises(ValueError, match=f"{norm} has no wrapping form"):
        synthetic(dtype, norm, "wrap")


# --- operands beside ALiBi -------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES[:3])
@pytest.mark.parametrize("norm", ["softmax", "zscore"])
def test_usual_biases_take_nothing_from_small_operands(dtype, norm):
    plain, biased = real(dtype, norm).spec, real(dtype, norm, biases="alibi").spec
    assert biased.alibi_slopes == tuple(alibi_slopes(HEADS))
    assert biased.bias_max > 0 == plain.bias_max
    assert (biased.q_max, biased.kv_max) == (plain.q_max, plain.kv_max)


@pytest.mark.quick
@pytest.mark.parametrize("norm", NORMS)
def test_biases_leave_the_greatest_operands_that_fit_beside_them(norm):
    """The limits pass the proof, and the next greater ones do not: both with the biases of their own scale."""
    method = Method(dtype="int32", norm=norm, biases="alibi")
    shape = HeadShape(heads=HEADS, kv_heads=HEADS, dim=DIM, max_tokens=TOKENS)

    def scales(limits):
        return (8.0 / (limits.q * limits.kv),)

    spec = method.largest_spec(shape, scales)
    assert spec.q_max == spec.kv_max < largest_operand(dtype="int32", norm=norm, acc="wide", dim=DIM, max_tokens=TOKENS)
    limits = OperandLimits(spec.q_max + 1, spec.kv_max + 1)
    with pytest.raises(AccumulatorOverflow):
        method.spec(**shape._asdict(), limits=limits, logit_scales=scales(limits))


@pytest.mark.quick
def test_biases_that_leave_no_room_at_all_are_refused():
    method, shape = Method(dtype="int8", norm="softmax", biases="alibi"), HeadShape(1, 1, 4, 1000)
    with pytest.raises(AccumulatorOverflow, match="scores of int8 softmax"):
        method.largest_spec(shape, lambda limits: (1e-9,))


@pytest.mark.quick
def test_int4_keeps_its_values_when_biases_take_room():
    """Halving q costs as many bits of the score as halving K, which has few."""
    method, shape = Method(dtype="int4", norm="softmax", biases="alibi"), HeadShape(1, 1, 4, 1000)
    spec = method.largest_spec(shape, lambda limits: (1.2e-7 / (limits.q * limits.kv),))
    assert 7 <= spec.q_max < 127
    assert spec.kv_max == 7


@pytest.mark.quick
def test_biases_on_wrapping_accumulators_are_refused():
    with pytest.raises(ValueError, match="ALiBi needs acc='wide'"):
        Method(dtype="int8", norm="div_d", acc="wrap", biases="alibi")


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["div_d", "softmax"])
def test_a_run_keeps_every_step(hardware, norm):
    workload, done, machine = real(norm=norm), [], Machine(hardware)
    outcome = run_workload(
        workload, nr_tasklets=WORKERS + 1, machine=machine, options=EngineOptions(), advance=done.append
    )
    assert done == [1, 1, 1]
    assert (outcome.nr_dpus, outcome.nr_ranks, outcome.nr_waves, machine.free_ranks) == (12, 1, 1, 40)
    for ours, theirs in zip(arrays(outcome.outputs), arrays(answered(workload).outputs), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    steps = outcome.timeline.rows[outcome.decode_rows :]
    assert [row.operation for row in steps] == 3 * ["write", "launch", "read"]
    assert outcome.timeline.rows[outcome.decode_rows - 1].what in ("arguments", "constants")
    assert min(outcome.load_seconds, outcome.fill_seconds, outcome.decode_seconds) > 0


def test_a_run_over_many_ranks_counts_them(hardware):
    shape = {"batch": 5, "heads": 33, "tokens": 2, "dim": 4}
    workload = synthetic_workload(Method(dtype="int8", norm="div_d", acc="wrap"), **shape, data="random", seed=0)
    machine, options = Machine(hardware), EngineOptions()
    outcome = run_workload(workload, nr_tasklets=5, machine=machine, options=options, advance=ignore)
    assert (outcome.nr_dpus, outcome.nr_ranks) == (165, 3)
    np.testing.assert_array_equal(outcome.outputs, answered(workload).outputs)


def test_a_run_on_fewer_dpus_split_and_paged_leaves_the_same(hardware):
    workload, partition = real(norm="div_d"), Partition(2, "interleave")
    outcome = run_workload(
        workload,
        partition=partition,
        paging="paged",
        nr_dpus=9,
        nr_tasklets=5,
        machine=Machine(hardware),
        options=EngineOptions(),
        advance=ignore,
    )
    assert (outcome.nr_dpus, outcome.nr_waves, outcome.partition) == (8, 3, partition)
    np.testing.assert_array_equal(outcome.outputs, answered(workload).outputs)


@pytest.mark.quick
def test_a_run_refuses_operands_beyond_its_limit(hardware):
    workload, machine = synthetic("int16"), Machine(hardware)
    interpreted = EngineOptions(engine="interpreted")
    smaller = dataclasses.replace(workload, spec=dataclasses.replace(workload.spec, q_max=9, kv_max=9))
    with pytest.raises(ValueError, match=r"k reaches .* proven for 9"):
        run_workload(smaller, nr_tasklets=2, machine=machine, options=interpreted, advance=ignore)
    assert machine.free_ranks == 40


# --- verification ----------------------------------------------------------------------------------------------------


WORKLOADS = {
    "real softmax": lambda: real("int8", "softmax"),
    "real online": lambda: real("int8", "softmax_online"),
    "real int4": lambda: real("int4", "softmax"),
    "real window": lambda: real("int8", "softmax", window=5),
    "real ALiBi": lambda: real("int8", "softmax", biases="alibi"),
    "real shared": lambda: real("int16", "softmax", operands=SHARED),
    "real div_d": lambda: real("int16", "div_d"),
    "real zscore": lambda: real("int16", "zscore"),
    "synthetic softmax": lambda: synthetic("int32", "softmax"),
    "synthetic div_d": lambda: synthetic("int16", "div_d"),
    "synthetic wrap": lambda: synthetic("int8", "div_d", "wrap"),
    "synthetic linear": lambda: synthetic("int8", "zscore_linear"),
}
SPLIT = {"whole": WHOLE, "split": Partition(3, "interleave"), "split, a part empty": Partition(5)}


@pytest.fixture(params=WORKLOADS)
def workload(request):
    return WORKLOADS[request.param]()


def nr_compared(workload):
    """Elements that count: the queries to each context that differs, and what the norm leaves for each."""
    spec = workload.spec
    queries = POSITIONS if workload.origin else 2
    beside = {"div_d": 0, "softmax": 2, "softmax_online": 3, "zscore": 1, "zscore_linear": spec.dim + 5}[spec.norm]
    return queries * spec.heads * (spec.dim + beside)


@pytest.mark.quick
@pytest.mark.parametrize("partition", SPLIT.values(), ids=SPLIT)
def test_exact_answers_pass(workload, partition):
    done = []
    verification = verify(workload, answered(workload, partition), advance=done.append)
    assert done == [1] * nr_contexts(workload) == [1] * (1 if workload.origin else 2)
    assert verification.different == 0
    assert verification.compared == nr_compared(workload)
    assert (verification.kernel is None) == (workload.spec.acc == "wrap")
    assert (verification.real is None) == (workload.origin is None or not workload.spec.is_softmax)
    for agreement in (verification.kernel, verification.real):
        if agreement is not None:
            assert len(agreement.relative_l2) == workload.spec.heads * nr_contexts(workload)
            assert 0 <= agreement.worst_share_of_bound <= 1


def test_every_wrong_element_is_found(workload):
    outcome, found = answered(workload), 0
    for part in arrays(outcome.outputs):
        for place in np.ndindex(part.shape):
            before = part[place]
            part[place] += part.dtype.type(1)
            different = verify(workload, outcome, advance=ignore).different
            assert different == (0 if is_made_up(workload, *place[:2]) else 1), place
            found += different
            part[place] = before
    assert found == nr_compared(workload)


def is_made_up(workload, step, request):
    """Answers to repetitions of the last query do not count."""
    return workload.origin is not None and step * workload.batch + request >= POSITIONS


@pytest.mark.quick
@pytest.mark.parametrize("name", [name for name in WORKLOADS if "wrap" not in name and "div_d" not in name])
def test_answers_far_off_exceed_the_bounds(name):
    workload = WORKLOADS[name]()
    outcome = answered(workload)
    sums = outcome.outputs.score_values if name == "synthetic linear" else outcome.outputs.weighted_values
    sums[:, :, 1] *= -3
    verification = verify(workload, outcome, advance=ignore)
    assert verification.kernel.worst_share_of_bound > 1
    assert (np.array(verification.kernel.relative_l2) > 1).any()
    if verification.real is not None:
        assert verification.real.worst_share_of_bound > 1
        assert [head for head, error in enumerate(verification.real.relative_l2) if error > 1] == [1]


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
def test_real_answers_have_the_window_and_the_slopes():
    """Errors of a run are small against real attention with the mask and the biases, and large against that without."""
    window, distances = 5, np.arange(TOKENS)[::-1]
    workload = real("int16", "softmax", window=window, biases="alibi")
    verification = verify(workload, answered(workload), advance=ignore)
    assert max(verification.real.relative_l2) < 1e-3
    outputs = softmax_to_real(
        rearrange([answered(workload).outputs], lambda part: part.reshape(-1, *part.shape[2:])[:POSITIONS]), v_scale=1.0
    ).swapaxes(0, 1) * workload.origin.v.scale.reshape(-1, 1, 1)
    logits = REAL.q @ REAL.k.swapaxes(1, 2) / math.sqrt(DIM)
    with_slopes = logits - (alibi_slopes(HEADS)[:, None] * distances)[:, None]
    seen = distances < window
    reference = float_softmax(with_slopes[..., seen], REAL.v[:, None, seen], logit_scale=1.0)
    assert relative_l2(outputs, reference) == pytest.approx(verification.real.relative_l2, rel=1e-9)
    for other in (logits[..., seen], with_slopes):
        tokens = seen if other.shape[-1] == window else slice(None)
        assert (relative_l2(outputs, float_softmax(other, REAL.v[:, None, tokens], logit_scale=1.0)) > 5e-3).all()


def hostile(pattern, tokens, seed):
    """Real tensors [heads, rows, dim] of one of the patterns that the arithmetic finds hard."""
    operands = random_reals(seed, heads=HEADS, queries=3, tokens=tokens, dim=DIM)
    q, k, v = operands.q.copy(), operands.k.copy(), operands.v.copy()
    if pattern == "equal":
        q[:], k[:], v[:] = 1.3, -0.7, 0.4
    elif pattern == "one hot":
        k[:, 1:] = 0
        k[:, 0] *= 30
    elif pattern == "alternating":
        k[:, ::2], k[:, 1::2], v[:, ::2], v[:, 1::2] = 5.0, -5.0, 3.0, -3.0
    elif pattern == "outlier":
        q[:, :, 0], k[:, -1, 0], v[:, 0, 0] = 100.0, 100.0, 1000.0
    elif pattern == "tiny":
        q, k = 1e-3 * q, 1e-3 * k
    elif pattern == "zero values":
        v[:] = 0
    return RealOperands(q=q, k=k, v=v)


@pytest.mark.parametrize("pattern", ["random", "equal", "one hot", "alternating", "outlier", "tiny", "zero values"])
@given(data=st.data())
@settings(max_examples=15)
def test_every_integer_softmax_is_within_the_bound_of_real_attention(pattern, data):
    """K-2, B-5, half a step of V, and the certificate of whichever softmax it is, parts and masks included."""
    operands = hostile(pattern, data.draw(st.integers(1, 40), "tokens"), data.draw(st.integers(0, 99), "seed"))
    workload = real(
        data.draw(st.sampled_from(DTYPES), "dtype"),
        data.draw(st.sampled_from(["softmax", "softmax_online"]), "norm"),
        operands=operands,
        window=data.draw(st.sampled_from([None, 1, 9]), "window"),
        biases=data.draw(st.sampled_from(["none", "alibi"]), "biases"),
    )
    parts, layout = data.draw(st.integers(1, 4), "parts"), data.draw(st.sampled_from(["block", "interleave"]), "layout")
    verification = verify(workload, answered(workload, Partition(parts, layout)), advance=ignore)
    assert verification.different == 0
    assert verification.kernel.worst_share_of_bound <= 1
    assert verification.real.worst_share_of_bound <= 1


@pytest.mark.quick
def test_a_head_of_zeros_is_exact():
    nothing = RealOperands(q=np.zeros((1, 2, 4)), k=np.zeros((1, 3, 4)), v=np.zeros((1, 3, 4)))
    workload = real(operands=nothing, batch=1)
    verification = verify(workload, answered(workload), advance=ignore)
    assert (verification.different, verification.real.relative_l2) == (0, (0.0,))
    assert (answered(workload).outputs.weight_sum == 3 << 24).all()


@pytest.mark.quick
def test_the_shipped_sample_makes_full_steps():
    workload = real(operands=shipped_operands(), batch=32)
    assert workload.queries.shape == (12, 32, 24, 32)
    assert workload.k.shape == (32, 24, 384, 32)
    assert workload.k.strides[0] == 0  # one copy for the whole batch


@pytest.mark.quick
def test_repeated_requests_are_equal_and_take_no_memory():
    workload = synthetic_workload(
        Method(dtype="int8", norm="div_d"), batch=2, heads=2, tokens=8, dim=4, data="random", seed=0
    )
    repeated = workload.repeated(3)
    assert (repeated.batch, repeated.queries.shape) == (3, (1, 3, 2, 4))
    for name in ("k", "v"):
        ours, first = getattr(repeated, name), getattr(workload, name)[0]
        assert all(np.array_equal(request, first) and np.shares_memory(request, first) for request in ours)
    for request in range(3):
        np.testing.assert_array_equal(repeated.queries[:, request], workload.queries[:, 0])
