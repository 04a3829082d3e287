"""Everything that a kernel refers to: helper functions, symbols, constants, log formats.

The closure decides what a kernel may name (integers, symbols, device library, `@dpu_function` helpers and a few
builtins) and gives the content hash under which its compiled form is cached: code, source places (compiled code
reports them in faults), and the values of all names.
"""

from __future__ import annotations

import builtins
import dis
import enum
import functools
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from .. import device
from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..device.log import format_key, printf
from ..device.view import wram_view
from ..errors import KernelError
from ..symbols import Barrier, Mutex, Semaphore, Symbol
from .diagnostics import point_at
from .symbol_use import check_symbol_use
from .syntax import check_syntax

__all__ = ["Closure", "SyncObject", "close_over", "file_key"]

Placed = Symbol | Barrier | Semaphore
SyncObject = Barrier | Semaphore | Mutex
BUILTINS = ("abs", "bool", "int", "len", "max", "min", "range")
DEBUGGING = ("breakpoint", "print")  # for the interpreted engine


@dataclass(frozen=True, eq=False)
class Closure:
    """A kernel with all it refers to.

    facts: what decides its compiled form: texts, and symbols that stand for an address.
    sync: the barriers, semaphores and mutexes that it names.
    references: every name that a function uses, with what it stands for; among the facts, too.
    formats: printf formats by their key in a log. prints: whether it calls printf at all.
    debugs: whether it calls print() or breakpoint(), which only CPython can run.
    """

    kernel: FunctionType
    functions: tuple[FunctionType, ...]
    facts: tuple[str | Placed, ...]
    sync: tuple[SyncObject, ...]
    references: tuple[tuple[str, str | Placed], ...]
    formats: Mapping[int, str]
    prints: bool
    debugs: bool

    @functools.cached_property
    def fingerprint(self) -> str:
        """Content hash: equal fingerprints mean equal compiled code. Asks the symbols for their addresses."""
        return hashlib.sha256("\n".join(map(_described, self.facts)).encode()).hexdigest()

    @property
    def meanings(self) -> tuple[str, ...]:
        """What the names in its functions stand for. Asks the symbols for their addresses."""
        return tuple(f"{name} is {_described(value)}" for name, value in self.references)

    @functools.cached_property
    def files(self) -> dict[int, str]:
        """File names by the key under which compiled code reports them."""
        return {file_key(function.__code__.co_filename): function.__code__.co_filename for function in self.functions}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Closure) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def file_key(filename: str) -> int:
    """A number below 2**31 that stands for a file in compiled code."""
    return zlib.crc32(filename.encode()) >> 1


def close_over(kernel: FunctionType) -> Closure:
    """The closure of a kernel. Raises KernelError for a name that a kernel may not use."""
    walk = _Walk()
    walk.visit(kernel)
    return Closure(
        kernel=kernel,
        functions=tuple(walk.functions),
        facts=tuple(walk.facts),
        sync=tuple(walk.sync),
        references=tuple(walk.references),
        formats={format_key(text): text for text in walk.strings} if walk.prints else {},
        prints=walk.prints,
        debugs=walk.debugs,
    )


class _Walk:
    def __init__(self) -> None:
        self.functions: list[FunctionType] = []
        self.callers: list[FunctionType] = []
        self.facts: list[str | Placed] = []
        self.sync: list[SyncObject] = []
        self.references: list[tuple[str, str | Placed]] = []
        self.strings: set[str] = set()
        self.prints = self.debugs = False

    def visit(self, function: FunctionType) -> None:
        if function in self.functions:
            return
        self.functions.append(function)
        self.callers.append(function)
        code = function.__code__
        self.facts.append(f"{code.co_filename}:{code.co_firstlineno} {code.co_varnames} {code.co_names}")
        self.facts.append(f"{code.co_code.hex()} {_constants(code)} {list(code.co_lines())}")
        self.strings.update(value for value in code.co_consts if isinstance(value, str))
        references = dict(_references(function))
        check_symbol_use(function, references)
        for name, value in references.items():
            meaning = self.describe(function, name, value)
            self.facts += [name, meaning]
            self.references.append((name, meaning))
        self.callers.pop()

    def describe(self, function: FunctionType, name: str, value: Any) -> str | Placed:
        """What changes when the meaning of the name changes."""
        if isinstance(value, DpuFunction):
            if value.function in self.callers:
                raise KernelError(_refusal(function, name, RecursionError))
            check_syntax(value.function, blocking=False)
            self.visit(value.function)
            return f"dpu_function {self.functions.index(value.function)}"  # by position: names may repeat
        if isinstance(value, SyncObject):
            self.sync.append(value)
        if isinstance(value, Placed):
            return value
        if isinstance(value, Mutex | IntegerType) or type(value) in (int, bool) or value is None:
            return repr(value)
        if isinstance(value, tuple) and all(type(part) is int for part in value):
            return repr(value)
        if isinstance(value, type) and issubclass(value, enum.IntEnum):
            return repr([(member.name, int(member)) for member in value])
        if value is printf:
            self.prints = True
        if getattr(value, "__dpu_library__", False) or value is printf or value is wram_view or value is device:
            return f"device library {name}"
        if name in BUILTINS + DEBUGGING and value is getattr(builtins, name):
            self.debugs |= name in DEBUGGING
            return "builtin"
        raise KernelError(_refusal(function, name, value))


def _described(fact: str | Placed) -> str:
    return fact if isinstance(fact, str) else f"{fact!r} at {fact.address}"


def _constants(code: CodeType) -> list[str]:
    return [repr(value) for value in code.co_consts]


def _references(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Global and free variables of a function with their values, by name."""
    code = function.__code__
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for name in sorted(names):
        if name in function.__globals__:
            yield name, function.__globals__[name]
        elif hasattr(builtins, name):
            yield name, getattr(builtins, name)
        else:
            raise KernelError(_refusal(function, name, NameError))
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell.cell_contents


def _refusal(function: FunctionType, name: str, value: Any) -> str:
    line, column = _place(function.__code__, name)
    if name.startswith("@"):
        reason, mend = "pytest rewrote this module's assert statements", "use assert_that(t, condition)"
    elif value is NameError:
        reason, mend = f"`{name}` is not defined", ""
    elif value is RecursionError:
        reason = f"`{name}` calls itself" + ("" if name == function.__name__ else f" by way of {function.__name__}")
        mend = "write a loop: the stack of a tasklet is a few hundred bytes, and nothing watches it"
    elif isinstance(value, FunctionType):
        reason, mend = f"`{name}` is an ordinary Python function", "mark it @dpu_function to call it from a kernel"
    elif isinstance(value, float | complex):
        reason, mend = f"DPU kernels are integer-only, but `{name}` is {type(value).__name__}", "scale it to an integer"
    elif isinstance(value, np.integer):
        reason, mend = f"`{name}` is a NumPy {type(value).__name__}, not an int", f"define it as int({value})"
    elif isinstance(value, ModuleType):
        reason, mend = f"a kernel cannot use module `{name}`", "import what it needs from pim_runtime.device"
    else:
        reason = f"a kernel cannot use `{name}`, a {type(value).__name__}"
        mend = "kernels see integers, symbols, pim_runtime.device and @dpu_function helpers"
    return point_at(reason, function.__code__.co_filename, line, column=column, width=len(name.encode()), mend=mend)


def _place(code: CodeType, name: str) -> tuple[int, int | None]:
    """Line and column where a name is used first; the column only where Python records it (3.11)."""
    line = code.co_firstlineno
    for step in dis.get_instructions(code):
        position = getattr(step, "positions", None)
        if position is None:
            line = int(step.starts_line or line)
        elif position.lineno:
            line = position.lineno
        if step.argval == name:
            return line, position.col_offset if position else None
    return code.co_firstlineno, None
