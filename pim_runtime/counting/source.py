"""The source of one function as a syntax tree, with its places in the file and what its outer names stand for."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from ..device.source_text import source_text

__all__ = ["Source", "read_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """A function: its `def`, with line numbers of its file, and the values of its global and free names."""

    function: FunctionType
    tree: ast.FunctionDef
    outer: Mapping[str, Any]

    @property
    def parameters(self) -> list[str]:
        return [argument.arg for argument in self.tree.args.args]


def read_source(function: FunctionType) -> Source:
    """Parse a function that obeys the kernel language (language.syntax has checked that)."""
    text = source_text(function)
    assert text is not None
    tree = text.parsed()
    assert isinstance(tree, ast.FunctionDef)
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    outer = {**vars(builtins), **function.__globals__, **{name: cell.cell_contents for name, cell in cells}}
    return Source(function, tree, outer)
