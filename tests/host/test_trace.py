"""Traces of requests, and continuous batching: a hundred requests come and go, and every answer is right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from host.attention.batching import run_trace
from host.attention.batching_experiment import References, run_batching
from host.attention.kv_cache import KvCache
from host.attention.layout import CapacityError
from host.attention.trace import Trace, TracedRequest, random_trace
from host.attention.workload import HeadShape, Method, synthetic_spec
from pim_runtime import Machine, load_profile

PAGINGS = ("contiguous", "paged")


def spec_of(norm="div_d", *, max_tokens=64, dim=8):
    return synthetic_spec(Method(dtype="int8", norm=norm), HeadShape(4, 2, dim, max_tokens))


def trace_of(spec, *requests):
    """requests: (arrival, prompt, new tokens) each."""
    return Trace(
        spec=spec,
        requests=tuple(
            TracedRequest(number=number, arrival=arrival, prompt=prompt, new_tokens=new_tokens)
            for number, (arrival, prompt, new_tokens) in enumerate(requests)
        ),
        seed=0,
    )


def machine_with(mram_bytes):
    return Machine(load_profile("upmem-v1a").with_values({"dpu.mram_bytes": mram_bytes}))


def serve(trace, paging, **arguments):
    """Every step of a trace on two DPUs."""
    with KvCache(trace.spec, nr_dpus=2, paging=paging, nr_tasklets=5, **arguments) as cache:
        return list(run_trace(cache, trace))


def decoded(step):
    return [number for number, _ in step.answers]


# --- traces ----------------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_a_trace_comes_from_its_seed():
    ours, same, other = (
        random_trace(spec_of(), requests=20, new_tokens=8, arrivals_per_step=2, seed=seed) for seed in (1, 1, 2)
    )
    assert ours == same != other
    for request in ours.requests:
        for left, right in zip(ours.operands(request), same.operands(request), strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.quick
def test_lengths_and_arrivals():
    trace = random_trace(spec_of(max_tokens=4096), requests=1000, new_tokens=32, arrivals_per_step=4, seed=0)
    prompts = np.array([request.prompt for request in trace.requests])
    wanted = np.array([request.new_tokens for request in trace.requests])
    arrivals = np.array([request.arrival for request in trace.requests])
    assert (prompts.min(), wanted.min(), wanted.max()) == (1, 1, 32)
    assert 4000 < max(request.longest for request in trace.requests) <= 4096
    assert 0.45 < (prompts < 64).mean() < 0.55  # the middle of the logarithms
    assert (np.diff(arrivals) >= 0).all()
    assert 0.9 < len(arrivals) / (arrivals[-1] + 1) / 4 < 1.1
    assert trace.new_tokens == wanted.sum()


@pytest.mark.quick
def test_operands_have_a_row_for_every_token_and_the_largest_values():
    trace = trace_of(spec_of(), (0, 30, 5))
    queries, k, v = trace.operands(trace.requests[0])
    assert (queries.shape, k.shape, v.shape) == ((5, 4, 8), (2, 34, 8), (2, 34, 8))
    assert max(abs(int(x)) for x in k.ravel()) > 0.9 * trace.spec.kv_max


@pytest.mark.quick
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"requests": 0}, "0 requests: a trace has at least 1"),
        ({"new_tokens": 0}, "up to 0 new tokens in contexts of up to 64"),
        ({"new_tokens": 65}, "up to 65 new tokens"),
        ({"arrivals_per_step": 0.0}, "0.0 arrivals per step"),
        ({"arrivals_per_step": float("nan")}, "nan arrivals per step"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_traces_that_make_no_sense(change, message):
    with pytest.raises(ValueError, match=message):
        random_trace(spec_of(), **{"requests": 2, "new_tokens": 4, "arrivals_per_step": 1.0, "seed": 0, **change})


# --- who is served when ----------------------------------------------------------------------------------------------


def test_requests_wait_in_order_and_nobody_overtakes():
    trace = trace_of(spec_of(), (0, 60, 3), (0, 5, 1), (1, 60, 2), (1, 1, 1), (9, 2, 1))
    steps = serve(trace, "contiguous", contexts_per_dpu=2)
    assert [decoded(step) for step in steps] == [[0, 1], [0, 2], [0, 2], [3], [4]]
    assert [step.waiting for step in steps] == [0, 1, 1, 0, 0]


def test_the_newest_request_gives_way_when_a_block_is_missing():
    """Blocks for 6 x 16 tokens a DPU: both requests need a fourth block, which one of them gets."""
    trace = trace_of(spec_of(), (0, 48, 4), (0, 48, 3), (1, 1, 1))
    with KvCache(trace.spec, nr_dpus=2, paging="paged", nr_tasklets=5, contexts_per_dpu=3) as cache:
        layout = cache.contexts.layout
    machine = machine_with(layout.end - (layout.nr_blocks - 6) * layout.block_bytes)
    steps = serve(trace, "paged", contexts_per_dpu=3, machine=machine)
    assert [(decoded(step), step.waiting, step.preempted) for step in steps] == [
        ([0, 1], 0, 0),
        ([0], 2, 1),
        ([0], 2, 0),
        ([0], 2, 0),
        ([1, 2], 0, 0),
        ([1], 0, 0),
    ]


@pytest.mark.parametrize("paging", PAGINGS)
def test_a_request_that_never_fits_is_refused(paging):
    trace = trace_of(spec_of(), (0, 5, 1), (0, 5, 1))
    with KvCache(trace.spec, nr_dpus=1, paging=paging, nr_tasklets=5, contexts_per_dpu=1) as cache:
        with pytest.raises(CapacityError, match="request 0 of 5 tokens does not fit beside 0 others on 1 DPUs"):
            list(run_trace(cache, trace))
        assert cache.requests == ()


# --- a hundred requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["div_d", "softmax"])
def test_a_hundred_requests_on_a_machine_that_is_too_small(norm):
    """S0-14: every answer of every step is exact in both pagings; requests wait, give way, and leave nothing behind."""
    spec = spec_of(norm, max_tokens=4096, dim=16)
    trace = random_trace(spec, requests=100, new_tokens=32, arrivals_per_step=4, seed=0)
    references = References(trace, nr_tasklets=17)
    outcomes, checked = {}, []
    for paging in PAGINGS:
        outcomes[paging] = outcome = run_batching(
            trace,
            references,
            paging=paging,
            nr_dpus=4,
            nr_tasklets=17,
            machine=machine_with(512 << 10),
            advance=checked.append,
        )
        assert sum(checked) == len(outcome.answers) == trace.new_tokens
        checked.clear()
        assert (outcome.different, outcome.free_ranks_after) == (0, 40)
        assert outcome.compared == trace.new_tokens * (4 * 16 + (norm == "softmax") * 2 * 4)
        left = outcome.left_over
        assert (left.requests, left.contexts, left.rows_reserved, left.blocks_used) == (0, 0, 0, 0)
        assert max(step.waiting for step in outcome.steps) > 10
    contiguous, paged = (outcomes[paging].steps for paging in PAGINGS)
    assert len(paged) < len(contiguous)
    assert sum(step.preempted for step in paged) > 0 == sum(step.preempted for step in contiguous)
    for step in paged:
        assert step.occupancy.rows_reserved - step.occupancy.rows_stored < 16 * step.occupancy.contexts


def test_a_wrong_answer_is_found():
    trace = trace_of(spec_of(), (0, 9, 2), (0, 30, 3))
    other = dataclasses.replace(trace, seed=1)
    machine = Machine(load_profile("upmem-v1a"))
    outcome = run_batching(
        trace,
        References(other, nr_tasklets=5),
        paging="paged",
        nr_dpus=2,
        nr_tasklets=5,
        machine=machine,
        advance=lambda answers: None,
    )
    assert 0.9 * outcome.compared < outcome.different <= outcome.compared
