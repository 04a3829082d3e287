"""What the host API is expected to do: a model of sets of DPUs, in dictionaries and byte arrays.

Written from the description of the SDK (upmem-sdk 1, 2 and 4), with the emulator's stated deviations: use after free is
INVALID_DPU_SET, a launch without a program NO_PROGRAM_LOADED, memory that nobody wrote is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pim_runtime.device.faults import FaultCode
from pim_runtime.errors import (
    DifferentDpuProgramsError,
    InvalidDpuSetError,
    InvalidMramAccessError,
    InvalidSymbolAccessError,
    InvalidWramAccessError,
    LogContextMissingError,
    NoProgramLoadedError,
    UnknownSymbolError,
)

from .host_programs import DEADLOCK, HALT, WRONG_INDEX

__all__ = ["MRAM_WINDOWS", "Allocation", "Dpu", "Part", "Place", "Program", "Row", "Symbol", "error_class"]

MRAM_BYTES, WRAM_BYTES = 64 << 20, 64 << 10
MRAM_WINDOWS = (
    (1 << 20, 512),
    (MRAM_BYTES - 64, 64),
)  # (first byte, bytes): where the programs' variables and ends are
LOG_MESSAGE_BYTES = 16  # a header and one argument

Row = tuple[str, str, str, int, int, int, int]
"""operation, mode, what, first DPU, DPUs, bytes, transfers: a row of the timeline without its time."""


class Symbol(NamedTuple):
    """What `struct dpu_symbol_t` says, with the address inside its memory."""

    memory: Literal["wram", "mram"]
    address: int
    nbytes: int


@dataclass(frozen=True, eq=False)
class Program:
    """A loaded program: equal only to itself, as another number of tasklets makes another binary."""

    name: Literal["talking", "silent"]
    nr_tasklets: int
    symbols: dict[str, Symbol]


class Place(NamedTuple):
    """Bytes that a transfer reaches on every DPU."""

    symbol: str
    memory: Literal["wram", "mram"]
    address: int
    nbytes: int


@dataclass(slots=True)
class Dpu:
    """One DPU: its program, its memories, and what it printed in its last launch."""

    program: Program | None = None
    wram: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(256, np.uint8))
    mram: list[NDArray[np.uint8]] = field(default_factory=lambda: [np.zeros(n, np.uint8) for _, n in MRAM_WINDOWS])
    printed: list[str] = field(default_factory=list)

    def cells(self, memory: Literal["wram", "mram"], address: int, nbytes: int) -> NDArray[np.uint8]:
        """The bytes at an address, to read and to write."""
        if memory == "wram":
            return self.wram[address : address + nbytes]
        window = next(
            i for i, (first, n) in enumerate(MRAM_WINDOWS) if first <= address <= address + nbytes <= first + n
        )
        offset = address - MRAM_WINDOWS[window][0]
        return self.mram[window][offset : offset + nbytes]

    def variable(self, name: str, dtype: type[np.integer]) -> NDArray[np.integer]:
        """A variable of the loaded program."""
        assert self.program is not None
        memory, address, nbytes = self.program.symbols[name]
        return self.cells(memory, address, nbytes).view(dtype)

    def load(self, program: Program) -> None:
        """WRAM variables and `.mram` get their initial values; other MRAM stays."""
        self.program, self.printed = program, []
        self.wram[:] = 0
        if program.name == "talking":
            self.variable("number", np.int32)[:] = 7
            self.variable("pair", np.int64)[:] = (10, -20)
            self.variable("odd", np.uint8)[:] = (1, 2, 3)
            self.variable("start", np.int32)[:] = (1, 2, 3, 4)
        else:
            self.variable("value", np.int64)[:] = 3

    def launch(self) -> FaultCode | None:
        """Run the program; gives the fault that ended it."""
        assert self.program is not None
        if self.program.name == "silent":
            self.variable("value", np.int64)[0] ^= 5
            return None
        number = self.variable("number", np.int32)
        number += 1
        self.printed = [f"number {int(number[0])}\n"]
        if self.program.nr_tasklets == 1:
            return None
        mode = int(self.variable("mode", np.int32)[0])
        faults = {HALT: FaultCode.HALT, WRONG_INDEX: FaultCode.WRAM_INDEX, DEADLOCK: FaultCode.DEADLOCK}
        if mode in faults:
            return faults[mode]
        self.variable("rows", np.int64)[1] ^= np.int64(number[0])
        return None


@dataclass(slots=True)
class Allocation:
    """The DPUs of one dpu_alloc, and what its timeline has."""

    dpus: list[Dpu]
    dpus_per_rank: int
    alive: bool = True
    prepared: list[NDArray[np.uint8] | None] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prepared = [None] * len(self.dpus)


@dataclass(frozen=True, slots=True)
class Part:
    """A set as the host sees it: an allocation, a rank of it, or a DPU of it."""

    allocation: Allocation
    dpus: range
    kind: Literal["set", "rank", "dpu"]

    def __len__(self) -> int:
        return len(self.dpus)

    def __iter__(self) -> Iterator[Dpu]:
        return iter(self.allocation.dpus[self.dpus.start : self.dpus.stop])

    @property
    def nr_ranks(self) -> int:
        per_rank = self.allocation.dpus_per_rank
        return (self.dpus.stop - 1) // per_rank - self.dpus.start // per_rank + 1

    def programs(self) -> list[Program | None]:
        """The different programs of the part, None for a DPU without."""
        return list({dpu.program for dpu in self})

    def common_program(self) -> Program | set[type[Exception]]:
        """The program of all DPUs, or what an access by name raises. Where both are true, either may be said."""
        programs = self.programs()
        if len(programs) == 1 and programs[0] is not None:
            return programs[0]
        errors: set[type[Exception]] = {NoProgramLoadedError} if None in programs else set()
        return errors | ({DifferentDpuProgramsError} if len(programs) - (None in programs) > 1 else set())

    def resolve(self, symbol: str | tuple[str, Symbol], offset: int, nbytes: int) -> Place | set[type[Exception]]:
        """Where a transfer goes, or what it raises: the SDK's checks in the SDK's order (upmem-sdk 2.5)."""
        if not self.allocation.alive:
            return {InvalidDpuSetError}
        if isinstance(symbol, str):
            program = self.common_program()
            if not isinstance(program, Program):
                return program
            if symbol not in program.symbols:
                return {UnknownSymbolError}
            symbol = (symbol, program.symbols[symbol])
        name, (memory, address, size) = symbol
        if offset < 0 or nbytes < 0 or offset + nbytes > size:
            return {InvalidSymbolAccessError}
        granularity, error = (4, InvalidWramAccessError) if memory == "wram" else (8, InvalidMramAccessError)
        if (address + offset) % granularity or nbytes % granularity:
            return {error}
        return Place(name, memory, address + offset, nbytes)

    def cells(self, place: Place) -> list[NDArray[np.uint8]]:
        """The bytes of a transfer, by DPU."""
        return [dpu.cells(place.memory, place.address, place.nbytes) for dpu in self]

    def transferred(self, operation: str, mode: str, place: Place, taking_part: Sequence[bool]) -> None:
        """A row of the timeline, unless nothing moved."""
        dpus = [dpu for dpu, takes_part in zip(self.dpus, taking_part, strict=True) if takes_part]
        if dpus and place.nbytes:
            n = len(dpus)
            self.allocation.rows.append((operation, mode, place.symbol, dpus[0], n, n * place.nbytes, n))

    def load(self, program: Program) -> None:
        """All DPUs of the part get a program."""
        for dpu in self:
            dpu.load(program)
        self.allocation.rows.append(("load", "serial", program.name, self.dpus.start, len(self), 0, 0))

    def launch(self) -> dict[int, FaultCode]:
        """All DPUs run; gives the faults by DPU."""
        names = ", ".join(dict.fromkeys(program.name for program, _ in groupby(dpu.program for dpu in self) if program))
        faults = {number: dpu.launch() for number, dpu in zip(self.dpus, self, strict=True)}
        self.allocation.rows.append(("launch", "synchronous", names, self.dpus.start, len(self), 0, 0))
        return {number: code for number, code in faults.items() if code is not None}

    def log(self) -> tuple[str, type[Exception] | None]:
        """What reading the logs prints, and the error at which it ends."""
        text = ""
        for number, dpu in zip(self.dpus, self, strict=True):
            rank, inside = divmod(number, self.allocation.dpus_per_rank)
            text += f"=== DPU#{rank << 16 | (inside // 2) << 8 | inside % 2:#x} ===\n"
            error = error_class(dpu)
            if error is not None:
                return text, error
            self.allocation.rows.append(("read", "serial_from", "log", number, 1, 16, 1))
            if dpu.printed:
                nbytes = LOG_MESSAGE_BYTES * len(dpu.printed)
                self.allocation.rows.append(("read", "serial_from", "log", number, 1, nbytes, 1))
            text += "".join(dpu.printed)
        return text, None


def error_class(dpu: Dpu) -> type[Exception] | None:
    """What reading the log of one DPU raises."""
    if dpu.program is None:
        return NoProgramLoadedError
    return LogContextMissingError if dpu.program.name == "silent" else None
