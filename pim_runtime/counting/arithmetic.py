"""Slots of arithmetic, as `operations` prices it, with what a compiler makes of products and sums."""

from __future__ import annotations

import ast

from . import tree
from .meters import Block
from .operations import Cost, Routine, divide, multiply, plain, shift
from .recorder import Recorder
from .types import is_fixed

__all__ = ["Arithmetic"]


class Arithmetic(Recorder):
    """Operators of one function."""

    def _unaryop(self, node: ast.UnaryOp, width: int, home: Block) -> ast.expr:
        width = self.width_of(node, width)
        operand = self.operand(node.operand, width)
        if isinstance(node.op, ast.Not):
            self.add(node, plain(64 if self.types.integer(node.operand).bits == 64 else 32), home)
        elif not isinstance(node.op, ast.UAdd):
            self.add(node, plain(width), home)
        return tree.replaced(node, operand=operand)

    def _binop(self, node: ast.BinOp, width: int, home: Block) -> ast.expr:
        left_type, right_type = self.types.integer(node.left), self.types.integer(node.right)
        width = self.width_of(node, width)
        if isinstance(node.op, ast.Mult | ast.Pow):
            if self.is_stepped(node):
                self.slots(node, 1, home)  # strength reduction: an addition per iteration
                return node
            left, right = self.operand_as_is(node.left, width), self.operand_as_is(node.right, width)
            cost = multiply(width, left_type, right_type)
            return self.routine(node, cost, left, right, home)
        if isinstance(node.op, ast.FloorDiv | ast.Mod):
            left, right = self.operand(node.left, width), self.operand(node.right, width)
            name = "floordiv" if isinstance(node.op, ast.FloorDiv) else "mod"
            return self.routine(node, divide(width, left_type, right_type, operation=name), left, right, home)
        if isinstance(node.op, ast.LShift | ast.RShift):
            read = self.operand if isinstance(node.op, ast.RShift) else self.operand_as_is
            left, right = read(node.left, width), self.value(node.right)
            self.add(node, shift(width, right_type), home)
            return tree.replaced(node, left=left, right=right)
        left, right = (self.addend(part, node, width) for part in (node.left, node.right))
        self.add(node, plain(width), home)
        return tree.replaced(node, left=left, right=right)

    def operand_as_is(self, node: ast.expr, width: int) -> ast.expr:
        """An operand of which only the low bits matter: garbage above them may stay."""
        known = self.types.integer(node)
        return self.operand(node, width) if width == 64 or known.clean else self.value(node, width)

    def addend(self, node: ast.expr, sum_of: ast.BinOp, width: int) -> ast.expr:
        """An operand of a sum; a shifted one is shifted by the addition itself (`lsl_add`)."""
        if width == 32 and isinstance(sum_of.op, ast.Add) and isinstance(node, ast.BinOp):
            factor = self.types.integer(node.right).constant
            power = factor is not None and factor > 0 and factor & (factor - 1) == 0
            if (isinstance(node.op, ast.LShift) and factor is not None) or (isinstance(node.op, ast.Mult) and power):
                return tree.replaced(node, left=self.operand_as_is(node.left, width))
        return self.operand_as_is(node, width)

    def is_stepped(self, node: ast.BinOp) -> bool:
        """Whether a product is that of a loop's index and a number that the loop does not change."""
        for loop in self.loops:
            for index, factor in ((node.left, node.right), (node.right, node.left)):
                fixed = self.names.is_fixed_in(factor, loop.changes, loop.writes, self.types)
                if isinstance(index, ast.Name) and index.id == loop.variable and fixed:
                    return True
        return False

    def routine(self, node: ast.expr, cost: Cost, left: ast.expr, right: ast.expr, home: Block) -> ast.expr:
        """Count an operation; if its slots depend on the data, keep the operands and measure them afterwards."""
        assert isinstance(node, ast.BinOp)
        self.add(node, cost, home)
        if cost.calls:
            self.is_leaf = False
            self.moves(node, [node.left, node.right], home)
        if cost.routine is None:
            return tree.replaced(node, left=left, right=right)
        left, right = self.measured(node, cost.routine, [left, right])
        return tree.replaced(node, left=left, right=right)

    def moves(self, node: ast.expr, operands: list[ast.expr], home: Block) -> None:
        """A value that must sit in a call's register costs a move unless a load or an operation puts it there."""
        for operand in operands:
            if isinstance(operand, ast.Name) or is_fixed(self.types.of(operand)):
                self.slots(node, 1, home)

    def measured(self, node: ast.expr, routine: Routine, operands: list[ast.expr]) -> list[ast.expr]:
        """Both operands, kept in variables, from which the data-dependent part is measured."""
        meter = self.functions.meters.new({self.place(node): {routine.variable: 1}}, variable=True)
        a, b = (self.keep(operand) for operand in operands)
        self.measures = True
        amount = self.tick(meter, self.names.measure(meter, routine, a, b, node), node)
        self.before += self.names.where_measuring([amount], node)
        return [tree.name(a, node), tree.name(b, node)]
