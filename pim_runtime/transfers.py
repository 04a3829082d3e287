"""From a host buffer and a symbol to a checked command: the SDK's checks, in the SDK's order (upmem-sdk 2.5).

1. the DPUs have a program, the same one; the symbol exists      2. offset + length inside the symbol
3. WRAM addresses and lengths are multiples of 4, MRAM of 8      4. a length of zero is a no-op
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .allocation import Allocation
from .commands import Memory, Rows
from .errors import (
    ArgumentError,
    DifferentDpuProgramsError,
    DpuError,
    InvalidBufferSizeError,
    InvalidMemoryTransferError,
    InvalidMramAccessError,
    InvalidSymbolAccessError,
    InvalidWramAccessError,
    NoProgramLoadedError,
    OutOfMemoryError,
    UnknownSymbolError,
)
from .program import DpuBinary

__all__ = [
    "UINT_MAX",
    "DpuSymbol",
    "Target",
    "check_fillable",
    "common_binary",
    "common_length",
    "cut",
    "host_bytes",
    "integer",
    "python_rows",
    "resolve",
    "rows_of",
    "zero_rows",
]

UINT_MAX = 0xFFFF_FFFF
MRAM_BASE = 0x0800_0000  # C address of MRAM offset 0 (upmem-sdk 3.2)
GRANULARITY_BYTES: Mapping[Memory, int] = MappingProxyType({"wram": 4, "mram": 8})
ACCESS_ERRORS: Mapping[Memory, type[DpuError]] = MappingProxyType(
    {"wram": InvalidWramAccessError, "mram": InvalidMramAccessError}
)


@dataclass(frozen=True, slots=True)
class DpuSymbol:
    """A host-visible symbol, `struct dpu_symbol_t`: `address` is a WRAM address, or 0x08000000 + an MRAM offset."""

    name: str
    address: int
    nbytes: int

    def value(self) -> int:
        """The address."""
        return self.address

    def size(self) -> int:
        """The size in bytes."""
        return self.nbytes

    @classmethod
    def of(cls, binary: DpuBinary, name: str) -> DpuSymbol:
        """Look a symbol up. Raises UnknownSymbolError with the nearest names."""
        symbol = binary.symbols.get(name)
        if symbol is None:
            known = ", ".join(sorted(binary.symbols))
            raise UnknownSymbolError(
                f"{name!r} in program {binary.name!r}; the host sees {known} (plain WRAM variables are not visible, "
                "declare them with program.host)"
            )
        base = 0 if symbol.section == "host" else MRAM_BASE
        return cls(name, base + symbol.address, binary.nbytes_of(symbol))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Checked bytes on every DPU: `nbytes` at `address` of `memory`."""

    name: str
    memory: Memory
    address: int
    nbytes: int


def common_binary(allocation: Allocation, dpus: range) -> DpuBinary:
    """The program of all `dpus`. Raises NoProgramLoadedError or DifferentDpuProgramsError."""
    binaries = allocation.binaries[dpus.start : dpus.stop]
    for dpu, binary in zip(dpus, binaries, strict=True):
        if binary is None:
            raise NoProgramLoadedError(f"DPU {dpu} has no program; call dpu_load first")
        if binary is not binaries[0]:
            raise DifferentDpuProgramsError(
                f"DPU {dpus.start} runs {binaries[0].name!r}, DPU {dpu} {binary.name!r}"  # type: ignore[union-attr]
            )
    assert binaries[0] is not None
    return binaries[0]


def resolve(allocation: Allocation, dpus: range, symbol: str | DpuSymbol, offset: int, nbytes: int) -> Target:
    """Check `nbytes` at `offset` of a symbol on `dpus`, in the SDK's order; raises the SDK's error.

    Before all of them: InvalidDpuSetError after `free`, ArgumentError for an offset or size that is no integer.
    """
    allocation.require_alive()
    offset, nbytes = integer("offset", offset), integer("size", nbytes)
    if isinstance(symbol, str):
        symbol = DpuSymbol.of(common_binary(allocation, dpus), symbol)
    if offset < 0 or nbytes < 0 or offset + nbytes > symbol.nbytes:
        raise InvalidSymbolAccessError(
            f"{nbytes} bytes at offset {offset} of {symbol.name!r}, which has {symbol.nbytes} bytes"
        )
    memory: Memory = "mram" if symbol.address >= MRAM_BASE else "wram"
    address = symbol.address - (MRAM_BASE if memory == "mram" else 0) + offset
    granularity = GRANULARITY_BYTES[memory]
    if address % granularity or nbytes % granularity:
        raise ACCESS_ERRORS[memory](
            f"{nbytes} bytes at offset {offset} of {symbol.name!r}: {memory.upper()} transfers start and end at "
            f"multiples of {granularity} bytes; pad the symbol or move the neighbours too"
        )
    size = allocation.hardware.dpu.mram_bytes if memory == "mram" else allocation.hardware.dpu.wram_bytes
    if address + nbytes > size:
        raise ACCESS_ERRORS[memory](f"{nbytes} bytes at {address:#x}: the {memory.upper()} ends at {size:#x}")
    return Target(name=symbol.name, memory=memory, address=address, nbytes=nbytes)


def zero_rows(nr_dpus: int, symbol: DpuSymbol) -> NDArray[np.uint8]:
    """Host memory for all of a symbol, uint8 [nr_dpus, bytes]. Raises OutOfMemoryError."""
    try:
        return np.zeros((nr_dpus, symbol.nbytes), np.uint8)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"this computer has no {nr_dpus * symbol.nbytes:,} bytes for symbol {symbol.name!r} of {nr_dpus} DPUs. "
            "Copy a part of it to an array of your own, or read fewer DPUs at once"
        ) from error


def integer(name: str, value: Any) -> int:
    """The value of an argument that must be an integer. Raises ArgumentError."""
    if not isinstance(value, int | np.integer):
        raise ArgumentError(f"{name} is an integer, not {type(value).__name__}: {value!r}")
    return int(value)


def host_bytes(buffer: object, *, writable: bool) -> NDArray[np.uint8]:
    """The bytes of one host buffer, not copied. Raises InvalidMemoryTransferError for what is no fitting buffer."""
    try:
        view = memoryview(buffer)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError) as error:
        raise InvalidMemoryTransferError(
            f"a {type(buffer).__name__} is no host buffer ({error}); use a NumPy array, bytearray or array.array"
        ) from None
    if "O" in view.format:
        raise InvalidMemoryTransferError("the host buffer holds Python objects; use an array of numbers")
    if not view.c_contiguous:
        raise InvalidMemoryTransferError("the host buffer is not C-contiguous; use np.ascontiguousarray(buffer)")
    if writable and view.readonly:
        raise InvalidMemoryTransferError("the host buffer is read-only; DPU data needs a writable one (bytearray)")
    return np.frombuffer(view, np.uint8)


def rows_of(buffers: object, nr_dpus: int, *, writable: bool) -> Rows:
    """Host bytes per DPU: from an array [nr_dpus, ...] (row i for DPU i), or a sequence of buffers, None to skip one.

    Raises ArgumentError when the number of rows is wrong, InvalidMemoryTransferError when their lengths differ.
    """
    if isinstance(buffers, np.ndarray):
        if buffers.ndim < 2 or len(buffers) != nr_dpus:
            raise ArgumentError(
                f"invalid number of host buffers for this DPU set: an array of shape {buffers.shape} for {nr_dpus} "
                "DPUs; its first axis counts the DPUs"
            )
        return host_bytes(buffers, writable=writable).reshape(nr_dpus, -1)
    if not isinstance(buffers, Sequence) or len(buffers) != nr_dpus:
        count = len(buffers) if isinstance(buffers, Sequence) else "no"
        raise ArgumentError(f"invalid number of host buffers for this DPU set: {count} for {nr_dpus} DPUs")
    rows = [None if buffer is None else host_bytes(buffer, writable=writable) for buffer in buffers]
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) > 1:
        raise InvalidMemoryTransferError(f"host buffers of different lengths: {sorted(lengths)} bytes")
    return rows


def python_rows(host: Any, nr_dpus: int, *, writable: bool) -> Rows:
    """Host bytes per DPU, or one row for all, from the host side of the SDK's Python `copy` (upmem-sdk 1.6).

    Raises ArgumentError for a single buffer of multi-byte elements, of which the SDK would move `len` bytes.
    """
    if isinstance(host, list | tuple) or (isinstance(host, np.ndarray) and host.ndim >= 2):
        return rows_of(host, nr_dpus, writable=writable)
    data = host_bytes(host, writable=writable)
    itemsize = memoryview(host).itemsize
    if itemsize > 1:
        elements = len(data) // itemsize
        raise ArgumentError(
            f"a single buffer of {elements} elements and {len(data)} bytes: the SDK would move {elements} bytes; "
            "pass buffer.view(numpy.uint8), or an array with one row per DPU"
        )
    return data[None, :]


def common_length(rows: Rows) -> int:
    """Bytes of every host buffer; without any, UINT_MAX as in the SDK, which no symbol has."""
    if isinstance(rows, np.ndarray):
        return rows.shape[1]
    return next((len(row) for row in rows if row is not None), UINT_MAX)


def check_fillable(rows: Rows) -> None:
    """Raise InvalidMemoryTransferError when DPU data cannot go into the rows: a read-only row, or one that several DPUs
    would fill, which the SDK leaves undefined."""
    buffers = [rows] if isinstance(rows, np.ndarray) else [row for row in rows if row is not None]
    if not all(buffer.flags.writeable for buffer in buffers):
        raise InvalidMemoryTransferError("the host buffer is read-only; DPU data needs a writable one (bytearray)")
    spans = sorted((buffer.ctypes.data, buffer.ctypes.data + buffer.nbytes) for buffer in buffers)
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise InvalidMemoryTransferError("several DPUs would fill one host buffer; give every DPU its own")


def cut(rows: Rows, nbytes: int) -> Rows:
    """The first `nbytes` of every row. Raises InvalidBufferSizeError when a row is shorter."""
    lengths = {rows.shape[1]} if isinstance(rows, np.ndarray) else {len(row) for row in rows if row is not None}
    if lengths and min(lengths) < nbytes:
        raise InvalidBufferSizeError(f"host buffer is too small: {min(lengths)} bytes, {nbytes} are transferred")
    if isinstance(rows, np.ndarray):
        return rows[:, :nbytes]
    return [None if row is None else row[:nbytes] for row in rows]
