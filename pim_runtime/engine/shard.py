"""A shard: the memories of some DPUs and the engine that runs programs on them. Executes commands, knows no time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..blocks import Blocks, blocks_of_pages
from ..commands import Capture, Load, Memory, Read, Restore, Write
from ..counters import NR_COUNTERS, LaunchCounters
from ..counting.lines import line_profile
from ..counting.program import CountedKernel, counted, uncounted
from ..device.guards import UNLIMITED_ITERATIONS
from ..device.run_record import (
    INTERRUPT,
    LOG_BYTES,
    MAX_ITERATIONS,
    MAX_TASKLETS,
    MRAM_END,
    NR_CELLS,
    PERF_COSTS,
    WRAM_END,
)
from ..device.scheduler import MAX_PHASES
from ..hardware import TICKS_PER_CYCLE, Hardware
from ..lines import LineProfile
from ..memory import PAGE_BYTES, Reservation
from ..program import DpuBinary
from ..timing.prices import issue_ticks, occupancy_ticks
from .compiled import CompiledEngine
from .faults import Fault
from .interpreted import InterpretedEngine
from .protocol import Addresses, Engine, EngineOptions
from .sample import sample_of
from .tally import Tally

__all__ = ["Shard"]

COUNTERS_BYTES = 8 * MAX_PHASES * MAX_TASKLETS * NR_COUNTERS  # per DPU


class Shard:
    """`nr_dpus` DPUs of one machine, in reserved memory that is zero until written."""

    def __init__(self, hardware: Hardware, nr_dpus: int, options: EngineOptions) -> None:
        self.hardware, self.nr_dpus = hardware, nr_dpus
        self.engine: Engine = (
            CompiledEngine(options.checks) if options.engine == "compiled" else InterpretedEngine(options)
        )
        self._mram = Reservation(nr_dpus * hardware.dpu.mram_bytes)
        self._wram = Reservation(nr_dpus * hardware.dpu.wram_bytes)
        self._counters = Reservation(nr_dpus * COUNTERS_BYTES)
        self._phases, self._measured = np.zeros(nr_dpus, np.int64), np.zeros(nr_dpus, np.int64)
        self._interrupt = np.zeros(1, np.int64)
        self._timing, self._max_iterations = options.timing, options.max_iterations or UNLIMITED_ITERATIONS
        self._checks = options.checks
        self._records = threading.local()

    def memory(self, memory: Memory) -> NDArray[np.uint8]:
        """A memory of all DPUs, uint8 [nr_dpus, bytes]."""
        return self._reservation(memory).array.reshape(self.nr_dpus, -1)

    def load(self, command: Load) -> None:
        """Write initial WRAM variables and `.mram` segments, and let the engine prepare the kernel."""
        binary, dpus = command.binary, slice(command.dpus.start, command.dpus.stop)
        self.engine.prepare(self._counted(binary).closure)
        self.memory("wram")[dpus, : len(binary.wram_image)] = np.frombuffer(binary.wram_image, np.uint8)
        for address, image in binary.mram_segments:
            self.memory("mram")[dpus, address : address + len(image)] = np.frombuffer(image, np.uint8)

    def write(self, command: Write, dpus: range) -> None:
        """Copy the rows of `dpus`, a part of the command's DPUs."""
        for target, row in self._pairs(command, dpus):
            target[...] = row

    def read(self, command: Read, dpus: range) -> None:
        """Fill the rows of `dpus`, a part of the command's DPUs."""
        for source, row in self._pairs(command, dpus):
            row[...] = source

    def capture(self, command: Capture) -> Blocks:
        """A copy of what is not zero in a memory of some DPUs."""
        dpus = command.dpus
        return Blocks.taken(self.memory(command.memory)[dpus.start : dpus.stop], self._touched(command.memory, dpus))

    def restore(self, command: Restore) -> None:
        """Put captured blocks back, and zeros where there are none."""
        dpus = command.dpus
        memory = self.memory(command.memory)[dpus.start : dpus.stop]
        command.blocks.put(memory, self._touched(command.memory, dpus))

    def _touched(self, memory: Memory, dpus: range) -> NDArray[np.int64]:
        """Numbers of the blocks of a memory of `dpus` that may differ from zero, counted from the first of them."""
        reservation = self._reservation(memory)
        bytes_per_dpu = len(reservation.array) // self.nr_dpus
        first_byte, nr_bytes = dpus.start * bytes_per_dpu, len(dpus) * bytes_per_dpu
        return blocks_of_pages(
            reservation.resident_pages(first_byte, nr_bytes),
            page_bytes=PAGE_BYTES,
            first_byte=first_byte,
            nr_bytes=nr_bytes,
            bytes_per_dpu=bytes_per_dpu,
        )

    def _reservation(self, memory: Memory) -> Reservation:
        return self._mram if memory == "mram" else self._wram

    def _pairs(self, command: Write | Read, dpus: range) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """DPU memory and host bytes that belong together: one pair of matrices, or one pair of rows per DPU."""
        columns = slice(command.address, command.address + command.nbytes)
        memory, first = self.memory(command.memory), command.dpus.start
        if isinstance(command.rows, np.ndarray):
            one_for_all = len(command.rows) == 1
            rows = command.rows if one_for_all else command.rows[dpus.start - first : dpus.stop - first]
            return [(memory[dpus.start : dpus.stop, columns], rows)]
        rows_of = ((dpu, command.rows[dpu - first]) for dpu in dpus)
        return [(memory[dpu, columns], row) for dpu, row in rows_of if row is not None]

    def begin(self, binary: DpuBinary, dpus: range) -> None:
        """Before a launch runs on parts of `dpus`: choose those that count what depends on the data."""
        self._interrupt[0] = 0
        variable = self._counted(binary).table.has_variable
        self._measured[dpus.start : dpus.stop] = sample_of(self._timing if variable else "exact", len(dpus))

    def run(self, binary: DpuBinary, dpus: range) -> tuple[list[Fault], NDArray[np.int64]]:
        """Run a loaded program on `dpus` in this thread; gives the faults and the totals of its meters (Tally)."""
        counted, record = self._counted(binary), self._record(binary)
        tally = Tally(counted.table)
        tally.attach(record)
        faults = self.engine.run(counted.closure, binary.nr_tasklets, dpus, self._addresses(), record)
        for fault in faults:
            self._phases[fault.dpu] = fault.phase
        return faults, tally.totals

    def interrupt(self) -> None:
        """Stop all DPUs that run now, from another thread."""
        self._interrupt[0] = 1

    def lines(self, binary: DpuBinary, totals: Sequence[NDArray[np.int64]]) -> LineProfile:
        """Where a launch spent its instructions, from the totals of its parts."""
        return line_profile(self._counted(binary).table, np.sum(totals, axis=0))

    def counters(self, dpus: range, nr_tasklets: int) -> LaunchCounters:
        """Counters of the last run; nothing but zeros with timing="off"."""
        if self._timing == "off":
            nothing = np.zeros((1, 1, nr_tasklets, NR_COUNTERS), np.int64)
            return LaunchCounters(
                patterns=nothing, pattern_of=np.zeros(len(dpus), np.intp), measured=np.ones(1, np.bool_)
            )
        part = slice(dpus.start, dpus.stop)
        barriers = self._phases[part].copy()
        nr_phases = min(int(barriers.max()) + 1, MAX_PHASES)
        cells = self._counters.array.view(np.int64).reshape(self.nr_dpus, MAX_PHASES, MAX_TASKLETS, NR_COUNTERS)
        rows = cells[part, :nr_phases, :nr_tasklets].copy()
        rows[np.arange(nr_phases)[None, :] > barriers[:, None]] = 0  # left by an earlier launch
        return LaunchCounters.of(rows, self._measured[part] != 0)

    def close(self) -> None:
        """Give all memory back."""
        for reservation in (self._mram, self._wram, self._counters):
            reservation.release()

    def _addresses(self) -> Addresses:
        return Addresses(
            mram=self._mram.address,
            mram_stride=self.hardware.dpu.mram_bytes,
            wram=self._wram.address,
            wram_stride=self.hardware.dpu.wram_bytes,
            counters=self._counters.address,
            counters_stride=COUNTERS_BYTES,
            phases=self._phases.ctypes.data,
            measured=self._measured.ctypes.data,
        )

    def _counted(self, binary: DpuBinary) -> CountedKernel:
        make = uncounted if self._timing == "off" else counted
        return make(binary.closure, self._checks)

    def _record(self, binary: DpuBinary) -> NDArray[np.int64]:
        """This thread's run record, set up for the program."""
        record: NDArray[np.int64] | None = getattr(self._records, "cells", None)
        if record is None:
            record = self._records.cells = np.zeros(NR_CELLS, np.int64)
            record[MRAM_END], record[WRAM_END] = self.hardware.dpu.mram_bytes, self.hardware.dpu.wram_bytes
            record[MAX_ITERATIONS], record[INTERRUPT] = self._max_iterations, self._interrupt.ctypes.data
            record[PERF_COSTS : PERF_COSTS + NR_COUNTERS] = _cycle_costs(self.hardware)
        record[LOG_BYTES] = binary.log_bytes
        return record


def _cycle_costs(hardware: Hardware) -> NDArray[np.int64]:
    """Cycles of one unit of each counter in 1/16, as the performance counter charges them."""
    cycles: NDArray[np.int64] = (issue_ticks(hardware) + occupancy_ticks(hardware)) * 16
    return (2 * cycles + TICKS_PER_CYCLE) // (2 * TICKS_PER_CYCLE)
