"""A decode step of a whole model on a machine whose units have memory of their own (P-2)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from host.llm.model import ModelConfig
from host.llm.operators import Step
from host.llm.quantisation import QuantConfig

from .cost import Cost, in_sequence
from .kv_placement import HEAD_PER_UNIT, UNPRUNED, KvPlacement, KvPruning, kv_work
from .near_memory import NearMemory, work_cost
from .weight_partition import Fusion, WeightPartition, oned_out, weight_work

__all__ = ["MemoryPlan", "decode_cost", "kv_cost", "spread_over_all", "step_of", "weight_cost"]


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where weights and caches are, and how products are sent. imbalance: of the weights, see `placement`."""

    weights: WeightPartition
    kv: KvPlacement = HEAD_PER_UNIT
    fusion: Fusion = "separate"
    imbalance: Fraction = Fraction(1)


def spread_over_all(machine: NearMemory, kv: KvPlacement = HEAD_PER_UNIT) -> MemoryPlan:
    """Outputs of every matrix over all units, which needs no sums at the controller."""
    return MemoryPlan(oned_out(machine.units), kv)


def decode_cost(
    machine: NearMemory,
    model: ModelConfig,
    quant: QuantConfig,
    step: Step,
    plan: MemoryPlan,
    *,
    pruning: KvPruning = UNPRUNED,
) -> Cost:
    """One token of each request: "weights" and then "kv", each of "units", "link" and "controller".

    Does not ask whether all of it fits, which `placement` says. Raises ValueError for what the machine cannot do.
    """
    return step_of(
        weight_cost(machine, model, quant, step, plan),
        kv_cost(machine, model, quant, step, plan.kv, pruning=pruning),
    )


def step_of(weights: Cost, kv: Cost) -> Cost:
    """A decode step of its two parts, which follow one another: attention waits for q, k and v."""
    return in_sequence("decode step", [weights, kv])


def weight_cost(machine: NearMemory, model: ModelConfig, quant: QuantConfig, step: Step, plan: MemoryPlan) -> Cost:
    """The products with weights, which all requests of the batch share."""
    work = weight_work(model, quant, plan.weights, fusion=plan.fusion, rows=step.rows, imbalance=plan.imbalance)
    return work_cost(machine, "weights", work)


def kv_cost(
    machine: NearMemory,
    model: ModelConfig,
    quant: QuantConfig,
    step: Step,
    placement: KvPlacement,
    *,
    pruning: KvPruning = UNPRUNED,
) -> Cost:
    """Attention of all layers."""
    work = kv_work(model, quant, step, placement, units=machine.units, pruning=pruning)
    return work_cost(machine, "kv", work)
