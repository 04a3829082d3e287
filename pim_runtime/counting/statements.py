"""Slots of statements and branches, and the statements to run instead: the author's with meters between them.

Blocks that run equally often share a meter.
"""

from __future__ import annotations

import ast

from .. import device
from ..device.library import DpuFunction
from . import tree
from .calls import Expressions
from .context import Counting, Functions
from .device_calls import CLOCK_READERS
from .leaving import leaves, may_leave
from .meters import Block
from .names import element_of, has_effects
from .types import Types, assigned_names, is_fixed
from .values import Int, Known

__all__ = ["SimpleStatements"]


class SimpleStatements(Expressions):
    """Statements and branches of one function; `Statements` knows the loops, too."""

    def __init__(self, types: Types, functions: Functions, counting: Counting) -> None:
        super().__init__(types, functions, counting)
        nodes = list(ast.walk(types.source.tree))
        updated = [node.target for node in nodes if isinstance(node, ast.AugAssign)]
        loaded = [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
        self.read_names = {node.id for node in (*loaded, *updated) if isinstance(node, ast.Name)}

    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Count statements that run one after the other in the current block; gives what to run instead."""
        out: list[ast.stmt] = []
        for index, statement in enumerate(statements):
            out += self.statement(statement)
            rest = statements[index + 1 :]
            if rest and may_leave(statement):
                outer, self.block = self.block, Block(self.block)
                following = self.body(rest)
                out += self.counted(self.block, following, statement)
                self.block = outer
                return out
        return out

    def block_of(self, statements: list[ast.stmt], block: Block) -> list[ast.stmt]:
        """Count statements into a block; if their author states its slots, nothing else does."""
        outer, counting, defined = self.block, self.counting, set(self.defined)
        self.block = block
        if self.is_stated(statements):
            self.counting = "stated"
        out = self.body(statements)
        self.block, self.counting, self.defined = outer, counting, defined
        return out

    def is_stated(self, statements: list[ast.stmt]) -> bool:
        """Whether a block begins with `stated(t, slots)`, behind a docstring."""
        first = next((s for s in statements if not _is_text(s)), None)
        call = first.value if isinstance(first, ast.Expr) else None
        return isinstance(call, ast.Call) and _called(call, self.types) is device.stated

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """Count one statement; gives what to run instead."""
        outer, self.before = (self.before, self.in_order), []
        self.in_order = _has_inner_effects(node, self.types)
        method = getattr(self, f"_{type(node).__name__.lower()}_statement", None)
        statements = method(node) if method else [node]
        statements = [*self.before, *statements]
        if self.reads_clock_here(node):
            statements = [*self.leave(node), *statements]
        self.before, self.in_order = outer
        return statements

    def reads_clock_here(self, node: ast.stmt) -> bool:
        """Whether a simple statement reads the performance counter: meters must be up to date then."""
        if isinstance(node, ast.For | ast.While | ast.If):
            return False
        for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
            function = _called(call, self.types)
            if function in CLOCK_READERS or self.functions.reads_clock(function):
                return True
        return False

    def leave(self, at: ast.AST) -> list[ast.stmt]:
        """Bring what a loop has counted so far to memory."""
        return [self.names.leave(at)] if self.loops else []

    # simple statements

    def _expr_statement(self, node: ast.Expr) -> list[ast.stmt]:
        if _is_text(node):
            return [node]
        if isinstance(node.value, ast.Yield):
            assert node.value.value is not None
            waits = tree.replaced(node.value, value=self.value(node.value.value))
            self.names.wrote({"*"})
            return [*self.leave(node), tree.replaced(node, value=waits)]
        return [tree.replaced(node, value=self.value(node.value))]

    def _assign_statement(self, node: ast.Assign) -> list[ast.stmt]:
        value = self.assigned(node.targets[0], node.value)
        return [tree.replaced(node, targets=[self.target(target) for target in node.targets], value=value)]

    def _annassign_statement(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return [node]
        return [tree.replaced(node, value=self.assigned(node.target, node.value), target=self.target(node.target))]

    def assigned(self, target: ast.expr, node: ast.expr) -> ast.expr:
        """The value of an assignment; a constant takes a move, a copy nothing."""
        if isinstance(target, ast.Name) and self.is_dead(target.id) and self.names.key(node, self.types) is not None:
            return node
        if isinstance(target, ast.Tuple) and isinstance(node, ast.Tuple):
            parts = [self.assigned(*pair) for pair in zip(target.elts, node.elts, strict=True)]
            return tree.replaced(node, elts=parts)
        variable = self.types.of(target) if isinstance(target, ast.Name) else None
        if isinstance(variable, Int) and not is_fixed(variable) and is_fixed(self.types.of(node)):
            self.slots(node, 1)
        if isinstance(target, ast.Subscript):
            return self.stored(node, element_of(self.types.of(target.value)))
        if isinstance(variable, Int) and variable.bits == 64 and not is_fixed(self.types.of(node)):
            return self.operand(node, 64)
        return self.value(node)

    def is_dead(self, name: str) -> bool:
        """Whether nobody reads a variable."""
        return name not in self.read_names

    def target(self, target: ast.expr) -> ast.expr:
        """What an assignment writes: a store costs its address and one slot, a variable nothing."""
        if isinstance(target, ast.Tuple):
            return tree.replaced(target, elts=[self.target(element) for element in target.elts])
        if isinstance(target, ast.Name):
            self.names.changed({target.id})
            self.defined.add(target.id)
            return target
        if isinstance(target, ast.Subscript):
            index = self.address(target)
            self.slots(target, 1)
            self.store(self.types.of(target.value))
            return tree.replaced(target, slice=index)
        return target

    def _augassign_statement(self, node: ast.AugAssign) -> list[ast.stmt]:
        """x += y, as x = x + y; an index that must be evaluated once, or before y, is."""
        target = node.target
        if isinstance(target, ast.Subscript) and self.is_evaluated_once(target.slice):
            index = self.keep(self.value(target.slice))
            target = tree.replaced(target, slice=tree.name(index, node))
        operation = ast.BinOp(tree.replaced(target, ctx=ast.Load()), node.op, node.value)
        assignment = ast.Assign([target], ast.copy_location(operation, node))
        return self._assign_statement(ast.copy_location(assignment, node))

    def is_evaluated_once(self, index: ast.expr) -> bool:
        """Whether an index that is read and written at must be kept, though its value may be known."""
        moves = self.types.integer(index).constant is None
        return has_effects(index, self.types) or (moves and self.in_order)

    def _return_statement(self, node: ast.Return) -> list[ast.stmt]:
        if node.value is None:
            return [*self.leave(node), node]
        value = self.value(node.value, 64 if self.types.integer(node.value).bits == 64 else 32)
        name = self.names.fresh("r")
        kept = [tree.assign(name, value, node), *self.leave(node)]
        return [*kept, tree.replaced(node, value=tree.name(name, node))]

    # branches

    def _if_statement(self, node: ast.If) -> list[ast.stmt]:
        known = self.types.truth(node.test)
        if known is not None:
            if has_effects(node.test, self.types):
                self.keep(self.value(node.test))
            return self.body(node.body if known else node.orelse) or [ast.copy_location(ast.Pass(), node)]
        test = self.condition(node.test)
        branches = []
        for statements in (node.body, node.orelse):
            block = Block(self.block)
            if statements is node.body and node.orelse and not leaves(node.body[-1]):
                self.slots(node, 1, block)  # the jump over the other branch
            out = self.block_of(statements, block)
            branches.append(self.counted(block, out, node))
        self.forget(node)
        return [tree.replaced(node, test=test, body=branches[0], orelse=branches[1])]

    def forget(self, node: ast.stmt) -> None:
        """After a branch or loop, what it assigns or stores has an unknown version."""
        self.names.changed({name for part in ast.walk(node) for name in assigned_names(part)})
        self.names.wrote(self.written_in([node]))

    def written_in(self, statements: list[ast.stmt]) -> frozenset[str]:
        """Kinds of elements that statements store."""
        return frozenset(kind for statement in statements for kind in self.functions.written(statement, self.types))


def _has_inner_effects(node: ast.stmt, types: Types) -> bool:
    """Whether a statement calls a helper in the middle of its expression: what it reads must keep its order."""
    whole = getattr(node, "value", None) or getattr(node, "test", None) or getattr(node, "iter", None)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    parts = [part for tree_of in (whole, *targets) if tree_of is not None for part in ast.walk(tree_of)]
    is_last = not isinstance(node, ast.AugAssign)  # x[i] += f() reads x[i] first
    calls = [part for part in parts if isinstance(part, ast.Call) and not (part is whole and is_last)]
    return any(isinstance(_called(call, types), DpuFunction) for call in calls)


def _called(node: ast.Call, types: Types) -> object:
    called = types.of(node.func)
    return called.value if isinstance(called, Known) else None


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
