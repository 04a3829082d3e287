"""The controller in float64, with int8 vectors to and from the banks: what the integer controller approximates."""

from __future__ import annotations

from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.attention.sums import SoftmaxSums

from .controller import Units, rotary_angles
from .engine import Accumulators
from .fixed_point import GATED, HEAD, NORMALISED, Format
from .model import ModelConfig
from .weights import GAIN_FRACTION_BITS

__all__ = ["FloatController"]


class FloatController:
    """Hidden states are float64. Every sum is rounded once, so that results do not depend on how many tokens pass."""

    def __init__(self, model: ModelConfig) -> None:
        angles = rotary_angles(model.dim, model.max_tokens)
        self._cos, self._sin = np.cos(angles), np.sin(angles)
        self._activation = model.activation

    def embedded(self, rows: Accumulators, unit: Units) -> NDArray[Any]:
        """As `Controller` says."""
        return rows * unit

    def normalised(self, hidden: NDArray[Any], gains: NDArray[np.int16]) -> NDArray[np.int8]:
        """As `Controller` says; the norm of zeros is zero."""
        mean = np.array([fsum(row) for row in np.square(hidden)])[:, None] / hidden.shape[-1]
        root = np.where(mean > 0, np.sqrt(mean), 1.0)
        return NORMALISED.rounded(hidden / root * np.ldexp(gains.astype(np.float64), -GAIN_FRACTION_BITS))

    def rotated(self, heads: Accumulators, unit: Units, positions: NDArray[np.int64], form: Format) -> NDArray[np.int8]:
        """As `Controller` says."""
        first, second = np.split(heads * unit, 2, axis=-1)
        cos, sin = (table[positions, None] for table in (self._cos, self._sin))
        return form.rounded(np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1))

    def values(self, heads: Accumulators, unit: Units, form: Format) -> NDArray[np.int8]:
        """As `Controller` says."""
        return form.rounded(heads * unit)

    def averaged(self, sums: SoftmaxSums, form: Format) -> NDArray[np.int8]:
        """As `Controller` says."""
        return HEAD.rounded(sums.weighted_values / sums.weight_sum[..., None].astype(np.float64) * form.scale)

    def added(self, hidden: NDArray[Any], accumulators: Accumulators, unit: Units) -> NDArray[Any]:
        """As `Controller` says."""
        return hidden + accumulators * unit

    def activated(self, inner: Accumulators, unit: Units) -> NDArray[np.int8]:
        """As `Controller` says."""
        return GATED.rounded(self._activated(inner * unit))

    def gated(self, gate: Accumulators, gate_unit: Units, up: Accumulators, up_unit: Units) -> NDArray[np.int8]:
        """As `Controller` says."""
        return GATED.rounded(self._activated(gate * gate_unit) * (up * up_unit))

    def _activated(self, inner: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._activation == "relu":
            return np.maximum(inner, 0.0)
        decay = np.exp(-np.abs(inner))
        return inner * np.where(inner < 0, decay, 1.0) / (1.0 + decay)
