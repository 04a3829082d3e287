"""Slots of statements, and the function to run instead: the author's statements with meters between them.

Blocks that run equally often share a meter. A loop's iterations are added when it starts wherever nothing leaves it
early, so that nothing is counted inside and the loop still vectorises.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .. import device
from ..counters import Counter
from ..device.library import DpuFunction
from . import tree
from .device_calls import CLOCK_READERS
from .expressions import Counting, Expressions, Functions, Loop
from .measuring import both_ways
from .meters import Block, Place
from .names import PREFIX
from .operations import slots
from .types import Types, assigned_names, is_fixed
from .values import Int, Known, RangeOf, ViewOf

__all__ = ["Statements"]

# Published listings: a loop by index takes an addition and a compare-and-branch per iteration, one by pointers a
# count-down that branches. The other costs of both forms fall out of the addresses (Expressions.address).
INDEX_LOOP_SLOTS, POINTER_LOOP_SLOTS = 2, 1


class Statements(Expressions):
    """The statements of one function."""

    def __init__(self, types: Types, functions: Functions, counting: Counting) -> None:
        super().__init__(types, functions, counting)
        nodes = list(ast.walk(types.source.tree))
        self.read_names = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        self.read_names |= {n.target.id for n in nodes if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}

    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Count statements that run one after the other in the current block; gives what to run instead."""
        out: list[ast.stmt] = []
        for index, statement in enumerate(statements):
            out += self.statement(statement)
            rest = statements[index + 1 :]
            if rest and _may_leave(statement):
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
        if isinstance(target, ast.Name) and isinstance(self.types.of(target), Int) and is_fixed(self.types.of(node)):
            if not is_fixed(self.types.of(target)):
                self.slots(node, 1)
        width = 64 if self.types.integer(target).bits == 64 else 32
        return self.value(node, width)

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
        """x += y, as x = x + y; an index that does more than compute a value is evaluated once, in front."""
        target, before = node.target, list[ast.stmt]()
        if isinstance(target, ast.Subscript) and self.names.key(target.slice, self.types) is None:
            name = self.names.fresh("a")
            before = [tree.assign(name, self.value(target.slice), node)]
            target = tree.replaced(target, slice=tree.name(name, node))
        operation = ast.BinOp(tree.replaced(target, ctx=ast.Load()), node.op, node.value)
        assignment = ast.Assign([target], ast.copy_location(operation, node))
        return [*before, *self._assign_statement(ast.copy_location(assignment, node))]

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
            return self.body(node.body if known else node.orelse) or [ast.copy_location(ast.Pass(), node)]
        test = self.condition(node.test)
        branches = []
        for statements in (node.body, node.orelse):
            block = Block(self.block)
            if statements is node.body and node.orelse and not _leaves(node.body[-1]):
                block_slots = slots(1)  # the jump over the other branch
                outer, self.block = self.block, block
                self.add(node, block_slots)
                self.block = outer
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

    # loops

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
        statements = self.counted(body, statements, node)
        self.loops.pop()
        self.forget(node)
        if before:  # the test takes statements: they come first in the loop
            stop = ast.If(ast.UnaryOp(ast.Not(), test), [ast.Break()], [])
            statements = [*before, *tree.placed([stop], node), *statements]
            test = tree.number(1, node)
        return self.done([*loop.prelude, tree.replaced(node, test=test, body=statements)], node)

    def done(self, statements: list[ast.stmt], node: ast.stmt) -> list[ast.stmt]:
        """A finished loop; around the outermost one, the variables of its meters."""
        return statements if self.loops else self.names.collected(statements, node)

    def loop(self, variable: str | None, node: ast.For | ast.While) -> Loop:
        """A loop, by what its body changes."""
        names = {name for statement in node.body for part in ast.walk(statement) for name in assigned_names(part)}
        changes = frozenset(names if variable is None else {*names, variable})
        return Loop(variable, changes, self.written_in(node.body), self.block)

    def _for_statement(self, node: ast.For) -> list[ast.stmt]:
        assert isinstance(node.iter, ast.Call) and isinstance(node.target, ast.Name)
        arguments = [self.value(argument) for argument in node.iter.args]
        iterations = self.types.of(node.iter)
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
            body.add(Place(self.filename, node.lineno), Counter.SLOTS, closing)
        statements = self.block_of(node.body, body)
        leaves = any(_may_leave_loop(statement) for statement in node.body)
        if leaves:
            statements = self.counted(body, statements, node)
        self.loops.pop()
        self.forget(node)
        self.names.changed({node.target.id})
        name = self.names.fresh("i")
        made = tree.assign(name, tree.replaced(node.iter, args=arguments), node)
        head = [*loop.prelude, made]
        if count is not None and not leaves:
            self.block.absorb(body.events, count)
        elif body.events and not leaves:
            meter = self.functions.meters.new(body.events)
            length = tree.call("len", [tree.name(name, node)], node)
            head.append(self.tick(meter, length, node))
        replaced = tree.replaced(node, iter=tree.name(name, node), body=statements or node.body)
        return self.done([*head, *both_ways(replaced)], node)

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


def _has_inner_effects(node: ast.stmt, types: Types) -> bool:
    """Whether a simple statement calls a helper in the middle of an expression: what it reads must keep its order."""
    if isinstance(node, ast.For | ast.While):
        return False
    whole = node.test if isinstance(node, ast.If) else getattr(node, "value", None)
    inner = [part for part in ast.walk(whole) if part is not whole] if whole is not None else []
    calls = [part for part in inner if isinstance(part, ast.Call)]
    return any(isinstance(_called(call, types), DpuFunction) for call in calls)


def _called(node: ast.Call, types: Types) -> object:
    called = types.of(node.func)
    return called.value if isinstance(called, Known) else None


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _leaves(node: ast.stmt) -> bool:
    return isinstance(node, ast.Return | ast.Break | ast.Continue)


def _walk_loop(node: ast.stmt) -> Iterator[ast.AST]:
    """Nodes of a statement, without what a `break` or `continue` in there would belong to."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            if isinstance(node, ast.For | ast.While):
                yield from (part for part in _walk_loop(child) if not isinstance(part, ast.Break | ast.Continue))
            else:
                yield from _walk_loop(child)
        else:
            yield from ast.walk(child)


def _may_leave(node: ast.stmt) -> bool:
    """Whether what follows a statement may run less often, or in another phase, than what precedes it."""
    return any(isinstance(part, ast.Return | ast.Break | ast.Continue | ast.Yield) for part in _walk_loop(node))


def _may_leave_loop(node: ast.stmt) -> bool:
    """Whether a statement of a loop's body may end the loop, or begin a phase."""
    return any(isinstance(part, ast.Return | ast.Break | ast.Yield) for part in _walk_loop(node))


