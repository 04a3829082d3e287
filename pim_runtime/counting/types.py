"""C types of the variables and expressions of one function, for given types of its arguments.

A variable has one type in the whole function, as in C: the join of everything that is assigned to it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Protocol

from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..symbols import WramSymbol
from .device_calls import ADDRESS, call_result
from .folding import BUILTINS, OPERATORS, cast, folded, needed_bits, value_of
from .source import Source
from .values import BOOL, INDEX_BITS, INT, Int, Known, RangeOf, TupleOf, Value, ViewOf, constant, join, of_kind

__all__ = ["Returns", "Types", "assigned_names", "is_fixed"]

ROUNDS = 8  # types only widen, a few rounds reach the fixpoint


class Returns(Protocol):
    """Who knows what functions return."""

    def returned(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Value: ...


class Types:
    """Types inside one function."""

    def __init__(self, source: Source, arguments: tuple[Value, ...], functions: Returns) -> None:
        self.source, self.functions = source, functions
        self.variables: dict[str, Value] = {}
        self.returned: Value | None = None
        self._given = dict(zip(source.parameters, arguments, strict=True))
        self._assigned = {name for node in ast.walk(source.tree) for name in assigned_names(node)}
        self._infer(self.variables)  # the first round knows what stands above, the next ones everything
        for _ in range(ROUNDS):
            before = self.variables, self.returned
            fresh: dict[str, Value] = {}
            self._infer(fresh)
            self.variables = fresh
            if (self.variables, self.returned) == before:
                break

    def of(self, node: ast.expr) -> Value:
        """The type of an expression."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        return method(node) if method else INT

    def integer(self, node: ast.expr) -> Int:
        """The type of an expression that is taken to be an integer."""
        value = self.of(node)
        return value if isinstance(value, Int) else INT

    def truth(self, node: ast.expr) -> bool | None:
        """Whether a condition is true, if that is fixed."""
        value = self.of(node)
        if isinstance(value, Int):
            return None if value.constant is None else bool(value.constant)
        return bool(value.value) if isinstance(value, Known) and isinstance(value.value, tuple | type(None)) else None

    # assignments

    def _infer(self, fresh: dict[str, Value]) -> None:
        """One round in the order of the text: variables get what is assigned to them, as far as that is known."""
        self.returned = None
        for name, value in self._given.items():
            fresh[name] = _variable(value) if name in self._assigned else value
        for node in self._live(self.source.tree):
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                iterations = self.of(node.iter)
                only = iterations.only if isinstance(iterations, RangeOf) else None
                self._assign(node.target, Int(32, INDEX_BITS) if only is None else constant(only), fresh)
            elif isinstance(node, ast.Return) and node.value is not None and self._is_known(node.value):
                self.returned = join(self.returned, self.of(node.value))
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                if self._is_known(node.value) and node.target.id in self.variables:
                    value = self._operation(node.op, self.variables[node.target.id], self.of(node.value))
                    self._assign(node.target, value, fresh)
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if node.value is not None and self._is_known(node.value):
                    for target in targets:
                        self._assign(target, self.of(node.value), fresh)

    def _is_known(self, node: ast.expr) -> bool:
        """Whether every variable of an expression has a type by now."""
        names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        return not (names & self._assigned) - self.variables.keys()

    def _live(self, node: ast.AST) -> Iterator[ast.AST]:
        """Nodes below, without the branches that are never taken."""
        if isinstance(node, ast.If) and (known := self.truth(node.test)) is not None:
            children: Iterable[ast.AST] = node.body if known else node.orelse
        else:
            children = ast.iter_child_nodes(node)
        for child in children:
            yield child
            yield from self._live(child)

    def _assign(self, target: ast.expr, value: Value, fresh: dict[str, Value]) -> None:
        if isinstance(target, ast.Tuple):
            parts = value.parts if isinstance(value, TupleOf) else (INT,) * len(target.elts)
            for element, part in zip(target.elts, parts, strict=False):
                self._assign(element, part, fresh)
        elif isinstance(target, ast.Name):
            known = fresh.get(target.id)
            fresh[target.id] = value if known is None else _variable(join(known, value))

    # expressions, by the name of their node

    def _constant(self, node: ast.Constant) -> Value:
        return constant(node.value) if isinstance(node.value, int) else Known(node.value)

    def _name(self, node: ast.Name) -> Value:
        if node.id in self.variables:
            return self.variables[node.id]
        return value_of(self.source.outer[node.id]) if node.id in self.source.outer else INT

    def _attribute(self, node: ast.Attribute) -> Value:
        owner = self.of(node.value)
        if isinstance(owner, Known) and hasattr(owner.value, node.attr):
            return value_of(getattr(owner.value, node.attr))
        if isinstance(owner, ViewOf) and node.attr == "nbytes":
            return constant(owner.length * owner.kind.itemsize) if owner.length is not None else ADDRESS
        return ADDRESS

    def _subscript(self, node: ast.Subscript) -> Value:
        owner, index = self.of(node.value), self.of(node.slice)
        if isinstance(owner, ViewOf):
            return of_kind(owner.kind)
        if isinstance(owner, Known) and isinstance(owner.value, tuple) and isinstance(index, Int):
            return INT if index.constant is None else value_of(owner.value[index.constant])
        if isinstance(owner, TupleOf) and isinstance(index, Int) and index.constant is not None:
            return owner.parts[index.constant]
        return INT

    def _binop(self, node: ast.BinOp) -> Value:
        return self._operation(node.op, self.of(node.left), self.of(node.right))

    def _operation(self, op: ast.operator, left: Value, right: Value) -> Value:
        a, b = (value if isinstance(value, Int) else INT for value in (left, right))
        if a.constant is not None and b.constant is not None:
            return folded(op, a.constant, b.constant)
        bits = max(32, a.bits) if isinstance(op, ast.LShift | ast.RShift) else max(32, a.bits, b.bits)
        needed = min(64, needed_bits(op, a, b))
        if isinstance(op, ast.BitAnd) and needed <= 17:  # a mask with a small constant shows its width
            return Int(8 if needed <= 9 else 16, needed, signed=False)
        return Int(bits, needed, signed=(a.signed or a.bits < 32) and (b.signed or b.bits < 32))

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        value = self.integer(node.operand)
        if value.constant is not None:
            return constant(int(OPERATORS[type(node.op)](value.constant)))
        return BOOL if isinstance(node.op, ast.Not) else Int(max(32, value.bits), min(64, value.needed_bits + 1))

    def _compare(self, node: ast.Compare) -> Value:
        values = [self.of(part) for part in (node.left, *node.comparators)]
        plain = [value.constant if isinstance(value, Int) else getattr(value, "value", None) for value in values]
        if all(is_fixed(value) for value in values):
            pairs = zip(plain, plain[1:], node.ops, strict=False)
            return constant(int(all(OPERATORS[type(op)](a, b) for a, b, op in pairs)))
        return BOOL

    def _boolop(self, node: ast.BoolOp) -> Value:
        *first, last = node.values
        kept: Value | None = None
        for part in first:
            known = self.truth(part)
            if known is None:
                kept = join(kept, self.of(part))
            elif known is isinstance(node.op, ast.Or):
                return join(kept, self.of(part))
        return join(kept, self.of(last))

    def _ifexp(self, node: ast.IfExp) -> Value:
        known = self.truth(node.test)
        if known is not None:
            return self.of(node.body if known else node.orelse)
        return join(self.of(node.body), self.of(node.orelse))

    def _namedexpr(self, node: ast.NamedExpr) -> Value:
        return self.of(node.value)

    def _tuple(self, node: ast.Tuple) -> Value:
        return TupleOf(tuple(self.of(element) for element in node.elts))

    def _call(self, node: ast.Call) -> Value:
        arguments = [self.of(argument) for argument in node.args]
        if isinstance(node.func, ast.Attribute):
            owner = self.of(node.func.value)
            if isinstance(owner, ViewOf) or (isinstance(owner, Known) and isinstance(owner.value, WramSymbol)):
                return _method_result(owner, node.func.attr, arguments)
        called = self.of(node.func)
        function = called.value if isinstance(called, Known) else None
        if isinstance(function, DpuFunction):
            return self.functions.returned(function, tuple(arguments))
        if isinstance(function, IntegerType):
            return cast(function, arguments[0])
        builtin = BUILTINS.get(function)
        return builtin(arguments) if builtin else call_result(function, arguments)


def assigned_names(node: ast.AST) -> list[str]:
    """Variables that a statement or walrus assigns."""
    targets: list[ast.AST] = []
    if isinstance(node, ast.Assign):
        targets = list(node.targets)
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr):
        targets = [node.target]
    names = (name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
    return [name.id for name in names if isinstance(name.ctx, ast.Store)]


def is_fixed(value: Value) -> bool:
    """Whether nothing of an expression is left to run."""
    return isinstance(value, Known) or (isinstance(value, Int) and value.constant is not None)


def _variable(value: Value) -> Value:
    """The type of a variable that is assigned more than once: no constant."""
    if isinstance(value, Int) and value.constant is not None:
        return Int(value.bits, 32 if value.bits <= 32 else 64, value.signed)
    return ViewOf(value.kind) if isinstance(value, ViewOf) else value


def _method_result(owner: ViewOf | Known, name: str, arguments: list[Value]) -> Value:
    if isinstance(owner, ViewOf):
        length = arguments[1] if name == "window" else INT
        return ViewOf(owner.kind, length.constant if isinstance(length, Int) else None)
    symbol: WramSymbol = owner.value
    return ViewOf(symbol.kind, symbol.size) if name == "array" else of_kind(symbol.kind)
