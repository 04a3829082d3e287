"""A kernel without counters: as its author wrote it, but with guarded loops, for which helpers get the meters.

Branches that are never taken are dropped, as in a counted kernel: what they name need not even have a type.
"""

from __future__ import annotations

import ast
import copy
from types import FunctionType

from ..device.library import DpuFunction
from ..device.tasklet import Checks, Tasklet
from . import tree
from .functions import KnownFunctions, of_kernel, told_apart
from .guarding import Payment, paid
from .names import METERS, PREFIX, has_effects
from .types import Types
from .values import Known, Value

__all__ = ["UncountedFunctions"]


class UncountedFunctions(KnownFunctions):
    """All functions of one kernel; a helper once per types of its arguments."""

    def __init__(self, checks: Checks) -> None:
        super().__init__(checks)
        self._names: dict[tuple[DpuFunction, tuple[Value, ...]], str] = {}

    def kernel(self, function: FunctionType) -> FunctionType:
        """The kernel itself: its tasklet knows the meters."""
        types = Types(self.source_of(function), (Known(Tasklet),), self)
        return self.made(function.__name__, types.source, [of_kernel(types.source)], self._body(types), [])

    def called(self, function: DpuFunction, arguments: tuple[Value, ...]) -> str:
        """The name of the helper for arguments of these types."""
        key = function, told_apart(function, arguments)
        if key not in self._names:
            types = self.types_of(*key)
            body = self._body(types)
            name = self._names[key] = f"{PREFIX}f{len(self._names)}_{function.function.__name__}"
            self.helpers[name] = self.made(name, types.source, [], body, [ast.arg(METERS)])
        return self._names[key]

    def _body(self, types: Types) -> list[ast.stmt]:
        body: list[ast.stmt] = _Rewriting(types, self).visit(copy.deepcopy(types.source.tree)).body
        return body


class _Rewriting(ast.NodeTransformer):
    """Puts guards into the loops of a function, and calls helpers that have them."""

    def __init__(self, types: Types, functions: UncountedFunctions) -> None:
        self._types, self._functions = types, functions
        self._nr_ranges = 0

    def visit_Call(self, node: ast.Call) -> ast.expr:
        called = self._types.of(node.func)
        function = called.value if isinstance(called, Known) else None
        arguments = tuple(map(self._types.of, node.args))
        self.generic_visit(node)
        if not isinstance(function, DpuFunction):
            return node
        return tree.call(self._functions.called(function, arguments), [tree.name(METERS, node), *node.args], node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        known = self._types.truth(node.test)
        if known is None:
            return self.generic_visit(node)
        effects = has_effects(node.test, self._types)
        tested = [ast.copy_location(ast.Expr(self.visit(node.test)), node)] if effects else []
        return [*tested, *self._visited(node.body if known else node.orelse)] or ast.copy_location(ast.Pass(), node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        known = self._types.truth(node.test)
        if known is None or has_effects(node.test, self._types):
            return self.generic_visit(node)
        return self.visit(node.body if known else node.orelse)

    def visit_While(self, node: ast.While) -> ast.AST:
        guard = self._paid(node, "each iteration")
        self.generic_visit(node)
        return tree.replaced(node, body=[*guard, *node.body])

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        each = self._paid(node, "each iteration")
        whole = self._paid(node, "whole loop", name := f"{PREFIX}i{self._nr_ranges}")
        self._nr_ranges += 1
        self.generic_visit(node)
        if whole:
            return [tree.assign(name, node.iter, node), *whole, tree.replaced(node, iter=tree.name(name, node))]
        return tree.replaced(node, body=[*each, *node.body])

    def _paid(self, node: ast.For | ast.While, way: Payment, iterations: str = "") -> list[ast.stmt]:
        return paid(node, way, self._types, self._functions, iterations)

    def _visited(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        module: ast.Module = self.generic_visit(ast.Module(statements, []))  # type: ignore[assignment]
        return module.body
