"""Messages that show a place in a kernel's source: file, line, the text itself and a caret."""

from __future__ import annotations

import linecache
from pathlib import PurePath

__all__ = ["place_text", "point_at"]


def point_at(
    reason: str, filename: str, line: int, *, column: int | None = None, width: int = 1, mend: str = ""
) -> str:
    """`file:line: reason`, the source line and carets under it.

    column, width: in bytes of UTF-8, from 0, as syntax trees and code objects count. Default: the first character.
    """
    source = linecache.getline(filename, line).rstrip("\r\n")
    if column is None:
        column, width = len(source) - len(source.lstrip()), 1
    else:
        column, end = (len(source.encode()[:place].decode(errors="ignore")) for place in (column, column + width))
        width = end - column
    shown = f"{PurePath(filename).name}:{line}: {reason}"
    if source:
        shown += f"\n    {source}\n    {' ' * column}{'^' * max(1, min(width, len(source) - column))}"
    return f"{shown}\n{mend}" if mend else shown


def place_text(filename: str, line: int) -> str:
    """`file:line` and the stripped source text, for one-line reports."""
    source = linecache.getline(filename, line).strip()
    return f"{PurePath(filename).name}:{line}" + (f" `{source}`" if source else "")
