"""What a machine takes that is bound by its operations or by its memory, whichever takes longer (S3-2, S3-3).

Reading and computing overlap in full, as document 3 assumes. Efficiencies, tiles and launches are the business of the
machines themselves; this is the least that any of them can take.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from host.llm.model import ModelConfig
from host.llm.operators import Operator, Step, layer_operators, minimal_bytes, output_operator
from host.llm.parameters import kv_projection_parameters
from host.llm.quantisation import QuantConfig

from .cost import Cost
from .gpus import GpuServer

__all__ = [
    "Roof",
    "compute_bound_batch",
    "crossover_tokens",
    "kv_projection_cost",
    "operator_cost",
    "roof_of",
    "roofed",
    "step_cost",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """Peak operations per second, and bytes per second of the memory. Raises ValueError if one is not positive."""

    flops_per_s: float
    bytes_per_s: float

    def __post_init__(self) -> None:
        for name in ("flops_per_s", "bytes_per_s"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} = {getattr(self, name)}: must be positive and finite")

    @property
    def balance(self) -> Fraction:
        """Operations per byte at which computing takes as long as reading."""
        return Fraction(self.flops_per_s) / Fraction(self.bytes_per_s)


def roof_of(server: GpuServer) -> Roof:
    """Peaks of all GPUs of a server together, on elements of 16 bits."""
    gpus = server.gpus
    return Roof(
        flops_per_s=float(gpus.count * gpus.tflops * 10**12), bytes_per_s=float(gpus.count * gpus.gb_per_s * 10**9)
    )


def roofed(name: str, roof: Roof, *, operations: int, moved_bytes: Fraction) -> Cost:
    """The longer of computing and moving; where they are equal, it is bound by compute."""
    compute_s = operations / Fraction(roof.flops_per_s)
    memory_s = moved_bytes / Fraction(roof.bytes_per_s)
    return Cost(
        name=name,
        seconds=float(max(compute_s, memory_s)),
        bound_by="compute" if compute_s >= memory_s else "unit bandwidth",
        moved_bytes=float(moved_bytes),
        operations=operations,
    )


def crossover_tokens(roof: Roof, *, weight_bits: int) -> float:
    """Tokens that pass a weight in the time of reading it: 2 operations per token and weight.

    Fewer take as long as that many, and are bound by memory. Raises ValueError for bits below 1.
    """
    if weight_bits < 1:
        raise ValueError(f"weight_bits = {weight_bits}: must be at least 1")
    return float(roof.balance * weight_bits / 16)


def kv_projection_cost(model: ModelConfig, quant: QuantConfig, roof: Roof, *, tokens: int) -> Cost:
    """K and V of `tokens` tokens in all layers: a plateau while the weights are read, then linear (S3-3).

    Hidden states are not counted, as in document 3. Raises ValueError for tokens below 1.
    """
    if tokens < 1:
        raise ValueError(f"tokens = {tokens}: must be at least 1")
    weights = kv_projection_parameters(model)
    return roofed(
        "K and V projection",
        roof,
        operations=2 * weights * tokens,
        moved_bytes=Fraction(weights * quant.weight_bits, 8),
    )


def operator_cost(operator: Operator, quant: QuantConfig, roof: Roof) -> Cost:
    """An operator by itself, whose inputs come from memory and whose outputs go there."""
    return roofed(operator.name, roof, operations=operator.flops, moved_bytes=minimal_bytes(operator, quant))


def step_cost(model: ModelConfig, quant: QuantConfig, roof: Roof, step: Step) -> Cost:
    """All products of a step: weights are read once, K and V once per request. What else moves stays in caches.

    Without the output matrix where the vocabulary is unknown.
    """
    products = _products(model, quant, step)
    moved_bytes = products.weight_bytes + products.kv_bytes
    return roofed("step", roof, operations=products.flops, moved_bytes=moved_bytes)


def compute_bound_batch(model: ModelConfig, quant: QuantConfig, roof: Roof, *, context: int) -> int | None:
    """Requests from which on a decode step is bound by compute.

    None if it never is: where K and V of a request take longer to read than its products to compute, a larger batch
    is bound by memory even more.
    """
    one = _products(model, quant, Step(batch=1, context=context))
    gained_bytes = one.flops / roof.balance - one.kv_bytes
    return math.ceil(one.weight_bytes / gained_bytes) if gained_bytes > 0 else None


class _Products(NamedTuple):
    flops: int
    weight_bytes: Fraction
    kv_bytes: Fraction


def _products(model: ModelConfig, quant: QuantConfig, step: Step) -> _Products:
    """Those of all layers, and that with the output matrix."""
    in_layer = [operator for operator in layer_operators(model, step) if operator.matmul is not None]
    output = [] if model.vocabulary is None else [output_operator(model, step)]
    flops, weights, kv = (
        model.layers * sum(getattr(operator, name) for operator in in_layer)
        + sum(getattr(operator, name) for operator in output)
        for name in ("flops", "weight_elements", "kv_elements")
    )
    return _Products(flops, Fraction(weights * quant.weight_bits, 8), Fraction(kv * quant.kv_bits, 8))
