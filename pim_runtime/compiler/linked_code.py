"""Code that only other compiled code calls: kept as LLVM's IR, each function simplified by itself.

numba optimises a function together with all that it calls, makes machine code of that, and does both again in every
caller. A driver holds all that it needs: it alone is optimised as a whole and becomes machine code. That saves a third
of the time, and gives faster kernels (benchmarks.attention_bandwidth).
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import LoweringPass, register_pass

__all__ = ["KeepAsIR"]


class LinkedCode(JITCodeLibrary):
    """The IR of one function and of all that it calls; takes numba's steps towards machine code, and does nothing."""

    @property
    def codegen(self) -> Any:
        """What numba loads the code into: nothing."""
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Of Python objects, which kernels have none of."""

    def get_pointer_to_function(self, name: str) -> int:
        """None, as numba says it of a function without an entry for callers in Python."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class KeepAsIR(LoweringPass):
    """Gives a function its place among linked code; stands before it is lowered."""

    _name = "pim_keep_as_ir"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = LinkedCode(state.targetctx.codegen(), state.func_id.func_qualname)
        return False
