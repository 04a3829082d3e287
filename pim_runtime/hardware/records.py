"""The records of a machine: one annotated field for each value, with the rule that a profile must obey."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from ..errors import ProfileError
from ..quantities import Curve, Integer, Number, Points
from .agreements import agreements
from .assembly import rules_by_key
from .links import Transfer
from .profiled import Profiled

__all__ = [
    "TICKS_PER_CYCLE",
    "Dma",
    "DmaLine",
    "Dpu",
    "Geometry",
    "Hardware",
    "Instructions",
    "Launch",
    "Pipeline",
    "Power",
    "Sync",
    "known_keys",
]

TICKS_PER_CYCLE = 10_000
"""A tick is the finest part of a cycle that a profile may state, so that sums of cycles are exact integers of ticks."""

Cycles = Annotated[Decimal, Number("cycles", 4)]
CyclesPerByte = Annotated[Decimal, Number("cycles/byte", 4)]
Microseconds = Annotated[Decimal, Number("us", 6)]  # 1 ps
Slots = Annotated[int, Integer("slots")]
Watts = Annotated[Decimal, Number("W", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How many of everything: ranks of chips of DPUs."""

    ranks: Annotated[int, Integer("ranks", at_least=1)]
    ranks_per_dimm: Annotated[int, Integer("ranks", at_least=1)]
    chips_per_rank: Annotated[int, Integer("chips", at_least=1)]
    dpus_per_chip: Annotated[int, Integer("DPUs", at_least=1)]

    @property
    def dpus_per_rank(self) -> int:
        return self.chips_per_rank * self.dpus_per_chip

    @property
    def dpus(self) -> int:
        return self.ranks * self.dpus_per_rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpu:
    """Memories and limits of one DPU. `iram_instruction_bytes` is the size of an instruction as the host sees it."""

    mram_bytes: Annotated[int, Integer("bytes", at_least=8, multiple_of=8)]
    wram_bytes: Annotated[int, Integer("bytes", at_least=8, multiple_of=8)]
    iram_instructions: Annotated[int, Integer("instructions", at_least=1)]
    iram_instruction_bytes: Annotated[int, Integer("bytes", at_least=1)]
    max_tasklets: Annotated[int, Integer("tasklets", at_least=1)]
    atomic_bits: Annotated[int, Integer("bits")]
    reserved_atomic_bits: Annotated[int, Integer("bits")]
    default_stack_bytes: Annotated[int, Integer("bytes", at_least=8, multiple_of=8)]

    @property
    def mutex_bits(self) -> int:
        """Atomic bits that a program may take for its mutexes."""
        return self.atomic_bits - self.reserved_atomic_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One instruction per cycle and DPU, one per `reissue_cycles` and tasklet."""

    clock_mhz: Annotated[int, Integer("MHz", at_least=1)]
    reissue_cycles: Annotated[int, Integer("cycles", at_least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """Issue slots of what is more than one instruction, each with its call and return where it is a routine.

    A 16-bit multiply of operands outside 0 to 255 takes `mul16_long_slots` more; a 32-bit multiply `mul32_step_slots`
    for each step beyond the first; a signed 32-bit division of non-negative numbers `sdiv32_extra_slots` more than an
    unsigned one with one quotient bit; a 64-bit division `div64_step_slots` for each quotient bit beyond the first.
    The assumed numbers stand for the data where they were not counted (timing="static").
    """

    mul16_slots: Slots
    mul16_long_slots: Slots
    mul32_slots: Slots
    mul32_step_slots: Slots
    mul64_slots: Slots
    udiv32_slots: Slots
    sdiv32_extra_slots: Slots
    div64_slots: Slots
    div64_step_slots: Slots
    assumed_mul16_long_percent: Annotated[int, Integer("%")]
    assumed_mul32_steps: Annotated[int, Integer("steps")]
    assumed_div32_slots: Slots
    assumed_div64_steps: Annotated[int, Integer("steps")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DmaLine:
    """Cycles of one DMA of `s` bytes: setup_cycles + cycles_per_byte * s."""

    setup_cycles: Cycles
    cycles_per_byte: CyclesPerByte


@dataclass(frozen=True, slots=True, kw_only=True)
class Dma:
    """Rules and cost of a DMA between MRAM and WRAM.

    Occupancy is how long the one engine of a DPU is busy, stall how long the issuing tasklet waits if the engine is
    free. A DMA issues `issue_slots` instructions; `pipeline_load_slots` more load the pipeline, but not its tasklet.
    """

    min_bytes: Annotated[int, Integer("bytes", at_least=1)]
    max_bytes: Annotated[int, Integer("bytes", at_least=1)]
    granularity_bytes: Annotated[int, Integer("bytes", at_least=1)]
    issue_slots: Slots
    pipeline_load_slots: Annotated[Decimal, Number("slots", 4)]
    read_occupancy: DmaLine
    write_occupancy: DmaLine
    read_stall: DmaLine
    write_stall: DmaLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Cost of a barrier, as (tasklets, cycles) points for linear interpolation, and of the other primitives."""

    barrier: Annotated[Points, Curve("tasklets, cycles")]
    lock_slots: Slots
    sync_slots: Slots
    alloc_slots: Slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Host time of a synchronous launch beyond the kernel itself."""

    setup_us: Microseconds
    us_per_tasklet: Microseconds
    us_per_further_rank: Microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Thermal design power per allocated DPU, and the upper of the published figures."""

    dpu_watts: Watts
    dpu_watts_upper: Watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware(Profiled):
    """One machine. `provenance` lists every value with its unit, provenance and source, in the order of the fields."""

    geometry: Geometry
    dpu: Dpu
    pipeline: Pipeline
    instructions: Instructions
    dma: Dma
    sync: Sync
    launch: Launch
    transfer: Transfer
    power: Power

    def refuse_contradictions(self, file: str) -> None:
        """Raise ProfileError for two values that contradict each other."""
        for key, value, agrees, rule in agreements(self):
            if not agrees:
                raise ProfileError(f"{file}, {key}: value {value} {rule}. Change one of the two.")


def known_keys() -> tuple[str, ...]:
    """Dotted keys of all values that a machine may have, in the order of the fields."""
    return tuple(rules_by_key(Hardware))
