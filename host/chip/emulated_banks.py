"""Banks as emulated DPUs: matrices stay in MRAM, a message goes down, every bank works, results come up (S2-9).

One exchange is one transfer down, one launch, one transfer up. All of them pass here and are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.gemv import HEADER_BYTES, MESSAGE_BYTES, Column, Header, Operation, bank_program
from pim_runtime import DpuSet, EngineOptions, Machine
from pim_runtime.counters import Counter
from pim_runtime.symbols import HEAP_NAME

from .traffic import Moved, Purpose, Traffic

__all__ = ["EmulatedBanks"]

Bytes = NDArray[np.uint8]


class EmulatedBanks:
    """`nr_banks` DPUs with the program of a bank. Raises what DpuSet raises."""

    def __init__(self, nr_banks: int, *, traffic: Traffic, machine: Machine, options: EngineOptions | None) -> None:
        binary = bank_program().build(machine.hardware)
        self.heap_bytes, self._heap = binary.mram_heap_bytes, binary.symbols[HEAP_NAME].address
        self._traffic, self._entries = traffic, 0
        self.dpus = DpuSet(nr_banks, binary=binary, machine=machine, options=options)

    def __len__(self) -> int:
        """Banks."""
        return len(self.dpus)

    def free(self) -> None:
        """Give the DPUs back."""
        self.dpus.free()

    def resident(self, offset: int, rows: Bytes) -> None:
        """Put bytes [nr_banks, n] at an offset of the heap, before anything is counted."""
        self.dpus.copy(HEAP_NAME, rows, offset=offset)

    def enter(self, *, offset: int, rows: NDArray[np.int64], row_bytes: int, stride: int, per_byte: int) -> int:
        """Enter a matrix at an offset of the heap into the directories; gives its number.

        rows: [nr_banks], how many each bank has. per_byte: elements in a byte of a row.
        """
        entry = np.zeros((len(self), len(Column)), np.int32)
        entry[:, Column.ADDRESS] = self._heap + offset
        entry[:, Column.ROWS] = rows
        entry[:, Column.ROW_BYTES], entry[:, Column.STRIDE] = row_bytes, stride
        entry[:, Column.ELEMENTS_PER_BYTE] = per_byte
        number, self._entries = self._entries, self._entries + 1
        self.dpus.copy("matrices", entry, offset=entry[0].nbytes * number)
        return number

    def append(self, offset: int, rows: list[Bytes | None], *, elements: int) -> None:
        """Write rows of some banks, None for the others, in a transfer of their own."""
        self.dpus.copy(HEAP_NAME, rows, offset=offset)
        self._traffic.add("append", Moved(transfers=1, down=elements))

    def dots(
        self, purpose: Purpose, matrix: int, vectors: NDArray[np.int8], *, rows: Any, span: int, moved: Moved
    ) -> NDArray[np.int32]:
        """Rows of a matrix times vectors [1 or nr_banks, n, elements]: [nr_banks, n, span].

        rows: how many take part in each bank, or one number for all. moved: elements down and up, and additions.
        """
        results = np.zeros((len(self), vectors.shape[1], span), np.int32)
        self._exchange(purpose, Operation.DOTS, matrix, vectors, rows, span, results, moved)
        return results

    def sums(
        self, purpose: Purpose, matrix: int, weights: NDArray[np.int32], *, rows: Any, elements: int, moved: Moved
    ) -> NDArray[np.int64]:
        """Rows times weights [nr_banks, n, span], added up: [nr_banks, n, elements]; otherwise as `dots`."""
        results = np.zeros((len(self), weights.shape[1], elements), np.int64)
        self._exchange(purpose, Operation.SUMS, matrix, weights, rows, weights.shape[2], results, moved)
        return results

    def _exchange(
        self,
        purpose: Purpose,
        operation: Operation,
        matrix: int,
        body: NDArray[Any],
        rows: Any,
        span: int,
        results: NDArray[Any],
        moved: Moved,
    ) -> None:
        header = np.zeros((len(body), HEADER_BYTES // 4), np.int32)
        for field, value in {
            Header.OPERATION: operation,
            Header.MATRIX: matrix,
            Header.VECTORS: body.shape[1],
            Header.ROWS: rows,
            Header.SPAN: span,
        }.items():
            header[:, field] = value
        message = np.concatenate([header.view(np.uint8), body.reshape(len(body), -1).view(np.uint8)], axis=1)
        if message.shape[1] > MESSAGE_BYTES:
            raise ValueError(f"a message of {message.shape[1]:,} bytes: a bank has room for {MESSAGE_BYTES:,}")
        self.dpus.copy("message", message[0] if len(message) == 1 else message)
        (launch,) = self.dpus.exec()
        self.dpus.copy(results, HEAP_NAME)
        read_bytes = int(launch.counters.rows[..., Counter.READ_BYTES].sum())
        self._traffic.add(purpose, moved + Moved(transfers=2, read_bytes=read_bytes))
