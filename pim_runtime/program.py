"""DPU programs: symbols, a kernel and a number of tasklets, and the binary that a load puts into a DPU.

`DpuProgram` collects declarations; `build` checks them against a machine and gives a `DpuBinary`, which is what the
SDK's compiler and linker would have written. Compiling the kernel is the engine's business, at load.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, MappingProxyType
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import ArrayLike

from .device.integers import uint8
from .device.log import STDOUT_BYTES
from .device.mram import DMA_GRANULARITY_BYTES, MAX_DMA_BYTES, MIN_DMA_BYTES
from .device.run_record import MAX_TASKLETS
from .device.source_text import keep_source_text
from .device.wram_map import FIRST_VARIABLE, HEAP_POINTER, HEAP_START
from .errors import KernelError, LinkError
from .hardware import Hardware
from .language.closure import Closure, close_over
from .language.syntax import check_syntax
from .symbols import HEAP_NAME, Barrier, MramSymbol, Mutex, Semaphore, Symbol, SymbolTable, WramSymbol

__all__ = ["DpuBinary", "DpuProgram", "dpu_program"]

SOFTWARE_CACHE_BYTES = 8  # per tasklet (upmem-sdk 3.2)
LOG_NAME = "__stdout_buffer"
DMA_SIZES = (MIN_DMA_BYTES, MAX_DMA_BYTES, DMA_GRANULARITY_BYTES)

Parameters = ParamSpec("Parameters")


@dataclass(frozen=True, slots=True, eq=False)
class DpuBinary:
    """A program linked for one machine and one number of tasklets.

    `variables` are all its symbols, `symbols` those that a host sees. The heaps are what variables, stacks and caches
    leave. `wram_image` is written to WRAM from address 0 by a load; `mram_segments` are (offset, bytes) of the
    initialised MRAM variables. `log_bytes` is 0 for a program without printf, `stack_bytes` what WRAM reserves for the
    stack of each tasklet.
    """

    name: str
    closure: Closure
    nr_tasklets: int
    variables: Mapping[str, Symbol]
    symbols: Mapping[str, Symbol]
    mram_heap_bytes: int
    wram_heap_bytes: int
    wram_image: bytes
    mram_segments: tuple[tuple[int, bytes], ...]
    log_bytes: int
    stack_bytes: int

    def nbytes_of(self, symbol: Symbol) -> int:
        """Bytes that a host may access through a symbol; the MRAM heap reaches to the end of MRAM."""
        return self.mram_heap_bytes if symbol.section == "heap" else symbol.nbytes


class DpuProgram:
    """A DPU program under construction.

    nr_tasklets: tasklets that run the kernel; default 1, as the SDK's compiler assumes.
    stack_bytes: WRAM reserved per tasklet for its stack; default 1024, a multiple of 8.
    """

    def __init__(self, name: str, *, nr_tasklets: int = 1, stack_bytes: int = 1024) -> None:
        self.name = name
        self.nr_tasklets = _checked_tasklets(name, nr_tasklets)
        if stack_bytes <= 0 or stack_bytes % 8:
            raise LinkError(
                f"program {name!r}: stacks of {stack_bytes} bytes; a stack is a positive multiple of 8 bytes"
            )
        self.stack_bytes = stack_bytes
        self._table = SymbolTable(self._declare_log)
        self._kernel: FunctionType | None = None
        self._heap = self._table.declare(HEAP_NAME, uint8, (), "heap", None)
        self._tasklet_barriers: list[WramSymbol] = []

    def mram(
        self, name: str, kind: object, shape: int | tuple[int, ...] = (), initial: ArrayLike | None = None
    ) -> MramSymbol:
        """Declare `__mram`: in MRAM, written at every load (zero without `initial`)."""
        return self._declared(MramSymbol, self._table.declare(name, kind, shape, "mram", initial))

    def mram_noinit(self, name: str, kind: object, shape: int | tuple[int, ...] = ()) -> MramSymbol:
        """Declare `__mram_noinit`: in MRAM, never written by a load."""
        return self._declared(MramSymbol, self._table.declare(name, kind, shape, "mram_noinit", None))

    def host(
        self, name: str, kind: object, shape: int | tuple[int, ...] = (), initial: ArrayLike | None = None
    ) -> WramSymbol:
        """Declare `__host`: in WRAM, and the host can reach it by name."""
        return self._declared(WramSymbol, self._table.declare(name, kind, shape, "host", initial))

    def wram(
        self, name: str, kind: object, shape: int | tuple[int, ...] = (), initial: ArrayLike | None = None
    ) -> WramSymbol:
        """Declare a plain global variable: in WRAM, not visible to the host, kept between launches."""
        return self._declared(WramSymbol, self._table.declare(name, kind, shape, "wram", initial))

    def barrier(self, name: str, count: int | None = None) -> Barrier:
        """Declare a barrier for `count` tasklets (C: BARRIER_INIT); None counts all tasklets of the build."""
        if count is not None and count < 1:
            raise LinkError(f"barrier {name!r}: a count of {count} never opens")
        symbol = self._table.declare_sync(name, count or 0)
        if count is None:
            self._tasklet_barriers.append(symbol)
        return Barrier(symbol)

    def semaphore(self, name: str, count: int) -> Semaphore:
        """Declare a semaphore that starts at `count` (C: SEMAPHORE_INIT)."""
        return Semaphore(self._table.declare_sync(name, count))

    def mutex(self, name: str) -> Mutex:
        """Declare a mutex (C: MUTEX_INIT): one of the DPU's hardware bits."""
        return Mutex(name, self._table.take_atomic_bit(name))

    @property
    def mram_heap(self) -> MramSymbol:
        """The free MRAM behind the program's variables (C: DPU_MRAM_HEAP_POINTER)."""
        return self._declared(MramSymbol, self._heap)

    def kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: make `function(t)` the kernel that every tasklet runs. Raises KernelError on broken rules."""
        if self._kernel is not None:
            raise KernelError(f"program {self.name!r} has a kernel already: {self._kernel.__qualname__}")
        if not isinstance(function, FunctionType):
            raise KernelError(f"program {self.name!r}: a kernel is a plain function, not {type(function).__name__}")
        keep_source_text(function)
        check_syntax(function, blocking=True)
        self._kernel = function
        return function

    def build(self, hardware: Hardware, *, nr_tasklets: int | None = None) -> DpuBinary:
        """Link for a machine, with the declared number of tasklets or another one.

        Raises LinkError when the program does not fit (the message lists what takes the space), KernelError when the
        kernel is missing or names something it may not use.
        """
        tasklets = self.nr_tasklets if nr_tasklets is None else _checked_tasklets(self.name, nr_tasklets)
        return self._build(hardware, tasklets)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - a program and its binaries live equally long
    def _build(self, hardware: Hardware, nr_tasklets: int) -> DpuBinary:
        if self._kernel is None:
            raise KernelError(f"program {self.name!r} has no kernel: decorate one with @program.kernel")
        closure = close_over(self._kernel)
        if closure.prints and LOG_NAME not in self._table.symbols and self._table.is_closed:
            raise LinkError(
                f"program {self.name!r}: an address was asked for before the kernel, which prints, was defined"
            )
        self._check_chip(hardware)
        heap_start = self._check_wram(hardware, nr_tasklets)
        heap_bytes = self._check_mram(hardware)
        return DpuBinary(
            name=self.name,
            closure=closure,
            nr_tasklets=nr_tasklets,
            variables=MappingProxyType(dict(self._table.symbols)),
            symbols=MappingProxyType(
                {s.name: s for s in self._table.in_section("host", "log", "mram_noinit", "mram", "heap")}
            ),
            mram_heap_bytes=heap_bytes,
            wram_heap_bytes=hardware.dpu.wram_bytes - heap_start,
            wram_image=self._wram_image(heap_start, nr_tasklets),
            mram_segments=tuple((s.address, s.initial or bytes(s.nbytes)) for s in self._table.in_section("mram")),
            log_bytes=STDOUT_BYTES if closure.prints else 0,
            stack_bytes=self.stack_bytes,
        )

    def _declare_log(self) -> None:
        """A program that prints has the log ring at the start of MRAM and its heap 1 MiB higher, as in the SDK."""
        if self._kernel is not None and close_over(self._kernel).prints:
            self._table.declare(LOG_NAME, uint8, STDOUT_BYTES, "log", None)

    def _check_chip(self, hardware: Hardware) -> None:
        """Raise LinkError when the chip has fewer mutex bits than the program takes, or another DMA instruction."""
        taken, bits = self._table.atomic_bits, hardware.dpu.mutex_bits
        if len(taken) > bits:
            raise LinkError(
                f"program {self.name!r} takes {len(taken)} mutex bits, the chip has {bits}: {', '.join(taken)}"
            )
        dma = hardware.dma
        if (dma.min_bytes, dma.max_bytes, dma.granularity_bytes) != DMA_SIZES:
            raise LinkError(
                f"profile {hardware.name!r} has DMAs of {dma.min_bytes} to {dma.max_bytes} bytes in steps of "
                f"{dma.granularity_bytes}; the emulated instruction moves {DMA_SIZES[0]} to {DMA_SIZES[1]} in steps of "
                f"{DMA_SIZES[2]}"
            )

    def _check_wram(self, hardware: Hardware, nr_tasklets: int) -> int:
        """Where the heap starts. Raises LinkError when nothing is left for it."""
        size = hardware.dpu.wram_bytes
        variables = self._table.end_of_wram_variables()
        stacks, cache = nr_tasklets * self.stack_bytes, nr_tasklets * SOFTWARE_CACHE_BYTES
        heap_start = variables + stacks + cache
        if heap_start > size:
            parts = [("runtime variables", FIRST_VARIABLE)]
            parts += [(repr(s), s.nbytes) for s in self._table.in_section("wram", "host")]
            parts += [(f"stacks: {nr_tasklets} x {self.stack_bytes}", stacks), ("software cache", cache)]
            raise LinkError(_overflow(self.name, "WRAM", size, heap_start, parts))
        return heap_start

    def _check_mram(self, hardware: Hardware) -> int:
        """Bytes of the MRAM heap. Raises LinkError when the variables do not fit."""
        size, used = hardware.dpu.mram_bytes, self._table.end_of_mram_variables()
        if used > size:
            parts = [(repr(s), s.nbytes) for s in self._table.in_section("log", "mram_noinit", "mram")]
            raise LinkError(_overflow(self.name, "MRAM", size, used, parts))
        return size - used

    def _wram_image(self, heap_start: int, nr_tasklets: int) -> bytes:
        image = np.zeros(self._table.end_of_wram_variables(), np.uint8)
        image[HEAP_POINTER : HEAP_START + 8].view(np.int64)[:] = heap_start
        for symbol in self._table.in_section("wram", "host"):
            if symbol.initial is not None:
                image[symbol.address : symbol.address + symbol.nbytes] = np.frombuffer(symbol.initial, np.uint8)
        for symbol in self._tasklet_barriers:
            image[symbol.address : symbol.address + symbol.nbytes] = (0, nr_tasklets, nr_tasklets, 0)
        return image.tobytes()

    @staticmethod
    def _declared(cls: type[Any], symbol: Symbol) -> Any:
        assert isinstance(symbol, cls)
        return symbol


def dpu_program(define: Callable[Parameters, DpuProgram]) -> Callable[Parameters, DpuProgram]:
    """Decorator for a family of programs: the function builds one member from its (hashable) parameters.

        @dpu_program
        def scale(kind: IntegerType) -> DpuProgram:
            program = DpuProgram(f"scale_{kind}", nr_tasklets=16)
            ...
            return program

    Equal parameters give the same program object, so a family member is linked and compiled once per process.
    """
    return functools.cache(define)  # type: ignore[return-value]


def _checked_tasklets(name: str, nr_tasklets: int) -> int:
    if not isinstance(nr_tasklets, int) or not 1 <= nr_tasklets <= MAX_TASKLETS:
        raise LinkError(f"program {name!r}: {nr_tasklets} tasklets; a DPU runs 1 to {MAX_TASKLETS}")
    return nr_tasklets


def _overflow(name: str, memory: str, size: int, needed: int, parts: list[tuple[str, int]]) -> str:
    largest = sorted(parts, key=lambda part: -part[1])
    lines = "\n".join(f"  {nr_bytes:>9,} bytes  {what}" for what, nr_bytes in largest if nr_bytes)
    return (
        f"program {name!r} needs {needed:,} bytes of {memory}, {needed - size:,} more than the {size:,} there are:\n"
        f"{lines}\nMake the largest smaller, use fewer tasklets, or move data to "
        f"{'MRAM' if memory == 'WRAM' else 'the host'}"
    )
