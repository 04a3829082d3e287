"""The interpreted engine: the kernel's own Python source, in CPython, on the same memory.

`breakpoint()` and `print()` work inside kernels. With another `tasklet_order` than "cyclic" the runnable tasklets are
resumed in a seeded random order, which exposes kernels that only work in the cyclic one.
"""

from __future__ import annotations

import bdb
import contextlib
import ctypes
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType

import numpy as np
from numpy.typing import NDArray

from ..device.faults import FaultCode, raise_fault
from ..device.raw import peek
from ..device.run_record import DPU, FAULT_SITE, METERS, NR_METERS, PHASE, SITES, TASKLET
from ..device.scheduler import FINISHED, block, boot, flush_counters, may_run, set_state
from ..device.tasklet import Tasklet
from ..errors import DebuggerQuitError
from ..language.closure import Closure, file_key
from .breakpoints import check_tasklets, checked_breakpoints
from .faults import Fault, read_fault
from .protocol import Addresses, EngineOptions
from .turns import turns_of

__all__ = ["InterpretedEngine"]

Advance = Callable[[Iterator[int], None], int | None]
"""Resumes a tasklet: its next yield code, or None at its end."""


class RunningTasklet(Tasklet):
    """A tasklet that a debugger can ask more than a kernel can."""

    __slots__ = ()

    @property
    def dpu(self) -> int:
        """Number of its DPU inside the allocation."""
        return peek(self.run + 8 * DPU)

    def __repr__(self) -> str:
        return f"tasklet {self.me} of {self.nr_tasklets} on DPU {self.dpu}"


class InterpretedEngine:
    """Runs kernels as CPython generators, one DPU after the other."""

    def __init__(self, options: EngineOptions) -> None:
        self._order, self._seed, self._breakpoints = options.tasklet_order, options.seed, options.breakpoints

    def prepare(self, closure: Closure) -> None:
        """The source is the program. Raises KernelError for a breakpoint that it has no line for."""
        checked_breakpoints(self._breakpoints, closure)

    def run(
        self, closure: Closure, nr_tasklets: int, dpus: range, addresses: Addresses, record: NDArray[np.int64]
    ) -> list[Fault]:
        faults = []
        with self._advancing(closure, nr_tasklets, record) as advance:
            for dpu in dpus:
                try:
                    self._run_dpu(closure.kernel, nr_tasklets, dpu, addresses, record, advance)
                except bdb.BdbQuit:
                    raise DebuggerQuitError(
                        f"the debugger was quit in tasklet {record[TASKLET]} of DPU {dpu}: the launch has stopped "
                        "there, and memories are as they were at that moment"
                    ) from None
                except Exception as error:  # a fault, or what the kernel raised
                    if not record[FAULT_SITE]:
                        record[FAULT_SITE] = _site(error, closure.functions)
                    faults.append(read_fault(record, dpu, nr_tasklets, error, closure, addresses.wram_of(dpu)))
        return faults

    @contextlib.contextmanager
    def _advancing(self, closure: Closure, nr_tasklets: int, record: NDArray[np.int64]) -> Iterator[Advance]:
        """What resumes a tasklet: `next`, or the debugger. Raises KernelError for a breakpoint of no tasklet."""
        if not self._breakpoints and not closure.debugs:
            yield next
            return
        check_tasklets(self._breakpoints, nr_tasklets)
        from .debugger import Debugger

        debugger = Debugger(self._breakpoints, closure, record)
        try:
            yield debugger.advance
        finally:
            debugger.close()

    def _run_dpu(
        self,
        kernel: FunctionType,
        nr_tasklets: int,
        dpu: int,
        addresses: Addresses,
        record: NDArray[np.int64],
        advance: Advance,
    ) -> None:
        run = record.ctypes.data
        wram = addresses.wram_of(dpu)
        rows = addresses.counters + dpu * addresses.counters_stride
        boot(run, wram, dpu, rows, ctypes.c_int64.from_address(addresses.measured + 8 * dpu).value != 0)
        mram = addresses.mram + dpu * addresses.mram_stride
        meters, stride = int(record[METERS]), 8 * int(record[NR_METERS])
        steps = [
            _steps(kernel, RunningTasklet(i, nr_tasklets, mram, wram, run, meters + stride * i))
            for i in range(nr_tasklets)
        ]
        alive = list(range(nr_tasklets))
        turns = turns_of(self._order, self._seed, nr_tasklets)
        while alive:
            stuck = True
            for tasklet in turns.candidates(alive):
                if not may_run(run, wram, tasklet, nr_tasklets):
                    continue
                stuck = False
                record[TASKLET] = tasklet
                code = advance(steps[tasklet], None)
                if code is not None:
                    record[SITES + tasklet] = _site_of_generator(steps[tasklet])
                    block(run, wram, tasklet, nr_tasklets, code, rows)
                if code is None:
                    flush_counters(run, tasklet, rows)
                    set_state(run, tasklet, FINISHED)
                    alive.remove(tasklet)
                if turns.again(tasklet):
                    break
            if stuck:
                raise_fault(run, FaultCode.DEADLOCK, 0, 0, 0, 0)
        ctypes.c_int64.from_address(addresses.phases + 8 * dpu).value = int(record[PHASE])


def _steps(kernel: FunctionType, t: Tasklet) -> Iterator[int]:
    """The yield codes of a tasklet; a kernel without yields runs at the first step."""
    if inspect.isgeneratorfunction(kernel):
        yield from kernel(t)
    else:
        kernel(t)


def _site(error: Exception, functions: tuple[FunctionType, ...]) -> int:
    """The innermost place inside the kernel or its helpers, as compiled code reports it."""
    codes = {function.__code__ for function in functions}
    site, trace = 0, error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code in codes:
            site = file_key(frame.f_code.co_filename) << 32 | trace.tb_lineno
        trace = trace.tb_next
    return site


def _site_of_generator(steps: Iterator[int]) -> int:
    """Where a tasklet waits."""
    inner = getattr(steps, "gi_yieldfrom", None)
    frame = inner.gi_frame if inner is not None else None
    return file_key(frame.f_code.co_filename) << 32 | frame.f_lineno if frame is not None else 0
