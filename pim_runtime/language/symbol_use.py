"""Symbols that a kernel indexes as C would: a declared variable is no array here, and MRAM has no loads and stores."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import FunctionType

from ..device.source_text import source_text
from ..errors import KernelError
from ..symbols import MramSymbol, WramSymbol
from .diagnostics import point_at

__all__ = ["check_symbol_use"]


def check_symbol_use(function: FunctionType, references: Mapping[str, object]) -> None:
    """Raise KernelError where a function indexes a symbol. `references`: what its outer names stand for."""
    text = source_text(function)
    for node in ast.walk(text.parsed()) if text else ():
        if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)):
            continue
        name, symbol = node.value.id, references.get(node.value.id)
        if isinstance(symbol, MramSymbol):
            reason = f"`{name}` is in MRAM, where a kernel cannot load or store"
            mend = f"mram_read(t, {name}.address + offset, buffer, nr_bytes) copies into a WRAM buffer; index that"
        elif isinstance(symbol, WramSymbol):
            reason, mend = f"`{name}` is a symbol, not an array", f"index {name}.array(t)"
        else:
            continue
        line, column, width = node.value.lineno, node.value.col_offset, len(name.encode())
        filename = function.__code__.co_filename
        raise KernelError(point_at(reason, filename, line, column=column, width=width, mend=mend))
