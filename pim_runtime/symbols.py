"""Declared variables of a program, and the addresses that the linker gives them (upmem-sdk 3.2 and 3.4).

Order in WRAM: null word and runtime variables, program variables, stacks, software cache, heap to the end.
Order in MRAM: `.mram.noinit`, `.mram`, then the heap. The order of declaration is kept inside a section. Addresses
do not depend on the number of tasklets; only stacks, cache and heap do.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .device.integers import IntegerType, as_integer_type, uint8
from .device.sync import COUNT, INITIAL_COUNT
from .device.tasklet import Tasklet
from .device.view import View, wram_view
from .device.wram_map import FIRST_VARIABLE
from .errors import LinkError

__all__ = ["HEAP_NAME", "Barrier", "MramSymbol", "Mutex", "Section", "Semaphore", "Symbol", "SymbolTable", "WramSymbol"]

HEAP_NAME = "__sys_used_mram_end"  # DPU_MRAM_HEAP_POINTER_NAME
FIRST_FREE_MUTEX_BIT = 200  # v1A reserves atomic bits 0 to 199 (upmem-sdk 3.2)
NR_ATOMIC_BITS = 256
SYNC_BYTES = 4  # barrier_t and sem_t

Section = Literal["wram", "host", "log", "mram_noinit", "mram", "heap"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Symbol:
    """A variable of a program: `shape` elements of type `kind`. `initial` is what a load writes, None for zeroes."""

    name: str
    kind: IntegerType
    shape: tuple[int, ...]
    section: Section
    initial: bytes | None
    table: SymbolTable = field(repr=False)

    @property
    def address(self) -> int:
        """Offset of the first byte in its memory. Asking for it closes the program for further declarations."""
        return self.table.address_of(self.name)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.kind.itemsize

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.kind.itemsize

    def __repr__(self) -> str:
        return f"{self.section} {self.kind} {self.name}{list(self.shape) if self.shape else ''}"


class MramSymbol(Symbol):
    """A variable in MRAM; kernels use its `address` (an MRAM offset) with DMA."""

    __slots__ = ()


class WramSymbol(Symbol):
    """A variable in WRAM; kernels open it as an `array`, or `load` and `store` a scalar."""

    __slots__ = ()

    def array(self, t: Tasklet) -> View:
        """All elements, as a view."""
        return wram_view(t, self.kind, self.address, self.size)

    def load(self, t: Tasklet) -> int:
        """The value of a scalar (element 0)."""
        return wram_view(t, self.kind, self.address, 1)[0]

    def store(self, t: Tasklet, value: int) -> None:
        """Set a scalar (element 0)."""
        wram_view(t, self.kind, self.address, 1)[0] = value


@dataclass(frozen=True, slots=True, eq=False)
class Barrier:
    """A barrier; `address` is that of its barrier_t in WRAM."""

    symbol: WramSymbol

    @property
    def address(self) -> int:
        """WRAM address of the barrier_t."""
        return self.symbol.address

    def __repr__(self) -> str:
        return f"barrier {self.symbol.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Semaphore:
    """A counting semaphore; `address` is that of its sem_t in WRAM."""

    symbol: WramSymbol

    @property
    def address(self) -> int:
        """WRAM address of the sem_t."""
        return self.symbol.address

    def __repr__(self) -> str:
        return f"semaphore {self.symbol.name}"


@dataclass(frozen=True, slots=True)
class Mutex:
    """A mutex: one hardware bit. Released at every boot."""

    name: str
    bit: int

    def __repr__(self) -> str:
        return f"mutex {self.name} = bit {self.bit}"


class SymbolTable:
    """The declarations of one program. Open until somebody asks for an address, then fixed.

    `before_closing` is called once before that, to declare what depends on the whole program.
    """

    def __init__(self, before_closing: Callable[[], None]) -> None:
        self._before_closing = before_closing
        self.symbols: dict[str, Symbol] = {}
        self.atomic_bits: list[str] = []
        self._addresses: dict[str, int] | None = None
        self._linking = threading.Lock()  # of several threads, one closes the table

    def declare(
        self, name: str, kind: object, shape: int | tuple[int, ...], section: Section, initial: ArrayLike | None
    ) -> Symbol:
        """Add a variable. Raises LinkError for a name in use, a bad shape or initial values that do not fit."""
        if self._addresses is not None:
            raise LinkError(
                f"symbol {name!r}: the program is linked already; declare every symbol before its first use"
            )
        if not name.isidentifier() or name in self.symbols:
            raise LinkError(f"symbol {name!r}: the name is {'taken' if name in self.symbols else 'no C identifier'}")
        integer_type = as_integer_type(kind)  # type: ignore[arg-type]
        dims = (shape,) if isinstance(shape, int) else tuple(shape)
        if any(not isinstance(dim, int) or dim < 1 for dim in dims):
            raise LinkError(f"symbol {name!r}: shape {shape!r} must be positive integers")
        image = None if initial is None else _image(name, integer_type, dims, initial)
        cls = WramSymbol if section in ("wram", "host") else MramSymbol
        symbol = cls(name=name, kind=integer_type, shape=dims, section=section, initial=image, table=self)
        self.symbols[name] = symbol
        return symbol

    def declare_sync(self, name: str, count: int) -> WramSymbol:
        """Add a barrier_t or sem_t that starts at `count`; it takes one atomic bit for its lock, as in the SDK."""
        if not -127 <= count <= 127:
            raise LinkError(f"{name!r}: count {count} does not fit the 8-bit counter (-127 to 127)")
        self.take_atomic_bit(name)
        image = np.zeros(SYNC_BYTES, np.int8)
        image[COUNT] = image[INITIAL_COUNT] = count
        symbol = self.declare(name, uint8, SYNC_BYTES, "wram", image.view(np.uint8))
        assert isinstance(symbol, WramSymbol)
        return symbol

    def take_atomic_bit(self, name: str) -> int:
        """Reserve one hardware mutex bit. Raises LinkError when none is left."""
        bit = FIRST_FREE_MUTEX_BIT + len(self.atomic_bits)
        if bit >= NR_ATOMIC_BITS:
            raise LinkError(
                f"{name!r}: all {NR_ATOMIC_BITS - FIRST_FREE_MUTEX_BIT} mutex bits are taken by "
                f"{', '.join(self.atomic_bits)}; share mutexes"
            )
        self.atomic_bits.append(name)
        return bit

    @property
    def is_closed(self) -> bool:
        """True once addresses are given."""
        return self._addresses is not None

    def address_of(self, name: str) -> int:
        """Offset of a symbol in its memory."""
        return self._layout()[name]

    def _layout(self) -> dict[str, int]:
        with self._linking:
            if self._addresses is None:
                self._before_closing()
                wram = self._place(FIRST_VARIABLE, "wram", "host")
                mram = self._place(0, "log", "mram_noinit", "mram", "heap")
                self._addresses = dict((*wram, *mram))
            return self._addresses

    def _place(self, start: int, *sections: Section) -> Iterator[tuple[str, int]]:
        for section in sections:
            for symbol in self.in_section(section):
                yield symbol.name, start
                start = (start + symbol.nbytes + 7) & -8

    def in_section(self, *sections: Section) -> list[Symbol]:
        """The symbols of these sections, in order of declaration."""
        return [symbol for section in sections for symbol in self.symbols.values() if symbol.section == section]

    def end_of_wram_variables(self) -> int:
        """First WRAM byte after the program's variables."""
        return max([FIRST_VARIABLE, *(_end(symbol) for symbol in self.in_section("wram", "host"))])

    def end_of_mram_variables(self) -> int:
        """First MRAM byte after the program's variables: the MRAM heap."""
        return max([0, *(_end(symbol) for symbol in self.in_section("log", "mram_noinit", "mram"))])


def _end(symbol: Symbol) -> int:
    return (symbol.address + symbol.nbytes + 7) & -8


def _image(name: str, kind: IntegerType, shape: tuple[int, ...], initial: ArrayLike) -> bytes:
    values = np.asarray(initial)
    if values.dtype.kind not in "iub":
        raise LinkError(f"symbol {name!r}: initial values are {values.dtype}, not integers")
    limits = np.iinfo(kind.dtype)
    if values.size and (int(values.min()) < limits.min or int(values.max()) > limits.max):
        raise LinkError(f"symbol {name!r}: initial values {values.min()} to {values.max()} do not fit {kind}")
    try:
        return np.broadcast_to(values, shape).astype(kind.dtype).tobytes()
    except ValueError:
        raise LinkError(f"symbol {name!r}: initial values of shape {values.shape} do not fit shape {shape}") from None
