"""What pruning costs in accuracy: dense attention to compare with, the probability that was pruned, the bound (B-6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.attention.bounds import kernel_relative_error, perturbation_bound, pruned_mass_bound, pruning_bound
from host.attention.certificates import Arithmetic, certificate
from host.attention.quantise import align_scale
from host.attention.sums import SoftmaxSums
from host.attention.value_statistics import ValueStatistics

from .arguments import check_queries_keys_and_values
from .scores import exact_scores

__all__ = ["certified_bound", "dense_outputs", "pruned_mass", "relative_error", "score_error", "sparse_bound"]


def dense_outputs(
    queries: NDArray[np.int8], keys: NDArray[np.int8], values: NDArray[np.int8], *, logit_scale: ArrayLike
) -> NDArray[np.float64]:
    """Softmax attention over all tokens in float64, [..., queries, dim], in units of the integer values.

    queries [..., queries, dim], keys and values [..., tokens, dim]; logit_scale: c, one or one per leading axis (head).
    Raises TypeError and ValueError for operands that do not belong together or scales that are not positive.
    """
    check_queries_keys_and_values(queries, keys, values)
    weights = _real_weights(exact_scores(queries, keys), logit_scale)
    weights /= weights.sum(axis=-1, keepdims=True)
    outputs: NDArray[np.float64] = weights @ values.astype(np.float64)
    return outputs


def pruned_mass(scores: NDArray[np.int64], keep: NDArray[np.bool_], *, logit_scale: ArrayLike) -> NDArray[np.float64]:
    """pi: the pruned tokens' share of sum_j exp(c s_j), float64 [..., queries]; 0 where all are kept, 1 where none.

    scores int64 and keep bool [..., queries, tokens]; logit_scale as above.
    """
    weights = _real_weights(scores, logit_scale)
    pruned = np.where(keep, 0.0, weights).sum(axis=-1)
    share: NDArray[np.float64] = pruned / weights.sum(axis=-1)
    return share


def relative_error(
    error: NDArray[np.float64], dense: NDArray[np.float64], *, value_scales: NDArray[np.float64]
) -> float:
    """Root mean square of an error, or of its bound, over that of dense outputs; 0 where there is neither.

    error and dense [heads, queries, dim] in units of the integer values. value_scales: real value per unit, [heads], so
    that every head counts by its real size.
    """
    units = align_scale(value_scales, dense.ndim)
    size, off = (float(np.sqrt(np.mean(np.square(values * units)))) for values in (dense, error))
    return off / size if size else float("inf") if off else 0.0


def score_error(error: NDArray[np.int64], keep: NDArray[np.bool_], *, logit_scale: ArrayLike) -> NDArray[np.float64]:
    """eps of B-5 for scores of kept tokens that are off by `error`: float64 [..., queries], in logits.

    error and keep [..., queries, tokens]. Half the range of the errors: what all are off by together moves no softmax.
    """
    limits = np.iinfo(np.int64)
    highest = np.where(keep, error, limits.min).max(axis=-1)
    lowest = np.where(keep, error, limits.max).min(axis=-1)
    half_range = np.where(np.any(keep, axis=-1), (highest - lowest) / 2, 0.0)
    logits: NDArray[np.float64] = half_range * _leading(logit_scale, half_range.ndim)
    return logits


def sparse_bound(
    sums: SoftmaxSums,
    values: NDArray[np.int8],
    *,
    pruned_mass: NDArray[np.float64],
    score_error: NDArray[np.float64],
    arithmetic: Arithmetic,
) -> NDArray[np.float64]:
    """Bound of |O / l - dense_outputs| for sums over kept tokens: float64 [..., queries, dim], in units of the values.

    values [..., tokens, dim], all of them. pi R_v for what is pruned (B-6), R_v tanh(eps / 2) for scores (B-5), both
    together never more than R_v, because two averages of the same values are compared; and the arithmetic of the kernel
    (B-3). A query that keeps no token has the output 0, which is off by at most max|v|.
    """
    per_query = values[..., None, :, :]
    statistics = ValueStatistics.of(per_query)
    moved = pruned_mass_bound(per_query, pruned_mass=pruned_mass)
    moved = moved + perturbation_bound(per_query, logit_error=score_error)
    some = np.minimum(moved, statistics.spread) + certificate(sums, statistics, arithmetic)
    return np.where(sums.weight_sum[..., None] > 0, some, statistics.largest)


def certified_bound(
    sums: SoftmaxSums,
    values: NDArray[np.int8],
    keep: NDArray[np.bool_],
    *,
    theta: ArrayLike,
    logit_scale: ArrayLike,
    arithmetic: Arithmetic,
) -> NDArray[np.float64]:
    """Bound of |O / l - dense_outputs| that needs no score of a pruned token: float64 [..., queries, dim] (B-6).

    sums: over kept tokens with exact scores. keep: of a selection whose every pruned token has a score below theta, as
    `Thresholder.is_certified` promises. theta: a number, or an array that broadcasts to [..., queries]. values, and a
    query that keeps no token, as in `sparse_bound`.

    With m the largest kept score, pruned tokens weigh at most n exp(c (theta - m)) together, beside kept ones of at
    least (l - L 2**-(P+1)) / (1 + rho), or of 1, which the largest weighs.
    """
    per_query = values[..., None, :, :]
    statistics, tokens = ValueStatistics.of(per_query), keep.shape[-1]
    half_unit = 2.0 ** -(arithmetic.probability_bits + 1)
    kernel_sum = sums.weight_sum.astype(np.float64) * 2 * half_unit
    relative = kernel_relative_error(arithmetic.probability_bits, arithmetic.exponential)
    pruned = pruning_bound(
        per_query,
        pruned=tokens - np.count_nonzero(keep, axis=-1),
        gap=sums.maximum - np.asarray(theta, dtype=np.float64),
        logit_scale=_leading(logit_scale, sums.maximum.ndim),
        kept_mass=np.maximum((kernel_sum - tokens * half_unit) / (1 + relative), 1.0),
    )
    some = pruned + certificate(sums, statistics, arithmetic)
    return np.where(sums.weight_sum[..., None] > 0, some, statistics.largest)


def _real_weights(scores: NDArray[np.int64], logit_scale: ArrayLike) -> NDArray[np.float64]:
    """exp(c (s - max s)). Differences are taken as integers, so they are exact."""
    difference = (scores.max(axis=-1, keepdims=True) - scores).astype(np.float64)
    weights: NDArray[np.float64] = np.exp(-_leading(logit_scale, scores.ndim) * difference)
    return weights


def _leading(logit_scale: ArrayLike, ndim: int) -> NDArray[np.float64]:
    """Scales of the leading axes, aligned to arrays of `ndim` axes. ValueError unless positive and finite."""
    scales: NDArray[np.float64] = np.asarray(logit_scale, dtype=np.float64)
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"logit_scale = {logit_scale!r}: scales are positive and finite.")
    return align_scale(scales, ndim)
