"""A kernel with meters: the kernel and its helpers, each helper once per types of its arguments."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from ..device import meters as run_time
from ..device.library import DpuFunction, dpu_function
from ..device.tasklet import Tasklet
from ..errors import KernelError
from ..language.closure import Closure
from . import tree
from .context import Counting
from .device_calls import CLOCK_READERS, DMA_CALLS
from .loops import Statements
from .meters import Events, Meters, MeterTable
from .names import ANYTHING, MEASURES, METERS, PREFIX, RUN_TIME, kind_of
from .source import Source, read_source
from .types import Types
from .values import Int, Known, Value, ViewOf

__all__ = ["CountedKernel", "counted", "uncounted"]

TASKLET = Known(Tasklet)
STEPS_OF_BITS = (8, 16, 26, 32, 64)  # what functions are told apart by, so that there are few of them


@dataclass(frozen=True, slots=True, eq=False)
class CountedKernel:
    """A closure whose kernel counts, and its meters."""

    closure: Closure
    table: MeterTable


@functools.lru_cache(maxsize=256)
def counted(closure: Closure) -> CountedKernel:
    """The kernel of a closure with meters in it. Raises KernelError for a function that calls itself."""
    program = Program(closure)
    kernel = program.kernel(closure.kernel)
    functions = (kernel, *(made.function for made in program.functions.values()))
    facts = (*closure.facts, "counted", *program.texts)
    return CountedKernel(replace(closure, kernel=kernel, functions=functions, facts=facts), program.meters.table())


def uncounted(closure: Closure) -> CountedKernel:
    """A kernel as it was written, without meters."""
    return CountedKernel(closure, Meters().table())


@dataclass(slots=True, kw_only=True)
class CountedFunction:
    """A helper for given types of its arguments."""

    name: str
    events: Events
    reads_clock: bool
    is_leaf: bool
    nr_variables: int
    writes: frozenset[str]
    function: FunctionType


Key = tuple[DpuFunction, tuple[Value, ...], Counting]


class Program:
    """All functions of one kernel."""

    def __init__(self, closure: Closure) -> None:
        self.meters = Meters()
        self.functions: dict[Key, CountedFunction] = {}
        self.texts: list[str] = []
        self._types: dict[tuple[DpuFunction, tuple[Value, ...]], Types] = {}
        self._sources: dict[FunctionType, Source] = {}
        self._running: list[DpuFunction] = []

    # what expressions and statements ask

    def called(self, function: DpuFunction, arguments: tuple[Value, ...], *, counting: Counting) -> CountedFunction:
        """The helper for arguments of these types; `counting` is that of the place of the call."""
        key = function, _told_apart(function, arguments), counting
        if key not in self.functions:
            self.functions[key] = self._count(*key)
        return self.functions[key]

    def returned(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Value:
        """The type of what a helper returns."""
        return self._types_of(function, _told_apart(function, arguments)).returned or Known(None)

    def written(self, statement: ast.stmt, types: Types) -> set[str]:
        """Kinds of elements that a statement and the helpers it calls may store."""
        kinds: set[str] = set()
        for node in ast.walk(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                kinds.add(kind_of(types.of(node.value)))
            elif isinstance(node, ast.Yield):
                kinds.add(ANYTHING)
            elif isinstance(node, ast.Call):
                kinds |= self._written_by_call(node, types)
        return kinds

    def _written_by_call(self, node: ast.Call, types: Types) -> frozenset[str] | set[str]:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "store":
            return {kind_of(types.of(node.func.value))}
        called = types.of(node.func)
        function = called.value if isinstance(called, Known) else None
        if function in DMA_CALLS:
            return {ANYTHING}
        if isinstance(function, DpuFunction):
            types_of_callee = self._types_of(function, _told_apart(function, tuple(map(types.of, node.args))))
            body = types_of_callee.source.tree.body
            return {kind for statement in body for kind in self.written(statement, types_of_callee)}
        return set()

    def is_real_call(self, node: ast.Call, types: Types) -> bool:
        """Whether a call of an innermost loop's body leaves it: a DMA or a function of another translation unit."""
        called = types.of(node.func)
        function = called.value if isinstance(called, Known) else None
        return function in DMA_CALLS or (isinstance(function, DpuFunction) and _has_loop(function, self._source_of))

    def reads_clock(self, function: object) -> bool:
        """Whether a helper, or what it calls, reads the performance counter."""
        if not isinstance(function, DpuFunction):
            return function in CLOCK_READERS
        outer = self._source_of(function.function).outer
        names = {n.id for n in ast.walk(self._source_of(function.function).tree) if isinstance(n, ast.Name)}
        callees = [outer[name] for name in names if name in outer]
        return any(callee in CLOCK_READERS for callee in callees if callable(callee)) or any(
            self.reads_clock(callee) for callee in callees if isinstance(callee, DpuFunction) and callee is not function
        )

    # functions

    def kernel(self, function: FunctionType) -> FunctionType:
        """The kernel itself: its tasklet knows the meters."""
        source = self._source_of(function)
        statements = Statements(Types(source, (TASKLET,), self), self, "automatic")
        body = statements.counted(statements.block, self._body(statements), source.tree)
        return self._made(function.__name__, source, statements, body)

    def _count(self, function: DpuFunction, arguments: tuple[Value, ...], counting: Counting) -> CountedFunction:
        types = self._types_of(function, arguments)
        statements = Statements(types, self, counting)
        body = self._body(statements)
        name = f"{PREFIX}f{len(self.functions)}_{function.function.__name__}"
        made = self._made(name, types.source, statements, body)
        return CountedFunction(
            name=name,
            events=statements.block.events,
            reads_clock=self.reads_clock(function),
            is_leaf=statements.is_leaf,
            nr_variables=sum(not isinstance(value, Known) for value in types.variables.values()),
            writes=frozenset(statements.writes),
            function=made,
        )

    def _body(self, statements: Statements) -> list[ast.stmt]:
        block = statements.block
        return statements.block_of(statements.types.source.tree.body, block)

    def _made(self, name: str, source: Source, statements: Statements, body: list[ast.stmt]) -> FunctionType:
        """The Python function of a counted body, at the lines of its source."""
        is_kernel = name == source.function.__name__
        prologue = [f"{METERS} = {source.parameters[0]}.meters"] * is_kernel
        prologue += [f"{MEASURES} = {PREFIX}measures({METERS})"] * statements.measures
        arguments = [] if is_kernel else [ast.arg(METERS)]
        definition = tree.replaced(
            source.tree,
            name=name,
            decorator_list=[],
            returns=None,
            body=[*tree.parse("\n".join(prologue), source.tree), *body],
            args=tree.replaced(
                source.tree.args,
                args=[*arguments, *(ast.arg(argument.arg) for argument in source.tree.args.args)],
            ),
        )
        self.texts.append(ast.dump(definition))
        return self._compiled(definition, source)

    def _compiled(self, definition: ast.FunctionDef, source: Source) -> FunctionType:
        """Close the function over what it names: its free variables, counted helpers, and the run time of meters."""
        known: dict[str, Any] = {name: source.outer[name] for name in source.function.__code__.co_freevars}
        known |= {name: getattr(run_time, function) for name, function in RUN_TIME.items()}
        known |= {made.name: dpu_function(made.function) for made in self.functions.values()}
        used = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
        free = {name: value for name, value in known.items() if name in used}
        maker = ast.parse(f"def make({', '.join(free)}):\n    return {definition.name}").body[0]
        assert isinstance(maker, ast.FunctionDef)
        maker.body.insert(0, definition)
        module = ast.fix_missing_locations(ast.Module([maker], []))
        made: dict[str, Any] = {}
        function = source.function
        exec(compile(module, function.__code__.co_filename, "exec"), function.__globals__, made)
        counting: FunctionType = made["make"](**free)
        counting.__qualname__, counting.__module__ = function.__qualname__, function.__module__
        return counting

    def _source_of(self, function: FunctionType) -> Source:
        if function not in self._sources:
            self._sources[function] = read_source(function)
        return self._sources[function]

    def _types_of(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Types:
        key = function, arguments
        if key not in self._types:
            if function in self._running:
                raise KernelError(
                    f"{function.function.__qualname__} calls itself, and what recursion costs cannot be counted: write "
                    "a loop, or run with timing='off'"
                )
            self._running.append(function)
            self._types[key] = Types(self._source_of(function.function), arguments, self)
            self._running.remove(function)
        return self._types[key]


def _told_apart(function: DpuFunction, arguments: tuple[Value, ...]) -> tuple[Value, ...]:
    """Types of arguments, as far as they make another function; another translation unit sees no constants."""
    return tuple(_argument(value, function.linkage == "extern") for value in arguments)


def _argument(value: Value, hidden: bool) -> Value:
    if isinstance(value, ViewOf):
        return ViewOf(value.kind) if hidden else value
    if not isinstance(value, Int):
        return value
    if value.constant is not None:
        return Int(value.bits, value.bits, value.signed) if hidden else value
    needed = next((step for step in STEPS_OF_BITS if value.needed_bits <= step), 64)
    return Int(value.bits, needed, value.signed, clean=value.clean)


def _has_loop(function: DpuFunction, source_of: Any) -> bool:
    return any(isinstance(node, ast.For | ast.While) for node in ast.walk(source_of(function.function).tree))
