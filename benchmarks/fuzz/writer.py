"""Statements in two languages at once: lines of kernel Python, and C that means the same under the same line number.

C has `#line` before every statement, so that `__LINE__` in a fault is the line of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Writer"]


class Writer:
    """Collects both texts. `first_line` is the number of lines that stand before in the Python file."""

    def __init__(self, first_line: int) -> None:
        self.python: list[str] = []
        self.c: list[str] = []
        self._first_line, self._depth = first_line, 1

    def both(self, python: str, c: str) -> None:
        """A statement, or the head of a block: one line of Python."""
        self.python.append("    " * self._depth + python)
        self.c += [f"#line {self._first_line + len(self.python)}", c]

    def only_c(self, c: str) -> None:
        """What Python says without a line: closing braces."""
        self.c.append(c)

    @contextmanager
    def block(self, python: str, c: str, end: str = "}") -> Iterator[None]:
        """`with writer.block("if x:", "if (x) {")`: what is written inside is its body."""
        self.both(python, c)
        self._depth += 1
        yield
        self._depth -= 1
        self.only_c(end)

    @contextmanager
    def function(self, python: str, c: str) -> Iterator[None]:
        """A function at the top level, with its decorator before."""
        self.python += ["", ""]
        decorator, head = python.split("\n")
        self.python += [decorator, head]
        self.c += [f"#line {self._first_line + len(self.python)}", c]
        self._depth = 1
        yield
        self.only_c("}")
