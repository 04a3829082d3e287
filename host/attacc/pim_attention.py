"""Attention of one layer on HBM with PIM, where K and V are stored (S1-9, S1-12)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from host.llm.operators import Operator
from host.machines.cost import EnergyOrigin
from host.machines.hbm_pim import HbmEnergy, HbmPim

from .attention_work import AttentionSeconds, AttentionWork, Priced, priced_operator
from .commands import CommandCounts, head_commands
from .energy import pim_energy, softmax_energy
from .hbm_pim_times import gemv_s, head_cycles, softmax_s

__all__ = ["PimAttention"]


@dataclass(frozen=True, slots=True)
class PimAttention:
    """Where K and V are stored. reuse_rows: query heads that a unit computes with what it reads once (S1-12)."""

    pim: HbmPim
    reuse_rows: int = 1

    def __post_init__(self) -> None:
        if self.reuse_rows < 1:
            raise ValueError(f"reuse_rows = {self.reuse_rows}: a unit has at least 1 row")

    @property
    def link_gb_per_s(self) -> Decimal:
        """Of a device."""
        return self.pim.buffer_die.link_gb_per_s

    @property
    def link_energy(self) -> HbmEnergy:
        """As the profile states it."""
        return self.pim.energy

    @property
    def energy_origin(self) -> EnergyOrigin:
        """Profiles of HBM with PIM state all of it."""
        return "modelled"

    @property
    def total_bytes(self) -> int:
        """Of all stacks."""
        return self.pim.stacks.total_bytes

    def reads_per_head(self, work: AttentionWork) -> float:
        """How often K and V are read for a query head: once, or once for each `reuse_rows` of those that share them."""
        return -(-work.model.queries // self.reuse_rows) / work.model.queries

    def seconds(self, work: AttentionWork) -> AttentionSeconds:
        """Waves of heads on all channels."""
        score, context = self._products(work)
        return AttentionSeconds(score, max(self._softmax(work)), context)

    def priced(self, work: AttentionWork) -> tuple[Priced, Priced, Priced]:
        """Bytes are those that the units read."""
        score_s, context_s = self._products(work)
        return (
            self._priced_product(work, work.score, score_s),
            self._priced_softmax(work),
            self._priced_product(work, work.context, context_s),
        )

    def _commands(self, work: AttentionWork) -> CommandCounts:
        return head_commands(
            self.pim.units, tokens=work.step.context, dim=work.model.dim, element_bits=work.quant.kv_bits
        )

    def _products(self, work: AttentionWork) -> tuple[float, float]:
        reads = self.reads_per_head(work)
        score_s, context_s = (
            gemv_s(self.pim, heads=work.heads, cycles_per_head=reads * (product.mac + product.row) + product.move)
            for product in head_cycles(self.pim.timing, self._commands(work))
        )
        return score_s, context_s

    def _softmax(self, work: AttentionWork) -> tuple[float, float]:
        return softmax_s(
            self.pim,
            flops=work.softmax.flops,
            moved_bytes=work.moved_bytes(work.softmax),
            bits=work.quant.activation_bits,
        )

    def _priced_product(self, work: AttentionWork, operator: Operator, seconds: float) -> Priced:
        commands, reads = self._commands(work), self.reads_per_head(work)
        macs = commands.mac_score if operator is work.score else commands.mac_context
        energy = pim_energy(self.pim, commands, operator=operator, heads=work.heads, reads=reads, mode=work.energy_mode)
        read_bytes = work.heads * reads * macs * self.pim.units.bytes_per_mac
        return priced_operator(operator, seconds, "unit bandwidth", read_bytes, energy)

    def _priced_softmax(self, work: AttentionWork) -> Priced:
        moved_bytes = work.moved_bytes(work.softmax)
        energy = softmax_energy(self.pim.energy, flops=work.softmax.flops, moved_bytes=moved_bytes)
        return priced_operator(work.softmax, max(self._softmax(work)), "controller", moved_bytes, energy)
