"""Slots of loops, which are counted from outside wherever nothing leaves them early, so that they still vectorise.

Every iteration that begins is taken to be closed, also one that breaks.
"""

from __future__ import annotations

import ast

from ..counters import Counter
from . import tree
from .context import Loop
from .guarding import Payment, paid
from .leaving import may_leave_loop
from .measuring import both_ways
from .meters import Block
from .names import has_effects
from .statements import SimpleStatements
from .types import assigned_names
from .values import RangeOf, ViewOf

__all__ = ["Statements"]

# Published listings: a loop by index takes an addition and a compare-and-branch per iteration, one by pointers a
# count-down that branches. The other costs of both forms fall out of the addresses (elements.address).
INDEX_LOOP_SLOTS, POINTER_LOOP_SLOTS = 2, 1


class Statements(SimpleStatements):
    """All statements of one function."""

    def _while_statement(self, node: ast.While) -> list[ast.stmt]:
        loop = self.loop(None, node)
        self.forget(node)
        body, test_block = Block(self.block), Block(self.block)
        self.loops.append(loop)
        with self.aside(test_block) as before:
            test = self.condition(node.test)
        body.absorb(test_block.events)  # a loop is tested in front of it and behind every iteration
        self.block.absorb(test_block.events)
        statements = self.block_of(node.body, body)
        statements = [*self.paid(node, "each iteration"), *self.counted(body, statements, node)]
        self.loops.pop()
        self.forget(node)
        orelse = self.otherwise(node)
        if before:  # the test takes statements: they come first in the loop
            fails = ast.copy_location(ast.UnaryOp(ast.Not(), test), node)
            stop = ast.copy_location(ast.If(fails, [*orelse, ast.copy_location(ast.Break(), node)], []), node)
            statements, test, orelse = [*before, stop, *statements], tree.number(1, node), []
        return self.done([*loop.prelude, tree.replaced(node, test=test, body=statements, orelse=orelse)], node)

    def paid(self, node: ast.For | ast.While, way: Payment, iterations: str = "") -> list[ast.stmt]:
        """The guard of a loop, if it pays in this way (guarding.paid)."""
        return paid(node, way, self.types, self.functions, iterations)

    def otherwise(self, node: ast.For | ast.While) -> list[ast.stmt]:
        """What runs when a loop was not left by `break`."""
        block = Block(self.block)
        return self.counted(block, self.block_of(node.orelse, block), node)

    def done(self, statements: list[ast.stmt], node: ast.stmt) -> list[ast.stmt]:
        """A finished loop; around the outermost one, the variables of its meters."""
        return statements if self.loops else self.names.collected(statements, node)

    def loop(self, variable: str | None, node: ast.For | ast.While) -> Loop:
        """A loop, by what its body changes."""
        names = {name for statement in node.body for part in ast.walk(statement) for name in assigned_names(part)}
        changes = frozenset(names if variable is None else {*names, variable})
        return Loop(variable, changes, self.written_in(node.body), self.block)

    def _for_statement(self, node: ast.For) -> list[ast.stmt]:
        assert isinstance(node.target, ast.Name)
        iterations = self.types.of(node.iter)
        if isinstance(iterations, RangeOf) and iterations.count == 0:  # dead code, but for what its bounds do
            iterable = self.value(node.iter) if has_effects(node.iter, self.types) else node.iter
            return [tree.replaced(node, iter=iterable, orelse=self.otherwise(node))]
        iterable = self.value(node.iter)
        loop = self.loop(node.target.id, node)
        self.forget(node)
        self.names.changed({node.target.id})
        self.defined.add(node.target.id)
        body, pointers = Block(self.block), self.pointers(node, iterations)
        count, only = (iterations.count, iterations.only) if isinstance(iterations, RangeOf) else (None, None)
        closing = INDEX_LOOP_SLOTS if pointers is None else POINTER_LOOP_SLOTS
        if only is None:
            self.slots(node, 1 + (pointers or 0))
        else:
            closing = 0  # a single iteration is no loop
        self.loops.append(loop)
        if self.counting == "automatic" and not self.is_stated(node.body):
            body.add(self.place(node), Counter.SLOTS, closing)
        statements = self.block_of(node.body, body)
        leaves = any(may_leave_loop(statement) for statement in node.body)
        if leaves:
            statements = self.counted(body, statements, node)
        statements = [*self.paid(node, "each iteration"), *statements]
        self.loops.pop()
        self.forget(node)
        self.names.changed({node.target.id})
        name = self.names.fresh("i")
        made = tree.assign(name, iterable, node)
        head = [*loop.prelude, made, *self.paid(node, "whole loop", name)]
        if count is not None and not leaves:
            self.block.absorb(body.events, count)
        elif body.events and not leaves:
            meter = self.functions.meters.new(body.events)
            length = tree.call("len", [tree.name(name, node)], node)
            head.append(self.tick(meter, length, node))
        orelse = self.otherwise(node)
        loop_of = tree.replaced(node, iter=tree.name(name, node), body=statements, orelse=orelse)
        return self.done([*head, *both_ways(loop_of)], node)

    def pointers(self, node: ast.For, iterations: object) -> int | None:
        """How many pointers the loop steps, if the compiler steps pointers: None for a loop by index.

        Published listings: by index when the loop stores at its index or its count is constant, else by pointers.
        Loops around others, around DMAs, or that use their index otherwise, go by index too.
        """
        assert isinstance(node.target, ast.Name)
        if isinstance(iterations, RangeOf) and iterations.count is not None:
            return None
        parts = [part for statement in node.body for part in ast.walk(statement)]
        if any(isinstance(part, ast.For | ast.While | ast.Yield) for part in parts):
            return None
        if any(isinstance(part, ast.Call) and self.functions.is_real_call(part, self.types) for part in parts):
            return None
        uses = [part for part in parts if isinstance(part, ast.Name) and part.id == node.target.id]
        indexed = [p for p in parts if isinstance(p, ast.Subscript) and isinstance(self.types.of(p.value), ViewOf)]
        at_index = [p for p in indexed if any(use in ast.walk(p.slice) for use in uses)]
        if not at_index or any(isinstance(element.ctx, ast.Store) for element in at_index):
            return None
        if len(uses) > sum(use in ast.walk(element.slice) for element in at_index for use in uses):
            return None
        return len({ast.dump(element.value) for element in at_index})
