"""A local variable that is not assigned on every way: compiled code goes on with a made-up value."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from pim_runtime import Check, CheckWarning, DpuFaultError, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import int64, me, mutex_lock, mutex_unlock

pytestmark = pytest.mark.quick

ALWAYS, LATER_TASKLETS, AFTER_TASKLET_0 = range(3)

partly = DpuProgram("partly", nr_tasklets=3)
when = partly.host("when", int64)
result = partly.host("result", int64, 3)
has_come = partly.host("has_come", int64)
turn = partly.mutex("turn")


@partly.kernel
def assign(t):
    """Assign a value in some tasklets, and use it in all."""
    if when.load(t) == AFTER_TASKLET_0:
        yield mutex_lock(t, turn)
        if me(t) == 0:
            has_come.store(t, 1)
        if has_come.load(t) == 1:
            value = 3
        mutex_unlock(t, turn)
    elif (when.load(t) == ALWAYS) | (me(t) > 0):
        value = 3
    result.array(t)[me(t)] = value  # used


def findings_of(hardware, how):
    options = EngineOptions(engine="interpreted", timing="off")
    with DpuSet(1, binary=partly, machine=Machine(hardware), options=options, check=Check(dpus=1)) as dpus:
        dpus.copy("when", np.array([[how]]))
        with contextlib.suppress(DpuFaultError):
            dpus.exec()
        return list(dpus.findings)


def test_it_is_named_with_its_line(hardware):
    with pytest.warns(CheckWarning, match="compiled code goes on with a value of its own"):
        (finding,) = findings_of(hardware, LATER_TASKLETS)
    assert (finding.kind, finding.symbol, finding.tasklets) == ("uninitialised", "value", (0,))
    assert "# used" in str(finding.places[0])
    assert "uses the local variable 'value' at" in finding.text


def test_a_variable_that_is_always_assigned(hardware):
    assert findings_of(hardware, ALWAYS) == []


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_in_some_orders_of_tasklets_only(hardware):
    assert [(finding.kind, finding.symbol) for finding in findings_of(hardware, AFTER_TASKLET_0)] == [
        ("uninitialised", "value")
    ]
