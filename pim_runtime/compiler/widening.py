"""The pass that gives `-x`, `~x` and `abs(x)` a 64-bit operand, as every value of a kernel has in CPython.

numba computes the three in the width of the operand, so that -int8(-128) would be -128, and ~True would be False.
Stands before type inference; adding 0 widens, since numba adds in 64 bits.
"""

from __future__ import annotations

import operator
from typing import Any

from numba.core import ir
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import find_const, guard

__all__ = ["WidenOperands"]


@register_pass(mutates_CFG=False, analysis_only=False)
class WidenOperands(FunctionPass):
    """Replace the operand x of `-x`, `~x` and `abs(x)` by x + 0."""

    _name = "pim_widen_operands"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            out: list[Any] = []
            for statement in block.body:
                value = getattr(statement, "value", None)
                if isinstance(value, ir.Expr) and value.op == "unary" and value.fn in (operator.neg, operator.invert):
                    value.value = _widened(value.value, block.scope, value.loc, out)
                elif isinstance(value, ir.Expr) and value.op == "call" and _is_abs(state.func_ir, value):
                    value.args = [_widened(argument, block.scope, value.loc, out) for argument in value.args]
                out.append(statement)
            block.body = out
        return True


def _is_abs(func_ir: Any, call: Any) -> bool:
    return guard(find_const, func_ir, call.func) is abs


def _widened(operand: Any, scope: Any, loc: Any, out: list[Any]) -> Any:
    """Append `operand + 0` to the statements and give its variable."""
    zero, wide = scope.redefine("$zero", loc), scope.redefine("$wide", loc)
    out.append(ir.Assign(ir.Const(0, loc), zero, loc))
    out.append(ir.Assign(ir.Expr.binop(operator.add, operand, zero, loc), wide, loc))
    return wide
