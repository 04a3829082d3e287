"""The comparators in memory: from approximate scores to a pruning vector (S4-2, S4-11).

Owns offset, noise, converter and columns. The vector has True where a token is pruned, as the document's '1'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.attention.integer_math import whole_number

from .certificate import uncertainty
from .scores import AnalogFormat, column_scores

__all__ = ["Combine", "Offset", "Thresholder", "columns_needed", "query_thresholds", "threshold"]

Offset = Literal["none", "bias", "conservative"]
"""What the threshold is lowered by. bias: the mean excess of truncated scores, taken negative, which raises it.
conservative: U(q), so that no token of a score at the threshold or above is pruned."""

Combine = Literal["sum", "per_column_or"]
"""How the columns of a long key decide. sum: their partial sums are added, and one comparator sees the sum.
per_column_or: each has a comparator with its share of the threshold, and one of them is enough to prune; this is what
a comparator per column does, and it is wrong (E4-3)."""

_ADC_BITS_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholder:
    """A token is pruned when approximate score + noise < threshold - offset.

    noise_sigma: standard deviation of Gaussian noise on the sum of a column, in units of the score.
    noise_seed: of the noise; the same seed and shapes give the same noise.
    adc_bits: 1 is the analog comparator. More: sum and threshold are both rounded down to one of 2**adc_bits levels
        over the full scale and compared as numbers, which prunes nothing that the comparator keeps.
    columns: ReRAM columns that a key is cut over, 1 to its dim (`columns_needed`).

    Raises ValueError, or TypeError for counts that are no integers.
    """

    analog: AnalogFormat = field(default_factory=AnalogFormat)
    offset: Offset = "none"
    noise_sigma: float = 0.0
    noise_seed: int = 0
    adc_bits: int = 1
    columns: int = 1
    combine: Combine = "sum"

    def __post_init__(self) -> None:
        for name in ("noise_seed", "adc_bits", "columns"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        for name, choices in {"offset": get_args(Offset), "combine": get_args(Combine)}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} = {getattr(self, name)!r}: choose one of {', '.join(choices)}.")
        if not (math.isfinite(self.noise_sigma) and self.noise_sigma >= 0):
            raise ValueError(f"noise_sigma = {self.noise_sigma}: it is 0 or more units of score, and finite.")
        if self.noise_seed < 0:
            raise ValueError(f"noise_seed = {self.noise_seed}: choose 0 or more.")
        if not 1 <= self.adc_bits <= _ADC_BITS_MAX:
            raise ValueError(f"adc_bits = {self.adc_bits}: choose 1, a comparator, to {_ADC_BITS_MAX}.")
        if self.columns < 1:
            raise ValueError(f"columns = {self.columns}: a key is in at least 1 column.")

    @property
    def is_certified(self) -> bool:
        """Whether no token of a score at the threshold or above is ever pruned (S4-4): noise voids the certificate."""
        return self.offset == "conservative" and self.noise_sigma == 0 and (self.combine == "sum" or self.columns == 1)

    def offsets(self, queries: NDArray[np.int8]) -> NDArray[np.float64]:
        """What the threshold of each query is lowered by, float64 [..., queries], in units of the score."""
        if self.offset == "conservative":
            return uncertainty(queries, self.analog).astype(np.float64)
        excess = self.analog.mean_excess * queries.shape[-1] if self.offset == "bias" else 0.0
        return np.full(queries.shape[:-1], -excess)

    def prune(self, queries: NDArray[np.int8], keys: NDArray[np.int8], theta: ArrayLike) -> NDArray[np.bool_]:
        """Pruning vectors, bool [..., queries, tokens], True where a token is pruned.

        queries int8 [..., queries, dim], keys int8 [..., tokens, dim]. theta: threshold in units of the exact score,
        a number or an array that broadcasts to [..., queries]; -inf prunes nothing, inf everything.

        A threshold that no token reaches prunes all of them, as the comparators do; `selection` says what then.
        Raises TypeError and ValueError as `approximate_scores`, and ValueError for NaN or thresholds of another shape.
        """
        sums = self._analog_sums(queries, keys)
        wanted = query_thresholds(theta, sums.shape[1:-1]) - self.offsets(queries)
        if self.adc_bits > 1:
            step = 2.0 * self.analog.largest_score(queries.shape[-1]) / 2**self.adc_bits
            sums, wanted = np.floor(sums / step), np.floor(wanted / step)
        pruned: NDArray[np.bool_] = np.any(sums < wanted[..., None], axis=0)
        return pruned

    def _analog_sums(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> NDArray[np.float64]:
        """What comparators see, [comparators, ..., queries, tokens]. Whole numbers below 2**53 are exact in float64."""
        sums = column_scores(queries, keys, self.analog, columns=self.columns).astype(np.float64)
        if self.noise_sigma > 0:
            sums += np.random.default_rng(self.noise_seed).normal(0.0, self.noise_sigma, sums.shape)
        if self.combine == "sum":
            return sums.sum(axis=0, keepdims=True)
        return sums * self.columns  # instead of dividing the threshold by the columns


def threshold(
    queries: NDArray[np.int8], keys: NDArray[np.int8], theta: ArrayLike, thresholder: Thresholder | None = None
) -> NDArray[np.bool_]:
    """`Thresholder.prune` with SPRINT's defaults: 4 bits, a comparator, one column, no noise."""
    return (Thresholder() if thresholder is None else thresholder).prune(queries, keys, theta)


def columns_needed(dim: int, rows: int) -> int:
    """ceil(dim / rows): columns for a key of `dim` in a crossbar of `rows` wordlines. ValueError below 1 of either."""
    if dim < 1 or rows < 1:
        raise ValueError(f"a key of {dim} dimensions in columns of {rows} rows: both are at least 1.")
    return -(-dim // rows)


def query_thresholds(theta: ArrayLike, shape: tuple[int, ...], *, name: str = "theta") -> NDArray[np.float64]:
    """Thresholds of queries [...], `shape`, from a number or an array that broadcasts; float64.

    Raises ValueError for NaN or another shape.
    """
    thresholds: NDArray[np.float64] = np.asarray(theta, dtype=np.float64)
    if np.isnan(thresholds).any():
        raise ValueError(f"{name} is NaN: thresholds are scores, or -inf to prune nothing.")
    try:
        return np.broadcast_to(thresholds, shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {thresholds.shape} for queries {shape}: give one, or one per query; one per head needs "
            f"an axis for its queries, {name}[..., None]."
        ) from None
