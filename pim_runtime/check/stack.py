"""The stack of every tasklet, as a model: CPython has no WRAM stack, so frames are taken to be of a fixed form.

A call takes a frame of 8 bytes plus 8 per local variable, arguments included. The DPU compiler inlines static functions
(`@dpu_function`) where it likes, so there are two depths: with calls of `@extern_function`s only, and of all helpers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest
from types import FunctionType
from typing import Any

from ..device.library import DpuFunction

__all__ = ["StackMeter", "StackUse", "frame_bytes"]

LINK_BYTES, LOCAL_BYTES = 8, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StackUse:
    """The deepest stack of each tasklet in bytes, and the bytes that a program reserves for each.

    inlined: if every static helper is inlined. called: if none is.
    """

    program: str
    reserved: int
    inlined: tuple[int, ...]
    called: tuple[int, ...]

    def joined(self, other: StackUse) -> StackUse:
        """The deeper of both, tasklet by tasklet."""
        return replace(self, inlined=_deepest(self.inlined, other.inlined), called=_deepest(self.called, other.called))


class StackMeter:
    """Depth of the tasklets' stacks while they run. `running` gives the number of the running tasklet."""

    def __init__(self, kernel: FunctionType, nr_tasklets: int, running: Callable[[], int]) -> None:
        self._running = running
        self._inlined, self._called = ([frame_bytes(kernel)] * nr_tasklets for _ in range(2))
        self._deepest = list(self._inlined), list(self._called)

    def metered(self, helper: DpuFunction, function: FunctionType) -> Callable[..., Any]:
        """`function`, which does what `helper` does, and also takes its frame from the stack of who calls it."""
        frame = frame_bytes(helper.function)
        inlined_frame = frame if helper.linkage == "extern" else 0

        def call(*arguments: Any) -> Any:
            tasklet = self._running()
            self._grow(tasklet, inlined_frame, frame)
            try:
                return function(*arguments)
            finally:
                self._grow(tasklet, -inlined_frame, -frame)

        return call

    def use(self, program: str, reserved: int) -> StackUse:
        """The deepest stacks so far."""
        inlined, called = self._deepest
        return StackUse(program=program, reserved=reserved, inlined=tuple(inlined), called=tuple(called))

    def _grow(self, tasklet: int, inlined_bytes: int, called_bytes: int) -> None:
        for depths, deepest, nr_bytes in zip(
            (self._inlined, self._called), self._deepest, (inlined_bytes, called_bytes), strict=True
        ):
            depths[tasklet] += nr_bytes
            deepest[tasklet] = max(deepest[tasklet], depths[tasklet])


def frame_bytes(function: FunctionType) -> int:
    """The modelled frame of one function."""
    return LINK_BYTES + LOCAL_BYTES * function.__code__.co_nlocals


def _deepest(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(pair) for pair in zip_longest(one, other, fillvalue=0))
