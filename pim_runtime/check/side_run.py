"""One run of a program on one DPU on the side: in memory of its own, interpreted, with everything watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..commands import Memory
from ..counters import NR_COUNTERS
from ..counting.program import uncounted
from ..device.run_record import INTERRUPT, LOG_BYTES, MAX_ITERATIONS, MAX_TASKLETS, MRAM_END, NR_CELLS, WRAM_END
from ..device.scheduler import MAX_PHASES
from ..engine.faults import Fault
from ..engine.interpreted import InterpretedEngine
from ..engine.protocol import Addresses, EngineOptions
from ..engine.tally import Tally
from ..hardware import Hardware
from ..memory import Reservation
from ..program import DpuBinary
from .alternative import Alternative
from .checked_device import CheckedDevice
from .conditions import Conditions
from .dpu_shadow import DpuShadow
from .finding import Finding
from .instrument import instrumented
from .memory_watch import MemoryWatch
from .names import AddressNames
from .options import Check
from .scene import Scene
from .shadow import PAGE_BYTES
from .stack import StackMeter, StackUse
from .sync_watch import SyncWatch

__all__ = ["Launched", "SideRun"]


class Launched(NamedTuple):
    """What is launched where."""

    binary: DpuBinary
    dpu: int
    names: AddressNames


class SideRun:
    """Memory for one run, and what the run left there. Close it at the end.

    fault: why the DPU stopped, or None. stack: the deepest stack of each tasklet.
    """

    stack: StackUse

    def __init__(self, hardware: Hardware, launched: Launched, shadow: DpuShadow) -> None:
        self.shadow = shadow.copy()
        self.fault: Fault | None = None
        self._hardware, self._launched = hardware, launched
        self._memories: dict[Memory, Reservation] = {
            "wram": Reservation(hardware.dpu.wram_bytes),
            "mram": Reservation(hardware.dpu.mram_bytes),
        }
        self._interrupt = np.zeros(1, np.int64)  # Ctrl-C reaches interpreted kernels by itself
        self._counters = Reservation(8 * NR_COUNTERS * MAX_TASKLETS * MAX_PHASES)

    def close(self) -> None:
        """Give the memory back."""
        for reservation in (*self._memories.values(), self._counters):
            reservation.release()

    def bytes_of(self, memory: Memory) -> NDArray[np.uint8]:
        """One of the memories, uint8 [bytes]. Drop it before `close`."""
        return self._memories[memory].array

    def fill(self, read: Callable[[Memory, int, NDArray[np.uint8]], None], alternative: Alternative | None) -> None:
        """Copy what has ever been written: `read(memory, address, target)` gives the DPU's real bytes.

        Where MRAM differs in an alternative, it is what that says.
        """
        for memory, reservation in self._memories.items():
            for pages in _runs(self.shadow.of(memory).pages):
                first, end = pages.start * PAGE_BYTES, pages.stop * PAGE_BYTES
                read(memory, first, reservation.array[first:end])
        if alternative is not None:
            alternative.apply(self._memories["mram"].array, self.shadow)

    def run(self, conditions: Conditions, *, options: Check, report: Callable[[Finding], None]) -> None:
        """Run the program to its end or fault."""
        binary, dpu, names = self._launched
        record, counted = self._record(binary, options.max_iterations), uncounted(binary.closure)
        tally = Tally(counted.table)  # lives as long as the run
        tally.attach(record)
        scene = Scene(
            program=binary.name,
            dpu=dpu,
            dpus_per_rank=self._hardware.geometry.dpus_per_rank,
            nr_tasklets=binary.nr_tasklets,
            names=names,
            record=record,
            codes=frozenset(id(function.__code__) for function in counted.closure.functions),
            report=report,
        )
        sync = SyncWatch(scene)
        memory = MemoryWatch(scene, sync, self.shadow, options.keeps)
        stack = StackMeter(binary.closure, binary.stack_bytes, scene)
        closure = instrumented(counted.closure, CheckedDevice(memory, sync, conditions.poison), stack)
        order = conditions.order
        engine = InterpretedEngine(
            EngineOptions(engine="interpreted", tasklet_order=order.kind, seed=order.seed, timing="off")
        )
        faults = engine.run(closure, binary.nr_tasklets, range(dpu, dpu + 1), self._addresses(dpu), record)
        self.fault, self.stack = faults[0] if faults else None, stack.use(binary.name)
        if self.fault is None:
            sync.ends()
        memory.ends()

    def _record(self, binary: DpuBinary, max_iterations: int) -> NDArray[np.int64]:
        record = np.zeros(NR_CELLS, np.int64)
        record[MRAM_END], record[WRAM_END] = self._hardware.dpu.mram_bytes, self._hardware.dpu.wram_bytes
        record[MAX_ITERATIONS] = max(1, max_iterations // binary.nr_tasklets)
        record[INTERRUPT] = self._interrupt.ctypes.data
        record[LOG_BYTES] = binary.log_bytes
        return record

    def _addresses(self, dpu: int) -> Addresses:
        """Where the memories of the one DPU are; it keeps its number, which faults and the log show."""
        self._phases, self._measured = np.zeros(dpu + 1, np.int64), np.zeros(dpu + 1, np.int64)
        return Addresses(
            mram=self._memories["mram"].address,
            mram_stride=0,
            wram=self._memories["wram"].address,
            wram_stride=0,
            counters=self._counters.address,
            counters_stride=0,
            phases=self._phases.ctypes.data,
            measured=self._measured.ctypes.data,
        )


def _runs(numbers: Sequence[int]) -> Iterator[range]:
    """Consecutive numbers together."""
    breaks = [index for index in range(1, len(numbers)) if numbers[index] != numbers[index - 1] + 1]
    for start, stop in pairwise([0, *breaks, len(numbers)] if numbers else []):
        yield range(numbers[start], numbers[stop - 1] + 1)
