"""Endless loops end in a fault at the loop, with the same number in both engines and whatever is counted."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests import loops
from kernels_for_tests.loops import BRIEF, HELPER, LEFT, LOCK, NESTED, RANGE, WHILE

from pim_runtime import DpuFaultError, EngineOptions
from pim_runtime.device.faults import FaultCode

LIMIT = 200_000  # more than two portions of device.guards
NAMES = {WHILE: "WHILE", HELPER: "HELPER", RANGE: "RANGE", NESTED: "NESTED", LEFT: "LEFT", LOCK: "LOCK"}


@pytest.fixture(
    scope="module",
    params=[("compiled", "exact"), ("compiled", "off"), ("interpreted", "static"), ("interpreted", "off")],
    ids="-".join,
)
def options(request):
    engine, timing = request.param
    return EngineOptions(engine=engine, timing=timing, max_iterations=LIMIT)


@pytest.fixture
def looping(dpus, options):
    """Two DPUs that run a kind of loop with a length per tasklet; gives the sums of DPU 0."""
    dpu_set = dpus(2, options)
    dpu_set.load(loops.loops)

    def run(kind, *lengths):
        dpu_set.which = np.full((2, 1), kind, np.int32)
        dpu_set.lengths = np.tile(np.array(lengths, np.int64), (2, 1))
        dpu_set.exec()
        return list(dpu_set.sums.int64()[0])

    return run


def faults_of(run, kind, *lengths):
    with pytest.raises(DpuFaultError) as raised:
        run(kind, *lengths)
    return raised.value.faults


@pytest.mark.parametrize("kind", [WHILE, HELPER, LEFT])
def test_the_budget_is_exact_per_iteration(looping, kind):
    used = LIMIT - (kind == LEFT)  # the iteration that breaks counts, too
    assert looping(kind, used, used) == [used, used]
    for fault in faults_of(looping, kind, 0, used + 1):
        assert (fault.code, fault.tasklet, fault.values[:2]) == (FaultCode.RUNAWAY, 1, (LIMIT + 1, LIMIT))
        assert fault.line == loops.line_of(NAMES[kind])


def test_a_range_pays_in_front_of_its_loop(looping):
    assert looping(RANGE, LIMIT, 7) == [LIMIT * (LIMIT - 1) // 2, 21]
    for fault in faults_of(looping, RANGE, 0, 10**12):
        assert (fault.code, fault.tasklet, fault.values[:2]) == (FaultCode.RUNAWAY, 1, (10**12, LIMIT))
        assert fault.line == loops.line_of("RANGE")


def test_nested_loops_share_the_budget(looping):
    looping(NESTED, 446, 446)  # 446 + 446 ** 2 = 199,362
    for fault in faults_of(looping, NESTED, 447, 447):
        assert (fault.code, fault.tasklet, fault.line) == (FaultCode.RUNAWAY, 0, loops.line_of("RANGE"))
        assert LIMIT < fault.values[0] <= LIMIT + 447


@pytest.mark.parametrize("kind", [WHILE, HELPER])
def test_endless_loops_name_the_tasklet_and_leave_memory_readable(looping, kind):
    for _ in range(2):  # the process and the set stay usable
        assert {fault.tasklet for fault in faults_of(looping, kind, 5, -1)} == {1}
        assert looping(kind, 3, 4) == [3, 4]


def test_waiting_for_another_tasklet_without_a_yield_is_explained(looping):
    with pytest.raises(DpuFaultError, match=r"2 of 2 DPUs") as raised:
        looping(LOCK, 1, 1)  # tasklet 0 keeps the lock, and tasklet 1 would poll for ever
    text = str(raised.value)
    for part in ("tasklet 1", f"loops.py:{loops.line_of('LOCK')}", "mutex_lock", "max_iterations", f"{LIMIT}"):
        assert part in text
    assert looping(LOCK, 0, 0) == [0, 0]


def test_brief_loops_over_fixed_ranges_are_free(dpus):
    for engine in ("compiled", "interpreted"):
        dpu_set = dpus(1, EngineOptions(engine=engine, timing="exact", max_iterations=1))
        dpu_set.load(loops.loops)
        dpu_set.which = np.full((1, 1), BRIEF, np.int32)
        dpu_set.exec()
        assert list(dpu_set.sums.int64()) == [4096 * 4095 // 2] * 2


@pytest.mark.quick
@pytest.mark.parametrize("limit", [0, -1, (1 << 62) + 1])
def test_a_budget_is_positive(limit):
    with pytest.raises(ValueError, match=f"max_iterations is {limit}.*None for any number"):
        EngineOptions(max_iterations=limit)


def test_a_tasklet_that_waits_for_ever_in_turns_with_others_is_stopped(dpus, options):
    """Nobody is stuck, so it is no deadlock: 64 iterations for a wait and one for the loop around it."""
    dpu_set = dpus(1, options)
    dpu_set.load(loops.turns)
    nr_turns = LIMIT // 65
    dpu_set.turns_left = np.array([[nr_turns]])
    dpu_set.exec()
    dpu_set.turns_left = np.array([[-1]])
    with pytest.raises(DpuFaultError) as raised:
        dpu_set.exec()
    (fault,) = raised.value.faults
    assert (fault.code, fault.tasklet, fault.phase) == (FaultCode.RUNAWAY, 0, nr_turns)
    assert LIMIT < fault.values[0] <= LIMIT + 64
