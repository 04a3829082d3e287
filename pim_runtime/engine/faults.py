"""What a fault was and where: read from the run record and the WRAM right after a DPU stopped, and put into words."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..device.faults import FaultCode, explain
from ..device.run_record import (
    FAULT_CODE,
    FAULT_SITE,
    FAULT_VALUES,
    MUTEX_OWNERS,
    NR_FAULT_VALUES,
    PHASE,
    SITES,
    TASKLET,
)
from ..device.scheduler import OPERAND
from ..language.closure import Closure
from .deadlocks import Standstill, Wait

__all__ = ["Fault", "read_fault"]

LONGEST_MESSAGE = 200  # characters of an exception of the kernel's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why one DPU stopped. `dpu` counts inside the allocation, `phase` the barriers opened before.

    `filename` and `line` are the place in the kernel, `code` and `values` the reason, `text` the reason in words.
    In a deadlock `waits` says who waits for what, and `tasklet` is the first of them. `holders` are the tasklets that
    held a mutex bit, by bit. `unassigned` names the local variable that had no value yet, if that was it; only the
    interpreted engine notices.
    """

    dpu: int
    tasklet: int
    phase: int
    code: FaultCode
    values: tuple[int, ...]
    filename: str
    line: int
    text: str
    waits: tuple[Wait, ...] = ()
    holders: tuple[tuple[int, int], ...] = ()
    unassigned: str = ""


def read_fault(
    record: NDArray[np.int64], dpu: int, nr_tasklets: int, error: Exception, closure: Closure, wram: int
) -> Fault:
    """The fault that a run record holds after `error` ended the DPU, whose WRAM is at host address `wram`."""
    code = FaultCode(int(record[FAULT_CODE])) if record[FAULT_CODE] else _code_of(error)
    tasklet = int(record[TASKLET])
    waits: tuple[Wait, ...] = ()
    values = tuple(int(value) for value in record[FAULT_VALUES : FAULT_VALUES + NR_FAULT_VALUES])
    text = explain(code, values)
    if code is FaultCode.DEADLOCK:
        standstill = Standstill(record, nr_tasklets, wram, closure)
        tasklet, waits = standstill.first_waiting, standstill.waits
        text += f":\n{standstill.explanation()}"
    elif code is FaultCode.INTERNAL:
        text += f": {type(error).__name__}: {str(error)[:LONGEST_MESSAGE]}"
    site = int(record[FAULT_SITE]) or int(record[SITES + tasklet])
    return Fault(
        dpu=dpu,
        tasklet=tasklet,
        phase=int(record[PHASE]),
        code=code,
        values=values,
        filename=closure.files.get(site >> 32, ""),
        line=site & OPERAND,
        text=text,
        waits=waits,
        unassigned=_unassigned(error),
        holders=tuple((int(bit), int(record[MUTEX_OWNERS + bit]) - 1) for bit in np.flatnonzero(record[MUTEX_OWNERS:])),
    )


def _unassigned(error: Exception) -> str:
    quoted = re.search(r"'(\w+)'", str(error)) if isinstance(error, UnboundLocalError) else None
    return quoted[1] if quoted else ""


def _code_of(error: Exception) -> FaultCode:
    if isinstance(error, ZeroDivisionError):
        return FaultCode.DIVISION_BY_ZERO
    if isinstance(error, AssertionError):
        return FaultCode.ASSERT
    return FaultCode.FLOAT if isinstance(error, TypeError) and "integer-only" in str(error) else FaultCode.INTERNAL
