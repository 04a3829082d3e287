"""What attention of a layer is, whatever computes it: its operators, their bytes, and what a device says of them.

Owns the protocol of attention devices. They price the same three operators, score, softmax and context, of all
requests and all devices together.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from host.llm.model import ModelConfig
from host.llm.operators import Operator, Step, attention_operators, minimal_bytes
from host.llm.quantisation import QuantConfig
from host.machines.cost import Bound, Cost, EnergyOrigin
from host.machines.gpu_tiles import Fidelity
from host.machines.gpus import GpuEnergy
from host.machines.hbm_pim import HbmEnergy

from .energy import Energy, EnergyMode

__all__ = ["AttentionDevice", "AttentionSeconds", "AttentionWork", "Priced", "priced_operator"]


class Priced(NamedTuple):
    """A leaf of a cost tree, and its energy by where it goes."""

    cost: Cost
    energy: Energy


class AttentionSeconds(NamedTuple):
    """Of one layer: score, softmax, context."""

    score: float
    softmax: float
    context: float

    @property
    def gemv(self) -> float:
        """Products with K and V."""
        return self.score + self.context


@dataclass(frozen=True, slots=True)
class AttentionWork:
    """The three operators of a step of a model, by the bits of their elements, and how they are to be priced."""

    model: ModelConfig
    quant: QuantConfig
    step: Step
    fidelity: Fidelity
    energy_mode: EnergyMode
    score: Operator
    softmax: Operator
    context: Operator

    @classmethod
    def of(
        cls, model: ModelConfig, quant: QuantConfig, step: Step, fidelity: Fidelity, energy_mode: EnergyMode
    ) -> AttentionWork:
        """Those of one layer."""
        return cls(model, quant, step, fidelity, energy_mode, *attention_operators(model, step))

    @property
    def operators(self) -> tuple[Operator, Operator, Operator]:
        """In the order of execution."""
        return self.score, self.softmax, self.context

    @property
    def heads(self) -> int:
        """Query heads of all requests."""
        return self.model.heads * self.step.batch

    @property
    def widest_bits(self) -> int:
        """Products are computed in the wider of the types of their operands."""
        return max(self.quant.kv_bits, self.quant.activation_bits)

    def moved_bytes(self, operator: Operator) -> float:
        """K or V, and what is read and written beside it."""
        return float(minimal_bytes(operator, self.quant))


class AttentionDevice(Protocol):
    """What computes attention."""

    @property
    def link_gb_per_s(self) -> Decimal | None:
        """Link that queries and results cross, of both directions and one GPU; None where they stay."""

    @property
    def link_energy(self) -> GpuEnergy | HbmEnergy | None:
        """Table with the energy of that link; None where it is not known, or there is none."""

    @property
    def energy_origin(self) -> EnergyOrigin:
        """Whether its energy, and that of its link, can be told."""

    @property
    def total_bytes(self) -> int:
        """Memory that it adds to that of the GPUs."""

    def seconds(self, work: AttentionWork) -> AttentionSeconds:
        """Of one layer."""

    def priced(self, work: AttentionWork) -> tuple[Priced, Priced, Priced]:
        """The same three with their traffic and energy."""


def priced_operator(operator: Operator, seconds: float, bound: Bound, moved_bytes: float, energy: Energy) -> Priced:
    """An operator of all devices together."""
    cost = Cost(
        name=operator.name,
        seconds=seconds,
        bound_by=bound,
        moved_bytes=moved_bytes,
        operations=operator.flops,
        joules=energy.joules,
    )
    return Priced(cost, energy)
