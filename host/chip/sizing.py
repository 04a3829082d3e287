"""How large memories have to be, and how fast banks and controller, for a model on a chip (S2-8)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from host.llm.model import ModelConfig
from host.llm.parameters import gemv_flops, weight_bytes
from host.llm.quantisation import QuantConfig
from host.machines.bank_chip import BankChip
from host.machines.weight_partition import model_gemvs

__all__ = [
    "TILE_TOKENS",
    "BankBuffer",
    "Dies",
    "bank_buffers",
    "cmem_bytes",
    "cram_bytes",
    "dies_for",
    "operations_per_byte",
    "prefill_tokens_per_s",
]

TILE_TOKENS = 16
"""Tokens of a prompt that pass the weights together, in document 2."""


@dataclass(frozen=True, slots=True)
class Dies:
    """Dies that hold the weights, and the next power of two."""

    weights_only: int
    power_of_two: int


@dataclass(frozen=True, slots=True)
class BankBuffer:
    """What a bank keeps of a tile: `tile_bytes` for products with `inputs` inputs, in `passes` over these."""

    inputs: int
    tile_bytes: int
    passes: int


def dies_for(model: ModelConfig, quant: QuantConfig, chip: BankChip) -> Dies:
    """Dies of the chip's size for the weights of the decode step's products (E2-10)."""
    die_bytes = chip.banks.banks_per_die * chip.banks.bank_bytes
    dies = -(-weight_bytes(model, quant, "gemv") // die_bytes)
    return Dies(dies, 1 << (dies - 1).bit_length())


def cram_bytes(context: int, quant: QuantConfig, *, heads: int = 1) -> int:
    """Controller cache for the softmax of a row of scores, of so many heads together."""
    _refuse_below_one(context=context, heads=heads)
    return _whole_bytes(context * heads, quant)


def cmem_bytes(context: int, quant: QuantConfig, *, heads: int = 1) -> int:
    """Controller memory for all scores of a prompt; those of one head in document 2 (E2-13)."""
    _refuse_below_one(context=context, heads=heads)
    return _whole_bytes(context**2 * heads, quant)


def bank_buffers(
    model: ModelConfig, quant: QuantConfig, chip: BankChip, *, tile: int = TILE_TOKENS
) -> tuple[BankBuffer, ...]:
    """Buffer of a bank for a tile of tokens, for each number of inputs that the model's products have."""
    _refuse_below_one(tile=tile)
    sizes = sorted({int(gemv.inputs) for gemv in model_gemvs(model)})
    each = [(inputs, _whole_bytes(tile * inputs, quant)) for inputs in sizes]
    return tuple(BankBuffer(inputs, nbytes, -(-nbytes // chip.banks.buffer_bytes)) for inputs, nbytes in each)


def operations_per_byte(weight_bits: int) -> Fraction:
    """Of a product of a matrix and a vector: a multiplication and an addition per weight (E2-5)."""
    return Fraction(16, weight_bits)


def prefill_tokens_per_s(
    model: ModelConfig, quant: QuantConfig, *, ops_per_s: float, bytes_per_s: float, tile: int = TILE_TOKENS
) -> float:
    """Tokens of a prompt per second: as many as the multipliers do, or as tiles of weights can be read.

    Attention is not counted, as in document 2. Raises ValueError for rates that are not positive.
    """
    _refuse_below_one(tile=tile)
    if ops_per_s <= 0 or bytes_per_s <= 0:
        raise ValueError(f"prefill: {ops_per_s} operations/s and {bytes_per_s} bytes/s: must be positive")
    return min(ops_per_s / gemv_flops(model), bytes_per_s * tile / weight_bytes(model, quant, "gemv"))


def _whole_bytes(elements: int, quant: QuantConfig) -> int:
    return -(-elements * quant.activation_bits // 8)


def _refuse_below_one(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} = {size}: must be at least 1")
