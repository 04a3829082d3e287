"""The controller in integers: roots, divisions, shifts and multiplications by dyadic constants (K-3, K-6, K-10)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import bit_length, isqrt, rdiv, rsh
from host.attention.reference import weights_of_differences
from host.attention.softmax_plan import softmax_plan
from host.attention.sums import SoftmaxSums

from .controller import Units, rotary_angles
from .engine import Accumulators
from .fixed_point import GATED, HEAD, HIDDEN, INNER, NORMALISED, Format
from .model import ModelConfig
from .weights import GAIN_FRACTION_BITS

__all__ = ["IntegerController"]

ANGLE_FRACTION_BITS = 15
DECAY_FRACTION_BITS = 30
SIGMOID_FRACTION_BITS = 15


class IntegerController:
    """Hidden states are HIDDEN, int16. The constants, of sines and of exponentials, are made once in float64."""

    def __init__(self, model: ModelConfig) -> None:
        angles = rotary_angles(model.dim, model.max_tokens)
        self._cos, self._sin = (
            np.rint(np.ldexp(part, ANGLE_FRACTION_BITS)).astype(np.int64) for part in (np.cos(angles), np.sin(angles))
        )
        self._activation = model.activation
        self._decay = softmax_plan(logit_scale=INNER.scale, score_bound=1 << 15, probability_bits=DECAY_FRACTION_BITS)

    def embedded(self, rows: Accumulators, unit: Units) -> NDArray[Any]:
        """As `Controller` says."""
        return HIDDEN.requantised(rows, unit)

    def normalised(self, hidden: NDArray[Any], gains: NDArray[np.int16]) -> NDArray[np.int8]:
        """As `Controller` says; the norm of zeros is zero.

        The root of the mean square has `doublings` bits behind the point, as many as keep the sum of squares below
        2**62; so has the numerator, which stays below 2**61.
        """
        wide = hidden.astype(np.int64)
        squares = np.square(wide).sum(axis=-1, keepdims=True)
        doublings = (62 - bit_length(squares)) // 2
        root = isqrt((squares << 2 * doublings) // wide.shape[-1])
        numerator = (wide * gains) << doublings
        divisor = np.maximum(root, 1) << (GAIN_FRACTION_BITS - NORMALISED.fraction_bits)
        return NORMALISED.saturated(rdiv(numerator, divisor))

    def rotated(self, heads: Accumulators, unit: Units, positions: NDArray[np.int64], form: Format) -> NDArray[np.int8]:
        """As `Controller` says."""
        first, second = np.split(INNER.requantised(heads, unit).astype(np.int64), 2, axis=-1)
        cos, sin = (table[positions, None] for table in (self._cos, self._sin))
        turned = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return form.shifted(turned, INNER.fraction_bits + ANGLE_FRACTION_BITS)

    def values(self, heads: Accumulators, unit: Units, form: Format) -> NDArray[np.int8]:
        """As `Controller` says."""
        return form.requantised(heads, unit)

    def averaged(self, sums: SoftmaxSums, form: Format) -> NDArray[np.int8]:
        """As `Controller` says."""
        numerator = sums.weighted_values << (HEAD.fraction_bits - form.fraction_bits)
        return HEAD.saturated(rdiv(numerator, sums.weight_sum.astype(np.int64)[..., None]))

    def added(self, hidden: NDArray[Any], accumulators: Accumulators, unit: Units) -> NDArray[Any]:
        """As `Controller` says."""
        return HIDDEN.saturated(hidden.astype(np.int64) + HIDDEN.requantised(accumulators, unit))

    def activated(self, inner: Accumulators, unit: Units) -> NDArray[np.int8]:
        """As `Controller` says."""
        return GATED.shifted(self._activated(INNER.requantised(inner, unit)), INNER.fraction_bits)

    def gated(self, gate: Accumulators, gate_unit: Units, up: Accumulators, up_unit: Units) -> NDArray[np.int8]:
        """As `Controller` says."""
        active = self._activated(INNER.requantised(gate, gate_unit))
        return GATED.shifted(active * INNER.requantised(up, up_unit), 2 * INNER.fraction_bits)

    def _activated(self, inner: NDArray[Any]) -> NDArray[np.int64]:
        """max(0, x), or x / (1 + exp(-x)) with an exponential of the kind that softmax uses (K-6)."""
        wide = inner.astype(np.int64)
        if self._activation == "relu":
            return np.maximum(wide, 0)
        one = 1 << DECAY_FRACTION_BITS
        decay = weights_of_differences(np.abs(wide), self._decay, DECAY_FRACTION_BITS)
        numerator = np.where(wide < 0, decay, one) << SIGMOID_FRACTION_BITS
        return rsh(wide * rdiv(numerator, one + decay), SIGMOID_FRACTION_BITS)
