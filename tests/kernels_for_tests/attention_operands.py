"""Operands that attention is tested with: random ones and the adversarial inventory of section 10."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["PATTERNS", "query_of", "rows_of"]

# Lengths, masks and logit scales of the inventory are parameters of a case.
PATTERNS = ("random", "all equal", "one hot", "alternating", "all lowest", "zero v", "zero")


def query_of(pattern: str, generator: np.random.Generator, dim: int, lowest: int, highest: int) -> NDArray[np.int64]:
    """A query [dim] of elements from lowest to highest."""
    if pattern == "alternating":
        return np.where(np.arange(dim) % 2, lowest, highest)
    if pattern == "all lowest":
        return np.full(dim, lowest)
    return generator.integers(lowest, highest, dim, endpoint=True)


def rows_of(
    pattern: str, operand: str, generator: np.random.Generator, shape: tuple[int, int], lowest: int, highest: int
) -> NDArray[np.int64]:
    """Rows of operand "k" or "v", [tokens, dim]."""
    rows = generator.integers(lowest, highest, shape, endpoint=True)
    if pattern == "all equal":
        rows[:] = rows[0]
    elif pattern == "one hot" and operand == "k":
        winner, rows = rows[len(rows) // 2].copy(), np.zeros_like(rows)
        rows[len(rows) // 2] = winner
    elif pattern == "alternating":
        rows = np.where((np.arange(shape[0])[:, None] + np.arange(shape[1])) % 2, lowest, highest)
    elif pattern == "all lowest":
        rows[:] = lowest
    elif pattern == "zero" or (pattern == "zero v" and operand == "v"):
        rows[:] = 0
    return rows
