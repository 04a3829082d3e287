"""Slots of comparisons and choices: conditions, `and`, `or`, and conditional expressions.

What runs only sometimes becomes a statement with a meter of its own.
"""

from __future__ import annotations

import ast

from ..counters import Counter
from . import tree
from .arithmetic import Arithmetic
from .meters import Block
from .names import has_effects
from .operations import plain

__all__ = ["Choices"]

CALLED = (ast.Mult, ast.FloorDiv, ast.Mod, ast.Pow)  # operators whose routines leave no flags for a branch


class Choices(Arithmetic):
    """Comparisons and choices of one function."""

    def _compare(self, node: ast.Compare, width: int, home: Block) -> ast.expr:
        result = self.compared(node)
        for _ in node.ops:
            self.add(node, plain(self.comparison_width(node)), home)
        return result

    def compared(self, node: ast.Compare) -> ast.Compare:
        """The operands of a comparison, without the comparison itself."""
        width = self.comparison_width(node)
        left, *others = [self.operand(part, width) for part in (node.left, *node.comparators)]
        return tree.replaced(node, left=left, comparators=others)

    def comparison_width(self, node: ast.Compare) -> int:
        """Width of a comparison: that of its wider operand."""
        parts = [self.types.integer(part) for part in (node.left, *node.comparators)]
        return 64 if any(part.bits == 64 for part in parts) else 32

    def _boolop(self, node: ast.BoolOp, width: int, home: Block) -> ast.expr:
        """Later operands run only if the earlier ones do not decide: each counts how often it did."""
        first, *others = node.values
        name = self.keep(self.value(first, width))
        self.slots(first, 1)
        for other in others:
            block = Block(self.block)
            with self.aside(block) as before:
                self.slots(other, 1)
                before.append(tree.assign(name, self.value(other, width), other))
            self.choose(node, name, self.counted(block, before, other))
        return tree.name(name, node)

    def choose(self, node: ast.BoolOp, name: str, statements: list[ast.stmt]) -> None:
        """Statements that run unless `name` decides an `and` or `or` already."""
        undecided: ast.expr = tree.name(name, node)
        if isinstance(node.op, ast.Or):
            undecided = ast.copy_location(ast.UnaryOp(ast.Not(), undecided), node)
        self.before.append(ast.copy_location(ast.If(undecided, statements, []), node))

    def _ifexp(self, node: ast.IfExp, width: int, home: Block) -> ast.expr:
        """A choice of which a branch costs something becomes a statement, whose branches count."""
        known = self.types.truth(node.test)
        if known is not None:
            if has_effects(node.test, self.types):
                self.keep(self.value(node.test))
            return self.value(node.body if known else node.orelse, width)
        test = self.condition(node.test)
        self.slots(node, 1)  # the move of one of them
        name, branches, costs = self.names.fresh("v"), [], False
        for part in (node.body, node.orelse):
            block = Block(self.block)
            with self.aside(block) as before:
                result = self.value(part, width)
                costs |= bool(block.events or before) or result is not part
                before.append(tree.assign(name, result, part))
            branches.append(self.counted(block, before, part))
        if not costs:
            return tree.replaced(node, test=test)
        self.before.append(ast.copy_location(ast.If(test, *branches), node))
        return tree.name(name, node)

    def condition(self, node: ast.expr) -> ast.expr:
        """What a branch tests: an operation fuses with its branch, everything else is compared with zero."""
        if self.types.truth(node) is not None:
            return self.value(node) if has_effects(node, self.types) else node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return tree.replaced(node, operand=self.condition(node.operand))
        if isinstance(node, ast.Compare):
            fused = self.fused_with_zero(node)
            if fused is not None:
                return tree.replaced(node, left=self.value(fused))
            self.slots(node, len(node.ops) * plain(self.comparison_width(node)).events[Counter.SLOTS])
            return self.compared(node)
        if isinstance(node, ast.BoolOp):
            first, *others = node.values
            name = self.keep(self.condition(first))
            for other in others:
                block = Block(self.block)
                with self.aside(block) as before:
                    before.append(tree.assign(name, self.condition(other), other))
                self.choose(node, name, self.counted(block, before, other))
            return tree.name(name, node)
        result = self.value(node)
        if not isinstance(node, ast.BinOp) or isinstance(node.op, CALLED):
            self.slots(node, self.words(node))
        return result

    def words(self, node: ast.expr) -> int:
        """Words of a value, each of which takes a comparison with zero."""
        return 2 if self.types.integer(node).bits == 64 else 1

    def fused_with_zero(self, node: ast.Compare) -> ast.expr | None:
        """The operation of `x & y == 0` and the like, which sets the flags that the branch needs."""
        number = self.types.integer(node.comparators[0])
        alone = len(node.ops) == 1 and isinstance(node.left, ast.BinOp) and number.constant == 0
        cheap = alone and not isinstance(getattr(node.left, "op", None), CALLED)
        return node.left if cheap and self.types.integer(node.left).bits < 64 else None
