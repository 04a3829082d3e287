"""Marks of device code: `@library` for this package's own functions, `@dpu_function` for helpers of user kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, Literal, TypeVar, cast

from .source_text import keep_source_text

__all__ = ["DpuFunction", "Linkage", "dpu_function", "extern_function", "library"]

LibraryFunction = TypeVar("LibraryFunction", bound=Callable[..., Any])


def library(function: LibraryFunction) -> LibraryFunction:
    """Mark a function of the device library: CPython runs it as it stands, the compiler compiles the same source."""
    function.__dpu_library__ = True  # type: ignore[attr-defined]
    return function


Linkage = Literal["static", "extern"]


class DpuFunction:
    """A function that kernels call. It obeys the kernel language but may not block: only kernels yield."""

    def __init__(self, function: Callable[..., Any], linkage: Linkage = "static") -> None:
        functools.update_wrapper(self, function)
        self.function = cast(FunctionType, function)  # type checkers see any function as a Callable
        self.linkage = linkage

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def dpu_function(function: Callable[..., Any]) -> DpuFunction:
    """Make a function callable from kernels, in both engines: a static function that the DPU compiler inlines."""
    keep_source_text(function)
    return DpuFunction(function)


def extern_function(function: Callable[..., Any]) -> DpuFunction:
    """As dpu_function, of another translation unit: the clock counts a real call, with its saves and moves."""
    keep_source_text(function)
    return DpuFunction(function, "extern")
