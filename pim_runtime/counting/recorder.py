"""The books of one function while it is analysed: which block counts, what registers hold, what comes first.

What a compiler would not compute costs nothing: constants, copies, values that a register holds already, and inside a
loop what the loop does not change (that is charged in front of it).
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator

from ..counters import Counter
from . import tree
from .context import Counting, Functions, Loop
from .meters import Block, Place
from .names import Names, has_effects
from .operations import Cost
from .types import Types, is_fixed

__all__ = ["Recorder"]


class Recorder:
    """The expressions of one function. `block` is being counted, `before` are statements that come first.

    in_order: every value is kept in a variable as soon as it is computed, because a call among them has effects.
    """

    def __init__(self, types: Types, functions: Functions, counting: Counting) -> None:
        self.types, self.functions, self.counting = types, functions, counting
        self.filename = types.source.function.__code__.co_filename
        self.block, self.loops = Block(), list[Loop]()
        self.names, self.before = Names(), list[ast.stmt]()
        self.defined, self.in_order = set(types.source.parameters), False
        self.is_leaf, self.reads_clock, self.measures, self.writes = True, False, False, set[str]()

    # charging

    def add(self, node: ast.AST, cost: Cost, block: Block | None = None) -> None:
        """Count the events of a cost at the line of a node."""
        for counter, amount in cost.events.items():
            self.count(node, counter, amount, block)

    def count(self, node: ast.AST, counter: Counter, amount: int, block: Block | None = None) -> None:
        """Count events; plain slots only where nobody states them."""
        if counter is not Counter.SLOTS or self.counting == "automatic":
            (block or self.block).add(self.place(node), counter, amount)

    def place(self, node: ast.AST) -> Place:
        """The source line of a node."""
        line: int = getattr(node, "lineno", self.types.source.tree.lineno)
        return Place(self.filename, line)

    def slots(self, node: ast.AST, amount: int, block: Block | None = None) -> None:
        """Count plain instructions."""
        self.count(node, Counter.SLOTS, amount, block)

    def home(self, node: ast.expr) -> Block:
        """The block in which a compiler computes a pure expression: in front of all loops that do not change it."""
        block = self.block
        for loop in reversed(self.loops):
            if not self.names.is_fixed_in(node, loop.changes, loop.writes, self.types):
                break
            block = loop.outside
        return block

    def is_new(self, key: str | None, block: Block) -> bool:
        """Whether no register holds a value yet; from now on one does."""
        if key is None:
            return True
        if block.knows(key):
            return False
        block.known.add(key)
        return True

    def amount(self, node: ast.AST, counter: Counter, number: ast.expr) -> ast.stmt:
        """A statement that counts a number only known at run time."""
        return self.tick(self.functions.meters.new({self.place(node): {counter: 1}}), number, node)

    def tick(self, meter: int, amount: ast.expr, at: ast.AST) -> ast.stmt:
        """A statement that adds to a meter: in a variable inside loops, in memory elsewhere."""
        return self.names.collect(meter, amount, at) if self.loops else self.names.add_to(meter, amount, at)

    # expressions

    def value(self, node: ast.expr, width: int = 32) -> ast.expr:
        """Count what computes an expression for a use of `width` bits; gives the expression to run instead."""
        if is_fixed(self.types.of(node)) and not has_effects(node, self.types):
            return node
        key = self.names.key(node, self.types)
        home = self.home(node) if key is not None else self.block
        calls = home is not self.block and has_product(node)
        if calls and not (is_harmless(node) and self.names.read(node) <= self.defined):
            home = self.block
        if key is not None and not isinstance(node, ast.Name) and not self.is_new(f"{key}:{width}", home):
            return self.ordered(node, node)
        if calls and home is not self.block:
            return self.hoisted(node, width, home)
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            return node
        return self.ordered(node, method(node, width, home))

    def ordered(self, node: ast.expr, result: ast.expr) -> ast.expr:
        """Keep a value right away if the order matters."""
        in_order = self.in_order and not isinstance(node, ast.Name | ast.Attribute | ast.Tuple)
        return tree.name(self.keep(result), node) if in_order else result

    def keep(self, value: ast.expr) -> str:
        """Compute a value before the statement; gives its name."""
        name = self.names.fresh("v")
        self.before.append(tree.assign(name, value, value))
        self.defined.add(name)
        return name

    @contextlib.contextmanager
    def aside(self, block: Block) -> Iterator[list[ast.stmt]]:
        """Count into a block of its own; gives the statements that come before what is computed there."""
        outer = self.block, self.before, self.defined
        self.block, self.before, self.defined = block, [], set(self.defined)
        yield self.before
        self.block, self.before, self.defined = outer

    def operand(self, node: ast.expr, width: int) -> ast.expr:
        """As `value`, for an operand that an operation of `width` bits reads in full."""
        result, known = self.value(node, width), self.types.integer(node)
        if known.constant is None and self.types.of(node) == known:
            if not known.clean:
                self.slots(node, 1)  # the mask or sign extension of a narrow value
            elif width == 64 and self.width_of(node, 64) == 32 and not isinstance(node, ast.Subscript):
                self.slots(node, 1)  # loads extend for free, and so does what is computed in 64 bits
        return result

    def hoisted(self, node: ast.expr, width: int, home: Block) -> ast.expr:
        """Compute a product in front of the loop, as the compiler would."""
        outermost = next(i for i, loop in enumerate(self.loops) if loop.outside is home)
        loops = self.loops
        self.loops = loops[:outermost]
        with self.aside(home) as before:
            name = self.keep(getattr(self, f"_{type(node).__name__.lower()}")(node, width, home))
        self.loops = loops
        loops[outermost].prelude += before
        self.defined.add(name)
        return tree.name(name, node)

    def width_of(self, node: ast.expr, width: int) -> int:
        """Width of an operation: 64 bits if its type has them, or if they are used and can be needed."""
        known = self.types.integer(node)
        return 64 if known.bits == 64 or (width == 64 and known.needed_bits > 32) else 32

    def counted(self, block: Block, statements: list[ast.stmt], at: ast.AST) -> list[ast.stmt]:
        """Statements of a block, with its meter in front unless it costs nothing."""
        if not block.events:
            return statements
        meter = self.functions.meters.new(block.events)
        return [self.tick(meter, tree.number(1, at), at), *statements]


def has_product(node: ast.expr) -> bool:
    """Whether an expression may call a multiply, which a compiler moves out of a loop."""
    return any(isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult) for part in ast.walk(node))


def is_harmless(node: ast.expr) -> bool:
    """Whether an expression cannot fault, so that it may run although the loop behind it does not."""
    kinds = (ast.Name, ast.Constant, ast.UnaryOp, ast.BinOp, ast.unaryop, ast.operator, ast.expr_context)
    divides = (ast.FloorDiv, ast.Mod, ast.Pow)
    return all(isinstance(part, kinds) and not isinstance(part, divides) for part in ast.walk(node))
