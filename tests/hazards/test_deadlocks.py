"""Tasklets that wait for ever: on hardware the host hangs, here a report names tasklets, primitive and line."""

from __future__ import annotations

import inspect
from pathlib import PurePath

import numpy as np
import pytest

from dpu_kernels.hazards.endless_waiting import SECOND_LISTENER, Wait, wait
from dpu_kernels.hazards.endless_waiting import waiting as program
from pim_runtime import DpuFaultError, DpuSet
from pim_runtime.device.faults import FaultCode

KERNEL_FILE = PurePath(inspect.getsourcefile(wait))

DEADLOCKS = {
    # name: (what, broken amount, mended amount, tasklet, line, waits)
    "mutex held at exit": (
        Wait.HOLD, 0, 9, 1, "# behind one who keeps it",
        ["tasklets 1-2 wait for mutex 'lock'", "tasklet 0 holds it and has finished. Unlock it", "finished: 0, 3"]),
    "mutex locked twice": (
        Wait.LOCK_TWICE, 1, 0, 3, "# again",
        ["tasklet 3 waits for mutex 'lock'", "it holds it itself, and a mutex is not recursive", "finished: 0-2"]),
    "semaphore one short": (
        Wait.STARVE, 3, 4, 3, "sem_take",
        ["tasklet 3 waits for semaphore 'units'", "its count is 0, and tasklets 0-2 have finished. Give as many"]),
    "semaphore without units": (
        Wait.STARVE, 0, 4, 0, "sem_take",
        ["tasklets 0-3 wait for semaphore 'units'", "its count is 0, and no other tasklet is there to give"]),
    "barrier that one tasklet skips": (
        Wait.MEET, 3, 4, 0, "barrier_wait(t, everyone)",
        ["tasklets 0-2 wait for barrier 'everyone'",
         "it counts 4 tasklets and 3 are here; tasklet 3 has finished. Let"]),
    "barrier for five tasklets of four": (
        Wait.CROWD, 0, 1, 0, "barrier_wait(t, crowd)",
        ["tasklets 0-3 wait for barrier 'crowd'", "it counts 5 tasklets and 4 are here; the program has 4. Declare"]),
    "handshake with a silent tasklet": (
        Wait.WAIT_ALONE, 1, 3, 2, "handshake_wait_for(t, n)",
        ["tasklet 2 waits for tasklet 1 to notify", "tasklet 1 has finished. Pair every handshake_notify",
         "tasklet 3 waits for a tasklet that waits for its notification",
         "tasklets 0-1 have finished and tasklet 2 waits for tasklet 1 to notify"]),
    "notify without a listener": (
        Wait.NOTIFY_ALONE, 9, 3, 1, "# who listens?",
        ["tasklet 1 waits for a tasklet that waits for its notification", "tasklets 0, 2-3 have finished. Pair"]),
    "two primitives in a circle": (
        Wait.WAIT_FOR_EACH_OTHER, 0, 1, 0, "# first",
        ["tasklet 0 waits for tasklet 1 to notify", "tasklet 1 itself waits for mutex 'lock'. Pair every",
         "tasklet 1 waits for mutex 'lock'", "tasklet 0 holds it and waits for tasklet 1 to notify. Take mutexes",
         "finished: 2-3", "a circle: tasklet 0 waits for tasklet 1, which waits for tasklet 0"]),
}  # fmt: skip


def line_of(text):
    lines, first = inspect.getsourcelines(wait)
    before, found, _ = "".join(lines).partition(text)
    assert found
    return first + before.count("\n")


@pytest.fixture(scope="module")
def waiting(machine, engine_options):
    with DpuSet(3, machine=machine, options=engine_options, binary=program) as dpus:
        yield dpus


def launch(dpus, do, amounts, *, load="again"):
    if load == "again":
        dpus.load(program)  # barriers and semaphores keep their state over launches, also a broken one
    dpus.what = np.array([do]).view(np.uint8)
    dpus.copy("amount", np.array(amounts).reshape(-1, 1))
    dpus.exec()


@pytest.mark.parametrize("case", DEADLOCKS.values(), ids=DEADLOCKS)
def test_a_deadlock_is_reported_and_the_twin_ends(waiting, case):
    do, broken, mended, tasklet, at, waits = case
    with pytest.raises(DpuFaultError) as caught:
        launch(waiting, do, [mended, broken, mended])
    (fault,) = caught.value.faults
    assert (fault.dpu, fault.tasklet, fault.phase, fault.code) == (1, tasklet, 0, FaultCode.DEADLOCK)
    assert (PurePath(fault.filename), fault.line) == (KERNEL_FILE, line_of(at))
    assert fault.text.startswith("deadlock: no tasklet can run, and on hardware the DPU would never stop:\n  ")
    for phrase in waits:
        assert phrase in fault.text
    assert "earlier launch" not in fault.text
    assert f"{KERNEL_FILE.name}:{line_of(at)} `" in fault.text
    assert next(list(array) for array in waiting.finished.int64()) == [1, 1, 1, 1]
    launch(waiting, do, [mended] * 3)
    assert all(all(array == 1) for array in waiting.finished.int64())


def test_barrier_state_outlives_a_fault_until_the_next_load(waiting):
    """Hardware would go on with a barrier that opens too early, and give wrong results."""
    with pytest.raises(DpuFaultError):
        launch(waiting, Wait.MEET, [4, 3, 4])
    with pytest.raises(DpuFaultError) as caught:
        launch(waiting, Wait.MEET, [4, 4, 4], load="not")
    (fault,) = caught.value.faults
    assert (fault.dpu, fault.tasklet, fault.line) == (1, 0, line_of("barrier_wait(t, everyone)"))
    assert (fault.code, fault.values) == (FaultCode.BARRIER_OPENS_EARLY, (1, 4, 0, 0))
    assert "a barrier for 4 tasklets opens with 1: the others came in an earlier launch" in fault.text
    launch(waiting, Wait.MEET, [4, 4, 4])


def test_a_deadlock_at_a_barrier_that_an_earlier_fault_left_half_full(waiting):
    with pytest.raises(DpuFaultError):
        launch(waiting, Wait.MEET, [4, 1, 4])
    with pytest.raises(DpuFaultError) as caught:
        launch(waiting, Wait.MEET, [4, 1, 4], load="not")
    (fault,) = caught.value.faults
    assert "1 is here, but it still counts 1 of an earlier launch, which ended in a fault" in fault.text
    launch(waiting, Wait.MEET, [4, 4, 4])


@pytest.mark.parametrize(
    ("amount", "tasklet", "at", "code", "values", "says"),
    [
        (SECOND_LISTENER | 3, 1, "# too", FaultCode.SECOND_WAITER, (3, 0, 0, 0),
         "handshake_wait_for(3): tasklet 0 waits for it already, and only one may (SDK: EALREADY)"),
        (4, 0, "n & 7", FaultCode.TASKLET_ID, (4, 3, 0, 0),
         "tasklet 4 does not exist: this program has tasklets 0 to 3"),
    ],
    ids=["second waiter", "no such tasklet"],
)  # fmt: skip
def test_handshakes_that_cannot_be(waiting, amount, tasklet, at, code, values, says):
    with pytest.raises(DpuFaultError) as caught:
        launch(waiting, Wait.LISTEN, [3, amount, 3])
    (fault,) = caught.value.faults
    assert (fault.dpu, fault.tasklet, fault.phase, fault.line) == (1, tasklet, 0, line_of(at))
    assert (fault.code, fault.values) == (code, values)
    assert says in fault.text
    launch(waiting, Wait.LISTEN, [3, 3, 3])
