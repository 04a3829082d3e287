"""Where two runs of the same launch left different results: in variables that the host sees, and in MRAM."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..commands import Memory
from ..device.integers import uint8
from ..program import DpuBinary
from .alternative import Alternative
from .dpu_shadow import DpuShadow
from .finding import SourcePlace
from .names import AddressName, AddressNames
from .shadow import PAGE_BYTES, THIS, UNDEFINED, WORD_BYTES
from .side_run import SideRun

__all__ = ["Difference", "first_difference", "mram_difference", "mram_differences"]


class Difference(NamedTuple):
    """An element that differs, its value in each case, None for one that was left undefined, and the lines that wrote
    it."""

    name: AddressName
    first: int | None
    second: int | None
    places: tuple[SourcePlace, ...]

    def __str__(self) -> str:
        first, second = ("undefined" if value is None else str(value) for value in (self.first, self.second))
        written = f", written at {' and '.join(map(str, self.places))}," if self.places else ""
        return f"{self.name.text}{written} is {first} and {second}"


def first_difference(
    binary: DpuBinary, names: AddressNames, unordered: Collection[str], first: SideRun, second: SideRun
) -> Difference | None:
    """Compare the variables that the host sees, but for those that are `unordered`."""
    for symbol in binary.symbols.values():
        if symbol.section == "host" and symbol.name not in unordered:
            values, defined = _pair("wram", symbol.address, symbol.nbytes, first, second)
            differs = _differs(values, defined)
            if differs.any():
                address = symbol.address + int(differs.argmax())
                writers = (run.shadow.writers.get(("wram", address >> 3)) for run in (first, second))
                return _difference(binary, names.of("wram", address), address, symbol.address, values, defined, writers)
    return None


def mram_differences(
    first: SideRun, second: SideRun, carried: Alternative | None, races: Collection[str]
) -> Alternative:
    """Compare MRAM where one of the runs has written, or where it differed before (`carried`)."""
    words, values, defined = [], [], []
    old_pages = carried.pages() if carried is not None else set()
    for page in sorted({*first.shadow.mram.pages, *second.shadow.mram.pages}):
        if page in old_pages or any((run.shadow.mram.page_states(page) == THIS).any() for run in (first, second)):
            start = page * PAGE_BYTES
            nr_bytes = min(PAGE_BYTES, len(first.bytes_of("mram")) - start)
            page_values, page_defined = _pair("mram", start, nr_bytes, first, second)
            differs = _differs(page_values, page_defined).reshape(-1, WORD_BYTES).any(axis=1)
            words.append(start // WORD_BYTES + np.flatnonzero(differs))
            values.append(page_values.reshape(2, -1, WORD_BYTES)[:, differs])
            defined.append(page_defined.reshape(2, -1, WORD_BYTES)[:, differs])
    all_words = np.concatenate([np.zeros(0, np.int64), *words])
    writers = second.shadow.writers
    return Alternative(
        words=all_words,
        values=np.concatenate([np.zeros((2, 0, WORD_BYTES), np.uint8), *values], axis=1),
        defined=np.concatenate([np.zeros((2, 0, WORD_BYTES), np.bool_), *defined], axis=1),
        writers={word: writers["mram", word] for word in all_words.tolist() if ("mram", word) in writers},
        races=frozenset(races) | (carried.races if carried is not None else frozenset()),
    )


def mram_difference(
    binary: DpuBinary, names: AddressNames, shadow: DpuShadow, alternative: Alternative, index: int
) -> Difference:
    """One of the words in which MRAM differs, in words."""
    word = int(alternative.words[index])
    values, defined = alternative.values[:, index], alternative.defined[:, index]
    address = WORD_BYTES * word + int(_differs(values, defined).argmax())
    writers = shadow.writers.get(("mram", word)), alternative.writers.get(word)
    return _difference(binary, names.of("mram", address), address, WORD_BYTES * word, values, defined, writers)


def _pair(
    memory: Memory, address: int, nr_bytes: int, first: SideRun, second: SideRun
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The bytes of both runs, uint8 [2, nr_bytes], and which of them somebody has written."""
    states = b"".join(run.shadow.of(memory).states(address, nr_bytes) for run in (first, second))
    values = np.stack([run.bytes_of(memory)[address : address + nr_bytes] for run in (first, second)])
    return values, np.frombuffer(states, np.uint8).reshape(2, nr_bytes) != UNDEFINED


def _differs(values: NDArray[np.uint8], defined: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bytes that are undefined in both do not differ."""
    different: NDArray[np.bool_] = (defined[0] != defined[1]) | (defined[0] & defined[1] & (values[0] != values[1]))
    return different


def _difference(
    binary: DpuBinary,
    name: AddressName,
    address: int,
    base: int,
    values: NDArray[np.uint8],
    defined: NDArray[np.bool_],
    writers: Iterable[SourcePlace | None],
) -> Difference:
    """The element at an address; `values` and `defined` are of the bytes from `base` on."""
    symbol = binary.symbols.get(name.symbol)
    kind = symbol.kind if symbol is not None else uint8
    start = address - base - (address - symbol.address if symbol is not None else 0) % kind.itemsize
    element = slice(start, start + kind.itemsize)
    first, second = (
        int(np.ascontiguousarray(values[run, element]).view(kind.dtype)[0]) if defined[run, element].all() else None
        for run in (0, 1)
    )
    return Difference(name, first, second, tuple(dict.fromkeys(writer for writer in writers if writer is not None)))
