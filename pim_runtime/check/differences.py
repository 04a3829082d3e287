"""Where two runs of the same launch left different results: variables that the host sees, and MRAM that was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..commands import Memory
from ..device.integers import uint8
from ..program import DpuBinary
from .finding import SourcePlace
from .names import AddressName, AddressNames
from .shadow import PAGE_BYTES, THIS, UNDEFINED
from .side_run import SideRun

__all__ = ["Difference", "first_difference"]


class Difference(NamedTuple):
    """The first element that differs, its value after each run, None for one that was left undefined, and the lines
    that wrote it."""

    name: AddressName
    first: int | None
    second: int | None
    places: tuple[SourcePlace, ...]

    def __str__(self) -> str:
        first, second = ("undefined" if value is None else str(value) for value in (self.first, self.second))
        written = f", written at {' and '.join(map(str, self.places))}," if self.places else ""
        return f"{self.name.text}{written} is {first} and {second}"


def first_difference(binary: DpuBinary, names: AddressNames, first: SideRun, second: SideRun) -> Difference | None:
    """Compare the results of two runs. The log and bytes that are undefined in both are no results."""
    for memory, address, nr_bytes in _results(binary, first, second):
        here, there = (run.bytes_of(memory)[address : address + nr_bytes] for run in (first, second))
        defined = [_defined(run, memory, address, nr_bytes) for run in (first, second)]
        differs = (defined[0] != defined[1]) | (defined[0] & defined[1] & (here != there))
        if differs.any():
            return _described(binary, names, memory, address + int(differs.argmax()), first, second)
    return None


def _results(binary: DpuBinary, first: SideRun, second: SideRun) -> Iterator[tuple[Memory, int, int]]:
    """The byte ranges that hold results."""
    for symbol in binary.symbols.values():
        if symbol.section == "host":
            yield "wram", symbol.address, symbol.nbytes
    for page in sorted({*first.shadow.mram.pages, *second.shadow.mram.pages}):
        if any((run.shadow.mram.page_states(page) == THIS).any() for run in (first, second)):
            start = page * PAGE_BYTES
            yield "mram", start, min(PAGE_BYTES, len(first.bytes_of("mram")) - start)


def _defined(run: SideRun, memory: Memory, address: int, nr_bytes: int) -> NDArray[np.bool_]:
    """Which bytes of a run's memory somebody has written, bool [nr_bytes]."""
    return np.frombuffer(run.shadow.of(memory).states(address, nr_bytes), np.uint8) != UNDEFINED


def _described(
    binary: DpuBinary, names: AddressNames, memory: Memory, address: int, first: SideRun, second: SideRun
) -> Difference:
    name = names.of(memory, address)
    symbol = binary.symbols.get(name.symbol)
    kind = symbol.kind if symbol is not None else uint8
    start = address - (address - symbol.address if symbol is not None else 0) % kind.itemsize
    values = []
    for run in (first, second):
        value = int(run.bytes_of(memory)[start : start + kind.itemsize].view(kind.dtype)[0])
        values.append(value if _defined(run, memory, start, kind.itemsize).all() else None)
    writers = (run.shadow.writers.get((memory, address >> 3)) for run in (first, second))
    places = tuple(dict.fromkeys(writer for writer in writers if writer is not None))
    return Difference(name, values[0], values[1], places)
