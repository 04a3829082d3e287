"""The stack of every tasklet, as a model: CPython has no WRAM stack, so frames are taken to be of a fixed form.

A call takes a frame of 8 bytes plus 8 per local variable, arguments included. Every `@dpu_function` is taken to be
called and none to be inlined, so what the DPU compiler makes of the kernel usually needs less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

__all__ = ["StackMeter", "StackUse", "frame_bytes"]

LINK_BYTES, LOCAL_BYTES = 8, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StackUse:
    """The deepest stack of each tasklet in bytes, over all checked launches of a program, and what there is."""

    program: str
    stack_bytes: int
    tasklet_bytes: tuple[int, ...]


class StackMeter:
    """Depth of the tasklets' stacks while they run. `running` gives the number of the running tasklet."""

    def __init__(self, kernel: FunctionType, nr_tasklets: int, running: Callable[[], int]) -> None:
        self._running = running
        self._depths = [frame_bytes(kernel)] * nr_tasklets
        self.deepest = list(self._depths)

    def metered(self, function: FunctionType) -> Callable[..., Any]:
        """A function that also takes its frame from the stack of the tasklet that calls it."""
        frame = frame_bytes(function)

        def call(*arguments: Any) -> Any:
            tasklet = self._running()
            self._depths[tasklet] += frame
            self.deepest[tasklet] = max(self.deepest[tasklet], self._depths[tasklet])
            try:
                return function(*arguments)
            finally:
                self._depths[tasklet] -= frame

        return call


def frame_bytes(function: FunctionType) -> int:
    """The modelled frame of one function."""
    return LINK_BYTES + LOCAL_BYTES * function.__code__.co_nlocals
