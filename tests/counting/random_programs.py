"""Random kernels, and what they do according to CPython alone: the oracle for counted ones.

A kernel works on NR_NUMBERS cells. Blocks charge slots, so that the oracle knows how often each line ran; helpers have
effects, so that the order of evaluation shows in the cells.
"""

from __future__ import annotations

import sys
from collections import Counter as Tally
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace

__all__ = ["NR_NUMBERS", "Trace", "random_program", "traced"]

NR_NUMBERS = 16
HEAD = f"""\
from pim_runtime import DpuProgram
from pim_runtime.device import barrier_wait, charge, div, dpu_function, extern_function, int32

program = DpuProgram("random")
numbers = program.host("numbers", int32, {NR_NUMBERS})
alone = program.barrier("alone")


@dpu_function
def bump(t, v, i, amount):
    charge(t, 1)
    v[i] = (v[i] * 3 + amount) % 512
    return v[i] - 200


@dpu_function
def part(t, v, i):
    v[0] += 1
    return div(int32, v[i] + v[0], 3)


@extern_function
def count_down(t, v, n):
    while n > 0:
        charge(t, 2)
        if v[n & 15] > 100:
            return n
        n -= 1
    return bump(t, v, 3, n)


@program.kernel
def kernel(t):
    v = numbers.array(t)
    a, b, c = v[1], v[2], v[3]
"""


class _Writer:
    """Writes statements of a kernel whose variables a, b, c stay within 11 bits."""

    def __init__(self, random: Random) -> None:
        self.random, self.lines, self.indices, self.loops, self.names = random, list[str](), list[str](), 0, 0

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def block(self, depth: int, budget: int) -> None:
        self.line(depth, f"charge(t, {self.random.randint(1, 9)})")
        for _ in range(self.random.randint(1, max(1, budget))):
            self.statement(depth, budget - 1)

    def statement(self, depth: int, budget: int) -> None:
        compound = (self.branch, self.counted_loop, self.while_loop) if budget > 0 else ()
        leaving = (self.leaving,) if self.loops or self.random.random() < 0.1 else ()
        simple = (self.assignment, self.assignment, self.store, self.charge, self.waiting)
        self.random.choice((*simple, *compound, *leaving))(depth, budget)

    def assignment(self, depth: int, budget: int) -> None:
        name = self.random.choice("abc")
        if self.random.random() < 0.2:
            other = self.random.choice("abc".replace(name, ""))
            self.line(depth, f"{name}, {other} = ({self.number(1)}) % 512, {name}")
        else:
            self.line(depth, f"{name} = ({self.number(2)}) % 1024 - 500")

    def store(self, depth: int, budget: int) -> None:
        index = f"v[({self.number(1)}) & 15]"
        if self.random.random() < 0.5:
            self.line(depth, f"{index} = ({self.number(2)}) % 1024")
        else:
            self.line(depth, f"v[({self.number(0)}) & 15] += ({self.number(1)}) & 7")

    def charge(self, depth: int, budget: int) -> None:
        self.line(depth, f"charge(t, ({self.number(0)}) & 15)")  # what the number itself takes is not counted

    def waiting(self, depth: int, budget: int) -> None:
        if self.random.random() < 0.4:
            self.line(depth, "yield barrier_wait(t, alone)")
        else:
            self.line(depth, f"bump(t, v, ({self.number(1)}) & 15, {self.number(0)})")

    def branch(self, depth: int, budget: int) -> None:
        self.line(depth, f"if {self.condition(2)}:")
        self.block(depth + 1, budget)
        if self.random.random() < 0.3:
            self.line(depth, f"elif {self.condition(1)}:")
            self.block(depth + 1, budget)
        if self.random.random() < 0.5:
            self.line(depth, "else:")
            self.block(depth + 1, budget)

    def counted_loop(self, depth: int, budget: int) -> None:
        self.names += 1
        index, most = f"i{self.names}", self.random.choice(("0", "1", "2", "3", f"({self.number(1)}) & 3"))
        self.line(depth, f"for {index} in range({most}):")
        self.indices.append(index)
        self.loops += 1
        self.block(depth + 1, budget)
        self.loops -= 1
        self.indices.pop()

    def while_loop(self, depth: int, budget: int) -> None:
        self.names += 1
        left = f"w{self.names}"
        self.line(depth, f"{left} = ({self.number(1)}) & 3")
        self.line(depth, f"while {left} > 0" + self.random.choice(("", f" and {self.condition(1)}")) + ":")
        self.line(depth + 1, f"{left} -= 1")
        self.loops += 1
        self.block(depth + 1, budget)
        self.loops -= 1

    def leaving(self, depth: int, budget: int) -> None:
        ways = ("break", "continue") if self.loops and self.random.random() < 0.8 else ("return",)
        way = self.random.choice(ways)
        self.line(depth, f"if {self.condition(1)}:")
        self.line(depth + 1, way)

    def number(self, depth: int) -> str:
        """An expression of moderate size."""
        choice, one = self.random.choice, self.number
        if depth == 0:
            return choice(("a", "b", "c", "a", "b", str(self.random.randint(-9, 99)), *self.indices))
        down = depth - 1
        return choice(
            (
                lambda: one(0),
                lambda: f"({one(down)} {choice('+-^&|')} {one(down)})",
                lambda: f"({one(0)} * {one(0)})",
                lambda: f"v[({one(down)}) & 15]",
                lambda: f"bump(t, v, ({one(down)}) & 15, {one(0)})",
                lambda: f"part(t, v, ({one(down)}) & 15)",
                lambda: f"count_down(t, v, ({one(down)}) & 7)",
                lambda: f"({one(down)} if {self.condition(down)} else {one(down)})",
                lambda: f"{choice(('min', 'max'))}({one(down)}, {one(down)})",
                lambda: f"(({one(down)}) // 4)",
                lambda: f"({one(down)} {choice(('and', 'or'))} {one(down)})",
            )
        )()

    def condition(self, depth: int) -> str:
        choice = self.random.choice
        if depth == 0:
            return f"{self.number(0)} {choice(('<', '>', '==', '!='))} {self.number(0)}"
        down = depth - 1
        return choice(
            (
                lambda: f"{self.number(down)} {choice(('<', '>=', '!='))} {self.number(down)}",
                lambda: f"({self.condition(down)} {choice(('and', 'or'))} {self.condition(down)})",
                lambda: f"not {self.condition(down)}",
                lambda: f"({self.number(down)}) & {choice((1, 2, 4))}",
                lambda: (
                    f"bump(t, v, {self.random.randint(0, 15)}, {self.number(0)}) > {self.random.randint(-200, 300)}"
                ),
            )
        )()


def random_program(random: Random) -> str:
    """The source of a module whose `program` works on `numbers`, int32 [NR_NUMBERS]."""
    writer = _Writer(random)
    for _ in range(random.randint(1, 5)):
        writer.block(1, 3)
    writer.line(1, "yield barrier_wait(t, alone)")
    writer.line(1, "v[15] = a")
    return HEAD + "\n".join(writer.lines) + "\n"


@dataclass(slots=True)
class Trace:
    """What a kernel did: its numbers afterwards, slots charged by line and by phase, divisions that ran."""

    numbers: list[int]
    slots_of_line: Tally[int] = field(default_factory=Tally)
    slots_of_phase: Tally[int] = field(default_factory=Tally)
    divisions: int = 0


def traced(source: str, numbers: list[int]) -> Trace:
    """Run a random program as plain Python, without this package."""
    trace, phase = Trace(list(numbers)), 0

    def charge(t, slots):
        trace.slots_of_line[sys._getframe(1).f_lineno] += slots
        trace.slots_of_phase[phase] += slots

    def div(kind, a, b):
        trace.divisions += 1
        return abs(a) // b * (1 if a >= 0 else -1)

    def same(function):
        return function

    kernels = []
    program = SimpleNamespace(
        host=lambda *_: SimpleNamespace(array=lambda t: trace.numbers), barrier=lambda name: name, kernel=kernels.append
    )
    names = {"charge": charge, "div": div, "dpu_function": same, "extern_function": same, "int32": None}
    names |= {"DpuProgram": lambda name: program, "barrier_wait": lambda t, barrier: barrier}
    body = "".join("\n" if line.startswith("from ") else line for line in source.splitlines(keepends=True))
    exec(compile(body, "<traced>", "exec"), names)
    for _ in kernels[0](None):
        phase += 1
    return trace
