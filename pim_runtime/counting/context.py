"""What the parts of the analysis tell each other: loops, counted functions, and who knows them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..device.library import DpuFunction
from ..device.tasklet import Checks
from .guarding import Effort
from .meters import Block, Events, Meters
from .types import Types
from .values import Value

__all__ = ["Called", "Counting", "Functions", "Loop"]

Counting = Literal["automatic", "stated"]
"""Whether plain slots are counted, or stated by the author of the block."""


@dataclass(slots=True)
class Loop:
    """A loop around the place where the analysis stands.

    variable: its index. changes: names that its body assigns. writes: kinds of elements it stores, "*" after a DMA.
    outside: the block in front of it. prelude: statements to put there.
    """

    variable: str | None
    changes: frozenset[str]
    writes: frozenset[str]
    outside: Block
    prelude: list[ast.stmt] = field(default_factory=list)


class Called(Protocol):
    """A function as one call site sees it."""

    name: str
    events: Events
    reads_clock: bool
    is_leaf: bool
    nr_variables: int
    writes: frozenset[str]


class Functions(Protocol):
    """Who knows the functions of a program."""

    meters: Meters
    checks: Checks

    def effort(self, function: DpuFunction, arguments: tuple[Value, ...]) -> Effort: ...

    def called(self, function: DpuFunction, arguments: tuple[Value, ...], *, counting: Counting) -> Called: ...

    def written(self, statement: ast.stmt, types: Types) -> set[str]: ...

    def is_real_call(self, node: ast.Call, types: Types) -> bool: ...

    def reads_clock(self, function: object) -> bool: ...
