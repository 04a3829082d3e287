"""A range of DPUs of one allocation: what moves between them and the host, by symbol.

Validates, resolves symbols, scatters and gathers. Sets (dpuset.py) are such ranges.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from .allocation import Allocation
from .commands import Read, Rows, Write
from .errors import ArgumentError
from .timing import TransferMode
from .transfers import DpuSymbol, check_fillable, common_length, cut, integer, python_rows, resolve, zero_rows
from .variable import DpuVariable

__all__ = ["DpuRange"]


class DpuRange:
    """DPUs that follow one another in an allocation. The symbols of their program are attributes."""

    _allocation: Allocation
    _range: range

    def __len__(self) -> int:
        return len(self._range)

    def copy(
        self,
        dst: Any,
        src: Any,
        size: int | None = None,
        offset: int = 0,
    ) -> None:
        """Move data between host and DPUs; the side that is a symbol (name or DpuSymbol) is the DPUs'.

        To the DPUs: a one-dimensional buffer goes to every DPU; an array [nr_dpus, ...] is scattered by row, a list has
        one buffer per DPU (None leaves it out). From the DPUs: the same shapes are filled. `size`: bytes per DPU,
        default all of the host's; `offset`: bytes inside the symbol. Arrays are used in place, not copied.
        Raises ArgumentError, InvalidMemoryTransferError and the SDK's symbol errors.
        """
        to_dpu, from_dpu = isinstance(dst, str | DpuSymbol), isinstance(src, str | DpuSymbol)
        if to_dpu == from_dpu:
            raise ArgumentError("can only execute Host <-> DPU transfers: exactly one side is a symbol")
        host, symbol = (src, dst) if to_dpu else (dst, src)
        rows = python_rows(host, len(self), writable=from_dpu)
        one_for_all = isinstance(rows, np.ndarray) and len(rows) == 1 < len(self)
        if from_dpu and one_for_all:
            raise ArgumentError(
                f"one host buffer for {len(self)} DPUs: give an array [nr_dpus, ...] or a list of {len(self)} buffers"
            )
        available = common_length(rows)
        if size is None:
            size = available
        elif integer("size", size) > available:
            raise ArgumentError(f"host buffer is too small: {available} bytes, {size} are transferred")
        if to_dpu:
            self.write(symbol, rows, size, offset, "broadcast" if one_for_all else "push")
        else:
            self.read(symbol, rows, size, offset, "pull")

    def write(self, symbol: str | DpuSymbol, rows: Rows, nbytes: int, offset: int, mode: TransferMode) -> None:
        """Checked host-to-DPU transfer of the first `nbytes` of `rows` (commands.Rows)."""
        self._transfer(Write, symbol, rows, nbytes, offset, mode)

    def read(self, symbol: str | DpuSymbol, rows: Rows, nbytes: int, offset: int, mode: TransferMode) -> None:
        """Checked DPU-to-host transfer into the first `nbytes` of `rows` (commands.Rows)."""
        self._transfer(Read, symbol, rows, nbytes, offset, mode)

    def _transfer(
        self,
        command: type[Write] | type[Read],
        symbol: str | DpuSymbol,
        rows: Rows,
        nbytes: int,
        offset: int,
        mode: TransferMode,
    ) -> None:
        with self._allocation.lock:
            target = resolve(self._allocation, self._range, symbol, offset, nbytes)
            rows = cut(rows, nbytes)
            if command is Read:
                check_fillable(rows)
            if nbytes:
                memory, address = target.memory, target.address
                checked = command(dpus=self._range, memory=memory, address=address, nbytes=nbytes, rows=rows, mode=mode)
                self._allocation.transfer(checked, target.name)

    def prepare(self, rows: Rows) -> None:
        """Remember a host buffer per DPU for the next push; None leaves a DPU out (dpu_prepare_xfer)."""
        with self._allocation.lock:
            self._allocation.require_alive()
            self._allocation.prepared[self._range.start : self._range.stop] = rows

    def push(
        self,
        mode: Literal["push", "pull"],
        symbol: str | DpuSymbol,
        offset: int,
        nbytes: int,
        *,
        afterwards: Literal["forget", "keep"],
    ) -> None:
        """Transfer the prepared buffers of the set, then forget or keep them (dpu_push_xfer)."""
        with self._allocation.lock:
            prepared = self._allocation.prepared
            rows = prepared[self._range.start : self._range.stop]
            if mode == "push":
                self.write(symbol, rows, nbytes, offset, mode)
            else:
                self.read(symbol, rows, nbytes, offset, mode)
            if afterwards == "forget":
                prepared[self._range.start : self._range.stop] = [None] * len(self)

    # symbols as attributes

    def __getattr__(self, name: str) -> DpuVariable:
        if name.startswith("_"):
            raise AttributeError(name)
        symbol = self._symbol_or_none(name)
        if symbol is None:
            raise AttributeError(f"{name!r} is neither an attribute of DpuSet nor a symbol of the loaded program")
        data = zero_rows(len(self), symbol)
        self.read(symbol, data, symbol.nbytes, 0, "pull")
        return DpuVariable(data)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and self._symbol_or_none(name) is not None:
            self.copy(name, value)
            return
        if not name.startswith("_") and not hasattr(type(self), name):
            warnings.warn(f"{name!r} is no symbol of the loaded program: no DPU sees this value", stacklevel=2)
        object.__setattr__(self, name, value)

    def _symbol_or_none(self, name: str) -> DpuSymbol | None:
        binaries = set(self._allocation.binaries[self._range.start : self._range.stop])
        binary = binaries.pop() if len(binaries) == 1 else None
        return DpuSymbol.of(binary, name) if binary is not None and name in binary.symbols else None
