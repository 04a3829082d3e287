"""Names for addresses: which variable of a program, or which region, a byte of WRAM or MRAM belongs to."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from ..commands import Memory
from ..device.wram_map import FIRST_VARIABLE
from ..program import DpuBinary
from ..symbols import HEAP_NAME, Symbol

__all__ = ["RUNTIME_WORDS", "STACKS", "WRAM_HEAP", "AddressName", "AddressNames"]

RUNTIME_WORDS, STACKS, WRAM_HEAP = "runtime words", "stacks", "WRAM heap"


class AddressName(NamedTuple):
    """`symbol` names the variable or region, `text` the element and its address."""

    symbol: str
    text: str


class AddressNames:
    """The address map of a linked program. wram_bytes: the size of the WRAM. symbols: the names of all variables."""

    def __init__(self, binary: DpuBinary, wram_bytes: int) -> None:
        table = binary.symbols[HEAP_NAME].table
        self._symbols: dict[Memory, list[Symbol]] = {
            "wram": sorted(table.in_section("wram", "host"), key=lambda symbol: symbol.address),
            "mram": sorted(table.in_section("log", "mram_noinit", "mram"), key=lambda symbol: symbol.address),
        }
        self._addresses = {memory: [symbol.address for symbol in found] for memory, found in self._symbols.items()}
        self.symbols = frozenset(table.symbols)
        self._heaps = {"wram": wram_bytes - binary.wram_heap_bytes, "mram": table.end_of_mram_variables()}

    @property
    def wram_variables(self) -> list[Symbol]:
        """The variables in WRAM, by address."""
        return self._symbols["wram"]

    def of(self, memory: Memory, address: int) -> AddressName:
        """The name of one byte."""
        symbols, at = self._symbols[memory], f"{memory.upper()} {address:#x}"
        index = bisect_right(self._addresses[memory], address) - 1
        symbol = symbols[index] if index >= 0 else None
        if symbol is not None and address < symbol.address + symbol.nbytes:
            element = f"[{(address - symbol.address) // symbol.itemsize}]" if symbol.shape else ""
            return AddressName(symbol.name, f"{symbol.name}{element} ({at})")
        if memory == "wram" and address < FIRST_VARIABLE:
            return AddressName(RUNTIME_WORDS, at)
        if address >= self._heaps[memory]:
            heap = WRAM_HEAP if memory == "wram" else HEAP_NAME
            return AddressName(heap, f"{memory.upper()} heap + {address - self._heaps[memory]:#x} ({at})")
        return AddressName(STACKS if memory == "wram" else "padding", at)
