"""Host buffers of every right and wrong kind, with what a transfer may say about them."""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_runtime.errors import ArgumentError, InvalidMemoryTransferError

__all__ = ["ROWS", "SINGLE", "Buffer", "HostSide"]

MOST_BYTES = 160  # of a buffer, also where a transfer asks for gigabytes
Errors = frozenset[type[Exception]]
NONE: Errors = frozenset()
NO_BUFFER: Errors = frozenset({InvalidMemoryTransferError})
WRONG_NUMBER: Errors = frozenset({ArgumentError})


@dataclass(frozen=True, slots=True)
class HostSide:
    """What a call gets. `rows` are the bytes per DPU (one row: the same for all), None where a DPU is left out.

    to_dpu, from_dpu: what must be raised, one of them, when it is written from and read into. `single` and `itemsize`
    say how Python's `copy` sees it.
    """

    object: Any
    rows: list[NDArray[np.uint8] | None]
    to_dpu: Errors = NONE
    from_dpu: Errors = NONE
    single: bool = True
    itemsize: int = 1

    @property
    def nbytes(self) -> int | None:
        """Bytes per DPU, None when no DPU has a row."""
        return next((len(row) for row in self.rows if row is not None), None)


@dataclass(frozen=True, slots=True)
class Buffer:
    """How to make a host side: `kind` names an entry of SINGLE or ROWS, `fill` is the first byte of a pattern.

    `surplus`: bytes more (or less) than what the transfer asks for.
    """

    kind: str
    surplus: int
    fill: int

    def made(self, nr_dpus: int, nbytes: int) -> HostSide:
        """A fresh one for so many DPUs, and a transfer of so many bytes."""
        size = max(0, min(nbytes, MOST_BYTES) + self.surplus)
        if self.kind in SINGLE:
            return SINGLE[self.kind](_pattern(size, self.fill))
        return ROWS[self.kind]([_pattern(size, self.fill + 7 * dpu) for dpu in range(nr_dpus)])


def _pattern(nbytes: int, fill: int) -> bytearray:
    return bytearray((np.arange(nbytes) * 3 + fill).astype(np.uint8))


def _one(wrap: Callable[[bytearray], Any], **facts: Any) -> Callable[[bytearray], HostSide]:
    def made(data: bytearray) -> HostSide:
        buffer = wrap(data)
        return HostSide(buffer, [_bytes_of(buffer)], **facts)

    return made


def _words(data: bytearray) -> HostSide:
    words = np.frombuffer(data, np.int64 if len(data) % 8 == 0 else np.uint8)
    return HostSide(words, [_bytes_of(words)], itemsize=words.itemsize)


def _bad(wrap: Callable[[bytearray], Any]) -> Callable[[bytearray], HostSide]:
    return lambda data: HostSide(wrap(data), [np.frombuffer(data, np.uint8)], to_dpu=NO_BUFFER, from_dpu=NO_BUFFER)


def _locked(data: bytearray) -> Any:
    cells = np.frombuffer(data, np.uint8)
    cells.flags.writeable = False
    return cells


SINGLE: Mapping[str, Callable[[bytearray], HostSide]] = MappingProxyType(
    {
        "bytes": _one(bytes, from_dpu=NO_BUFFER),
        "bytearray": _one(bytearray),
        "memoryview": _one(memoryview),
        "array": _one(lambda data: array.array("B", data)),
        "uint8": _one(lambda data: np.frombuffer(data, np.uint8)),
        "words": _words,
        "read-only": _one(_locked, from_dpu=NO_BUFFER),
        "strided": _bad(lambda data: np.zeros(2 * len(data) + 4, np.uint8)[::2]),
        "objects": _bad(lambda data: np.array([None, data], object)),
        "a number": _bad(lambda data: 5),
        "None": _bad(lambda data: None),
    }
)


def _rows(wrap: Callable[[list[bytearray]], Any]) -> Callable[[list[bytearray]], HostSide]:
    def made(data: list[bytearray]) -> HostSide:
        rows = wrap(data)
        return HostSide(rows, [None if row is None else _bytes_of(row) for row in rows], single=False)

    return made


def _wrong_number(wrap: Callable[[list[bytearray]], Any]) -> Callable[[list[bytearray]], HostSide]:
    return lambda data: HostSide(wrap(data), [], to_dpu=WRONG_NUMBER, from_dpu=WRONG_NUMBER, single=False)


def _matrix(data: list[bytearray]) -> NDArray[np.uint8]:
    return np.array([list(row) for row in data], np.uint8).reshape(len(data), len(data[0]))


def _unequal(data: list[bytearray]) -> HostSide:
    rows = [*data[:-1], data[-1] + b"12345678"]
    wrong = NO_BUFFER if len(rows) > 1 else NONE
    return HostSide(rows, [_bytes_of(row) for row in rows], to_dpu=wrong, from_dpu=wrong, single=False)


def _one_locked(data: list[bytearray]) -> HostSide:
    rows: list[Any] = [bytes(data[0]), *data[1:]]
    return HostSide(rows, [_bytes_of(row) for row in rows], from_dpu=NO_BUFFER, single=False)


def _shared(data: list[bytearray]) -> HostSide:
    """One buffer for every DPU: to write from, not to fill."""
    rows = [data[0]] * len(data)
    wrong = NO_BUFFER if len(rows) > 1 and len(data[0]) else NONE
    return HostSide(rows, [_bytes_of(row) for row in rows], from_dpu=wrong, single=False)


ROWS: Mapping[str, Callable[[list[bytearray]], HostSide]] = MappingProxyType(
    {
        "matrix": _rows(_matrix),
        "three axes": _rows(lambda data: _matrix(data)[:, :, None]),
        "list": _rows(list),
        "tuple": _rows(lambda data: tuple(np.frombuffer(row, np.uint8) for row in data)),
        "holes": _rows(lambda data: [None if dpu % 2 else row for dpu, row in enumerate(data)]),
        "only holes": _rows(lambda data: [None] * len(data)),
        "shared": _shared,
        "unequal": _unequal,
        "one read-only": _one_locked,
        "one too few": _wrong_number(lambda data: data[1:]),
        "one too many": _wrong_number(lambda data: np.zeros((len(data) + 1, 8), np.uint8)),
    }
)


def _bytes_of(buffer: Any) -> NDArray[np.uint8]:
    if isinstance(buffer, np.ndarray):
        return buffer.reshape(-1).view(np.uint8)
    return np.frombuffer(buffer, np.uint8)
