"""The pass that refuses floating point, and everything else that is no integer, at compile time.

It stands right after type inference and sees every intermediate value. A call needs no look inside: what it returns is
typed in the caller, and helpers are compiled by the same pipeline.
"""

from __future__ import annotations

from typing import Any

from numba.core import errors, ir, types
from numba.core.compiler_machinery import AnalysisPass, register_pass

__all__ = ["IntegerOnly", "has_float"]

PARTS = ("dtype", "yield_type", "first_type", "instance_type")


def has_float(ty: types.Type) -> bool:
    """True for a float or complex type, and for an array, tuple, iterator or dtype object of one."""
    if isinstance(ty, types.Function | types.Dispatcher):
        return False
    inner = [getattr(ty, name, None) for name in PARTS] + list(getattr(ty, "types", ()))
    return isinstance(ty, types.Float | types.Complex) or any(
        part is not ty and isinstance(part, types.Type) and has_float(part) for part in inner
    )


@register_pass(mutates_CFG=False, analysis_only=True)
class IntegerOnly(AnalysisPass):
    """Raise UnsupportedError at the first statement whose value is not an integer."""

    _name = "pim_integer_only"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for assign in block.find_insts(ir.Assign):
                ty = state.typemap[assign.target.name]
                if has_float(ty):
                    raise errors.UnsupportedError(f"DPU kernels are integer-only, but this is {ty}", assign.loc)
        return False
