"""Joins what the parts of a split context computed (M-1 to M-4): integers exactly where the norm allows it.

Records come with the parts in front, [parts, ...], and leave without that axis. A merged record is a part again, so
that racks of ranks of DPUs reduce level by level (M-3). Parts without tokens count for nothing. The statistics of
two-launch z-score (M-5) merge in `zscore`; what the roundings cost is said in `bounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .integer_math import magnitude
from .online import ONE, RESCALE_BITS, rescaled
from .reference import weights_of_differences
from .softmax_plan import SoftmaxPlan
from .sums import LinearSums, OnlineSums, SoftmaxSums

__all__ = [
    "FloatSums",
    "add_parts",
    "join_softmax_float",
    "merge_linear",
    "merge_online",
    "merge_softmax",
    "merge_softmax_float",
]

_INT64_MAX = 2**63 - 1


class FloatSums(NamedTuple):
    """As SoftmaxSums, with the sums in float64: a level of a floating-point reduction.

    maximum: int64 [...]. weight_sum: float64 [...]. weighted_values: float64 [..., dim].
    """

    maximum: NDArray[np.int64]
    weight_sum: NDArray[np.float64]
    weighted_values: NDArray[np.float64]


class _Joined(NamedTuple):
    """Sums of all parts under one maximum; scaled [parts, ...] says whose sums were rescaled for it."""

    maximum: NDArray[np.int64]
    weight_sum: NDArray[np.uint64]
    weighted_values: NDArray[np.int64]
    scaled: NDArray[np.bool_]


def add_parts(outputs: NDArray[np.signedinteger[Any]]) -> NDArray[np.signedinteger[Any]]:
    """Norm "div_d": [parts, ..., dim] added in their own type, [..., dim] (M-1).

    Bit for bit what one unit would have computed, wrapping outputs too: two's complement sums have no order.
    """
    return np.add.reduce(outputs, axis=0, dtype=outputs.dtype)


def merge_softmax_float(parts: SoftmaxSums | FloatSums, *, logit_scale: ArrayLike) -> NDArray[np.float64]:
    """sum_i w_i O_i / sum_i w_i l_i with w_i = exp(-c (m - m_i)), float64 [..., dim] (M-2); 0 without any token.

    `logit_scale` is c, broadcast against the maxima of one part.
    """
    joined = join_softmax_float(parts, logit_scale=logit_scale)
    weight_sum = np.where(joined.weight_sum > 0, joined.weight_sum, 1.0)
    return joined.weighted_values / weight_sum[..., None]


def join_softmax_float(parts: SoftmaxSums | FloatSums, *, logit_scale: ArrayLike) -> FloatSums:
    """(m, sum_i w_i l_i, sum_i w_i O_i) in float64: one level of a reduction (M-3). Arguments as above."""
    maximum, difference = _below_maximum(parts.maximum, parts.weight_sum > 0)
    weights = np.exp(-np.asarray(logit_scale, dtype=np.float64) * difference.astype(np.float64))
    weights = np.where(parts.weight_sum > 0, weights, 0.0)
    return FloatSums(
        maximum=maximum,
        weight_sum=(weights * parts.weight_sum.astype(np.float64)).sum(axis=0),
        weighted_values=(weights[..., None] * parts.weighted_values.astype(np.float64)).sum(axis=0),
    )


def merge_softmax(parts: SoftmaxSums, plans: Sequence[SoftmaxPlan]) -> SoftmaxSums:
    """(m, sum_i w_i l_i, sum_i w_i O_i) in integers: w_i in Q30 by K-6, each product rounded once (M-2, M-3).

    plans: one for all, or one per index of the last axis of the maxima (query heads); with 30 octaves, as
    `softmax_plan(..., octaves=30)` makes them, because the weights are Q30 whatever P of the sums is.

    Raises ValueError for plans that are too many, too few or too short, or when sums of this size could pass int64.
    They cannot when `check_ranges` holds for the tokens of all parts together.
    """
    return SoftmaxSums(*_join(parts, plans)[:3])


def merge_online(parts: OnlineSums, plans: Sequence[SoftmaxPlan]) -> OnlineSums:
    """As `merge_softmax`; chains of rescalings grow by one where a part's sums were scaled (K-8)."""
    joined = _join(SoftmaxSums(*parts[:3]), plans)
    rescales = np.where(parts.weight_sum > 0, parts.rescales + joined.scaled, 0)
    return OnlineSums(*joined[:3], rescales=rescales.max(axis=0))


def merge_linear(parts: LinearSums) -> LinearSums:
    """Sums of sums, exact: the same for every partition of the same tokens (M-4).

    Raises ValueError when sums of this size could pass int64: `check_ranges` holds for fewer tokens than there are.
    """
    for name, part in zip(parts._fields, parts, strict=True):
        _check_total(name, part)
    return LinearSums(*(part.sum(axis=0) for part in parts))


def _join(parts: SoftmaxSums, plans: Sequence[SoftmaxPlan]) -> _Joined:
    """Rescale every part to the largest maximum, then add.

    Weights are at most 2**30, so no part's sums grow, and sums that fit when added unscaled fit when added scaled.
    """
    weight_sums = parts.weight_sum.astype(np.int64)
    _check_total("weight_sum", weight_sums)
    _check_total("weighted_values", parts.weighted_values)
    present = weight_sums > 0
    maximum, difference = _below_maximum(parts.maximum, present)
    weights = np.where(present, _weights(difference, plans), 0)
    return _Joined(
        maximum=maximum,
        weight_sum=rescaled(weight_sums, weights).sum(axis=0).astype(np.uint64),
        weighted_values=rescaled(parts.weighted_values, weights[..., None]).sum(axis=0),
        scaled=present & (weights != ONE),
    )


def _below_maximum(maxima: NDArray[np.int64], present: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """The largest maximum of the parts present, 0 if there is none, and how far below it each of them is, else 0."""
    lowest = np.iinfo(np.int64).min
    largest = np.where(present, maxima, lowest).max(axis=0)
    maximum = np.where(present.any(axis=0), largest, 0)
    return maximum, np.where(present, maximum - np.where(present, maxima, 0), 0)


def _weights(difference: NDArray[np.int64], plans: Sequence[SoftmaxPlan]) -> NDArray[np.int64]:
    """Weights in Q30, [parts, ...]; exactly 1 for no difference, in every variant of K-7."""
    if len(plans) == 1:
        weights = weights_of_differences(difference, plans[0], RESCALE_BITS)
    elif difference.ndim > 1 and len(plans) == difference.shape[-1]:
        heads = [weights_of_differences(difference[..., h], plan, RESCALE_BITS) for h, plan in enumerate(plans)]
        weights = np.stack(heads, axis=-1)
    else:
        raise ValueError(
            f"{len(plans)} softmax plans for maxima of shape {difference.shape}, parts first: pass one plan, or one "
            "per index of the last axis."
        )
    return np.where(difference > 0, weights, ONE)


def _check_total(name: str, parts: NDArray[np.int64]) -> None:
    total = sum(magnitude(part) for part in parts)
    if total > _INT64_MAX:
        raise ValueError(
            f"{name} of {len(parts)} parts may add up to {total}, beyond {_INT64_MAX}: check the ranges for the "
            "tokens of all parts together, and quantise to fewer bits (ranges.largest_operand)."
        )
