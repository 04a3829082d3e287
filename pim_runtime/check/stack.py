"""The stack of every tasklet, as a model: CPython has no WRAM stack, so frames are taken to be of a fixed form.

A call takes a frame of 8 bytes plus 8 per local variable, arguments included. The DPU compiler inlines static functions
(`@dpu_function`) where it likes, so there are two depths: with calls of `@extern_function`s only, and of all helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from types import FunctionType
from typing import Any

from ..device.library import DpuFunction
from ..language.closure import Closure
from .finding import SourcePlace
from .names import STACKS
from .scene import Scene

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
    """Depth of the tasklets' stacks while they run `closure`, of which a tasklet may take `reserved` bytes."""

    def __init__(self, closure: Closure, reserved: int, scene: Scene) -> None:
        self._scene, self._reserved = scene, reserved
        self._helpers = {_identity(helper.function): helper for helper in _helpers(closure)}
        kernel = [frame_bytes(closure.kernel)] * scene.nr_tasklets
        self._depths, self._deepest = (list(kernel), list(kernel)), (list(kernel), list(kernel))
        if kernel[0] > reserved:
            code = closure.kernel.__code__
            tasklets = tuple(range(scene.nr_tasklets))
            self._overflow(tasklets, kernel[0], SourcePlace(code.co_filename, code.co_firstlineno))

    def metered(self, function: FunctionType) -> Callable[..., Any]:
        """A helper, or what it was rebuilt as, that also takes its frame from the stack of who calls it."""
        helper = self._helpers[_identity(function)]
        frame = frame_bytes(helper.function)
        inlined_frame = frame if helper.linkage == "extern" else 0

        def call(*arguments: Any) -> Any:
            tasklet = self._scene.running()
            self._grow(tasklet, inlined_frame, frame)
            try:
                return function(*arguments)
            finally:
                self._grow(tasklet, -inlined_frame, -frame)

        return call

    def use(self, program: str) -> StackUse:
        """The deepest stacks so far."""
        inlined, called = map(tuple, self._deepest)
        return StackUse(program=program, reserved=self._reserved, inlined=inlined, called=called)

    def _grow(self, tasklet: int, inlined_bytes: int, called_bytes: int) -> None:
        for depths, deepest, nr_bytes in zip(self._depths, self._deepest, (inlined_bytes, called_bytes), strict=True):
            depths[tasklet] += nr_bytes
            deepest[tasklet] = max(deepest[tasklet], depths[tasklet])
        if inlined_bytes > 0 and self._depths[0][tasklet] > self._reserved:
            self._overflow((tasklet,), self._depths[0][tasklet], self._scene.place())

    def _overflow(self, tasklets: tuple[int, ...], nr_bytes: int, place: SourcePlace) -> None:
        self._scene.say(
            "stack",
            STACKS,
            tasklets,
            (place,),
            lambda: (
                f"the stack of tasklet {tasklets[0]} grows to {nr_bytes} bytes at {place}, and {self._reserved} bytes"
                " are reserved: on hardware the rest overwrites the neighbour's, unnoticed (modelled: 8 bytes and 8 per"
                " local variable of the kernel and each extern function). Declare the program with"
                f" stack_bytes={nr_bytes} or more, or call less deeply"
            ),
        )


def _helpers(closure: Closure) -> Iterator[DpuFunction]:
    """The helpers that the functions of a closure name."""
    for function in closure.functions:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        named = [function.__globals__.get(name) for name in function.__code__.co_names]
        yield from (value for value in (*cells, *named) if isinstance(value, DpuFunction))


def _identity(function: FunctionType) -> tuple[str, str, str]:
    """What a helper has in common with what it was rebuilt as."""
    return function.__code__.co_filename, function.__module__, function.__qualname__


def frame_bytes(function: FunctionType) -> int:
    """The modelled frame of one function."""
    return LINK_BYTES + LOCAL_BYTES * function.__code__.co_nlocals


def _deepest(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(pair) for pair in zip_longest(one, other, fillvalue=0))
