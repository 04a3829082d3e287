"""Random expressions of the kernel language, over the variables, views and helpers in scope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from pim_runtime.device import IntegerType, int64

from . import terms
from .terms import KINDS, LARGEST, SMALLEST, Term

__all__ = ["Expressions", "Helper", "Pane", "Scope"]

EDGES = (0, 1, 2, 3, 5, 7, 8, 31, 32, 63, 64, 100, 127, 128, 255, 256, 32767, 32768, 65535, 1 << 31, (1 << 32) - 1)
OPERATORS = ("+", "-", "*", "&", "|", "^", "+", "-", "*", "<<", ">>", "//", "%")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Pane:
    """A view in scope: at least `length` elements; `aligned` where it begins at a multiple of 8 bytes for sure."""

    name: str
    kind: IntegerType
    length: int
    writable: bool
    aligned: bool = False


@dataclass(frozen=True, slots=True)
class Helper:
    """A @dpu_function(t, views..., numbers...) that returns a number."""

    name: str
    panes: tuple[Pane, ...]
    kinds: tuple[IntegerType, ...]
    result: IntegerType


@dataclass(slots=True)
class Scope:
    """What a statement may use. `loops` counts the loops around it, `returns` says what a helper gives back."""

    numbers: dict[str, IntegerType] = field(default_factory=dict)
    counters: list[Term] = field(default_factory=list)
    panes: list[Pane] = field(default_factory=list)
    helpers: list[Helper] = field(default_factory=list)
    loops: int = 0
    returns: IntegerType | None = None

    def inside(self, *counters: Term, loops: int = 0) -> Scope:
        """The scope of a block."""
        return replace(self, counters=[*self.counters, *counters], loops=self.loops + loops)


class Expressions:
    """Writes expressions inside 64 bits. With `faults`, some indices and divisors are unguarded."""

    def __init__(self, random: Random, *, faults: bool) -> None:
        self.random, self.faults = random, faults
        self.names = 0

    def number(self, scope: Scope, depth: int) -> Term:
        """An expression inside 64 bits."""
        if depth == 0:
            return self.leaf(scope)
        ways = [self.leaf, self.operation, self.operation, self.element, self.converted, self.arithmetic, self.choice]
        ways += [self.condition, self.extreme, self.sign]
        if scope.helpers:
            ways.append(lambda scope, depth: self.call(scope))
        term: Term = self.random.choice(ways)(scope, depth - 1)
        return term

    def leaf(self, scope: Scope, depth: int = 0) -> Term:
        numbers = [Term(name, name, *terms.range_of(kind)) for name, kind in scope.numbers.items()]
        leaves = numbers * 2 + scope.counters
        if not leaves or self.random.random() < 0.3:
            value = self.random.choice(
                (self.random.randint(-9, 99), *(self.random.choice((1, -1)) * edge for edge in EDGES))
            )
            return terms.literal(self.random.choice((value, value, value, SMALLEST, LARGEST)) if depth else value)
        return self.random.choice(leaves)

    def operation(self, scope: Scope, depth: int) -> Term:
        operator = self.random.choice(OPERATORS)
        left = self.number(scope, depth)
        if operator in ("<<", ">>"):
            right = self.shift_count(scope, depth)
        elif operator in ("//", "%"):
            right = self.divisor(scope, depth)
        else:
            right = self.number(scope, depth)
        return self.whole(terms.binary(operator, left, right))

    def shift_count(self, scope: Scope, depth: int) -> Term:
        if self.random.random() < 0.5:
            return terms.literal(self.random.randint(0, 63))
        return terms.binary(
            "&", terms.number(self.number(scope, depth)), terms.literal(self.random.choice((7, 31, 63)))
        )

    def divisor(self, scope: Scope, depth: int) -> Term:
        if self.faults and self.random.random() < 0.3:
            return self.number(scope, depth)
        if self.random.random() < 0.5:
            value = self.random.choice((1, 2, 3, 4, 7, 8, 10, 1000, 1 << 31, LARGEST))
            return terms.literal(self.random.choice((value, -value)))
        return terms.binary("|", terms.number(self.number(scope, depth)), terms.literal(1))

    def whole(self, term: Term) -> Term:
        """The term inside 64 bits. A constant is wrapped here: Python folds it, and refused is what is too large."""
        if terms.fits(term, SMALLEST, LARGEST):
            return term
        if term.low == term.high:
            return terms.literal(int64(term.low))
        return terms.cast(self.random.choice((int64, int64, int64, *KINDS)), term)

    def sign(self, scope: Scope, depth: int) -> Term:
        return self.whole(terms.unary(self.random.choice(("-", "~", "abs", "not")), self.number(scope, depth)))

    def converted(self, scope: Scope, depth: int) -> Term:
        return terms.cast(self.random.choice(KINDS), self.number(scope, depth))

    def choice(self, scope: Scope, depth: int) -> Term:
        return terms.choose(self.condition(scope, depth), self.number(scope, depth), self.number(scope, depth))

    def extreme(self, scope: Scope, depth: int) -> Term:
        return terms.extreme(self.random.choice(("min", "max")), self.number(scope, depth), self.number(scope, depth))

    def arithmetic(self, scope: Scope, depth: int) -> Term:
        name = self.random.choice(("add", "sub", "mul", "less", "shl", "shr", "div", "rem", "neg", "clz", "popcount"))
        kind, a = self.random.choice(KINDS), self.number(scope, depth)
        if name in ("neg", "clz", "popcount"):
            return terms.arithmetic(name, kind, a)
        if name in ("div", "rem"):
            return terms.arithmetic(name, kind, a, self.divisor_of(scope, depth, kind))
        return terms.arithmetic(name, kind, a, self.number(scope, depth))

    def divisor_of(self, scope: Scope, depth: int, kind: IntegerType) -> Term:
        """Not zero in the type: its lowest bit is set."""
        if self.faults and self.random.random() < 0.3:
            return self.number(scope, depth)
        return terms.binary("|", terms.number(self.number(scope, depth)), terms.literal(1))

    def condition(self, scope: Scope, depth: int) -> Term:
        if depth <= 0:
            return terms.compare(self.random.choice(COMPARISONS), self.leaf(scope), self.leaf(scope))
        one = self.number
        ways: list[Callable[[], Term]] = [
            lambda: terms.compare(self.random.choice(COMPARISONS), one(scope, depth - 1), one(scope, depth - 1)),
            lambda: terms.all_or_any(
                self.random.choice(("and", "or")), self.condition(scope, depth - 1), self.condition(scope, depth - 1)
            ),
            lambda: terms.all_or_any(self.random.choice(("and", "or")), one(scope, depth - 1), one(scope, depth - 1)),
            lambda: terms.unary("not", self.condition(scope, depth - 1)),
            lambda: terms.chain(
                (self.random.choice(COMPARISONS), self.random.choice(COMPARISONS)),
                one(scope, 0), one(scope, depth - 1), one(scope, 0),
            ),
            lambda: one(scope, depth - 1),
        ]  # fmt: skip
        return self.random.choice(ways)()

    def element(self, scope: Scope, depth: int) -> Term:
        if not scope.panes:
            return self.leaf(scope)
        pane = self.pick(scope.panes)
        if self.random.random() < 0.05:
            return Term(f"len({pane.name})", f"{pane.name}.length", 0, 1 << 16)
        index = self.index(scope, pane)
        c = f"load_{pane.kind}({pane.name}, {index.c}, __LINE__)"
        return Term(f"{pane.name}[{index.python}]", c, *terms.range_of(pane.kind))

    def index(self, scope: Scope, pane: Pane) -> Term:
        if self.faults and self.random.random() < 0.05:
            return terms.number(self.number(scope, 1))
        return self.guarded(scope, pane.length)

    def guarded(self, scope: Scope, length: int) -> Term:
        """A number from 0 to length - 1."""
        counters = [counter for counter in scope.counters if terms.fits(counter, 0, length - 1)]
        way = self.random.random()
        if counters and way < 0.4:
            return self.random.choice(counters)
        if way < 0.6:
            return terms.literal(self.random.randint(0, length - 1))
        inner = terms.number(self.number(scope, 1))
        if length & (length - 1) == 0 and way < 0.9:
            return terms.binary("&", inner, terms.literal(length - 1))
        return terms.binary("%", inner, terms.literal(length))

    def call(self, scope: Scope) -> Term:
        """A call of a helper; views go where their type and length do, and what may not be written stays unwritten."""
        fitting = []
        for helper in scope.helpers:
            choices = [[pane for pane in scope.panes if _serves(pane, wanted)] for wanted in helper.panes]
            if all(choices):
                fitting.append((helper, choices))
        if not fitting:
            return self.leaf(scope)
        helper, choices = self.random.choice(fitting)
        panes = [self.random.choice(panes).name for panes in choices]
        numbers = [terms.contained(self.number(scope, 1), kind) for kind in helper.kinds]
        python = ", ".join(["t", *panes, *(each.python for each in numbers)])
        values = "".join(f"int64_t a{i}_ = {each.c}; " for i, each in enumerate(numbers))
        c = ", ".join(["me", *panes, *(f"a{i}_" for i in range(len(numbers)))])
        return Term(f"{helper.name}({python})", f"({{ {values}{helper.name}({c}); }})", *terms.range_of(helper.result))

    def pick(self, choices: Sequence[Choice]) -> Choice:
        return self.random.choice(choices)

    def fresh(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"


def _serves(pane: Pane, wanted: Pane) -> bool:
    return pane.kind == wanted.kind and pane.length >= wanted.length and (pane.writable or not wanted.writable)
