"""What requests take of the memory of a system: weights once, K and V, and what is in work (S1-14)."""

from __future__ import annotations

from fractions import Fraction

from host.llm.model import ModelConfig
from host.llm.parameters import kv_bytes_per_token, weight_bytes
from host.llm.quantisation import QuantConfig
from host.machines.capacity import CapacityRule, how_many_fit

__all__ = ["request_bytes", "requests_that_fit", "working_bytes"]


def working_bytes(model: ModelConfig, quant: QuantConfig, context: int) -> Fraction:
    """Of a request while it passes a layer: the largest pair of input and output of an operator, and a mask's bytes."""
    scores = context * model.heads
    pairs = (model.hidden + scores, 2 * model.hidden, 2 * scores, model.ffn + model.hidden)
    return max(Fraction(pair) for pair in pairs) * quant.activation_bits / 8 + scores


def request_bytes(model: ModelConfig, quant: QuantConfig, context: int) -> Fraction:
    """K and V of all layers, and what is in work, of a request with `context` tokens."""
    return context * kv_bytes_per_token(model, quant) + working_bytes(model, quant, context)


def requests_that_fit(
    model: ModelConfig, quant: QuantConfig, *, context: int, room_bytes: int, rule: CapacityRule, where: str
) -> int:
    """How many fit beside the matrices of the layers; embeddings are not counted.

    Raises MachineCapacityError if the matrices alone do not fit.
    """
    return how_many_fit(
        room_bytes=room_bytes,
        resident_bytes=weight_bytes(model, quant, "layers"),
        each_bytes=request_bytes(model, quant, context),
        what=f"{where}, requests of {context} tokens",
        rule=rule,
    )
