"""Slots of elements of views: their addresses, loads, and what a view or symbol offers as methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from . import tree
from .choices import Choices
from .meters import Block
from .names import element_of, kind_of
from .values import Int, Value, ViewOf

__all__ = ["Elements"]


class Elements(Choices):
    """Elements that one function loads and stores."""

    def _subscript(self, node: ast.Subscript, width: int, home: Block) -> ast.expr:
        if not isinstance(self.types.of(node.value), ViewOf):
            return node
        index = self.address(node)
        self.slots(node, 1, home)
        return tree.replaced(node, slice=index)

    def address(self, node: ast.Subscript) -> ast.expr:
        """Count what forms the address of an element: nothing at a constant index, else a shift-and-add or a step."""
        view = self.value(node.value)
        terms = list(_terms(node.slice))
        moving = [term for term in terms if self.types.integer(term).constant is None]
        if not moving:
            return node.slice
        result = node.slice
        if not any(self.is_index(term) for term in moving) or len(moving) > 1:
            result = self.index(node.slice, moving)
        key = self.names.key(node.value, self.types)
        parts = [self.names.key(term, self.types) for term in moving]
        home = self.home(node.slice)
        if key is None or None in parts or self.is_new(f"&{key}[{'+'.join(map(str, parts))}]", home):
            self.slots(node, 1, home)
        del view
        return result

    def index(self, node: ast.expr, moving: list[ast.expr]) -> ast.expr:
        """Count the sum of an index's moving terms; a constant one goes into the instruction."""
        if len(moving) == 1 and isinstance(node, ast.BinOp) and moving[0] in (node.left, node.right):
            side = "left" if moving[0] is node.left else "right"
            return tree.replaced(node, **{side: self.operand(moving[0], 32)})
        return self.operand(node, 32)

    def is_index(self, term: ast.expr) -> bool:
        """Whether a term is the index of a loop: its address is stepped."""
        return isinstance(term, ast.Name) and any(loop.variable == term.id for loop in self.loops)

    def method(self, node: ast.Call, home: Block) -> ast.expr:
        """`view.window`, `symbol.array`, `.load` and `.store`."""
        assert isinstance(node.func, ast.Attribute)
        arguments = [self.value(argument) for argument in node.args[:-1]]
        last = node.args[-1]
        is_store, symbol = node.func.attr == "store", self.types.of(node.func.value)
        arguments.append(self.stored(last, element_of(symbol)) if is_store else self.value(last))
        if node.func.attr == "window":
            self.value(node.func.value)
            if self.types.integer(node.args[0]).constant is None:
                self.slots(node, 1, home)  # base + (first << k)
        elif node.func.attr in ("load", "store"):
            self.slots(node, 1)
        if node.func.attr == "store":
            self.store(self.types.of(node.func.value))
        return tree.replaced(node, args=arguments)

    def stored(self, node: ast.expr, element: Int) -> ast.expr:
        """A value on its way to an element: a store truncates, but does not extend."""
        known = self.types.integer(node)
        if element.bits == 64 or (not known.clean and element.bits > known.bits):
            return self.operand(node, 64 if element.bits == 64 else 32)
        return self.value(node)

    def store(self, target: Value) -> None:
        """An element of a view, or a symbol, gets a new value."""
        kind = kind_of(target)
        self.names.wrote({kind})
        self.writes.add(kind)


def _terms(node: ast.expr) -> Iterator[ast.expr]:
    """Addends of an index."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _terms(node.left)
        yield from _terms(node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        yield from _terms(node.left)
        yield node.right
    else:
        yield node
