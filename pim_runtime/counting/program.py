"""A kernel with meters: the kernel and its helpers, each helper once per types of its arguments."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from ..device.library import DpuFunction
from ..device.tasklet import Checks, Tasklet
from ..language.closure import Closure
from .context import Counting
from .device_calls import CLOCK_READERS, DMA_CALLS
from .functions import KnownFunctions, of_kernel, told_apart
from .loops import Statements
from .meters import Events, Meters, MeterTable
from .names import MEASURES, METERS, PREFIX
from .types import Types
from .uncounted import UncountedFunctions
from .values import Known, Value

__all__ = ["CountedKernel", "counted", "uncounted"]

TASKLET = Known(Tasklet)


@dataclass(frozen=True, slots=True, eq=False)
class CountedKernel:
    """A closure whose kernel counts, and its meters."""

    closure: Closure
    table: MeterTable


@functools.lru_cache(maxsize=256)
def counted(closure: Closure, checks: Checks = "on") -> CountedKernel:
    """The kernel of a closure with meters in it, and guarded loops unless checks are off."""
    program = Program(checks)
    return CountedKernel(_remade(closure, program.kernel(closure.kernel), program, "counted"), program.meters.table())


@functools.lru_cache(maxsize=256)
def uncounted(closure: Closure, checks: Checks = "on") -> CountedKernel:
    """A kernel without meters, and with guarded loops unless checks are off."""
    program = UncountedFunctions(checks)
    return CountedKernel(_remade(closure, program.kernel(closure.kernel), program, "uncounted"), Meters().table())


def _remade(closure: Closure, kernel: FunctionType, program: KnownFunctions, how: str) -> Closure:
    facts = (*closure.facts, how, *program.texts)
    return replace(closure, kernel=kernel, functions=(kernel, *program.helpers.values()), facts=facts)


@dataclass(slots=True, kw_only=True)
class CountedFunction:
    """A helper for given types of its arguments."""

    name: str
    events: Events
    reads_clock: bool
    is_leaf: bool
    nr_variables: int
    writes: frozenset[str]


Key = tuple[DpuFunction, tuple[Value, ...], Counting]


class Program(KnownFunctions):
    """All functions of one kernel with meters."""

    def __init__(self, checks: Checks) -> None:
        super().__init__(checks)
        self.meters = Meters()
        self.functions: dict[Key, CountedFunction] = {}

    # what expressions and statements ask

    def called(self, function: DpuFunction, arguments: tuple[Value, ...], *, counting: Counting) -> CountedFunction:
        """The helper for arguments of these types; `counting` is that of the place of the call."""
        key = function, told_apart(function, arguments), counting
        if key not in self.functions:
            self.functions[key] = self._count(*key)
        return self.functions[key]

    def is_real_call(self, node: ast.Call, types: Types) -> bool:
        """Whether a call of an innermost loop's body leaves it: a DMA or a function of another translation unit."""
        called = types.of(node.func)
        function = called.value if isinstance(called, Known) else None
        return function in DMA_CALLS or (isinstance(function, DpuFunction) and _has_loop(function, self.source_of))

    def reads_clock(self, function: object) -> bool:
        """Whether a helper, or what it calls, reads the performance counter."""
        if not isinstance(function, DpuFunction):
            return function in CLOCK_READERS
        outer = self.source_of(function.function).outer
        names = {n.id for n in ast.walk(self.source_of(function.function).tree) if isinstance(n, ast.Name)}
        callees = [outer[name] for name in names if name in outer]
        return any(callee in CLOCK_READERS for callee in callees if callable(callee)) or any(
            self.reads_clock(callee) for callee in callees if isinstance(callee, DpuFunction) and callee is not function
        )

    # functions

    def kernel(self, function: FunctionType) -> FunctionType:
        """The kernel itself: its tasklet knows the meters."""
        source = self.source_of(function)
        statements = Statements(Types(source, (TASKLET,), self), self, "automatic")
        body = statements.counted(statements.block, self._body(statements), source.tree)
        return self.made(function.__name__, source, [of_kernel(source), *_measures(statements)], body, [])

    def _count(self, function: DpuFunction, arguments: tuple[Value, ...], counting: Counting) -> CountedFunction:
        types = self.types_of(function, arguments)
        statements = Statements(types, self, counting)
        body = self._body(statements)
        name = f"{PREFIX}f{len(self.functions)}_{function.function.__name__}"
        self.helpers[name] = self.made(name, types.source, _measures(statements), body, [ast.arg(METERS)])
        return CountedFunction(
            name=name,
            events=statements.block.events,
            reads_clock=self.reads_clock(function),
            is_leaf=statements.is_leaf,
            nr_variables=sum(not isinstance(value, Known) for value in types.variables.values()),
            writes=frozenset(statements.writes),
        )

    def _body(self, statements: Statements) -> list[ast.stmt]:
        block = statements.block
        return statements.block_of(statements.types.source.tree.body, block)


def _measures(statements: Statements) -> list[str]:
    """The statement by which a function that measures learns whether this DPU does."""
    return [f"{MEASURES} = {PREFIX}measures({METERS})"] * statements.measures


def _has_loop(function: DpuFunction, source_of: Any) -> bool:
    return any(isinstance(node, ast.For | ast.While) for node in ast.walk(source_of(function.function).tree))
