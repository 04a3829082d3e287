"""Typed windows on WRAM: what C writes as `int32_t *p` with a length that is checked.

A view supports `view[i]`, `view[i] = x`, `len(view)`, `view.address` and `view.window(first, length)`, nothing else:
slices, iteration and array arithmetic have no counterpart on a DPU. An index outside the view faults, negative ones
included. What follows is the meaning in CPython; the compiler has the same type (compiler/views.py).
"""

from __future__ import annotations

import ctypes
from typing import Any

from .faults import FaultCode, raise_fault
from .integers import IntegerType
from .raw import peek
from .run_record import WRAM_END
from .tasklet import Tasklet

__all__ = ["View", "wram_view"]


class View:
    """`length` elements of type `kind` in WRAM; `pointer` is a host address, `base` that of the DPU's WRAM."""

    __slots__ = ("_cells", "base", "kind", "length", "pointer", "run")

    def __init__(self, kind: IntegerType, pointer: int, length: int, base: int, run: int) -> None:
        self.kind, self.pointer, self.length, self.base, self.run = kind, pointer, length, base, run
        buffer = (ctypes.c_char * (length * kind.itemsize)).from_address(pointer)
        cells: Any = memoryview(buffer).cast("B")
        self._cells = cells.cast(kind.dtype.char if kind.bits < 64 else "q")

    @property
    def address(self) -> int:
        """WRAM address of the first element."""
        return self.pointer - self.base

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.length * self.kind.itemsize

    __iter__ = None  # without it CPython would iterate by index, until the first one outside the view faults

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.length:
            raise_fault(self.run, FaultCode.WRAM_INDEX, index, self.length, self.length - 1, 0)
        return int(self._cells[index])

    def __setitem__(self, index: int, value: int) -> None:
        if not 0 <= index < self.length:
            raise_fault(self.run, FaultCode.WRAM_INDEX, index, self.length, self.length - 1, 0)
        if not isinstance(value, int):
            raise_fault(self.run, FaultCode.FLOAT, 0, 0, 0, 0)
        self._cells[index] = self.kind(value)

    def window(self, first: int, length: int) -> View:
        """The `length` elements from `first` on. One check here replaces one per element in the loop that follows."""
        if not (0 <= first <= self.length and 0 <= length <= self.length - first):
            raise_fault(self.run, FaultCode.WINDOW, first, length, self.length, 0)
        return View(self.kind, self.pointer + first * self.kind.itemsize, length, self.base, self.run)


def wram_view(t: Tasklet, kind: IntegerType, address: int, length: int) -> View:
    """View of `length` elements at a WRAM address; faults when it is not aligned or leaves the WRAM."""
    nr_bytes = length * kind.itemsize
    end = peek(t.run + 8 * WRAM_END)
    if address < 0 or length < 0 or length > end or address > end - nr_bytes:
        raise_fault(t.run, FaultCode.WRAM_RANGE, address, length, kind.itemsize, end)
    if address % kind.itemsize:
        raise_fault(t.run, FaultCode.WRAM_ALIGNMENT, address, kind.itemsize, 0, 0)
    return View(kind, t.wram + address, length, t.wram, t.run)
