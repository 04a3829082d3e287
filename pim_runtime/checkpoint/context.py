"""DpuContext: the saved state of some DPUs, in memory, in bytes or in a file (upmem-sdk 1.10).

The SDK saves single DPUs; here a context holds any set, and `context[i]` is that of its i-th DPU.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..commands import Memory
from ..device.faults import FaultCode
from ..device.run_record import NR_MUTEX_BITS
from ..engine.faults import Fault
from ..errors import CheckpointError, InvalidDpuSetError
from .container import Container, write_container
from .encoding import members_of, state_of
from .files import read_whole, replaced
from .programs import SavedProgram
from .state import Part, SavedState

__all__ = ["DpuContext"]

BREAKPOINTS: Mapping[FaultCode, int] = MappingProxyType(
    {
        FaultCode.HEAP_FULL: 1,
        FaultCode.DIVISION_BY_ZERO: 2,
        FaultCode.ASSERT: 3,
        FaultCode.HALT: 4,
        FaultCode.LOG_MESSAGE_SIZE: 5,
        FaultCode.PERFCOUNTER: 9,
    }
)
"""Faults that the runtime of a DPU raises itself, with their numbers (upmem-sdk 3.8)."""
DMA_FAULTS = (
    FaultCode.DMA_SIZE,
    FaultCode.DMA_MRAM_ALIGNMENT,
    FaultCode.DMA_WRAM_ALIGNMENT,
    FaultCode.DMA_MRAM_RANGE,
    FaultCode.DMA_WRAM_RANGE,
)
MEMORY_FAULTS = (FaultCode.WRAM_INDEX, FaultCode.WRAM_RANGE, FaultCode.WRAM_ALIGNMENT, FaultCode.WINDOW)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DpuContext:
    """The state of some DPUs between two commands. It does not change any more.

    Methods that speak of one DPU raise InvalidDpuSetError for several, and CheckpointError for what was not saved.
    """

    state: SavedState

    def __repr__(self) -> str:
        state = self.state
        programs = ", ".join(map(str, state.programs)) or "no program"
        return f"<DpuContext of a {state.kind} of {state.nr_dpus} DPUs with {programs}>"

    # as bytes and files

    def serialize(self, note: object = None) -> bytes:
        """The context in the format of its files; `note` is anything that JSON holds, default: the note it has.

        Raises CheckpointError for a note that is no JSON.
        """
        buffer = io.BytesIO()
        write_container(buffer, members_of(self._noted(note)))
        return buffer.getvalue()

    @classmethod
    def from_buffer(cls, buffer: bytes | bytearray | memoryview) -> DpuContext:
        """Back from `serialize`. Raises CheckpointError for anything else; nothing in the buffer is executed."""
        return cls(state_of(Container(bytes(buffer), "the buffer")))

    def save(self, path: str | Path, note: object = None) -> None:
        """Write a file in one step: a run that is killed meanwhile, or a full disk, leaves what was there before.

        note: anything that JSON holds, such as the step of the host program; default: the note it has.
        Raises CheckpointError for a note that is no JSON, and where the file cannot be written.
        """
        with replaced(Path(path)) as file:
            write_container(file, members_of(self._noted(note)))

    @classmethod
    def open(cls, path: str | Path) -> DpuContext:
        """Back from `save`. Raises CheckpointError for a file that is missing, foreign, damaged or cut off.

        Nothing in the file is executed.
        """
        return cls(state_of(Container(read_whole(Path(path)), str(path))))

    def _noted(self, note: object) -> SavedState:
        return self.state if note is None else replace(self.state, note=note)

    # one DPU

    def __len__(self) -> int:
        return self.state.nr_dpus

    def __getitem__(self, dpu: int) -> DpuContext:
        """The context of one DPU. Raises IndexError."""
        return DpuContext(self.state.of_dpu(dpu))

    def __iter__(self) -> Iterator[DpuContext]:
        return (self[dpu] for dpu in range(len(self)))

    @property
    def note(self) -> Any:
        """What the user said when the context was saved, None for nothing."""
        return self.state.note

    def without_internal(self) -> DpuContext:
        """The context without faults and timeline; of the same DPUs."""
        return DpuContext(self.state.without_internal())

    def iram(self) -> bytes:
        """What stands for the program: the SHA-256 of all that it is made of. Its code is not in a context."""
        self._need_part("iram")
        return bytes.fromhex(self.program.fingerprint) if self.program else b""

    def mram(self) -> bytes:
        """The whole MRAM of the DPU."""
        return self._memory("mram")

    def wram(self) -> bytes:
        """The whole WRAM of the DPU."""
        return self._memory("wram")

    def atomic_bits(self) -> list[bool]:
        """Which mutex bits were taken when the DPU stopped in fault; between launches none is."""
        self._need_part("internal")
        taken = {bit for bit, _ in self.fault.holders} if self.fault is not None else set()
        return [bit in taken for bit in range(NR_MUTEX_BITS)]

    def bkp_fault(self) -> tuple[int, int] | None:
        """(tasklet, number) of a fault that the DPU's runtime raised: heap, division, assert, halt (upmem-sdk 3.8)."""
        fault = self._fault_in(tuple(BREAKPOINTS))
        return None if fault is None else (fault.tasklet, BREAKPOINTS[fault.code])

    def dma_fault(self) -> int | None:
        """The tasklet whose DMA broke a rule."""
        fault = self._fault_in(DMA_FAULTS)
        return None if fault is None else fault.tasklet

    def mem_fault(self) -> int | None:
        """The tasklet that left the WRAM or one of its views."""
        fault = self._fault_in(MEMORY_FAULTS)
        return None if fault is None else fault.tasklet

    @property
    def fault(self) -> Fault | None:
        """How the DPU's last launch failed, whatever the reason."""
        self._need_one()
        return self.state.faults.get(0)

    @property
    def program(self) -> SavedProgram | None:
        """The DPU's program."""
        self._need_one()
        return self.state.program(0)

    def _memory(self, memory: Memory) -> bytes:
        self._need_one()
        self._need_part(memory)
        blocks = self.state.memories[memory]
        return blocks.read(0, 0, blocks.bytes_per_dpu).tobytes()

    def _fault_in(self, codes: tuple[FaultCode, ...]) -> Fault | None:
        self._need_part("internal")
        return self.fault if self.fault is not None and self.fault.code in codes else None

    def _need_one(self) -> None:
        if len(self) != 1:
            raise InvalidDpuSetError(f"this context holds {len(self)} DPUs: choose one of them, as in context[0]")

    def _need_part(self, part: Part) -> None:
        if part not in self.state.parts:
            raise CheckpointError(
                f"the context was saved without {part}: it has {', '.join(self.state.parts) or 'nothing'}"
            )
