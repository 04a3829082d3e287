"""What `printf` leaves is equal in both engines, also when the DPU ended in fault."""

from __future__ import annotations

import io

import numpy as np
import pytest

from pim_runtime import DpuFaultError, DpuProgram, EngineOptions
from pim_runtime.device import assert_that, barrier_wait, int64, me, printf

program = DpuProgram("talks", nr_tasklets=3)
culprit = program.host("culprit", int64)
ready = program.barrier("ready")


@program.kernel
def talk(t):
    printf(t, "tasklet %d starts\n", me(t))
    yield barrier_wait(t, ready)
    for i in range(2):
        printf(t, "tasklet %02d: %d %u %x %ld\n", me(t), i - me(t), -1, 255 - i, -(1 << 40))
        assert_that(t, me(t) != culprit.load(t))
    printf(t, "tasklet %d ends\n", me(t))


def logs(dpus, engine):
    """(what three DPUs print, of which two end in fault; the faults)"""
    three = dpus(3, EngineOptions(engine=engine))
    three.load(program)
    three.copy("culprit", np.array([[-1], [1], [0]]))
    with pytest.raises(DpuFaultError) as caught:
        three.exec()
    stream = io.StringIO()
    three.log(stream)
    return stream.getvalue(), [(fault.dpu, fault.tasklet, fault.line, fault.text) for fault in caught.value.faults]


def test_logs_are_equal_after_faults(dpus):
    interpreted = logs(dpus, "interpreted")
    assert logs(dpus, "compiled") == interpreted
    text, faults = interpreted
    assert [fault[:2] for fault in faults] == [(1, 1), (2, 0)]
    healthy, first, second = text.split("=== DPU#")[1:]
    assert healthy.splitlines()[1:5] == [
        "tasklet 0 starts",
        "tasklet 1 starts",
        "tasklet 2 starts",
        "tasklet 00: 0 4294967295 ff -1099511627776",
    ]
    assert healthy.count("ends") == 3
    assert (first.count("tasklet 01:"), first.count("ends")) == (1, 1)
    assert (second.count("tasklet 00:"), second.count("ends")) == (1, 0)
