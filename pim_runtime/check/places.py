"""Which source line the program has reached, seen from inside the checker."""

from __future__ import annotations

import sys
from collections.abc import Collection

from .finding import SourcePlace

__all__ = ["host_place", "kernel_place"]


def kernel_place(codes: Collection[int]) -> SourcePlace:
    """The innermost line in code objects with these ids, which must be running."""
    frame = sys._getframe(1)
    while id(frame.f_code) not in codes:
        assert frame.f_back is not None
        frame = frame.f_back
    return SourcePlace(frame.f_code.co_filename, frame.f_lineno)


def host_place() -> tuple[SourcePlace, int]:
    """The innermost line outside this package, and how many frames above the caller it is."""
    frame, distance = sys._getframe(1), 0
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "pim_runtime":
        frame, distance = frame.f_back, distance + 1
    return SourcePlace(frame.f_code.co_filename, frame.f_lineno), distance
