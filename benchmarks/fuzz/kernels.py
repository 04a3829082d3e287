"""Random kernels: small race-free programs of the kernel language with a C translation.

Tasklets meet at barriers. Between two of them a tasklet writes its own memory only and reads what nobody writes: two
arrays take turns, one to be read by all, the other to be written part by part. So any order of the tasklets gives the
same memory. With `faults`, indices and divisors are sometimes left unguarded; then one order gives one result.

Left out because the language promises nothing: results beyond 64 bits (terms.py casts them), shift counts outside 0 to
63, literals beyond 64 bits, variables that were never assigned, fresh heap memory, and a loop variable after its loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from pim_runtime.device import IntegerType, int64

from . import terms
from .terms import KINDS, LARGEST, SMALLEST, Term
from .writer import Writer

__all__ = ["ELEMENTS", "HEAD", "RandomKernel", "random_kernel"]

ELEMENTS = 8  # of a tasklet's part of every array
MRAM_BYTES = 64  # of a tasklet's part of every MRAM array
HEAD = """\
from pim_runtime import DpuProgram
from pim_runtime.device import *

program = DpuProgram("random_kernel", nr_tasklets={nr_tasklets}, stack_bytes=512)
source = program.mram_noinit("source", int64, {mram_elements})
sink = program.mram_noinit("sink", int64, {mram_elements})
{arrays}
common = program.host("common", int64, 1)
steps = program.host("steps", int64, 1)
ready, lock = program.barrier("ready"), program.mutex("lock")
"""
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


@dataclass(frozen=True, slots=True)
class RandomKernel:
    """A module that defines `program`, and its C translation, to be put behind the prelude and the addresses."""

    python: str
    c: str
    nr_tasklets: int
    may_fault: bool


def random_kernel(random: Random, *, nr_helpers: int = 3, faults: bool = False) -> RandomKernel:
    """A kernel of a few phases with `nr_helpers` helpers; `random` decides everything else."""
    return _Author(random, nr_helpers, faults).kernel()


class _Author:
    def __init__(self, random: Random, nr_helpers: int, faults: bool) -> None:
        self.random, self.nr_helpers, self.faults = random, nr_helpers, faults
        self.nr_tasklets = random.choice((1, 2, 3, 8))
        self.kinds = random.sample(KINDS, random.randint(2, 4))
        self.names = 0

    # the program

    def kernel(self) -> RandomKernel:
        n = self.nr_tasklets
        arrays = [f'own_{kind} = program.host("own_{kind}", {kind}, {ELEMENTS * n})' for kind in self.kinds]
        arrays += [f'{name} = program.host("{name}", {self.kinds[0]}, {ELEMENTS * n})' for name in ("ping", "pong")]
        arrays += [f'given_{kind} = program.host("given_{kind}", {kind}, {2 * ELEMENTS})' for kind in self.kinds]
        head = HEAD.format(nr_tasklets=n, mram_elements=MRAM_BYTES // 8 * n, arrays="\n".join(arrays))
        self.writer = Writer(head.count("\n"))
        helpers: list[Helper] = []
        for number in range(self.nr_helpers):
            helpers.append(self.helper(f"helper_{number}", helpers))
        with self.writer.function("@program.kernel\ndef kernel(t):", "static void kernel(int64_t me) {"):
            self.body(helpers)
        return RandomKernel(head + "\n".join(self.writer.python) + "\n", "\n".join(self.writer.c), n, self.faults)

    def helper(self, name: str, helpers: Sequence[Helper]) -> Helper:
        panes = tuple(
            Pane(f"v{i}", self.random.choice(self.kinds), ELEMENTS, self.random.random() < 0.7)
            for i in range(self.random.randint(1, 2))
        )
        kinds = tuple(self.random.choice(KINDS) for _ in range(self.random.randint(0, 2)))
        helper = Helper(name, panes, kinds, self.random.choice(KINDS))
        scope = Scope(panes=list(panes), helpers=list(helpers), returns=helper.result)
        scope.numbers = {f"n{i}": kind for i, kind in enumerate(kinds)}
        names = [*(pane.name for pane in panes), *scope.numbers]
        parameters = [*(f"view {pane.name}" for pane in panes), *(f"int64_t {name}" for name in scope.numbers)]
        mark = self.random.choice(("@dpu_function", "@dpu_function", "@extern_function"))
        head = f"{mark}\ndef {name}(t, {', '.join(names)}):"
        with self.writer.function(head, f"static int64_t {name}(int64_t me, {', '.join(parameters)}) {{"):
            self.variables(scope)
            self.block(scope, 2)
            result = terms.contained(self.number(scope, 2), helper.result)
            self.writer.both(f"return {result.python}", f"return {result.c};")
        return helper

    def body(self, helpers: list[Helper]) -> None:
        writer, scope = self.writer, Scope(helpers=helpers)
        with writer.block("if me(t) == 0:", "if (me == 0) {"):
            writer.both("mem_reset(t)", ";")
        self.wait()
        self.define("tasklet", Term("me(t)", "me", 0, self.nr_tasklets - 1))
        scope.counters.append(Term("tasklet", "tasklet", 0, self.nr_tasklets - 1))
        mine = Term(f"{ELEMENTS} * tasklet", f"{ELEMENTS} * tasklet")
        for kind in self.kinds:
            self.view(scope, f"own_{kind}", kind, mine, writable=True)
            self.view(scope, f"given_{kind}", kind, None, writable=False)
        pages = {name: Pane(f"{name}_all", self.kinds[0], ELEMENTS * self.nr_tasklets, False) for name in ("ping", "pong")}
        for name in pages:
            self.view(Scope(), name, self.kinds[0], None, writable=False)
            self.view(Scope(), name, self.kinds[0], mine, writable=True)
        if self.random.random() < 0.6:
            self.heap(scope)
        self.variables(scope)
        common = scope.panes
        for phase in range(self.random.randint(1, 3)):
            read, written = ("ping", "pong") if phase % 2 == 0 else ("pong", "ping")
            own = Pane(f"{written}_own", self.kinds[0], ELEMENTS, True, aligned=True)
            scope.panes = [*common, pages[read], own]
            if self.random.random() < 0.25:
                back = Pane(f"{read}_own", self.kinds[0], ELEMENTS, True, aligned=True)
                self.phases_in_a_loop(scope, [*common, pages[written], back])
            self.block(scope, 2)
            if self.random.random() < 0.3:
                self.locked(scope)
            self.wait()
        scope.panes = common
        own_number = terms.contained(self.number(scope, 1), self.kinds[0])
        writer.both(f"own_{self.kinds[0]}_own[0] = {own_number.python}", self.stored(f"own_{self.kinds[0]}_own", self.kinds[0], "0", own_number))

    def phases_in_a_loop(self, scope: Scope, other_way: list[Pane]) -> None:
        """Two barriers inside a loop that all tasklets take equally often; between them the arrays take turns."""
        name = self.fresh("s")
        times, c_times = self.random.choice((("2", "2"), ("steps.load(t) & 1", f"load_int64({_symbol('steps')}, 0, 0) & 1")))
        head = f"for (int64_t {name}_ = 0, {name}; {name}_ < ({c_times}); {name}_++) {{ {name} = {name}_;"
        with self.writer.block(f"for {name} in range({times}):", head):
            inner = scope.inside(Term(name, name, 0, 1))
            self.block(inner, 1)
            self.wait()
            inner.panes = other_way
            self.block(inner, 1)
            self.wait()

    def wait(self) -> None:
        self.writer.both("yield barrier_wait(t, ready)", "barrier_wait();")

    def locked(self, scope: Scope) -> None:
        """Add to the common number: in any order of tasklets the same sum."""
        amount, common = self.number(scope, 1), _symbol("common")
        self.writer.both("yield mutex_lock(t, lock)", "pause_here();")
        self.writer.both(
            f"common.store(t, int64(common.load(t) + {amount.python}))",
            f"{{ int64_t l_ = load_int64({common}, 0, 0); l_ += {amount.c}; store_int64({common}, 0, l_, 0); }}",
        )
        self.writer.both("mutex_unlock(t, lock)", ";")

    def view(self, scope: Scope, symbol: str, kind: IntegerType, first: Term | None, *, writable: bool) -> None:
        """A view of a whole array, or of this tasklet's part."""
        name = f"{symbol}_all" if first is None else f"{symbol}_own"
        length = ELEMENTS * (2 if symbol.startswith("given") else self.nr_tasklets) if first is None else ELEMENTS
        python, c = f"{symbol}.array(t)", f"wram_view(ADDRESS_{symbol}, LENGTH_{symbol})"
        if first is not None:
            python += f".window({first.python}, {ELEMENTS})"
            c = f"window({c}, {first.c}, {ELEMENTS}, {kind.itemsize}, __LINE__)"
        self.writer.both(f"{name} = {python}", f"view {name} = {c};")
        scope.panes.append(Pane(name, kind, length, writable, aligned=True))

    def heap(self, scope: Scope) -> None:
        """A block of the heap, filled from MRAM."""
        kind, name = self.random.choice(KINDS), self.fresh("heap")
        length = MRAM_BYTES // kind.itemsize
        self.writer.both(f"{name} = mem_alloc(t, {kind}, {length})", f"view {name} = mem_alloc({length}, {kind.itemsize});")
        self.writer.both(
            f"mram_read(t, source.address + {MRAM_BYTES} * tasklet, {name}, {MRAM_BYTES})",
            f"mram_read(ADDRESS_source + {MRAM_BYTES} * tasklet, {name}, {MRAM_BYTES});",
        )
        scope.panes.append(Pane(name, kind, length, True, aligned=True))

    def variables(self, scope: Scope) -> None:
        for _ in range(self.random.randint(1, 3)):
            kind, name = self.random.choice(KINDS), self.fresh("x")
            self.define(name, terms.contained(self.number(scope, 1), kind))
            scope.numbers[name] = kind

    def define(self, name: str, value: Term) -> None:
        self.writer.both(f"{name} = {value.python}", f"int64_t {name} = {value.c};")

    # statements

    def block(self, scope: Scope, budget: int) -> None:
        for _ in range(self.random.randint(1, budget + 1)):
            self.statement(scope, budget)

    def statement(self, scope: Scope, budget: int) -> None:
        simple: list[Callable[[Scope, int], None]] = [self.assign, self.assign, self.store, self.store, self.update]
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
        pane = self.pick([pane for pane in scope.panes if pane.writable] or [None])
        if pane is None:
            return self.assign(scope, budget)
        index, value = self.index(scope, pane), self.number(scope, 2)
        value = self.whole(value)
        self.writer.both(f"{pane.name}[{index.python}] = {value.python}", self.stored(pane.name, pane.kind, index.c, value))

    @staticmethod
    def stored(name: str, kind: IntegerType, index: str, value: Term) -> str:
        """The value is computed before the index."""
        return f"{{ int64_t r_ = {value.c}; int64_t l_ = {index}; store_{kind}({name}, l_, r_, __LINE__); }}"

    def update(self, scope: Scope, budget: int) -> None:
        """`v[i] += x`; for 64 bits `^=`, which cannot overflow."""
        pane = self.pick([pane for pane in scope.panes if pane.writable] or [None])
        if pane is None:
            return self.assign(scope, budget)
        index = self.index(scope, pane)
        operator = self.random.choice(("&", "|", "^") if pane.kind.bits == 64 else ("+", "-", "&", "|", "^"))
        value = terms.number(terms.contained(self.number(scope, 1), self.random.choice(KINDS[:3])))
        c = (
            f"{{ int64_t i_ = {index.c}; int64_t l_ = load_{pane.kind}({pane.name}, i_, __LINE__); "
            f"int64_t r_ = {value.c}; store_{pane.kind}({pane.name}, i_, l_ {operator} r_, __LINE__); }}"
        )
        self.writer.both(f"{pane.name}[{index.python}] {operator}= {value.python}", c)
        return None

    def call_alone(self, scope: Scope, budget: int) -> None:
        call = self.call(scope)
        self.writer.both(call.python, f"{call.c};")

    def transfer(self, scope: Scope, budget: int) -> None:
        """A DMA between this tasklet's WRAM and its part of `sink`, which begins as zeros."""
        panes = [pane for pane in scope.panes if pane.writable and pane.aligned]
        pane = self.pick(panes or [None])
        if pane is None:
            return self.assign(scope, budget)
        nr_bytes = min(pane.length * pane.kind.itemsize, MRAM_BYTES) // 8 * 8
        nr_bytes = 8 * self.random.randint(1, nr_bytes // 8)
        offset = 8 * self.random.randint(0, (MRAM_BYTES - nr_bytes) // 8)
        python, c = (f"{{}}.address + {MRAM_BYTES} * tasklet + {offset}", f"ADDRESS_{{}} + {MRAM_BYTES} * tasklet + {offset}")
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
        return None

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
            # In C the condition of an `else if` is on the line of the first: a block of its own keeps its number.
            with self.writer.block(f"elif {condition.python}:", f"}} else if ({condition.c}) {{", "" if "else" in alternatives.split() else "}"):
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
        variable = Term(self.pick(list(scope.numbers)), "", SMALLEST, LARGEST)
        # Never a constant: numba cannot compile a generator with a loop that it finds to be dead.
        mixed = terms.binary("^", terms.number(self.number(scope, 1)), replace(variable, c=variable.python))
        self.define(name, terms.binary("&", mixed, terms.literal(3)))
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

    # expressions

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
            value = self.random.choice((self.random.randint(-9, 99), *(self.random.choice((1, -1)) * edge for edge in EDGES)))
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
        return terms.binary("&", terms.number(self.number(scope, depth)), terms.literal(self.random.choice((7, 31, 63))))

    def divisor(self, scope: Scope, depth: int) -> Term:
        if self.faults and self.random.random() < 0.3:
            return self.number(scope, depth)
        if self.random.random() < 0.5:
            value = self.random.choice((1, 2, 3, 4, 7, 8, 10, 1000, 1 << 31, LARGEST))
            return terms.literal(self.random.choice((value, -value)))
        return terms.binary("|", terms.number(self.number(scope, depth)), terms.literal(1))

    def whole(self, term: Term) -> Term:
        """The term inside 64 bits."""
        if terms.fits(term, SMALLEST, LARGEST):
            return term
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
            choices = [
                [pane for pane in scope.panes if _serves(pane, wanted)] for wanted in helper.panes
            ]
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

    # choosing

    def pick(self, choices: Sequence[Choice]) -> Choice:
        return self.random.choice(choices)

    def fresh(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"


def _serves(pane: Pane, wanted: Pane) -> bool:
    return pane.kind == wanted.kind and pane.length >= wanted.length and (pane.writable or not wanted.writable)


def _symbol(name: str) -> str:
    return f"wram_view(ADDRESS_{name}, LENGTH_{name})"
