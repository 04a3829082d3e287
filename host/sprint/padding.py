"""Padding that is never scheduled, and the bytes between ReRAM and chip with it, without it, and pruned (S4-6)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import whole_number

from .arguments import check_mask
from .head import kv_token_bytes
from .locality import Retention, movement
from .nibbles import OPERAND_BITS

__all__ = ["MovementMode", "Padding", "ReramBytes", "dense_bytes", "dense_loads", "sprint_bytes"]

MovementMode = Literal["baseline", "mask_only", "sprint"]
"""baseline: every query, padding too, takes every key. mask_only: valid queries take valid keys. sprint: valid queries
take the valid keys that thresholds leave."""


class ReramBytes(NamedTuple):
    """Bytes between ReRAM and chip for one head, over all its queries.

    kv: rows of K and V that are not in the buffer. queries: rows of q, read once. commands: cut queries that go into
    the memory to be multiplied there (CopyQ), and pruning vectors that come out (ReadP).
    """

    kv: int
    queries: int
    commands: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.kv + self.queries + self.commands


@dataclass(frozen=True, slots=True)
class Padding:
    """A sequence of `valid` tokens in a matrix of `padded`; the rest is padding at the end.

    Raises ValueError unless 1 <= valid <= padded, TypeError unless both are integers.
    """

    valid: int
    padded: int

    def __post_init__(self) -> None:
        for name in ("valid", "padded"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if not 1 <= self.valid <= self.padded:
            raise ValueError(f"{self.valid} valid tokens of {self.padded}: there is at least one, and none beyond.")

    @property
    def work_fraction(self) -> Fraction:
        """Scores that have a meaning, of all: (valid / padded)**2."""
        return Fraction(self.valid, self.padded) ** 2

    @property
    def gain(self) -> Fraction:
        """Speed-up of leaving padding out: 1 / work_fraction."""
        return 1 / self.work_fraction

    def trimmed(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The valid ones of rows [..., padded, dim]: what is ever scheduled. ValueError for another number of rows."""
        if rows.ndim < 2 or rows.shape[-2] != self.padded:
            raise ValueError(f"rows of shape {rows.shape}: there are {self.padded} with padding, [..., padded, dim].")
        return rows[..., : self.valid, :]

    def untrimmed(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask [..., valid, valid] as [..., padded, padded], False in padding. ValueError for other shapes."""
        check_mask("mask", mask, (*mask.shape[:-2], self.valid, self.valid))
        rest = self.padded - self.valid
        return np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(0, rest), (0, rest)])


def dense_loads(tokens: int, *, capacity_tokens: int) -> int:
    """Rows that `tokens` queries load which all take all tokens, as `locality.movement` counts them.

    The first loads everything; each next one finds what fits the buffer. Raises ValueError for negative sizes.
    """
    if tokens < 0 or capacity_tokens < 0:
        raise ValueError(f"{tokens} tokens and a buffer of {capacity_tokens}: neither is negative.")
    return tokens + max(0, tokens - 1) * max(0, tokens - capacity_tokens)


def dense_bytes(
    padding: Padding, mode: Literal["baseline", "mask_only"], *, dim: int, capacity_tokens: int
) -> ReramBytes:
    """Bytes of a head without pruning: with its padding (baseline) or without (mask_only)."""
    tokens = padding.padded if mode == "baseline" else padding.valid
    return ReramBytes(
        kv=dense_loads(tokens, capacity_tokens=capacity_tokens) * kv_token_bytes(dim),
        queries=tokens * dim * OPERAND_BITS // 8,
        commands=0,
    )


def sprint_bytes(
    keep: NDArray[np.bool_], *, dim: int, capacity_tokens: int, q_bits: int = 4, retention: Retention = "kept"
) -> ReramBytes:
    """Bytes of a head with pruning; keep [queries, tokens] over valid ones, as `Padding.trimmed` leaves them.

    Raises TypeError and ValueError as `locality.movement`, and ValueError for a mask of several heads.
    """
    check_mask("keep", keep)
    if keep.ndim != 2:
        raise ValueError(f"keep has shape {keep.shape}: one head at a time, [queries, tokens].")
    queries, tokens = keep.shape
    moved = movement(keep, capacity_tokens=capacity_tokens, retention=retention)
    return ReramBytes(
        kv=int(np.count_nonzero(moved.load)) * kv_token_bytes(dim),
        queries=queries * dim * OPERAND_BITS // 8,
        commands=queries * (-(-dim * q_bits // 8) + -(-tokens // 8)),
    )
