"""Slots of expressions, and their source with what measures data-dependent operations put in.

What a compiler would not compute costs nothing: constants, copies, casts that change no bit, values that a register
holds already, and inside a loop what the loop does not change (that is charged in front of it).
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .. import device
from ..counters import Counter
from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..device.log import printf
from ..symbols import WramSymbol
from . import tree
from .device_calls import CLOCK_READERS, DMA_CALLS, IS_ARITHMETIC, arithmetic_cost, call_cost, kind_argument
from .meters import Block, Events, Meters, Place
from .names import ANYTHING, MEASURES, Names, has_effects, kind_of
from .operations import Cost, Routine, divide, multiply, plain, shift
from .types import BUILTINS, Types, is_fixed
from .values import INT, Int, Known, Value, ViewOf

__all__ = ["Counting", "Expressions", "Functions", "Loop"]

Counting = Literal["automatic", "stated"]
"""Whether plain slots are counted, or stated by the author of the block."""

# Published listings: a DMA of variable size first encodes it (3 slots with the address); the next of the same size in
# the block only puts in its address.
ENCODE_SIZE_SLOTS, ENCODE_AGAIN_SLOTS = 3, 1
# cnm listings, dpu-rt: `call` and `return`; at most three argument moves; a frame and a store and load per saved pair.
CALL_SLOTS, MOST_MOVES, FRAME_SLOTS, SAVE_PAIR_SLOTS, MOST_PAIRS = 2, 3, 4, 2, 4
CHOICE_SLOTS = 2  # min, max, abs: compare and branch, move


@dataclass(slots=True)
class Loop:
    """A loop around the place where the analysis stands.

    variable: its index. changes: names that its body assigns. writes: kinds of elements it stores, "*" after a DMA.
    outside: the block in front of it. prelude: statements to put there.
    """

    variable: str | None
    changes: frozenset[str]
    writes: frozenset[str]
    outside: Block
    prelude: list[ast.stmt] = field(default_factory=list)


class Called(Protocol):
    """A function as one call site sees it."""

    name: str
    events: Events
    reads_clock: bool
    is_leaf: bool
    nr_variables: int
    writes: frozenset[str]


class Functions(Protocol):
    """Who knows the functions of a program."""

    meters: Meters

    def called(self, function: DpuFunction, arguments: tuple[Value, ...], *, counting: Counting) -> Called: ...

    def written(self, statement: ast.stmt, types: Types) -> set[str]: ...

    def is_real_call(self, node: ast.Call, types: Types) -> bool: ...

    def reads_clock(self, function: object) -> bool: ...


class Expressions:
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
            (block or self.block).add(Place(self.filename, node.lineno), counter, amount)

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
        place = Place(self.filename, node.lineno)
        return self.tick(self.functions.meters.new({place: {counter: 1}}), number, node)

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
        if key is not None and not isinstance(node, ast.Name) and not self.is_new(f"{key}:{width}", home):
            return self.ordered(node, node)
        if home is not self.block and self.has_product(node) and self.names.read(node) <= self.defined:
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
            elif width == 64 and known.bits < 64 and not isinstance(node, ast.Subscript):
                self.slots(node, 1)  # loads extend for free
        return result

    def has_product(self, node: ast.expr) -> bool:
        """Whether an expression may call a multiply, which a compiler moves out of a loop."""
        return any(isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult) for part in ast.walk(node))

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

    def _name(self, node: ast.Name, width: int, home: Block) -> ast.expr:
        return node

    def _attribute(self, node: ast.Attribute, width: int, home: Block) -> ast.expr:
        return node

    def _tuple(self, node: ast.Tuple, width: int, home: Block) -> ast.expr:
        return tree.replaced(node, elts=[self.value(element) for element in node.elts])

    def _namedexpr(self, node: ast.NamedExpr, width: int, home: Block) -> ast.expr:
        value = self.value(node.value, width)
        self.names.changed({node.target.id})
        return tree.replaced(node, value=value)

    def _unaryop(self, node: ast.UnaryOp, width: int, home: Block) -> ast.expr:
        width = self.width_of(node, width)
        operand = self.operand(node.operand, width)
        if not isinstance(node.op, ast.UAdd):
            self.add(node, plain(width), home)
        return tree.replaced(node, operand=operand)

    def _compare(self, node: ast.Compare, width: int, home: Block) -> ast.expr:
        result = self.compared(node)
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

    def counted(self, block: Block, statements: list[ast.stmt], at: ast.AST) -> list[ast.stmt]:
        """Statements of a block, with its meter in front unless it costs nothing."""
        if not block.events:
            return statements
        meter = self.functions.meters.new(block.events)
        return [self.tick(meter, tree.number(1, at), at), *statements]

    def condition(self, node: ast.expr) -> ast.expr:
        """What a branch tests: an operation fuses with its branch, everything else is compared with zero."""
        if self.types.truth(node) is not None:
            return node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return tree.replaced(node, operand=self.condition(node.operand))
        if isinstance(node, ast.Compare):
            fused = self.fused_with_zero(node)
            if fused is not None:
                return tree.replaced(node, left=self.value(fused))
            result = self.compared(node)
            self.slots(node, plain(self.comparison_width(node)).events[Counter.SLOTS])
            return result
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
        if not isinstance(node, ast.BinOp):
            self.slots(node, 1)
        return result

    def fused_with_zero(self, node: ast.Compare) -> ast.expr | None:
        """The operation of `x & y == 0` and the like, which sets the flags that the branch needs."""
        number = self.types.integer(node.comparators[0])
        alone = len(node.ops) == 1 and isinstance(node.left, ast.BinOp) and number.constant == 0
        cheap = alone and not isinstance(getattr(node.left, "op", None), ast.Mult | ast.FloorDiv | ast.Mod)
        return node.left if cheap and self.types.integer(node.left).bits < 64 else None

    # arithmetic

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
        place = Place(self.filename, node.lineno)
        meter = self.functions.meters.new({place: {routine.variable: 1}}, variable=True)
        a, b = (self.keep(operand) for operand in operands)
        self.measures = True
        amount = self.tick(meter, self.names.measure(routine, a, b, node), node)
        self.before.append(ast.copy_location(ast.If(tree.name(MEASURES, node), [amount], []), node))
        return [tree.name(a, node), tree.name(b, node)]

    # elements

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

    # calls

    def _call(self, node: ast.Call, width: int, home: Block) -> ast.expr:
        if isinstance(node.func, ast.Attribute) and not isinstance(self.types.of(node.func), Known):
            return self.method(node, home)
        owner = self.types.of(node.func.value) if isinstance(node.func, ast.Attribute) else None
        if isinstance(owner, Known) and isinstance(owner.value, WramSymbol):
            return self.method(node, home)
        called = self.types.of(node.func)
        function = called.value if isinstance(called, Known) else None
        if isinstance(function, DpuFunction):
            return self.own(node, function)
        if isinstance(function, IntegerType):
            return self.cast(node, function)
        if function in IS_ARITHMETIC:
            return self.arithmetic(node, IS_ARITHMETIC[function], home)
        if function in DMA_CALLS:
            return self.dma(node, *DMA_CALLS[function])
        if function in BUILTINS:
            return self.builtin(node, function, width, home)
        if function is device.charge or function is device.stated:
            self.state(node)
            return node
        arguments = [self.value(argument) for argument in node.args]
        if function in CLOCK_READERS:
            self.reads_clock = True
        self.add(node, call_cost(function), home)
        if function is printf:
            self.slots(node, CALL_SLOTS + len(arguments))
        return tree.replaced(node, args=arguments)

    def state(self, node: ast.Call) -> None:
        """Count stated slots: a constant, or a number that is added at run time."""
        number = node.args[1]
        known = self.types.integer(number).constant
        if known is not None:
            self.count(node, Counter.STATED, known)
        else:
            self.before.append(self.amount(node, Counter.STATED, number))

    def method(self, node: ast.Call, home: Block) -> ast.expr:
        """`view.window`, `symbol.array`, `.load` and `.store`."""
        assert isinstance(node.func, ast.Attribute)
        arguments = [self.value(argument) for argument in node.args]
        if node.func.attr == "window":
            self.value(node.func.value)
            if self.types.integer(node.args[0]).constant is None:
                self.slots(node, 1, home)  # base + (first << k)
        elif node.func.attr in ("load", "store"):
            self.slots(node, 1)
        if node.func.attr == "store":
            self.store(self.types.of(node.func.value))
        return tree.replaced(node, args=arguments)

    def store(self, target: Value) -> None:
        """An element of a view, or a symbol, gets a new value."""
        kind = kind_of(target)
        self.names.wrote({kind})
        self.writes.add(kind)

    def cast(self, node: ast.Call, kind: IntegerType) -> ast.expr:
        """A cast to 64 bits extends; one to a narrow type costs where the clean value is used (values.Int.clean)."""
        wide = kind.bits == 64
        argument = self.operand(node.args[0], 64) if wide else self.value(node.args[0])
        return tree.replaced(node, args=[argument])

    def arithmetic(self, node: ast.Call, name: str, home: Block) -> ast.expr:
        """`add(int32, a, b)` and the other operators with C's meaning."""
        kind = kind_argument([self.types.of(argument) for argument in node.args])
        if kind is None:
            return node
        width = 64 if kind.bits == 64 else 32
        operands = [self.operand(argument, width) for argument in node.args[1:]]
        cost = arithmetic_cost(name, kind, [self.types.integer(argument) for argument in node.args[1:]])
        self.add(node, cost, home)
        if cost.calls:
            self.is_leaf = False
            self.moves(node, node.args[1:], home)
        if cost.routine is not None:
            operands = self.measured(node, cost.routine, operands)
        return tree.replaced(node, args=[node.args[0], *operands])

    def dma(self, node: ast.Call, transfers: Counter, nbytes: Counter) -> ast.expr:
        """A DMA instruction, the encoding of a variable size, and its bytes."""
        arguments = [self.value(argument) for argument in node.args]
        size = node.args[3]
        known = self.types.integer(size).constant
        self.count(node, transfers, 1)
        if known is not None:
            self.count(node, nbytes, known)
        else:
            first = self.is_new(f"size {transfers} {self.names.key(size, self.types)}", self.block)
            self.slots(node, ENCODE_SIZE_SLOTS if first else ENCODE_AGAIN_SLOTS)
            arguments[3] = tree.name(self.keep(arguments[3]), node)
            self.before.append(self.amount(node, nbytes, arguments[3]))
        self.names.wrote({ANYTHING})
        self.writes.add(ANYTHING)
        return tree.replaced(node, args=arguments)

    def builtin(self, node: ast.Call, function: Any, width: int, home: Block) -> ast.expr:
        """len, min, max, abs, int, bool and range."""
        if function in (min, max, abs):
            width = self.width_of(node, width)
            arguments = [self.operand(argument, width) for argument in node.args]
            self.slots(node, CHOICE_SLOTS * max(1, len(arguments) - 1) * (width // 32), home)
        else:
            arguments = [self.value(argument, width) for argument in node.args]
            if function is bool:
                self.slots(node, 1, home)
        return tree.replaced(node, args=arguments)

    def own(self, node: ast.Call, function: DpuFunction) -> ast.expr:
        """A call of a dpu_function: inlined, or a real call to another translation unit."""
        arguments = [self.value(argument) for argument in node.args]
        known = tuple(self.types.of(argument) for argument in node.args)
        called = self.functions.called(function, known, counting=self.counting)
        self.block.absorb(called.events)
        self.reads_clock |= called.reads_clock
        self.is_leaf &= function.linkage == "static" and called.is_leaf
        if function.linkage == "extern":
            moves = sum(not isinstance(value, Known) for value in known)
            saves = 0 if called.is_leaf else FRAME_SLOTS + SAVE_PAIR_SLOTS * min(MOST_PAIRS, -(-called.nr_variables // 2))
            self.slots(node, CALL_SLOTS + min(MOST_MOVES, moves) + saves)
        self.names.wrote(called.writes)
        self.writes |= called.writes
        return self.names.call(called.name, arguments, node)


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
