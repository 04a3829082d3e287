"""How many bits an element has, of weights, of K and V, and of what moves between operators (U-5)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FP16", "INT4", "INT8", "QuantConfig"]

WIDTHS = (4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class QuantConfig:
    """Bits of an element: 4, 8, 16 or 32. Raises ValueError for others.

    activation_bits: of hidden states, queries, scores and results, wherever they move or are read.
    """

    weight_bits: int
    kv_bits: int
    activation_bits: int

    def __post_init__(self) -> None:
        for name in ("weight_bits", "kv_bits", "activation_bits"):
            bits = getattr(self, name)
            if bits not in WIDTHS:
                raise ValueError(f"{name} = {bits!r}: choose one of {', '.join(map(str, WIDTHS))}")


FP16 = QuantConfig(16, 16, 16)
INT8 = QuantConfig(8, 8, 8)
INT4 = QuantConfig(4, 4, 4)
