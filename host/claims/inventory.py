"""Adversarial inputs for the checks (spec 10): the patterns that rounding and accumulators suffer from most.

Owns made-up operands for kernels, and made-up scores with values for the norms alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OPERAND_PATTERNS",
    "SCORE_PATTERNS",
    "TOKEN_COUNTS",
    "Operands",
    "ScoreCase",
    "operand_inventory",
    "random_operands",
    "score_inventory",
    "shrinking_scores",
    "values_inventory",
]

Integers = NDArray[np.signedinteger[Any]]

TOKEN_COUNTS = (1, 2, 3, 7, 8, 9, 17, 200, 4096)
"""One, two, multiples of 8 and 16 and not, and the published length."""

OPERAND_PATTERNS = ("random", "all equal", "one hot", "alternating", "all lowest", "zero v", "zero")
SCORE_PATTERNS = ("random", "all equal", "one hot", "alternating", "two levels", "rising", "all lowest")

_SCORE_BITS = (6, 21, 40, 50)


class Operands(NamedTuple):
    """One decode step's integers: q [batch, heads, dim], k and v [batch, heads, tokens, dim]."""

    q: Integers
    k: Integers
    v: Integers


class ScoreCase(NamedTuple):
    """Scores of one pattern per row, int64 [patterns, tokens], of magnitude at most `largest`, and v [tokens, columns].

    The columns of v, int64: random, alternating, one hot, and zero.
    """

    largest: int
    scores: NDArray[np.int64]
    v: NDArray[np.int64]


def random_operands(dtype: str, *, seed: int, heads: int, tokens: int, dim: int) -> Operands:
    """Operands of one request, uniform over the whole type."""
    generator, info = np.random.default_rng(seed), np.iinfo(dtype)
    shapes = ((1, heads, dim), (1, heads, tokens, dim), (1, heads, tokens, dim))
    return Operands(
        *(generator.integers(info.min, info.max, shape, np.dtype(dtype).type, endpoint=True) for shape in shapes)
    )


def operand_inventory(dtype: str, *, tokens: int, dim: int, lowest: int, highest: int) -> Operands:
    """Operands of one request with a head per pattern, all elements from `lowest` to `highest`."""
    generator, shape = np.random.default_rng(tokens), (len(OPERAND_PATTERNS), tokens, dim)
    q, k, v = (generator.integers(lowest, highest, size, endpoint=True) for size in ((shape[0], dim), shape, shape))
    ends = np.where((np.arange(tokens)[:, None] + np.arange(dim)) % 2, lowest, highest)
    for head, pattern in enumerate(OPERAND_PATTERNS):
        if pattern == "all equal":
            k[head], v[head] = k[head, 0], v[head, 0]
        elif pattern == "one hot":
            k[head, np.arange(tokens) != tokens // 2] = 0
        elif pattern == "alternating":
            q[head], k[head], v[head] = ends[0], ends, ends
        elif pattern == "all lowest":
            q[head], k[head], v[head] = lowest, lowest, lowest
        elif pattern in ("zero v", "zero"):
            v[head] = 0
            if pattern == "zero":
                q[head], k[head] = 0, 0
    return Operands(*(part[None].astype(dtype) for part in (q, k, v)))


def score_inventory() -> Iterator[ScoreCase]:
    """Every token count with scores of 6 to 50 bits, all patterns at once."""
    for tokens in TOKEN_COUNTS:
        for bits in _SCORE_BITS:
            generator, largest = np.random.default_rng(1000 * bits + tokens), 2**bits
            place = np.arange(tokens)
            rows = {
                "random": generator.integers(-largest, largest, tokens, endpoint=True),
                "all equal": np.full(tokens, largest),
                "one hot": np.where(place == tokens // 2, largest, 0),
                "alternating": np.where(place % 2, -largest, largest),
                "two levels": np.where(place < tokens // 3 + 1, largest, largest - largest // 7),
                "rising": np.linspace(-largest, largest, tokens).astype(np.int64),
                "all lowest": np.full(tokens, -largest),
            }
            yield ScoreCase(largest, np.stack([rows[pattern] for pattern in SCORE_PATTERNS]), values_inventory(tokens))


def shrinking_scores() -> ScoreCase:
    """4096 scores of sum 0: one large, the others such that rounding away 8 bits makes every one smaller."""
    up, down = 127 + 80_996 * 2**8, 128 + 76_899 * 2**8  # rounded down; and up, from minus a half
    scores = np.array([2047 * down - 2048 * up] + [up] * 2048 + [-down] * 2047, np.int64)
    return ScoreCase(int(np.abs(scores).max()), scores[None], values_inventory(len(scores)))


def values_inventory(tokens: int) -> NDArray[np.int64]:
    """v [tokens, 4] of int8 size: random with -128, alternating +-127, one hot, zero."""
    place, generator = np.arange(tokens), np.random.default_rng(tokens)
    columns = (
        generator.integers(-128, 127, tokens, endpoint=True),
        np.where(place % 2, -127, 127),
        np.where(place == tokens // 2, 1, 0),
        np.zeros(tokens, np.int64),
    )
    return np.stack(columns, axis=1).astype(np.int64)
