"""The text of a kernel's functions as it was when they were defined: files may change while a process runs.

What Python runs, what the analysis reads and what a fault shows are then one text, whatever an editor has saved since.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["SourceText", "keep_source_text", "source_text"]

ATTRIBUTE = "__dpu_source_text__"  # of a function


class SourceText(NamedTuple):
    """The lines of one function, and the number of the first of them in its file."""

    lines: tuple[str, ...]
    first_line: int

    def parsed(self) -> ast.stmt:
        """Its syntax tree, with the lines and columns of its file. Raises SyntaxError for what is not one function."""
        text = "".join(self.lines)
        indented = self.lines[0][:1].isspace()  # not dedented: the lines of a text may begin further left
        body = ast.parse(f"if True:\n{text}" if indented else text).body
        if indented:
            assert isinstance(body[0], ast.If)
            body = body[0].body
        if len(body) != 1:  # another text under the same file name, such as "<string>"
            raise SyntaxError(f"{len(body)} statements instead of one function")
        (statement,) = body
        ast.increment_lineno(statement, self.first_line - 1 - indented)
        return statement


def keep_source_text(function: Callable[..., Any]) -> None:
    """Read the text of a function that has just been defined. One without a source stays without a text."""
    try:
        lines, first_line = inspect.getsourcelines(function)
    except (OSError, TypeError, SyntaxError, IndexError):
        return
    if lines:
        setattr(function, ATTRIBUTE, SourceText(tuple(lines), first_line))


def source_text(function: Callable[..., Any]) -> SourceText | None:
    """The text that was kept, None for a function without a source."""
    text = getattr(function, ATTRIBUTE, None)
    assert text is None or isinstance(text, SourceText)
    return text
