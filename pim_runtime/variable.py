"""What reading a symbol as an attribute returns (upmem-sdk 1.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DpuVariable"]


class DpuVariable:
    """A copy of one symbol from every DPU of a set: `.int32()` and the like give its values.

    A sequence of length one is replaced by its element on both levels, as in the SDK: one DPU and one element give a
    number, one DPU and n elements an array, n DPUs and one element a list of numbers, otherwise a list of arrays.
    """

    def __init__(self, rows: NDArray[np.uint8]) -> None:
        self._rows = rows

    def data(self) -> Any:
        """The raw bytes: a memoryview, or a list with one per DPU."""
        views = [memoryview(row) for row in self._rows]
        return views[0] if len(views) == 1 else views

    def int8(self) -> Any:
        """As int8."""
        return self._as(np.int8)

    def uint8(self) -> Any:
        """As uint8."""
        return self._as(np.uint8)

    def int16(self) -> Any:
        """As int16."""
        return self._as(np.int16)

    def uint16(self) -> Any:
        """As uint16."""
        return self._as(np.uint16)

    def int32(self) -> Any:
        """As int32."""
        return self._as(np.int32)

    def uint32(self) -> Any:
        """As uint32."""
        return self._as(np.uint32)

    def int64(self) -> Any:
        """As int64."""
        return self._as(np.int64)

    def uint64(self) -> Any:
        """As uint64."""
        return self._as(np.uint64)

    def float(self) -> Any:
        """As IEEE single precision."""
        return self._as(np.float32)

    def double(self) -> Any:
        """As IEEE double precision."""
        return self._as(np.float64)

    def _as(self, dtype: type[np.number[Any]]) -> Any:
        itemsize, nbytes = np.dtype(dtype).itemsize, self._rows.shape[1]
        if nbytes % itemsize:
            raise TypeError(f"a symbol of {nbytes} bytes is no array of {itemsize}-byte elements")
        per_dpu = [row.view(dtype) for row in self._rows]
        values = [row if len(row) > 1 else row[0].item() for row in per_dpu]
        return values if len(values) > 1 else values[0]
