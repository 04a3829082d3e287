"""Python's debugger inside kernels: stops at breakpoints of DPUs and tasklets, and stays out of the emulator's code.

`step` goes from one line of a kernel or helper to the next, in whatever tasklet it is; `next` stays in its tasklet,
over a `yield` and what the others do meanwhile. The functions that run are the counted ones, at the lines of the
source: simulated time is the same as without a debugger.
"""

from __future__ import annotations

import bdb
import os
import pdb  # noqa: T100 - the subject
import re
import sys
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..counting.names import PREFIX
from ..device.run_record import DPU, FAULT_CODE, FAULT_SITE, TASKLET
from ..language.closure import Closure
from .breakpoints import Breakpoint, checked_breakpoints

__all__ = ["Debugger"]

PACKAGE = __name__.partition(".")[0]
COUNTED_NAME = re.compile(rf"\b{PREFIX}f[0-9]+_")


class Debugger(pdb.Pdb):
    """Debugs the launches of one run record, from and to the standard streams."""

    def __init__(self, breakpoints: Sequence[Breakpoint], closure: Closure, record: NDArray[np.int64]) -> None:
        super().__init__(skip=[PACKAGE, f"{PACKAGE}.*"], nosigint=True)
        self._record = record
        self.currentbp = 0  # number of the standard library's breakpoint that was met last
        self._steps = False  # breakpoint() was met and not left by `continue`
        self._announced: tuple[int, int] | None = None
        self._of_number: dict[int, Breakpoint] = {}
        self.reset()
        for breakpoint_, filename in checked_breakpoints(breakpoints, closure):
            self.set_break(filename, breakpoint_.line)
            self._of_number[bdb.Breakpoint.bplist[self.canonic(filename), breakpoint_.line][-1].number] = breakpoint_
        self.botframe, tracing = sys._getframe(), sys.gettrace()
        self.set_continue()
        sys.settrace(tracing)  # of somebody else, such as a measurement of coverage

    def advance(self, steps: Iterator[int], default: None) -> int | None:
        """Resume a tasklet. `breakpoint()` leads here as well, unless the user has chosen another debugger.

        Raises BdbQuit when the user quits.
        """
        tracing, hook = sys.gettrace(), sys.breakpointhook
        self.botframe = sys._getframe()
        if hook is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
            sys.breakpointhook = self._stop_in_caller
        if self.breaks or self._steps:
            sys.settrace(self.trace_dispatch)
        try:
            return next(steps, default)
        finally:
            sys.breakpointhook = hook
            sys.settrace(tracing)

    def close(self) -> None:
        """Forget the breakpoints, which the standard library keeps for the whole process."""
        self.clear_all_breaks()

    def set_continue(self) -> None:
        """Go on to the next breakpoint."""
        self._steps = False
        super().set_continue()

    def break_here(self, frame: FrameType) -> bool:
        """Whether a breakpoint is meant for this line and this tasklet."""
        if not super().break_here(frame):
            return False
        breakpoint_ = self._of_number.get(self.currentbp)
        return breakpoint_ is None or breakpoint_.concerns(*self._who)

    def user_line(self, frame: FrameType) -> None:
        """Stop before a line: say who has come there, when it is somebody else than before."""
        if self._announced != self._who:
            self._announced = self._who
            self.message(f"tasklet {self._who[1]} of DPU {self._who[0]}")
        super().user_line(frame)
        self._record[[FAULT_CODE, FAULT_SITE]] = 0  # what was looked at in vain is no fault of the kernel's

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """The frames that `up`, `down` and `where` show: those of kernels and of the host program."""
        stack, current = super().get_stack(f, t)
        inner = stack[current] if stack else None
        shown = [entry for entry in stack if entry == inner or not self._is_skipped(entry[0])]
        return shown, shown.index(inner) if inner is not None else 0

    def format_stack_entry(self, frame_lineno: tuple[FrameType, int], lprefix: str = ": ") -> str:
        """A frame as the debugger shows it; a counted helper has the name that its author gave it."""
        return COUNTED_NAME.sub("", super().format_stack_entry(frame_lineno, lprefix))

    def _is_skipped(self, frame: FrameType) -> bool:
        return str(frame.f_globals.get("__name__")).partition(".")[0] == PACKAGE

    @property
    def _who(self) -> tuple[int, int]:
        return int(self._record[DPU]), int(self._record[TASKLET])

    def _stop_in_caller(self, *args: Any, **kwargs: Any) -> None:
        """`breakpoint()` in a kernel."""
        frame = sys._getframe(1)
        frame.f_trace = self.trace_dispatch
        self._steps = True
        self.set_step()
        sys.settrace(self.trace_dispatch)
