"""What the controller of a chip does between the products of its banks: norms, rotations, gates, and rounding (S2-9).

Owns the protocol. `integer_controller` computes all of it in integers, `float_controller` in float64 between the same
int8 vectors. Softmax weights are integers in both (K-6): a bank may have to make them, and banks have no floats.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from host.attention.sums import SoftmaxSums

from .engine import Accumulators
from .fixed_point import Format

__all__ = ["ROTARY_BASE", "Controller", "Precision", "Units", "rotary_angles"]

Precision = Literal["integer", "float"]
Units = NDArray[np.float64]
"""What one unit of an accumulator [..., n] stands for, [n]."""
ROTARY_BASE = 10_000.0  # RoFormer, arXiv 2104.09864, section 3.2.2


class Controller(Protocol):
    """Element-wise work on n tokens. `hidden` [n, hidden] is what the controller itself says it is."""

    def embedded(self, rows: Accumulators, unit: Units) -> NDArray[Any]:
        """Hidden states of tokens, from rows [n, hidden] of the embedding with units [n, 1]."""

    def normalised(self, hidden: NDArray[Any], gains: NDArray[np.int16]) -> NDArray[np.int8]:
        """hidden / its root mean square * gains, as NORMALISED."""

    def rotated(self, heads: Accumulators, unit: Units, positions: NDArray[np.int64], form: Format) -> NDArray[np.int8]:
        """Queries or keys [n, heads, dim], turned by the angles of their positions [n]; unit [heads, dim]."""

    def values(self, heads: Accumulators, unit: Units, form: Format) -> NDArray[np.int8]:
        """Values [n, heads, dim]."""

    def averaged(self, sums: SoftmaxSums, form: Format) -> NDArray[np.int8]:
        """What heads saw: weighted values [..., dim], which had the format, over the sum of weights, as HEAD."""

    def added(self, hidden: NDArray[Any], accumulators: Accumulators, unit: Units) -> NDArray[Any]:
        """Hidden states and what a layer adds to them."""

    def activated(self, inner: Accumulators, unit: Units) -> NDArray[np.int8]:
        """The activation of [n, ffn], as GATED."""

    def gated(self, gate: Accumulators, gate_unit: Units, up: Accumulators, up_unit: Units) -> NDArray[np.int8]:
        """The activation of a gate times `up`, as GATED."""


def rotary_angles(dim: int, tokens: int) -> NDArray[np.float64]:
    """Angles [tokens, dim / 2] by which positions turn the pairs (i, i + dim / 2) of a head's elements."""
    return np.outer(np.arange(tokens), ROTARY_BASE ** (-np.arange(0, dim, 2) / dim))
