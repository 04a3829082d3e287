"""The numba pipeline of kernels and their helpers: numba's own, with our passes around type inference."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from numba import njit
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.typed_passes import AnnotateTypes, NopythonTypeInference
from numba.core.untyped_passes import DeadBranchPrune, ReconstructSSA

from .linked_code import KeepAsIR

__all__ = ["LINKED", "KernelCompiler", "helper_jit", "kernel_jit"]


class LinkedCompiler(CompilerBase):
    """As numba compiles, for callers that are compiled themselves."""

    def define_pipelines(self) -> list[Any]:
        passes = self.passes()
        passes.add_pass_after(KeepAsIR, AnnotateTypes)
        passes.finalize()
        return [passes]

    def passes(self) -> Any:
        return DefaultPassBuilder.define_nopython_pipeline(self.state)


LINKED = {"pipeline_class": LinkedCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of the device library: no entries for callers in Python or C, which take longer to compile than it does."""


class KernelCompiler(LinkedCompiler):
    """Compute in 64 bits, refuse what is no integer, and give every operation that can fault its source place."""

    def passes(self) -> Any:
        from .integer_only import IntegerOnly
        from .places import GivePlaces
        from .widening import WidenOperands

        passes = super().passes()
        passes.add_pass_after(WidenOperands, ReconstructSSA)
        passes.add_pass_after(GivePlaces, NopythonTypeInference)
        passes.add_pass_after(IntegerOnly, NopythonTypeInference)
        # It may drop the only definition of a variable that a generator's state still names. Nothing is lost: branches
        # on constants are gone from the source already (counting).
        passes.passes = [(step, name) for step, name in passes.passes if step is not DeadBranchPrune]
        return passes


KERNEL = LINKED | {"pipeline_class": KernelCompiler}


@functools.cache
def kernel_jit(function: FunctionType) -> Any:
    """The dispatcher of a kernel. Never cached on disk: cached generators cannot be reused."""
    return njit(**KERNEL)(function)


@functools.cache
def helper_jit(function: FunctionType) -> Any:
    """The dispatcher of a dpu_function. Compiled into its caller: views are wide arguments, and helpers are short."""
    return njit(**KERNEL, forceinline=True)(function)
