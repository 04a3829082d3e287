"""Which loops are guarded against running for ever, and how (device.guards).

A loop that ends soon whatever happens is left alone. A loop over a range pays for all its iterations in front of it, so
that it still vectorises, if it is not left early and its iterations are brief. All others pay per iteration.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

from .. import device
from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..device.tasklet import Checks
from ..language.closure import file_key
from . import tree
from .device_calls import IS_ARITHMETIC
from .folding import BUILTINS
from .leaving import may_leave_loop
from .names import METERS, SPEND
from .types import Types
from .values import Known, RangeOf, Value

__all__ = ["Effort", "Payment", "effort", "paid", "payment"]

Payment = Literal["nothing", "whole loop", "each iteration"]

FREE_ITERATIONS = 4096  # that a loop may run unguarded, with those of the loops in it
BRIEF_ITERATIONS = 64  # of loops inside an iteration that is brief
BRIEF_CALLS = (device.me, device.nr_tasklets, device.charge, device.stated, *IS_ARITHMETIC, *BUILTINS)


class Effort(NamedTuple):
    """What a part of a function takes at most: loop iterations, None if there is no limit; moves_blocks: DMAs."""

    iterations: int | None
    moves_blocks: bool

    @property
    def is_brief(self) -> bool:
        return not self.moves_blocks and self.iterations is not None and self.iterations <= BRIEF_ITERATIONS


class Helpers(Protocol):
    """Who knows what calls take, and whether loops have guards."""

    checks: Checks

    def effort(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Effort: ...


def payment(loop: ast.For | ast.While, types: Types, helpers: Helpers) -> Payment:
    """What a loop of the author's text pays for. Depends on nothing else, so that all ways to run it agree."""
    iterations = effort([loop], types, helpers).iterations
    if iterations is not None and iterations <= FREE_ITERATIONS:
        return "nothing"
    if isinstance(loop, ast.While) or any(may_leave_loop(statement) for statement in loop.body):
        return "each iteration"
    return "whole loop" if effort(loop.body, types, helpers).is_brief else "each iteration"


def effort(nodes: Iterable[ast.AST], types: Types, helpers: Helpers) -> Effort:
    """What these nodes take at most when they run once."""
    iterations: int | None = 0
    moves_blocks = False
    for node in nodes:
        own = effort(ast.iter_child_nodes(node), types, helpers)
        if isinstance(node, ast.Call):
            called = _effort_of_call(node, types, helpers)
            own = Effort(_sum(own.iterations, called.iterations), own.moves_blocks or called.moves_blocks)
        elif isinstance(node, ast.For):
            own = own._replace(iterations=_product(_fixed_count(node, types), _sum(1, own.iterations)))
        elif isinstance(node, ast.While):
            own = own._replace(iterations=None)
        iterations, moves_blocks = _sum(iterations, own.iterations), moves_blocks or own.moves_blocks
    return Effort(iterations, moves_blocks)


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _product(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a * b


def _fixed_count(loop: ast.For, types: Types) -> int | None:
    iterations = types.of(loop.iter)
    return iterations.count if isinstance(iterations, RangeOf) else None


def _effort_of_call(node: ast.Call, types: Types, helpers: Helpers) -> Effort:
    called = types.of(node.func)
    function = called.value if isinstance(called, Known) else None
    if isinstance(function, DpuFunction):
        return helpers.effort(function, tuple(map(types.of, node.args)))
    is_method = isinstance(node.func, ast.Attribute) and function is None  # of a view or symbol
    return Effort(0, not (is_method or isinstance(function, IntegerType) or function in BRIEF_CALLS))


def paid(
    loop: ast.For | ast.While, way: Payment, types: Types, helpers: Helpers, iterations: str = ""
) -> list[ast.stmt]:
    """The guard of a loop, if it has one and pays in this way; `iterations` names the range that it pays as a whole."""
    if helpers.checks == "off" or payment(loop, types, helpers) != way:
        return []
    amount = tree.call("len", [tree.name(iterations, loop)], loop) if iterations else tree.number(1, loop)
    site = tree.number(file_key(types.source.function.__code__.co_filename) << 32 | loop.lineno, loop)
    return [tree.statement(tree.call(SPEND, [tree.name(METERS, loop), amount, site], loop))]
