"""SPRINT's thresholds as DPUs compare them: whole numbers, against products of nibbles (S4-2, S4-13).

Owns the translation. A DPU adds up D = sum_i level(q_i) * nibble(k_i); with keys that stand for 16 nibble + m the
approximate score is 16 D + m sum_i level(q_i), so that it reaches theta - offset exactly where D reaches a whole number
that the host computes once per query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.attention.selection import Decisions

from .nibbles import split_msb_lsb
from .thresholding import Thresholder

__all__ = ["NIBBLE_BITS", "DpuSelector"]

NIBBLE_BITS = 4
_BEYOND = 2**40  # every sum of DPUs is smaller: a row has at most 2048 elements of at most 128 * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DpuSelector:
    """A TokenSelector that keeps what `Thresholder.prune` does not prune, bit for bit.

    Raises ValueError for what only an analog circuit has: noise, a converter, a comparator per column; and unless keys
    are cut into four bits each.
    """

    thresholder: Thresholder = field(default_factory=Thresholder)

    def __post_init__(self) -> None:
        how = self.thresholder
        if how.analog.msb_bits != NIBBLE_BITS:
            raise ValueError(f"keys with {how.analog.msb_bits} upper bits: DPUs read packed nibbles, so msb_bits = 4")
        if how.noise_sigma or how.adc_bits > 1 or (how.combine == "per_column_or" and how.columns > 1):
            raise ValueError(
                f"noise_sigma = {how.noise_sigma}, adc_bits = {how.adc_bits}, combine = {how.combine!r}, columns = "
                f"{how.columns}: DPUs add and compare exactly; take noise_sigma = 0, adc_bits = 1, combine = 'sum'"
            )

    def nibbles(self, keys: NDArray[Any]) -> NDArray[np.int8]:
        """The upper halves of int8 keys [..., dim], -8 to 7."""
        return split_msb_lsb(keys, NIBBLE_BITS, self.thresholder.analog.mode).msb

    def decisions(self, queries: NDArray[Any], theta: ArrayLike) -> Decisions:
        """Levels int8 [..., dim] of int8 queries, and thresholds int64 [...] for sums of levels times nibbles."""
        analog = self.thresholder.analog
        levels = analog.query_levels(queries)
        middle = int(analog.key_levels(np.zeros(1, np.int8))[0])
        wanted = np.ceil(np.asarray(theta, np.float64) - self.thresholder.offsets(queries))
        whole = np.clip(wanted, -_BEYOND, _BEYOND).astype(np.int64)
        step = 1 << (8 - NIBBLE_BITS)
        thresholds = -((middle * levels.astype(np.int64).sum(axis=-1) - whole) // step)
        return Decisions(levels=levels.astype(np.int8), thresholds=thresholds)
