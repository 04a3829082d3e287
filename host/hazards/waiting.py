"""Tasklets that wait for ever: on hardware the DPU never stops, and the host hangs."""

from __future__ import annotations

import contextlib
from functools import partial

import numpy as np

from dpu_kernels.hazards.endless_waiting import SECOND_LISTENER, Wait, wait, waiting
from pim_runtime import DpuFaultError
from pim_runtime.device.faults import FaultCode

from .hazard import Hazard, Variant
from .places import line_with
from .stage import Stage

__all__ = ["HAZARDS"]


def _ask(stage: Stage, variant: Variant, *, what: Wait, planted: int, mended: int) -> None:
    """DPU 1 waits as asked for, DPU 0 in the mended way."""
    dpus = stage.allocate(2, waiting)
    dpus.copy("what", np.full((2, 1), what, np.int64))
    dpus.copy("amount", np.array([[mended], [planted if variant == "planted" else mended]]))
    dpus.exec()


def _go_on_after_a_fault(stage: Stage, variant: Variant) -> None:
    """A fault leaves a barrier half full, and the launch after it finds it so unless the program is loaded again."""
    dpus = stage.allocate(1, waiting)
    dpus.copy("what", np.array([[Wait.MEET]]))
    dpus.copy("amount", np.array([[3]]))
    with contextlib.suppress(DpuFaultError):
        dpus.exec()
    if variant == "mended":
        dpus.load(waiting)
        dpus.copy("what", np.array([[Wait.MEET]]))
    dpus.copy("amount", np.array([[4]]))
    dpus.exec()


def _wait(
    name: str, what: Wait, at: str, says: str, *, planted: int, mended: int, code: FaultCode = FaultCode.DEADLOCK
) -> Hazard:
    return Hazard(
        name=name,
        group="endless waiting",
        run=partial(_ask, what=what, planted=planted, mended=mended),
        reported_as=code.name,
        says=says,
        at=line_with(at, wait),
    )


HAZARDS = (
    _wait("mutex that a finished tasklet keeps", Wait.HOLD, "# behind one who keeps it", "mutex", planted=0, mended=9),
    _wait("mutex locked twice", Wait.LOCK_TWICE, "# again", "mutex", planted=1, mended=0),
    _wait("semaphore one short", Wait.STARVE, "sem_take", "semaphore", planted=3, mended=4),
    _wait("semaphore that nobody gives", Wait.STARVE, "sem_take", "semaphore", planted=0, mended=4),
    _wait("barrier that one tasklet skips", Wait.MEET, "barrier_wait(t, everyone)", "barrier", planted=3, mended=4),
    _wait("barrier for five tasklets of four", Wait.CROWD, "barrier_wait(t, crowd)", "barrier", planted=0, mended=1),
    _wait("handshake with a silent tasklet", Wait.WAIT_ALONE, "handshake_wait_for(t, n)", "tasklet 1",
          planted=1, mended=3),
    _wait("notify without a listener", Wait.NOTIFY_ALONE, "# who listens?", "tasklet 1 waits", planted=9, mended=3),
    Hazard(name="barrier that a fault left half full", group="endless waiting", run=_go_on_after_a_fault,
           reported_as=FaultCode.BARRIER_OPENS_EARLY.name, says="Load the program again",
           at=line_with("barrier_wait(t, everyone)", wait)),
    _wait("two primitives in a circle", Wait.WAIT_FOR_EACH_OTHER, "# first", "tasklet 1", planted=0, mended=1),
    _wait("two listeners of one tasklet", Wait.LISTEN, "# too", "only one may",
          planted=SECOND_LISTENER | 3, mended=3, code=FaultCode.SECOND_WAITER),
    _wait("handshake with a tasklet that does not exist", Wait.LISTEN, "handshake_wait_for(t, n & 7)",
          "tasklet 4 does not exist", planted=4, mended=3, code=FaultCode.TASKLET_ID),
)  # fmt: skip
