"""What a fault was and where: read from the run record after a DPU stopped, and put into words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..device.faults import FaultCode, explain
from ..device.run_record import (
    FAULT_CODE,
    FAULT_SITE,
    FAULT_VALUES,
    MAX_TASKLETS,
    NR_FAULT_VALUES,
    PHASE,
    SITES,
    STATES,
    TASKLET,
)
from ..device.scheduler import OPERAND, RUNNABLE
from ..device.sync import BARRIER, HANDSHAKE_NOTIFY, HANDSHAKE_WAIT, MUTEX, SEMAPHORE
from ..language.diagnostics import place_text
from ..topology import Place, format_ranges

__all__ = ["Fault", "read_fault", "report"]

PRIMITIVES = {
    BARRIER: "barrier at WRAM {0:#x}",
    MUTEX: "mutex bit {0}",
    SEMAPHORE: "semaphore at WRAM {0:#x}",
    HANDSHAKE_NOTIFY: "somebody who waits for it",
    HANDSHAKE_WAIT: "tasklet {0} to notify",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why one DPU stopped. `dpu` counts inside the allocation, `phase` the barriers opened before.

    `filename` and `line` are the place in the kernel, `code` and `values` the reason, `text` the reason in words.
    """

    dpu: int
    tasklet: int
    phase: int
    code: FaultCode
    values: tuple[int, ...]
    filename: str
    line: int
    text: str


def read_fault(
    record: NDArray[np.int64], dpu: int, nr_tasklets: int, error: Exception, files: Mapping[int, str]
) -> Fault:
    """The fault that a run record holds after `error` ended the DPU; `files` names the files of the kernel."""
    code = FaultCode(int(record[FAULT_CODE])) if record[FAULT_CODE] else _code_of(error)
    tasklet = _first_waiting(record) if code is FaultCode.DEADLOCK else int(record[TASKLET])
    site = int(record[FAULT_SITE]) or int(record[SITES + tasklet])
    values = tuple(int(value) for value in record[FAULT_VALUES : FAULT_VALUES + NR_FAULT_VALUES])
    text = explain(code, values)
    if code is FaultCode.DEADLOCK:
        text += ". " + _waits(record, nr_tasklets, files)
    elif code is FaultCode.INTERNAL:
        text += f": {type(error).__name__}: {error}"
    return Fault(
        dpu=dpu,
        tasklet=tasklet,
        phase=int(record[PHASE]),
        code=code,
        values=values,
        filename=files.get(site >> 32, ""),
        line=site & OPERAND,
        text=text,
    )


def _code_of(error: Exception) -> FaultCode:
    if isinstance(error, ZeroDivisionError):
        return FaultCode.DIVISION_BY_ZERO
    if isinstance(error, AssertionError):
        return FaultCode.ASSERT
    return FaultCode.FLOAT if isinstance(error, TypeError) and "integer-only" in str(error) else FaultCode.INTERNAL


def _first_waiting(record: NDArray[np.int64]) -> int:
    return int(np.argmax(record[STATES : STATES + MAX_TASKLETS] > RUNNABLE))


def _waits(record: NDArray[np.int64], nr_tasklets: int, files: Mapping[int, str]) -> str:
    """Who waits for what, at which line."""
    waiting: dict[tuple[int, int], list[int]] = defaultdict(list)
    for tasklet in range(nr_tasklets):
        state = int(record[STATES + tasklet])
        if state > RUNNABLE:
            waiting[state, int(record[SITES + tasklet])].append(tasklet)
    lines = [
        f"{_named(tasklets)} for {PRIMITIVES[state >> 32].format(state & OPERAND)}"
        f" at {place_text(files.get(site >> 32, ''), site & OPERAND)}"
        for (state, site), tasklets in waiting.items()
    ]
    finished = [tasklet for tasklet in range(nr_tasklets) if record[STATES + tasklet] < RUNNABLE]
    if finished:
        lines.append(f"finished: {format_ranges(finished)}")
    return "; ".join(lines)


def _named(tasklets: list[int]) -> str:
    return f"tasklet {tasklets[0]} waits" if len(tasklets) == 1 else f"tasklets {format_ranges(tasklets)} wait"


def report(faults: Iterable[Fault], nr_dpus: int, *, dpus_per_rank: int, dpus_per_chip: int) -> str:
    """All faults of a launch: DPUs that failed alike share a paragraph."""
    alike: dict[tuple[object, ...], list[Fault]] = defaultdict(list)
    for fault in faults:
        alike[fault.tasklet, fault.phase, fault.filename, fault.line, fault.text].append(fault)
    total = sum(map(len, alike.values()))
    paragraphs = [f"{total} of {nr_dpus} DPUs"]
    for group in alike.values():
        first = group[0]
        place = Place.of(first.dpu, dpus_per_rank=dpus_per_rank, dpus_per_chip=dpus_per_chip)
        ranks = format_ranges(fault.dpu // dpus_per_rank for fault in group)
        which = f"rank {ranks}, DPU {format_ranges(fault.dpu for fault in group)}"
        if len(group) == 1:
            which += f" ({place})"
        where = f"{which}, tasklet {first.tasklet}, phase {first.phase}"
        if first.filename:
            where += f", at {place_text(first.filename, first.line)}"
        paragraphs.append(f"{where}:\n    {first.text}")
    return "\n".join(paragraphs)
