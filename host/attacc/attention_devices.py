"""Attention of one layer on GPUs or on CPUs, which differ in their peaks only (S1-3, S1-8)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from host.llm.operators import Operator
from host.machines.cost import Bound, EnergyOrigin
from host.machines.cpus import CpuServer
from host.machines.gpu_times import GpuKernel, attention_kernel, bytes_per_s, operations_per_s
from host.machines.gpus import GpuServer

from .attention_work import AttentionSeconds, AttentionWork, Priced, priced_operator
from .energy import NO_ENERGY, gpu_energy

__all__ = ["CpuAttention", "GpuAttention"]


@dataclass(frozen=True, slots=True)
class GpuAttention:
    """On the GPUs themselves, which share heads and requests equally. Nothing crosses a link."""

    server: GpuServer
    link_gb_per_s: None = None
    link_energy: None = None
    energy_origin: EnergyOrigin = "modelled"
    total_bytes: int = 0

    def seconds(self, work: AttentionWork) -> AttentionSeconds:
        """The longest of memory and arithmetic, of each operator."""
        return AttentionSeconds(*(self._kernel(work, operator).seconds for operator in work.operators))

    def priced(self, work: AttentionWork) -> tuple[Priced, Priced, Priced]:
        """Bytes pass all levels of memory once."""
        score, softmax, context = (self._priced(work, operator) for operator in work.operators)
        return score, softmax, context

    def _kernel(self, work: AttentionWork, operator: Operator) -> GpuKernel:
        gpus = self.server.gpus
        return attention_kernel(
            gpus,
            blocks=work.heads / gpus.count,
            flops=operator.flops / gpus.count,
            moved_bytes=work.moved_bytes(operator) / gpus.count,
            bits=work.widest_bits,
            fidelity=work.fidelity,
        )

    def _priced(self, work: AttentionWork, operator: Operator) -> Priced:
        kernel, gpus = self._kernel(work, operator), self.server.gpus.count
        energy = gpu_energy(
            self.server.energy,
            kernel,
            gpus=gpus,
            mode=work.energy_mode,
            element_bytes=work.widest_bits / 8,
            products=work.heads / gpus,
        )
        return priced_operator(operator, kernel.seconds, kernel.bound_by, gpus * kernel.dram_bytes, energy)


@dataclass(frozen=True, slots=True)
class CpuAttention:
    """On the CPUs of a server, whose energy is not known and not counted."""

    cpus: CpuServer
    link_energy: None = None
    energy_origin: EnergyOrigin = "unknown"

    @property
    def link_gb_per_s(self) -> Decimal:
        """Of a GPU."""
        return self.cpus.sockets.link_gb_per_s

    @property
    def total_bytes(self) -> int:
        """Of all CPUs."""
        return self.cpus.sockets.total_bytes

    def seconds(self, work: AttentionWork) -> AttentionSeconds:
        """The longer of memory and arithmetic, of each operator."""
        return AttentionSeconds(*(max(self._operator(work, operator)) for operator in work.operators))

    def priced(self, work: AttentionWork) -> tuple[Priced, Priced, Priced]:
        """Bytes pass memory once."""
        score, softmax, context = (self._priced(work, operator) for operator in work.operators)
        return score, softmax, context

    def _operator(self, work: AttentionWork, operator: Operator) -> tuple[float, float]:
        """Seconds of arithmetic, and of memory."""
        sockets = self.cpus.sockets
        compute_s = operator.flops / (sockets.counted * operations_per_s(sockets, work.widest_bits))
        return compute_s, work.moved_bytes(operator) / (sockets.counted * bytes_per_s(sockets))

    def _priced(self, work: AttentionWork, operator: Operator) -> Priced:
        compute_s, memory_s = self._operator(work, operator)
        bound: Bound = "compute" if compute_s > memory_s else "unit bandwidth"
        return priced_operator(operator, max(compute_s, memory_s), bound, work.moved_bytes(operator), NO_ENERGY)
