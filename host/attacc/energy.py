"""What an operator costs in energy, by where it goes: memory cells, links, caches and registers, arithmetic (S1-7).

Owns the ledger, for GPUs and for HBM with PIM. The public simulator's own one has errors (E1-7); both can be had.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from host.llm.operators import Operator
from host.machines.gpu_times import GpuKernel
from host.machines.gpus import GpuEnergy
from host.machines.hbm_pim import HbmEnergy, HbmPim

from .commands import CommandCounts

__all__ = ["NO_ENERGY", "Energy", "EnergyMode", "gpu_energy", "link_energy", "pim_energy", "softmax_energy", "total"]

EnergyMode = Literal["public", "fixed"]
"""public: as the released simulator counts: pJ/bit of the stack's buses are taken for pJ/byte, weighted sums cost no
arithmetic on PIM, a register access is a byte, and that of one head. fixed: none of these."""

PICO = 1e-12
OPERANDS = 3  # of a multiplication with its addition: two are read and one is written


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules of all devices together.

    memory: of cells and what lies between them and the unit that computes. link: of the stack's buses to the buffer
    die, and between devices. on_chip: caches, SRAM and registers. arithmetic: multiplications and additions.
    """

    memory_j: float = 0.0
    link_j: float = 0.0
    on_chip_j: float = 0.0
    arithmetic_j: float = 0.0

    @property
    def joules(self) -> float:
        """All four."""
        return self.memory_j + self.link_j + self.on_chip_j + self.arithmetic_j

    def times(self, factor: float) -> Energy:
        """Each of the four, so many times."""
        return Energy(**{field.name: factor * getattr(self, field.name) for field in fields(self)})


NO_ENERGY = Energy()


def total(energies: list[Energy]) -> Energy:
    """Each of the four, added up."""
    return Energy(**{field.name: sum(getattr(energy, field.name) for energy in energies) for field in fields(Energy)})


def gpu_energy(
    table: GpuEnergy, kernel: GpuKernel, *, gpus: int, mode: EnergyMode, element_bytes: float, products: float = 1
) -> Energy:
    """A kernel that runs on `gpus` GPUs alike. products: independent ones that it computes on a GPU, such as heads."""
    macs = kernel.flops / 2
    register_bytes = OPERANDS * macs * (element_bytes if mode == "fixed" else 1 / products)
    on_chip_pj = (
        kernel.l2_bytes * float(table.l2_pj_per_byte)
        + kernel.l1_bytes * float(table.l1_pj_per_byte)
        + register_bytes * float(table.register_pj_per_byte)
    )
    return Energy(
        memory_j=gpus * kernel.dram_bytes * float(table.memory_pj_per_byte) * PICO,
        on_chip_j=gpus * on_chip_pj * PICO,
        arithmetic_j=gpus * macs * float(table.mac_pj) * PICO,
    )


def link_energy(table: GpuEnergy | HbmEnergy, moved_bytes: float) -> Energy:
    """Bytes between devices, of all devices together."""
    return Energy(link_j=moved_bytes * float(table.link_pj_per_byte) * PICO)


def pim_energy(
    pim: HbmPim, commands: CommandCounts, *, operator: Operator, heads: int, reads: float, mode: EnergyMode
) -> Energy:
    """A product with K or V of `heads` heads. reads: how often K or V is read for each head, 1 without reuse."""
    table = pim.energy
    score = operator.name == "score"
    macs = commands.mac_score if score else commands.mac_context
    written = commands.wr_gb if score else 0
    moved = commands.moves_before_softmax if score else commands.moves_after_softmax
    pj_per_unit = moved * float(
        table.tsv_pj_per_bit + table.global_mux_pj_per_bit + table.group_mux_pj_per_bit
    ) + written * float(table.interposer_pj_per_bit)
    bits = 8 if mode == "fixed" else 1
    charged = mode == "fixed" or score
    return Energy(
        memory_j=heads * reads * macs * pim.units.bytes_per_mac * float(table.cell_pj_per_byte) * PICO,
        link_j=heads * pim.units.command_bytes * bits * pj_per_unit * PICO,
        arithmetic_j=operator.flops / 2 * float(table.mac_pj) * PICO if charged else 0.0,
    )


def softmax_energy(table: HbmEnergy, *, flops: float, moved_bytes: float) -> Energy:
    """Softmax on the buffer dies, of all heads together."""
    return Energy(
        on_chip_j=moved_bytes * float(table.sram_pj_per_byte) * PICO,
        arithmetic_j=flops / 2 * float(table.mac_pj) * PICO,
    )
