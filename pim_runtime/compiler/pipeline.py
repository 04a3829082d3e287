"""The numba pipeline of kernels and their helpers: numba's own, with our passes around type inference."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from numba import njit
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.typed_passes import NopythonTypeInference
from numba.core.untyped_passes import DeadBranchPrune, ReconstructSSA

__all__ = ["KernelCompiler", "helper_jit", "kernel_jit"]


class KernelCompiler(CompilerBase):
    """Compute in 64 bits, refuse what is no integer, and give every operation that can fault its source place."""

    def define_pipelines(self) -> list[Any]:
        from .integer_only import IntegerOnly
        from .places import GivePlaces
        from .widening import WidenOperands

        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(WidenOperands, ReconstructSSA)
        passes.add_pass_after(GivePlaces, NopythonTypeInference)
        passes.add_pass_after(IntegerOnly, NopythonTypeInference)
        # It may drop the only definition of a variable that a generator's state still names. Nothing is lost: branches
        # on constants are gone from the source already (counting).
        passes.passes = [(step, name) for step, name in passes.passes if step is not DeadBranchPrune]
        passes.finalize()
        return [passes]


@functools.cache
def kernel_jit(function: FunctionType) -> Any:
    """The dispatcher of a kernel. Never cached on disk: cached generators cannot be reused."""
    return njit(pipeline_class=KernelCompiler)(function)


@functools.cache
def helper_jit(function: FunctionType) -> Any:
    """The dispatcher of a dpu_function. Compiled into its caller: views are wide arguments, and helpers are short."""
    return njit(pipeline_class=KernelCompiler, forceinline=True)(function)
