"""One random kernel on every engine: what it leaves in memory, how it faults, and what it counts."""

from __future__ import annotations

import hashlib
import linecache
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import cffi
import numpy as np
from numpy.typing import NDArray

from pim_runtime import DpuFaultError, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.hardware import Hardware
from pim_runtime.program import DpuBinary

from .kernels import RandomKernel

__all__ = ["NR_DPUS", "Divergence", "Laboratory", "Remains"]

EngineName = Literal["compiled", "interpreted"]
NR_DPUS = 6  # inputs per kernel
NUMBERS = (0, 1, -1, 2, 3, 7, 31, 63, 64, 127, -128, 255, 32767, -32768, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63))
LAUNCH = "void launch(uint8_t *wram, uint8_t *mram, int64_t heap, int64_t tasklets, int64_t *fault_at);"
PRELUDE = Path(__file__).with_name("c_prelude.h")
FAULT_WORDS = 6


class Divergence(AssertionError):
    """Two engines did not do the same; the text shows where, and the kernel."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What a launch left behind.

    symbols: bytes [NR_DPUS, n] of every variable.    faults: (code, tasklet, line, three values) by DPU.
    counters: rows of counters, None where nothing was counted.
    """

    symbols: Mapping[str, NDArray[np.uint8]]
    faults: Mapping[int, tuple[int, ...]]
    counters: list[object] | None = None


class Laboratory:
    """Runs random kernels and compares. `folder` takes their translations to C."""

    def __init__(self, folder: Path, hardware: Hardware) -> None:
        self.folder, self.hardware = folder, hardware

    def check(
        self, kernel: RandomKernel, seed: int, engines: Sequence[EngineName] = ("interpreted", "compiled")
    ) -> int:
        """Compare engines with C, and with each other, on inputs drawn from `seed`. Gives the number of DPUs in fault.

        Raises Divergence with the kernel's text.
        """
        binary = _program(kernel.python).build(self.hardware)
        inputs = inputs_of(binary, seed)
        expected = self._in_c(kernel, binary, inputs)
        counted: dict[str, Remains] = {}
        for name, options in _choices(kernel, seed, engines):
            remains = self._on(options, binary, inputs)
            self._compare(name, remains, expected, kernel)
            if remains.counters is not None:
                counted[name] = remains
        (first, one), *others = counted.items()
        for name, other in others:
            if other.counters != one.counters:
                raise Divergence(f"{name} counts otherwise than {first}\n{_numbered(kernel.python)}")
        return len(expected.faults)

    def _on(self, options: EngineOptions, binary: DpuBinary, inputs: Mapping[str, NDArray[np.uint8]]) -> Remains:
        faults: dict[int, tuple[int, ...]] = {}
        with DpuSet(NR_DPUS, machine=Machine(self.hardware), options=options, binary=binary) as dpus:
            for name, rows in inputs.items():
                dpus.copy(name, rows)
            try:
                dpus.exec()
            except DpuFaultError as error:
                for fault in error.faults:
                    faults[fault.dpu] = (int(fault.code), fault.tasklet, fault.line, *fault.values[:3])
            symbols = {name: np.zeros_like(rows) for name, rows in inputs.items()}
            for name, rows in symbols.items():
                dpus.copy(rows, name)
            work = dpus.timeline.rows[-1 - len(symbols)].work
            counters = None if work is None else [part.rows.tolist() for part in work.counters]
        return Remains(symbols, faults, counters)

    def _in_c(self, kernel: RandomKernel, binary: DpuBinary, inputs: Mapping[str, NDArray[np.uint8]]) -> Remains:
        places = "".join(
            f"enum {{ ADDRESS_{name} = {symbol.address}, LENGTH_{name} = {symbol.size} }};\n"
            for name, symbol in binary.symbols.items()
            if name in inputs
        )
        path = self.folder / f"{_name(kernel.python)}.c"
        path.write_text(f"{PRELUDE.read_text()}{places}{kernel.c}\n")
        library = shared_library(path, LAUNCH)
        dpu = self.hardware.dpu
        heap = dpu.wram_bytes - binary.wram_heap_bytes
        symbols = {name: np.zeros_like(rows) for name, rows in inputs.items()}
        faults = {}
        for number in range(NR_DPUS):
            memories = {"wram": np.zeros(dpu.wram_bytes, np.uint8), "mram": np.zeros(1 << 16, np.uint8)}
            cells = {name: memories[_memory(binary, name)][binary.symbols[name].address :] for name in inputs}
            for name, rows in inputs.items():
                cells[name][: rows.shape[1]] = rows[number]
            found = np.zeros(FAULT_WORDS, np.int64)
            cast = library.ffi.from_buffer
            library.lib.launch(
                cast("uint8_t[]", memories["wram"]), cast("uint8_t[]", memories["mram"]), heap,
                binary.nr_tasklets, cast("int64_t[]", found),
            )  # fmt: skip
            for name, rows in symbols.items():
                rows[number] = cells[name][: rows.shape[1]]
            if found[0]:
                faults[number] = tuple(found.tolist())
        return Remains(symbols, faults)

    def _compare(self, name: str, found: Remains, expected: Remains, kernel: RandomKernel) -> None:
        if found.faults != expected.faults:
            text = f"faults (code, tasklet, line, values) by DPU are {found.faults}, in C {dict(expected.faults)}"
            raise Divergence(f"{name}: {text}\n{_numbered(kernel.python)}")
        for symbol, rows in found.symbols.items():
            wrong = np.argwhere(rows != expected.symbols[symbol])
            if len(wrong):
                dpu, byte = wrong[0]
                in_c = expected.symbols[symbol][dpu, byte]
                text = f"byte {byte} of {symbol} on DPU {dpu} is {rows[dpu, byte]}, in C {in_c}"
                raise Divergence(f"{name}: {text}\n{_numbered(kernel.python)}")


def _choices(kernel: RandomKernel, seed: int, engines: Sequence[EngineName]) -> Iterator[tuple[str, EngineOptions]]:
    """Every way to run with its name; where no rule is broken, checks may be off and the tasklet order free."""
    for engine in engines:
        for timing in ("off", "exact"):
            yield f"{engine}, timing={timing}", EngineOptions(engine=engine, timing=timing)
    if not kernel.may_fault and "compiled" in engines:
        yield "compiled without checks", EngineOptions(engine="compiled", timing="off", checks="off")
    if not kernel.may_fault:
        shuffled = EngineOptions(engine="interpreted", timing="off", tasklet_order="random", seed=seed)
        yield "interpreted in random order", shuffled


def inputs_of(binary: DpuBinary, seed: int) -> dict[str, NDArray[np.uint8]]:
    """Bytes of every variable, [NR_DPUS, n]: from numbers at the edges of the types, and from all."""
    random, inputs = Random(seed), {}
    for name, symbol in binary.symbols.items():
        if symbol.section in ("host", "mram_noinit"):
            rows = [
                [
                    random.choice(NUMBERS) if random.random() < 0.5 else random.getrandbits(64)
                    for _ in range(symbol.size)
                ]
                for _ in range(NR_DPUS)
            ]
            wrapped = [[value & (1 << symbol.kind.bits) - 1 for value in row] for row in rows]
            inputs[name] = np.array(wrapped, f"u{symbol.itemsize}").view(np.uint8)
    return inputs


@dataclass(frozen=True, slots=True)
class SharedLibrary:
    """A C library that cffi has opened."""

    ffi: cffi.FFI
    lib: object


def shared_library(source: Path, declarations: str) -> SharedLibrary:
    """Compile C and open it. Signed arithmetic wraps, as on a DPU."""
    target = source.with_suffix(".so")
    flags = ["-O1", "-fwrapv", "-w", "-fPIC", "-shared"]
    subprocess.run([*os.environ.get("CC", "cc").split(), *flags, "-o", str(target), str(source)], check=True)
    ffi = cffi.FFI()
    ffi.cdef(declarations)
    return SharedLibrary(ffi, ffi.dlopen(str(target)))


def _name(text: str) -> str:
    """Equal kernels have equal names, so that a compiled one is found again."""
    return f"random_kernel_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _program(text: str) -> DpuProgram:
    """The program of a module that is in no file."""
    filename = f"<{_name(text)}>"
    linecache.cache[filename] = len(text), None, text.splitlines(keepends=True), filename
    names: dict[str, DpuProgram] = {}
    exec(compile(text, filename, "exec"), names)
    return names["program"]


def _memory(binary: DpuBinary, name: str) -> str:
    return "wram" if binary.symbols[name].section == "host" else "mram"


def _numbered(text: str) -> str:
    return "\n".join(f"{number:4} {line}" for number, line in enumerate(text.splitlines(), 1))
