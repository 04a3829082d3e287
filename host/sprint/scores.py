"""Scores of SPRINT: approximate ones from the most significant bits, exact ones from both parts (S4-1, S4-7).

Owns what a cut operand stands for in the analog product, its level. Scores are in units of the exact score, so that
both kinds compare with the same threshold. Shapes: queries [..., queries, dim], keys [..., tokens, dim], leading axes
broadcast, scores int64 [..., queries, tokens].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import matmul, whole_number

from .arguments import check_queries_and_keys
from .nibbles import OPERAND_BITS, Nibbles, SplitMode, check_split, split_msb_lsb

__all__ = ["AnalogFormat", "Levels", "approximate_scores", "column_scores", "exact_scores", "recomputed_scores"]

Levels = Literal["floor", "mid_rise"]
"""What the most significant bits b stand for, with a step of 16 for 4 bits. floor: 16 b. mid_rise: 16 b + 8, the middle
of the values with these bits, which takes away the bias of truncation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalogFormat:
    """What goes into the product in memory: bits of K and of q, how they are cut, and what they stand for.

    msb_bits: of K, 1 to 7. q_bits: of q, 1 to 8; 8 is all of it. SPRINT has 4 of both.
    levels: "mid_rise" only with mode "trunc"; rounded parts are in the middle already.

    Raises ValueError, or TypeError for bits that are no integers.
    """

    msb_bits: int = 4
    q_bits: int = 4
    mode: SplitMode = "trunc"
    levels: Levels = "floor"

    def __post_init__(self) -> None:
        object.__setattr__(self, "msb_bits", check_split(self.msb_bits, self.mode))
        object.__setattr__(self, "q_bits", whole_number("q_bits", self.q_bits))
        if not 1 <= self.q_bits <= OPERAND_BITS:
            raise ValueError(f"q_bits = {self.q_bits}: choose 1 to {OPERAND_BITS} (SPRINT: 4; {OPERAND_BITS}: all).")
        if self.levels not in get_args(Levels):
            raise ValueError(f"levels = {self.levels!r}: choose one of {', '.join(get_args(Levels))}.")
        if self.levels == "mid_rise" and self.mode == "round":
            raise ValueError('levels = "mid_rise" with mode "round" adds half a step twice: take mode "trunc".')

    def key_levels(self, keys: NDArray[np.int8]) -> NDArray[np.int16]:
        """What int8 elements of K stand for; int16 of the same shape, -128 to 127."""
        return self._levels(keys, self.msb_bits)

    def query_levels(self, queries: NDArray[np.int8]) -> NDArray[np.int16]:
        """As `key_levels`, for q."""
        return self._levels(queries, self.q_bits)

    def largest_score(self, dim: int) -> int:
        """Greatest |approximate score| of any operands: the full scale of an analog to digital converter."""
        everything = np.arange(-128, 128, dtype=np.int8)
        largest = (int(np.abs(levels(everything)).max()) for levels in (self.query_levels, self.key_levels))
        product = dim
        for level in largest:
            product *= level
        return product

    @property
    def mean_excess(self) -> float:
        """Mean of (approximate - exact) per dimension, for zero-mean operands whose cut parts are uniform (S4-2).

        E[k] = 0 makes the mean level of K minus the mean of what was cut, and likewise of q: the product of both means,
        15/2 * 15/2 = 56.25 for 4 of 8 bits, truncated.
        """
        return self._mean_residue(self.msb_bits) * self._mean_residue(self.q_bits)

    def _levels(self, values: NDArray[np.int8], bits: int) -> NDArray[np.int16]:
        if bits == OPERAND_BITS:
            return values.astype(np.int16)
        parts = split_msb_lsb(values, bits, self.mode)
        middle = parts.step // 2 if self.levels == "mid_rise" else 0
        levels: NDArray[np.int16] = parts.msb.astype(np.int16) * np.int16(parts.step) + np.int16(middle)
        return levels

    def _mean_residue(self, bits: int) -> float:
        """Mean of value - level over a step."""
        if bits == OPERAND_BITS:
            return 0.0
        step = 1 << (OPERAND_BITS - bits)
        return (step - 1) / 2 if self.mode == "trunc" and self.levels == "floor" else -0.5


def approximate_scores(
    queries: NDArray[np.int8], keys: NDArray[np.int8], analog: AnalogFormat | None = None
) -> NDArray[np.int64]:
    """Scores from the levels of q and K: 256 * sum q4 k4 in SPRINT's format, which is the default.

    Raises TypeError for operands other than int8, ValueError for shapes that do not match, no token or no dimension.
    """
    return column_scores(queries, keys, analog, columns=1)[0]


def column_scores(
    queries: NDArray[np.int8], keys: NDArray[np.int8], analog: AnalogFormat | None = None, *, columns: int
) -> NDArray[np.int64]:
    """Partial sums of a key that is cut over several columns, int64 [columns, ..., queries, tokens] (S4-11).

    Column c has the c-th share of the dimensions, the first ones one more where they do not divide evenly. Raises as
    `approximate_scores`, and ValueError unless there are 1 to dim columns.
    """
    check_queries_and_keys(queries, keys)
    dim, count = queries.shape[-1], whole_number("columns", columns)
    if not 1 <= count <= dim:
        raise ValueError(f"columns = {count} for keys of {dim} dimensions: choose 1 to {dim}.")
    analog = AnalogFormat() if analog is None else analog
    shares = zip(
        *(np.array_split(levels, count, axis=-1) for levels in (analog.query_levels(queries), analog.key_levels(keys))),
        strict=True,
    )
    return np.stack([_products(q, k) for q, k in shares])


def exact_scores(queries: NDArray[np.int8], keys: NDArray[np.int8]) -> NDArray[np.int64]:
    """sum_i q_i k_ji of every query and token. Raises as `approximate_scores`."""
    check_queries_and_keys(queries, keys)
    return _products(queries, keys)


def recomputed_scores(queries: NDArray[np.int8], keys: Nibbles) -> NDArray[np.int64]:
    """The exact scores as the chip adds them up from both parts of K: step * sum q msb + sum q lsb (7.2).

    Raises as `approximate_scores`.
    """
    check_queries_and_keys(queries, keys.msb)
    return keys.step * _products(queries, keys.msb) + _products(queries, keys.lsb)


def _products(queries: NDArray[np.signedinteger], keys: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    return matmul(queries, np.swapaxes(keys, -1, -2))
