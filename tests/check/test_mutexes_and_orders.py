"""Misused mutexes, and results that depend on the order of tasklets."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import Check, CheckWarning, DpuFaultError, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import (
    assert_that,
    barrier_wait,
    handshake_notify,
    handshake_wait_for,
    int64,
    me,
    mram_write,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
)

pytestmark = pytest.mark.quick

NOTHING, TWICE, TWICE_AFTER_TRYLOCK, FREE, OTHERS, HELD, HELD_AT_ONCE = range(7)

locking = DpuProgram("locking", nr_tasklets=3)
what = locking.host("what", int64)
door = locking.mutex("door")
here = locking.barrier("here")


@locking.kernel
def lock_and_unlock(t):
    do = what.load(t)
    if me(t) == 1:
        if do == TWICE_AFTER_TRYLOCK:
            mutex_trylock(t, door)  # first
        elif do != FREE:
            yield mutex_lock(t, door)  # first
        if (do == TWICE) | (do == TWICE_AFTER_TRYLOCK):
            yield mutex_lock(t, door)  # second
        if do == HELD_AT_ONCE:
            return
        if (do != OTHERS) & (do != HELD):
            mutex_unlock(t, door)  # mine
    yield barrier_wait(t, here)
    if (me(t) == 2) & (do == OTHERS):
        mutex_unlock(t, door)  # not mine


@pytest.mark.parametrize(
    ("do", "tasklets", "lines", "says"),
    [
        (FREE, (1,), ["# mine"], "which nobody holds"),
        (OTHERS, (1, 2), ["# not mine", "# first"], "tasklet 2 unlocks mutex 'door' at"),
        (HELD, (1,), ["# first"], "tasklet 1 ends and still holds mutex 'door'"),
    ],
)
def test_a_misused_mutex(checked, do, tasklets, lines, says):
    (finding,) = checked(locking, {"what": do})
    assert (finding.kind, finding.symbol, finding.tasklets) == ("mutex", "door", tasklets)
    for place, line in zip(finding.places, lines, strict=True):
        assert line in str(place)
    assert says in finding.text


def test_a_mutex_used_well(checked):
    assert checked(locking, {"what": NOTHING}) == []


@pytest.mark.parametrize("do", [TWICE, TWICE_AFTER_TRYLOCK])
def test_a_mutex_locked_twice_is_found_before_the_deadlock(hardware, do):
    options = EngineOptions(engine="interpreted")
    with DpuSet(1, machine=Machine(hardware), options=options, check=Check(), binary=locking) as dpus:
        dpus.copy("what", np.array([[do]]))
        with pytest.warns(CheckWarning, match="locks mutex 'door'"), pytest.raises(DpuFaultError, match="deadlock"):
            dpus.exec()
        (finding,) = dpus.findings
        second, first = finding.places
        assert (finding.kind, finding.tasklets) == ("mutex", (1,))
        assert "# second" in str(second)
        assert "# first" in str(first)


FIRST_WINS, SUM, MRAM, FAULTS = range(4)

ordering = DpuProgram("ordering", nr_tasklets=4)
how = ordering.host("how", int64)
result = ordering.host("result", int64, 2)
words = ordering.mram_noinit("words", int64, 4)
buffers = ordering.wram("buffers", int64, 4)
turn = ordering.mutex("turn")


@ordering.kernel
def take_turns(t):
    """Tasklets take turns in a critical section."""
    yield mutex_lock(t, turn)
    values = result.array(t)
    if how.load(t) == FIRST_WINS:
        if values[0] == 0:
            values[0] = 10 + me(t)
    elif how.load(t) == SUM:
        values[0] += me(t)
    elif how.load(t) == MRAM:
        values[0] += 1
        buffers.array(t)[me(t)] = values[0]
        mram_write(t, buffers.array(t).window(me(t), 1), words.address + 8 * me(t), 8)
        values[0] = values[0] & 3
    elif how.load(t) == FAULTS:
        values[0] = values[0] * 4 + me(t)
        assert_that(t, values[0] <= 27)
    mutex_unlock(t, turn)


def test_results_that_depend_on_the_order(checked):
    (finding,) = checked(ordering, {"how": FIRST_WINS})
    assert (finding.kind, finding.symbol, finding.tasklets, finding.phase) == ("order", "result", (), None)
    assert [str(place).count("values[0] = 10 + me(t)") for place in finding.places] == [1]
    assert "result[0] (WRAM" in finding.text
    assert "is 10 and 1" in finding.text
    assert "after the cyclic order of tasklets and after the " in finding.text
    assert "EngineOptions(engine='interpreted', tasklet_order='" in finding.text


def test_a_sum_does_not_depend_on_the_order(checked):
    assert checked(ordering, {"how": SUM}) == []


def test_a_fault_in_some_orders_only(checked):
    (finding,) = checked(ordering, {"how": FAULTS})
    assert finding.kind == "order"
    assert "the launch ends in the cyclic order of tasklets, and faults in the " in finding.text
    assert "assertion failed" in finding.text
    assert "assert_that(t, values[0] <= 27)" in str(finding.places[0])


meeting = DpuProgram("meeting", nr_tasklets=3)
first_come = meeting.host("first_come", int64)
mutex = meeting.mutex("mutex")


@meeting.kernel
def meet_whoever_is_first(t):
    """Tasklet 2 waits for tasklet 0, who notifies only if he is the first to come."""
    yield mutex_lock(t, mutex)
    is_first = first_come.load(t) == 0
    first_come.store(t, 1)
    mutex_unlock(t, mutex)
    if me(t) == 2:
        yield handshake_wait_for(t, 0)
    elif (me(t) == 0) & is_first:
        yield handshake_notify(t)


def test_a_deadlock_in_some_orders_only(checked):
    (finding,) = checked(meeting)
    assert finding.kind == "order"
    assert "deadlock" in finding.text
