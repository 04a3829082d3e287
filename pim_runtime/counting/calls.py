"""Slots of calls: the device library, casts, builtins, DMAs, and functions of the kernel's author."""

from __future__ import annotations

import ast
from typing import Any

from .. import device
from ..counters import Counter
from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..device.log import printf
from ..symbols import WramSymbol
from . import tree
from .device_calls import CLOCK_READERS, DMA_CALLS, IS_ARITHMETIC, arithmetic_cost, call_cost, kind_argument
from .elements import Elements
from .folding import BUILTINS
from .meters import Block
from .names import ANYTHING
from .values import Known

__all__ = ["Expressions"]

# Published listings: a DMA of variable size first encodes it (3 slots with the address); the next of the same size in
# the block only puts in its address.
ENCODE_SIZE_SLOTS, ENCODE_AGAIN_SLOTS = 3, 1
# cnm listings, dpu-rt: `call` and `return`; at most three argument moves; a frame and a store and load per saved pair.
CALL_SLOTS, MOST_MOVES, FRAME_SLOTS, SAVE_PAIR_SLOTS, MOST_PAIRS = 2, 3, 4, 2, 4
CHOICE_SLOTS = 2  # min, max, abs: compare and branch, move


class Expressions(Elements):
    """All expressions of one function: operators, choices, elements and calls."""

    def _name(self, node: ast.Name, width: int, home: Block) -> ast.expr:
        return node

    def _attribute(self, node: ast.Attribute, width: int, home: Block) -> ast.expr:
        return tree.replaced(node, value=self.value(node.value))

    def _tuple(self, node: ast.Tuple, width: int, home: Block) -> ast.expr:
        return tree.replaced(node, elts=[self.value(element) for element in node.elts])

    def _namedexpr(self, node: ast.NamedExpr, width: int, home: Block) -> ast.expr:
        value = self.value(node.value, width)
        self.names.changed({node.target.id})
        return tree.replaced(node, value=value)

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
            return self.state(node)
        arguments = [self.value(argument) for argument in node.args]
        if function in CLOCK_READERS:
            self.reads_clock = True
        self.add(node, call_cost(function), home)
        if function is printf:
            self.slots(node, CALL_SLOTS + len(arguments))
        return tree.replaced(node, args=arguments)

    def state(self, node: ast.Call) -> ast.expr:
        """Count stated slots: a constant, or a number that is known at run time and costs nothing itself."""
        t, number = node.args
        known = self.types.integer(number).constant
        if known is not None:
            self.count(node, Counter.STATED, known)
            return node
        slots = tree.name(self.keep(number), node)
        self.before.append(self.amount(node, Counter.STATED, slots))
        return tree.replaced(node, args=[t, slots])

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
                self.slots(node, self.words(node.args[0]), home)
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
            pairs = min(MOST_PAIRS, -(-called.nr_variables // 2))
            saves = 0 if called.is_leaf else FRAME_SLOTS + SAVE_PAIR_SLOTS * pairs
            self.slots(node, CALL_SLOTS + min(MOST_MOVES, moves) + saves)
        self.names.wrote(called.writes)
        self.writes |= called.writes
        return self.names.call(called.name, arguments, node)
