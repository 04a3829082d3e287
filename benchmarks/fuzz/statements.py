"""Random statements of the kernel language, with their C translation."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pim_runtime.device import IntegerType

from . import terms
from .expressions import Expressions, Pane, Scope
from .terms import KINDS, Term
from .writer import Writer

__all__ = ["MRAM_BYTES", "Statements"]

MRAM_BYTES = 64  # of a tasklet's part of every MRAM array


class Statements(Expressions):
    """Writes statements to `writer`; loops end, and indices stay inside unless `faults` leaves them alone."""

    def __init__(self, random: Random, *, faults: bool, first_line: int) -> None:
        super().__init__(random, faults=faults)
        self.writer = Writer(first_line)

    def variables(self, scope: Scope) -> None:
        """One to three new variables: every scope has some."""
        for _ in range(self.random.randint(1, 3)):
            kind, name = self.random.choice(KINDS), self.fresh("x")
            self.define(name, terms.contained(self.number(scope, 1), kind))
            scope.numbers[name] = kind

    def define(self, name: str, value: Term) -> None:
        """The first assignment of a name."""
        self.writer.both(f"{name} = {value.python}", f"int64_t {name} = {value.c};")

    def block(self, scope: Scope, budget: int) -> None:
        for _ in range(self.random.randint(1, budget + 1)):
            self.statement(scope, budget)

    def statement(self, scope: Scope, budget: int) -> None:
        simple: list[Callable[[Scope, int], None]] = [self.assign, self.assign]
        if any(pane.writable for pane in scope.panes):
            simple += [self.store, self.store, self.update]
        if scope.helpers:
            simple.append(self.call_alone)
        if scope.returns is None:
            simple.append(self.transfer)
        if self.faults:
            simple.append(self.assertion)
        if scope.loops or scope.returns:
            simple.append(self.leave)
        compound = [self.branch, self.counted_loop, self.while_loop, self.narrowed] if budget else []
        self.random.choice(simple + compound)(scope, budget)

    def assign(self, scope: Scope, budget: int) -> None:
        name = self.pick(list(scope.numbers))
        kind = scope.numbers[name]
        value = terms.contained(self.number(scope, 2), kind)
        if self.random.random() < 0.15 and len(scope.numbers) > 1:
            other = self.pick([each for each in scope.numbers if each != name])
            second = terms.contained(self.number(scope, 1), scope.numbers[other])
            c = f"{{ int64_t l_ = {value.c}; int64_t r_ = {second.c}; {name} = l_; {other} = r_; }}"
            self.writer.both(f"{name}, {other} = {value.python}, {second.python}", c)
        elif self.random.random() < 0.2:
            operator = self.random.choice("&|^")
            operand = terms.contained(self.number(scope, 1), kind)
            c = f"{{ int64_t l_ = {name}; int64_t r_ = {operand.c}; {name} = l_ {operator} r_; }}"
            self.writer.both(f"{name} {operator}= {operand.python}", c)
        else:
            self.writer.both(f"{name} = {value.python}", f"{name} = {value.c};")

    def store(self, scope: Scope, budget: int) -> None:
        pane = self.pick([pane for pane in scope.panes if pane.writable])
        index, value = self.index(scope, pane), self.number(scope, 2)
        self.writer.both(
            f"{pane.name}[{index.python}] = {value.python}", self.stored(pane.name, pane.kind, index.c, value)
        )

    @staticmethod
    def stored(name: str, kind: IntegerType, index: str, value: Term) -> str:
        """The value is computed before the index."""
        return f"{{ int64_t r_ = {value.c}; int64_t l_ = {index}; store_{kind}({name}, l_, r_, __LINE__); }}"

    def update(self, scope: Scope, budget: int) -> None:
        """`v[i] += x`; for 64 bits `^=`, which cannot overflow."""
        pane = self.pick([pane for pane in scope.panes if pane.writable])
        index = self.index(scope, pane)
        operator = self.random.choice(("&", "|", "^") if pane.kind.bits == 64 else ("+", "-", "&", "|", "^"))
        value = terms.number(terms.contained(self.number(scope, 1), self.random.choice(KINDS[:3])))
        c = (
            f"{{ int64_t i_ = {index.c}; int64_t l_ = load_{pane.kind}({pane.name}, i_, __LINE__); "
            f"int64_t r_ = {value.c}; store_{pane.kind}({pane.name}, i_, l_ {operator} r_, __LINE__); }}"
        )
        self.writer.both(f"{pane.name}[{index.python}] {operator}= {value.python}", c)

    def call_alone(self, scope: Scope, budget: int) -> None:
        call = self.call(scope)
        self.writer.both(call.python, f"{call.c};")

    def transfer(self, scope: Scope, budget: int) -> None:
        """A DMA between this tasklet's WRAM and its part of `sink`, which begins as zeros."""
        pane = self.pick([pane for pane in scope.panes if pane.writable and pane.aligned])
        nr_bytes = min(pane.length * pane.kind.itemsize, MRAM_BYTES) // 8 * 8
        nr_bytes = 8 * self.random.randint(1, nr_bytes // 8)
        offset = 8 * self.random.randint(0, (MRAM_BYTES - nr_bytes) // 8)
        python, c = (
            f"{{}}.address + {MRAM_BYTES} * tasklet + {offset}",
            f"ADDRESS_{{}} + {MRAM_BYTES} * tasklet + {offset}",
        )
        if self.random.random() < 0.5:
            symbol = self.random.choice(("source", "sink"))
            self.writer.both(
                f"mram_read(t, {python.format(symbol)}, {pane.name}, {nr_bytes})",
                f"mram_read({c.format(symbol)}, {pane.name}, {nr_bytes});",
            )
        else:
            self.writer.both(
                f"mram_write(t, {pane.name}, {python.format('sink')}, {nr_bytes})",
                f"mram_write({pane.name}, {c.format('sink')}, {nr_bytes});",
            )

    def assertion(self, scope: Scope, budget: int) -> None:
        condition = terms.compare("!=", self.whole(self.number(scope, 1)), terms.literal(self.random.randint(-3, 9)))
        self.writer.both(f"assert_that(t, {condition.python})", f"assert_that({condition.c}, __LINE__);")

    def leave(self, scope: Scope, budget: int) -> None:
        """Out of a loop, or out of a helper, on a condition."""
        condition = self.condition(scope, 1)
        ways = (["break", "continue"] if scope.loops else []) + (["return"] if scope.returns else [])
        way = self.random.choice(ways)
        with self.writer.block(f"if {condition.python}:", f"if ({condition.c}) {{"):
            if way == "return":
                assert scope.returns is not None
                result = terms.contained(self.number(scope, 0), scope.returns)
                self.writer.both(f"return {result.python}", f"return {result.c};")
            else:
                self.writer.both(way, f"{way};")

    def branch(self, scope: Scope, budget: int) -> None:
        condition = self.condition(scope, 2)
        alternatives = self.random.choice(("", "else", "elif", "elif else"))
        end = "}" if not alternatives else ""
        with self.writer.block(f"if {condition.python}:", f"if ({condition.c}) {{", end):
            self.block(scope, budget - 1)
        if "elif" in alternatives:
            condition = self.condition(scope, 1)
            with self.writer.block(
                f"elif {condition.python}:",
                f"}} else if ({condition.c}) {{",
                "" if "else" in alternatives.split() else "}",
            ):
                self.block(scope, budget - 1)
        if "else" in alternatives.split():
            with self.writer.block("else:", "} else {"):
                self.block(scope, budget - 1)

    def counted_loop(self, scope: Scope, budget: int) -> None:
        name = self.fresh("i")
        first, step = self.random.randint(-3, 3), self.random.choice((1, 1, 1, 2, 3, -1, -2))
        length = self.random.randint(0, 4)
        last = first + step * length
        bound = terms.literal(last)
        if self.random.random() < 0.4:
            last = first + step * 4
            spread = terms.binary("&", terms.number(self.number(scope, 1)), terms.literal(3))
            bound = terms.binary("+" if step > 0 else "-", terms.literal(first), spread)
        low, high = min(first, last), max(first, last)
        if step == 1 and first == 0 and self.random.random() < 0.8:
            python = f"range({bound.python})"
        elif step == 1:
            python = f"range({first}, {bound.python})"
        else:
            python = f"range({first}, {bound.python}, {step})"
        order = "<" if step > 0 else ">"
        head = (
            f"for (int64_t {name}_ = {first}, {name}_end = {bound.c}, {name}; {name}_ {order} {name}_end; "
            f"{name}_ += {step}) {{ {name} = {name}_; (void){name};"
        )
        with self.writer.block(f"for {name} in {python}:", head):
            self.block(scope.inside(Term(name, name, low, high), loops=1), budget - 1)

    def while_loop(self, scope: Scope, budget: int) -> None:
        name = self.fresh("w")
        self.define(name, terms.binary("&", terms.number(self.number(scope, 1)), terms.literal(3)))
        going = Term(f"{name} > 0", f"{name} > 0")
        if self.random.random() < 0.4:
            more = self.condition(scope, 1)
            going = Term(f"{name} > 0 and {more.python}", f"{name} > 0 && ({more.c})")
        with self.writer.block(f"while {going.python}:", f"while ({going.c}) {{"):
            self.writer.both(f"{name} -= 1", f"{name} -= 1;")
            self.block(scope.inside(Term(name, name, 0, 3), loops=1), budget - 1)

    def narrowed(self, scope: Scope, budget: int) -> None:
        """A window on a view, and a block that uses it."""
        pane, name = self.pick(scope.panes), self.fresh("p")
        length = 1 << self.random.randint(0, (pane.length // 2).bit_length() - 1) if pane.length > 1 else 1
        first = self.guarded(scope, pane.length - length + 1)
        self.writer.both(
            f"{name} = {pane.name}.window({first.python}, {length})",
            f"view {name} = window({pane.name}, {first.c}, {length}, {pane.kind.itemsize}, __LINE__);",
        )
        inner = scope.inside()
        inner.panes = [*scope.panes, *[Pane(name, pane.kind, length, pane.writable)] * 3]
        self.statement(inner, 0)
