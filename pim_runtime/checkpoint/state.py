"""The record of a saved state: everything that some DPUs are between two commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..blocks import Blocks
from ..commands import Memory
from ..engine.faults import Fault
from ..timeline import TimelineState
from .programs import SavedProgram

__all__ = ["Part", "SavedState", "SetKind"]

Part = Literal["internal", "iram", "mram", "wram"]
"""What a context may hold. internal: faults and the timeline. iram: which program is loaded, not its code."""

SetKind = Literal["set", "rank", "dpu"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedState:
    """The state of `nr_dpus` DPUs.

    profile, machine: the hardware's name, and every value of it that a restore asks for, as text by dotted key.
    clock: the form of kernel time. kind: what was saved; first_dpu: its lowest DPU in its allocation.
    programs, program_of: the loaded programs, and for each DPU the index of its own, -1 before any load.
    memories: what is not zero. faults: how the last launch of a DPU failed, by its index here.
    timeline: that of the allocation, None for a context of a rank or a DPU. note: what the user said about it.
    """

    profile: str
    machine: Mapping[str, str]
    clock: str
    kind: SetKind
    first_dpu: int
    nr_dpus: int
    parts: tuple[Part, ...]
    programs: tuple[SavedProgram, ...]
    program_of: tuple[int, ...]
    memories: Mapping[Memory, Blocks]
    faults: Mapping[int, Fault]
    timeline: TimelineState | None
    note: Any = None

    def of_dpu(self, dpu: int) -> SavedState:
        """The state of one DPU. Raises IndexError."""
        if not 0 <= dpu < self.nr_dpus:
            raise IndexError(f"DPU {dpu} of a state of DPUs 0 to {self.nr_dpus - 1}")
        program = self.program_of[dpu]
        return replace(
            self,
            kind="dpu",
            first_dpu=self.first_dpu + dpu,
            nr_dpus=1,
            programs=self.programs[program : program + 1] if program >= 0 else (),
            program_of=(min(program, 0),),
            memories={memory: blocks.of_dpu(dpu) for memory, blocks in self.memories.items()},
            faults={0: replace(self.faults[dpu], dpu=0)} if dpu in self.faults else {},
            timeline=None,
        )

    def program(self, dpu: int) -> SavedProgram | None:
        """The program of one DPU."""
        return self.programs[self.program_of[dpu]] if self.program_of[dpu] >= 0 else None

    def without_internal(self) -> SavedState:
        """The state without faults and timeline."""
        parts = tuple(part for part in self.parts if part != "internal")
        return replace(self, parts=parts, faults={}, timeline=None)
