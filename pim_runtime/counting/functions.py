"""The functions of one kernel as the analysis knows them: their sources, their types, and how they are made again.

A function is known once per types of its arguments.
"""

from __future__ import annotations

import ast
from types import FunctionType
from typing import Any

from ..device import guards, meters
from ..device.library import DpuFunction
from ..device.tasklet import Checks
from ..errors import KernelError
from . import tree
from .device_calls import DMA_CALLS
from .guarding import Effort, effort
from .names import ANYTHING, METERS, RUN_TIME, SPEND, kind_of
from .source import Source, read_source
from .types import Types
from .values import Int, Known, Value, ViewOf

__all__ = ["KnownFunctions", "of_kernel", "told_apart"]

STEPS_OF_BITS = (8, 16, 26, 32, 64)  # what functions are told apart by, so that there are few of them


class KnownFunctions:
    """Types and sources of functions. `texts` are those of the functions that were made; checks: of their loops."""

    def __init__(self, checks: Checks) -> None:
        self.checks = checks
        self.texts: list[str] = []
        self.helpers: dict[str, FunctionType] = {}
        self._types: dict[tuple[DpuFunction, tuple[Value, ...]], Types] = {}
        self._efforts: dict[Types, Effort] = {}
        self._sources: dict[FunctionType, Source] = {}
        self._running: list[DpuFunction] = []

    def returned(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Value:
        """The type of what a helper returns."""
        return self.types_of(function, told_apart(function, arguments)).returned or Known(None)

    def effort(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Effort:
        """What a call of a helper takes at most."""
        types = self.types_of(function, told_apart(function, arguments))
        if types not in self._efforts:
            self._efforts[types] = effort(types.source.tree.body, types, self)
        return self._efforts[types]

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
            types_of_callee = self.types_of(function, told_apart(function, tuple(map(types.of, node.args))))
            body = types_of_callee.source.tree.body
            return {kind for statement in body for kind in self.written(statement, types_of_callee)}
        return set()

    def source_of(self, function: FunctionType) -> Source:
        """The source of a function."""
        if function not in self._sources:
            self._sources[function] = read_source(function)
        return self._sources[function]

    def types_of(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Types:
        """Types inside a helper. Raises KernelError when it calls itself by way of an argument."""
        key = function, arguments
        if key not in self._types:
            if function in self._running:
                raise KernelError(f"{function.function.__qualname__} calls itself: write a loop")
            self._running.append(function)
            self._types[key] = Types(self.source_of(function.function), arguments, self)
            self._running.remove(function)
        return self._types[key]

    def made(
        self, name: str, source: Source, prologue: list[str], body: list[ast.stmt], arguments: list[ast.arg]
    ) -> FunctionType:
        """A function of another body, at the lines of its source; `arguments` come before those of its source."""
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
        """Close the function over what it names: its free variables, other helpers, and the run time of meters."""
        known: dict[str, Any] = {name: source.outer[name] for name in source.function.__code__.co_freevars}
        known |= {name: getattr(meters, function) for name, function in RUN_TIME.items()} | {SPEND: guards.spend}
        known |= {name: DpuFunction(function) for name, function in self.helpers.items()}
        used = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
        free = {name: value for name, value in known.items() if name in used}
        maker = ast.parse(f"def make({', '.join(free)}):\n    return {definition.name}").body[0]
        assert isinstance(maker, ast.FunctionDef)
        maker.body.insert(0, definition)
        module = ast.fix_missing_locations(ast.Module([maker], []))
        made: dict[str, Any] = {}
        function = source.function
        exec(compile(module, function.__code__.co_filename, "exec"), function.__globals__, made)
        again: FunctionType = made["make"](**free)
        again.__qualname__, again.__module__ = function.__qualname__, function.__module__
        return again


def of_kernel(source: Source) -> str:
    """The statement by which a kernel learns where its meters are; helpers get them as their first argument."""
    return f"{METERS} = {source.parameters[0]}.meters"


def told_apart(function: DpuFunction, arguments: tuple[Value, ...]) -> tuple[Value, ...]:
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
