"""A server of DPUs as a machine that `near_memory` prices: a DPU is a unit, the host is the controller.

Owns what a multiplication costs a DPU, as data (S0-9). Host calls are priced by `pim_runtime.timing`, and memories,
clock and DMA are those of a hardware profile: nothing is stated twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from math import ceil
from typing import Annotated

from pim_runtime.hardware import Hardware
from pim_runtime.hardware.profile_files import ProfileFolder
from pim_runtime.hardware.profiled import Profiled
from pim_runtime.quantities import Integer, Number
from pim_runtime.timing import TransferMode, launch_start_ps, transfer_costs

from .near_memory import Direction, LinkTime, Operation, UnitRule

__all__ = ["DpuServer", "DpuWork", "HostMemory", "MacInstructions", "WorkTasklets", "dpu_works"]

PS_PER_S = 10**12
MODES: dict[Direction, TransferMode] = {"broadcast": "broadcast", "scatter": "push", "gather": "pull"}
Instructions = Annotated[Decimal, Number("instructions", 4, "positive")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MacInstructions:
    """Instructions of a multiplication with its addition, loads and loop, by the type of the stored elements."""

    int4: Instructions
    int8: Instructions
    int16: Instructions
    int32: Instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTasklets:
    """Of a launch, and those of them that multiply."""

    total: Annotated[int, Integer("tasklets", at_least=1)]
    workers: Annotated[int, Integer("tasklets", at_least=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """What the host sustains where it joins what DPUs send."""

    gb_per_s: Annotated[Decimal, Number("GB/s", 6, "positive")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DpuWork(Profiled):
    """What a kernel makes of DPUs and their host. `provenance` lists every value with its source."""

    instructions: MacInstructions
    tasklets: WorkTasklets
    host: HostMemory


def dpu_works() -> ProfileFolder[DpuWork]:
    """The kernels that ship."""
    return ProfileFolder("kernel of DPUs", files("host.machines") / "profiles" / "dpu_work", DpuWork)


@dataclass(frozen=True, slots=True)
class DpuServer:
    """All DPUs of a hardware profile, with the kernels that multiply on them: of products, and of attention.

    Raises ValueError for more tasklets than a DPU has.
    """

    hardware: Hardware
    products: DpuWork
    attention: DpuWork

    def __post_init__(self) -> None:
        most = self.hardware.dpu.max_tasklets
        for work in (self.products, self.attention):
            if not work.tasklets.workers <= work.tasklets.total <= most:
                raise ValueError(
                    f"{work.name} on {self.hardware.name}: {work.tasklets.workers} workers of {work.tasklets.total} "
                    f"tasklets, and a DPU runs {most}. Change one of the two."
                )

    @property
    def name(self) -> str:
        return self.hardware.name

    @property
    def units(self) -> int:
        return self.hardware.geometry.dpus

    @property
    def unit_bytes(self) -> int:
        return self.hardware.dpu.mram_bytes

    @property
    def unit_bytes_per_s(self) -> float:
        """Of the DMA engine with reads of the largest size, from how long each occupies it."""
        dma = self.hardware.dma
        cycles = dma.read_occupancy.setup_cycles + dma.read_occupancy.cycles_per_byte * dma.max_bytes
        return self._clock_hz * dma.max_bytes / float(cycles)

    @property
    def unit_rule(self) -> UnitRule:
        """Other tasklets issue while one waits for its DMA."""
        return "overlapped"

    @property
    def controller_bytes_per_s(self) -> float:
        return float(self.attention.host.gb_per_s) * 1e9

    @property
    def watts(self) -> float:
        """Thermal design power of all DPUs, idle ones too: ranks are held whole."""
        return float(self.hardware.power.dpu_watts) * self.units

    def unit_macs_per_s(self, operation: Operation, element_bits: int) -> float:
        """One instruction per cycle, if as many tasklets multiply as the pipeline needs. Raises ValueError for bits."""
        work = self.products if operation == "product" else self.attention
        instructions = {
            4: work.instructions.int4,
            8: work.instructions.int8,
            16: work.instructions.int16,
            32: work.instructions.int32,
        }
        if element_bits not in instructions:
            raise ValueError(f"{element_bits} bits on {self.name}: choose one of {', '.join(map(str, instructions))}")
        share = min(Fraction(1), Fraction(work.tasklets.workers, self.hardware.pipeline.reissue_cycles))
        return self._clock_hz * float(share) / float(instructions[element_bits])

    def link_time(self, direction: Direction, *, link_bytes: Fraction, unit_bytes: Fraction, units: int) -> LinkTime:
        """One host call; sizes are rounded up to what transfers take."""
        granularity = self.hardware.dma.granularity_bytes
        costs = transfer_costs(
            mode=MODES[direction],
            nr_dpus=units,
            nr_ranks=self._ranks(units),
            bytes_per_dpu=ceil(unit_bytes / granularity) * granularity,
            hardware=self.hardware,
        )
        seconds = {cost.reason: cost.duration_ps / PS_PER_S for cost in costs}
        return LinkTime(seconds.get("transfer_setup", 0.0), seconds.get("transfer", 0.0))

    def start_s(self, units: int) -> float:
        """A launch on the ranks of these DPUs."""
        start_ps = launch_start_ps(
            nr_tasklets=self.attention.tasklets.total, nr_ranks=self._ranks(units), hardware=self.hardware
        )
        return start_ps / PS_PER_S

    @property
    def _clock_hz(self) -> float:
        return self.hardware.pipeline.clock_mhz * 1e6

    def _ranks(self, units: int) -> int:
        return -(-units // self.hardware.geometry.dpus_per_rank)
