"""What a method of sparse attention selects, and what that costs: one record and interface for all of them (S4-12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .arguments import check_mask
from .head import attention_macs, kv_token_bytes
from .nibbles import OPERAND_BITS

__all__ = ["MAC_BIT_PRODUCTS", "Selection", "SelectionMethod", "Work", "attention_work"]

MAC_BIT_PRODUCTS = OPERAND_BITS**2
"""Bit products of an exact multiply-accumulate of two int8."""


class Work(NamedTuple):
    """What queries cost, int64 [..., queries] each.

    bit_products: multiply-accumulates, times the bits of both operands, so that 4 x 4 bits, planes of one bit and 8 x 8
        bits add up.
    comparisons: of scores with thresholds, of sorting and of searching.
    read_bytes: between the memory of K and V and the place of the arithmetic. What a product in memory multiplies does
        not move.
    """

    bit_products: NDArray[np.int64]
    comparisons: NDArray[np.int64]
    read_bytes: NDArray[np.int64]

    def plus(self, other: Work) -> Work:
        """Both together."""
        return Work(*(one + another for one, another in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The tokens that queries attend to, and the work.

    keep: bool [..., queries, tokens]; a query may keep none (its output is then 0, `recompute`).
    decision: work to select. attention: work of exact scores and weighted values over what is kept, less what the
        decision has computed or read already (`attention_work`).

    Raises TypeError and ValueError for a mask or counts of another kind or shape.
    """

    keep: NDArray[np.bool_]
    decision: Work
    attention: Work

    def __post_init__(self) -> None:
        check_mask("keep", self.keep)
        for part in ("decision", "attention"):
            for name, count in getattr(self, part)._asdict().items():
                _check_counts(f"{part}.{name}", count, self.keep.shape[:-1])

    @property
    def kept(self) -> NDArray[np.int64]:
        """Kept tokens, int64 [..., queries]."""
        return np.count_nonzero(self.keep, axis=-1).astype(np.int64)

    @property
    def kept_fraction(self) -> float:
        """Kept tokens of all, over all queries; 0 without queries."""
        return float(self.keep.mean()) if self.keep.size else 0.0

    @property
    def pruned(self) -> NDArray[np.bool_]:
        """The pruning vectors: True where a token is pruned."""
        return ~self.keep

    @property
    def operations(self) -> NDArray[np.float64]:
        """Decision and attention in multiply-accumulates of two int8, float64 [..., queries]; without comparisons."""
        products: NDArray[np.float64] = (self.decision.bit_products + self.attention.bit_products) / MAC_BIT_PRODUCTS
        return products

    @property
    def bytes(self) -> NDArray[np.int64]:
        """Read for decision and attention, int64 [..., queries]."""
        return self.decision.read_bytes + self.attention.read_bytes


class SelectionMethod(Protocol):
    """SPRINT, and whatever is compared with it."""

    @property
    def name(self) -> str:
        """As tables print it."""

    def select(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> Selection:
        """Tokens for queries int8 [..., queries, dim] of keys int8 [..., tokens, dim]."""


def attention_work(kept: NDArray[np.int64], *, dim: int) -> Work:
    """Work of exact attention over `kept` tokens [..., queries]: a row of K and of V each, int8, and both products."""
    return Work(
        bit_products=kept * attention_macs(dim, tokens=1) * MAC_BIT_PRODUCTS,
        comparisons=np.zeros_like(kept),
        read_bytes=kept * kv_token_bytes(dim),
    )


def _check_counts(name: str, counts: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(counts, np.ndarray) or counts.dtype != np.int64:
        kind = counts.dtype if isinstance(counts, np.ndarray) else type(counts).__name__
        raise TypeError(f"{name} are {kind}: they are an int64 array, a count per query.")
    if counts.shape != shape:
        raise ValueError(f"{name} have shape {counts.shape}: there are queries {shape}.")
