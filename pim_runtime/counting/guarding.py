"""Which loops are guarded against running for ever, and how (device.guards).

A loop over a range pays for all its iterations in front of it, so that it still vectorises, if they are over soon: not
where it may be left early, and not where an iteration takes long. All other loops pay when an iteration begins.
"""

from __future__ import annotations

import ast
from typing import Literal, Protocol

from .. import device
from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..language.closure import file_key
from . import tree
from .device_calls import IS_ARITHMETIC
from .folding import BUILTINS
from .leaving import may_leave_loop
from .names import METERS, SPEND
from .types import Types
from .values import Known, RangeOf, Value

__all__ = ["BriefFunctions", "Guards", "Payment", "is_brief", "payment", "spend"]

Guards = Literal["on", "off"]
Payment = Literal["nothing", "whole loop", "each iteration"]

FREE_ITERATIONS = 4096  # of a brief loop over a fixed range: no guard at all
BRIEF_CALLS = (device.me, device.nr_tasklets, device.charge, device.stated, *IS_ARITHMETIC, *BUILTINS)


class BriefFunctions(Protocol):
    """Who knows which helpers are brief."""

    def is_brief(self, function: DpuFunction, arguments: tuple[Value, ...]) -> bool: ...


def payment(loop: ast.For | ast.While, types: Types, functions: BriefFunctions) -> Payment:
    """What a loop of the author's text pays for. Depends on nothing else, so that all ways to run it agree."""
    if isinstance(loop, ast.While) or any(may_leave_loop(statement) for statement in loop.body):
        return "each iteration"
    if not all(is_brief(statement, types, functions) for statement in loop.body):
        return "each iteration"
    iterations = types.of(loop.iter)
    count = iterations.count if isinstance(iterations, RangeOf) else None
    return "nothing" if count is not None and count <= FREE_ITERATIONS else "whole loop"


def is_brief(statement: ast.stmt, types: Types, functions: BriefFunctions) -> bool:
    """Whether a statement has no loop in it, also not in what it calls, and moves no blocks of memory."""
    for part in ast.walk(statement):
        if isinstance(part, ast.For | ast.While | ast.Yield):
            return False
        if isinstance(part, ast.Call) and not _is_brief_call(part, types, functions):
            return False
    return True


def _is_brief_call(node: ast.Call, types: Types, functions: BriefFunctions) -> bool:
    called = types.of(node.func)
    function = called.value if isinstance(called, Known) else None
    if isinstance(function, DpuFunction):
        return functions.is_brief(function, tuple(map(types.of, node.args)))
    if isinstance(node.func, ast.Attribute) and function is None:
        return True  # a method of a view or symbol
    return isinstance(function, IntegerType) or function in BRIEF_CALLS


def spend(iterations: ast.expr, filename: str, loop: ast.For | ast.While) -> ast.stmt:
    """The statement by which a loop pays."""
    site = tree.number(file_key(filename) << 32 | loop.lineno, loop)
    return tree.statement(tree.call(SPEND, [tree.name(METERS, loop), iterations, site], loop))
