"""Ways to use machines whose units have memory of their own: banks of a chip, DPUs of a server.

Enumerates how weights are cut, how heads are spread, who joins their parts, and how products are sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache, partial
from itertools import product
from typing import get_args

from host.llm.model import ModelConfig
from host.llm.operators import Step
from host.llm.quantisation import QuantConfig
from host.machines.cost import Cost, EnergyOrigin
from host.machines.decode_step import MemoryPlan, kv_cost, step_of, weight_cost
from host.machines.kv_placement import KvPlacement
from host.machines.near_memory import NearMemory
from host.machines.placement import max_batch, place
from host.machines.weight_partition import Fusion, WeightPartition, weight_partitions

from .variant import Scope, Variant

__all__ = ["kv_placements", "memory_variants"]


def kv_placements(units: int) -> Iterator[KvPlacement]:
    """A head in one unit, or in 2, 4, 8 and so on, joined by the controller in either way (M-6)."""
    yield KvPlacement()
    for exponent in range(units.bit_length()):
        yield KvPlacement(1 << exponent, "scores")
        yield KvPlacement(1 << exponent, "parts")


def memory_variants(
    machine: NearMemory, model: ModelConfig, quant: QuantConfig, *, context: int, scope: Scope
) -> Iterator[Variant]:
    """Every variant with `context` tokens of cache per request. With scope "attention" there are no weights."""
    prices = _Prices(machine, model, quant, context)
    energy: EnergyOrigin = "unknown" if machine.watts is None else "modelled"
    for kv in kv_placements(machine.units):
        if scope == "attention":
            yield Variant(
                machine=machine.name,
                choices={"KV cache": _kv_name(kv)},
                largest_batch=partial(max_batch, machine, model, quant, kv, context=context, counted="none"),
                price=partial(prices.kv, kv),
                energy=energy,
            )
            continue
        for weights, fusion in product(weight_partitions(machine.units), get_args(Fusion)):
            yield Variant(
                machine=machine.name,
                choices={"weights": weights.name, "products": fusion, "KV cache": _kv_name(kv)},
                largest_batch=partial(max_batch, machine, model, quant, kv, context=context),
                price=partial(prices.step, MemoryPlan(weights, kv, fusion)),
                energy=energy,
            )


class _Prices:
    """Costs of parts of a step, each computed once: a part is the same in many variants."""

    def __init__(self, machine: NearMemory, model: ModelConfig, quant: QuantConfig, context: int) -> None:
        self._machine, self._model, self._quant, self._context = machine, model, quant, context
        self.kv, self._weights = cache(self._kv_cost), cache(self._weight_cost)

    def step(self, chosen: MemoryPlan, batch: int) -> Cost:
        """With the weights placed around the caches, which slows their product down where these leave no room."""
        placed = place(self._machine, self._model, self._quant, chosen.kv, context=self._context, batch=batch)
        weights = self._weights(chosen.weights, chosen.fusion, placed.slowdown, batch)
        return step_of(weights, self.kv(chosen.kv, batch))

    def _kv_cost(self, kv: KvPlacement, batch: int) -> Cost:
        return kv_cost(self._machine, self._model, self._quant, self._step(batch), kv)

    def _weight_cost(self, weights: WeightPartition, fusion: Fusion, imbalance: Fraction, batch: int) -> Cost:
        chosen = MemoryPlan(weights, fusion=fusion, imbalance=imbalance)
        return weight_cost(self._machine, self._model, self._quant, self._step(batch), chosen)

    def _step(self, batch: int) -> Step:
        return Step(batch=batch, context=self._context)


def _kv_name(kv: KvPlacement) -> str:
    joined = {"unit": "softmax there", "scores": "controller does the softmax", "parts": "controller joins parts"}
    units = "a unit" if kv.units_per_head == 1 else f"{kv.units_per_head} units"
    return f"{units} per head, {joined[kv.merge]}"
