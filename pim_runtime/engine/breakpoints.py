"""Breakpoints in kernels: at a line, for some DPUs and tasklets only. The kernel stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import FunctionType

from ..errors import KernelError
from ..language.closure import Closure

__all__ = ["Breakpoint", "check_tasklets", "checked_breakpoints"]

NR_NEAR_LINES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakpoint:
    """Stop in the debugger before a line of a kernel or of one of its helpers.

    file: the name of its file, or the end of its path. Default: the file of the kernel.
    dpu, tasklet: who stops there; a DPU counts from 0 inside its allocation. Default: everybody.
    """

    line: int
    file: str | None = None
    dpu: int | None = None
    tasklet: int | None = None

    def concerns(self, dpu: int, tasklet: int) -> bool:
        """Whether this tasklet stops there."""
        return self.dpu in (None, dpu) and self.tasklet in (None, tasklet)

    def filename_in(self, closure: Closure) -> str:
        """The file that is meant, as the closure's code names it. Raises KernelError when the closure has none."""
        kernel = closure.kernel.__code__.co_filename
        if self.file is None:
            return kernel
        wanted = PurePath(self.file).parts
        files = list(dict.fromkeys(function.__code__.co_filename for function in closure.functions))
        for filename in files:
            if wanted and PurePath(filename).parts[-len(wanted) :] == wanted:
                return filename
        names = ", ".join(PurePath(filename).name for filename in files)
        raise KernelError(
            f"breakpoint in {self.file}: kernel {closure.kernel.__qualname__} has no code there, only in {names}. Name "
            "one of these files"
        )


def checked_breakpoints(breakpoints: Sequence[Breakpoint], closure: Closure) -> list[tuple[Breakpoint, str]]:
    """Every breakpoint with its file. Raises KernelError, naming near lines, for a line without code of the kernel."""
    placed = []
    for breakpoint_ in breakpoints:
        filename = breakpoint_.filename_in(closure)
        lines = sorted(
            {
                line
                for function in closure.functions
                if function.__code__.co_filename == filename
                for line in _lines(function)
            }
        )
        if breakpoint_.line not in lines:
            near = sorted(sorted(lines, key=lambda line: abs(line - breakpoint_.line))[:NR_NEAR_LINES])
            raise KernelError(
                f"breakpoint at {PurePath(filename).name}:{breakpoint_.line}: kernel {closure.kernel.__qualname__} and "
                f"its helpers have no code there; the nearest lines that have are {', '.join(map(str, near))}"
            )
        placed.append((breakpoint_, filename))
    return placed


def check_tasklets(breakpoints: Sequence[Breakpoint], nr_tasklets: int) -> None:
    """Raise KernelError for a breakpoint of a tasklet that there is not: nobody would ever stop there."""
    for breakpoint_ in breakpoints:
        if breakpoint_.tasklet is not None and not 0 <= breakpoint_.tasklet < nr_tasklets:
            raise KernelError(
                f"breakpoint at line {breakpoint_.line} for tasklet {breakpoint_.tasklet}: the program has tasklets "
                f"0 to {nr_tasklets - 1}"
            )


def _lines(function: FunctionType) -> set[int]:
    """Lines of a function on which something is executed."""
    code = function.__code__
    return {line for *_, line in code.co_lines() if line is not None and line > code.co_firstlineno}
