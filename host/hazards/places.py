"""Where planted mistakes are: lines found by their text, so that an expected place follows its source."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, NamedTuple

from pim_runtime.device import DpuFunction

__all__ = ["Place", "line_with"]


class Place(NamedTuple):
    """A line of a source file, named as messages name it: without its folders."""

    file: str
    line: int


def line_with(text: str, *functions: Callable[..., Any]) -> Place:
    """The one line of these functions that contains `text`. Raises LookupError unless there is exactly one."""
    found = []
    for function in functions:
        plain = function.function if isinstance(function, DpuFunction) else function
        lines, first = inspect.getsourcelines(plain)
        filename = PurePath(inspect.getsourcefile(plain) or "").name
        found += [Place(filename, first + index) for index, line in enumerate(lines) if text in line]
    if len(found) != 1:
        names = ", ".join(function.__name__ for function in functions)
        raise LookupError(f"{text!r} is in {len(found)} lines of {names}, not in one")
    return found[0]
