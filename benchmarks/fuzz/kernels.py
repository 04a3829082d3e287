"""Random kernels: small race-free programs of the kernel language with a C translation.

Tasklets meet at barriers. Between two of them a tasklet writes its own memory only and reads what nobody writes: two
arrays take turns, one to be read by all, the other to be written part by part. So any order of the tasklets gives the
same memory. With `faults`, indices and divisors are sometimes left unguarded; then one order gives one result.

Left out because the language promises nothing: results beyond 64 bits (terms.py casts them), shift counts outside 0 to
63, constants beyond 64 bits, variables that were never assigned, fresh heap memory, and a loop variable after its loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pim_runtime.device import IntegerType

from . import terms
from .expressions import Helper, Pane, Scope
from .statements import MRAM_BYTES, Statements
from .terms import KINDS, Term

__all__ = ["RandomKernel", "random_kernel"]

ELEMENTS = 8  # of a tasklet's part of every array
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


class _Author(Statements):
    def __init__(self, random: Random, nr_helpers: int, faults: bool) -> None:
        self.nr_helpers, self.nr_tasklets = nr_helpers, random.choice((1, 2, 3, 8))
        self.kinds = random.sample(KINDS, random.randint(2, 4))
        self.head = _head(self.nr_tasklets, self.kinds)
        super().__init__(random, faults=faults, first_line=self.head.count("\n"))

    def kernel(self) -> RandomKernel:
        helpers: list[Helper] = []
        for number in range(self.nr_helpers):
            helpers.append(self.helper(f"helper_{number}", helpers))
        with self.writer.function("@program.kernel\ndef kernel(t):", "static void kernel(int64_t me) {"):
            self.body(helpers)
        python = self.head + "\n".join(self.writer.python) + "\n"
        return RandomKernel(python, "\n".join(self.writer.c), self.nr_tasklets, self.faults)

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
        pages = {
            name: Pane(f"{name}_all", self.kinds[0], ELEMENTS * self.nr_tasklets, False) for name in ("ping", "pong")
        }
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
        writer.both(
            f"own_{self.kinds[0]}_own[0] = {own_number.python}",
            self.stored(f"own_{self.kinds[0]}_own", self.kinds[0], "0", own_number),
        )

    def phases_in_a_loop(self, scope: Scope, other_way: list[Pane]) -> None:
        """Two barriers inside a loop that all tasklets take equally often; between them the arrays take turns."""
        name = self.fresh("s")
        times, c_times = self.random.choice(
            (("2", "2"), ("steps.load(t) & 1", f"load_int64({_symbol('steps')}, 0, 0) & 1"))
        )
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
        self.writer.both(
            f"{name} = mem_alloc(t, {kind}, {length})", f"view {name} = mem_alloc({length}, {kind.itemsize});"
        )
        self.writer.both(
            f"mram_read(t, source.address + {MRAM_BYTES} * tasklet, {name}, {MRAM_BYTES})",
            f"mram_read(ADDRESS_source + {MRAM_BYTES} * tasklet, {name}, {MRAM_BYTES});",
        )
        scope.panes.append(Pane(name, kind, length, True, aligned=True))


def _head(nr_tasklets: int, kinds: Sequence[IntegerType]) -> str:
    """The declarations: arrays of every type, whole or in parts, two that take turns, and memory in MRAM."""
    n = nr_tasklets
    arrays = [f'own_{kind} = program.host("own_{kind}", {kind}, {ELEMENTS * n})' for kind in kinds]
    arrays += [f'{name} = program.host("{name}", {kinds[0]}, {ELEMENTS * n})' for name in ("ping", "pong")]
    arrays += [f'given_{kind} = program.host("given_{kind}", {kind}, {2 * ELEMENTS})' for kind in kinds]
    return HEAD.format(nr_tasklets=n, mram_elements=MRAM_BYTES // 8 * n, arrays="\n".join(arrays))


def _symbol(name: str) -> str:
    return f"wram_view(ADDRESS_{name}, LENGTH_{name})"
