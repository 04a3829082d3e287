"""On-chip recomputation: exact scores, softmax and the weighted sum of values, over the survivors alone (S4-7).

Owns softmax under a mask. It is the integer softmax of the kernels (K-6): with the same plan its bits are those of the
dense kernel run on the survivors. `accuracy` says what was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.attention.certificates import Arithmetic
from host.attention.exponential import Exponential
from host.attention.integer_math import magnitude, matmul
from host.attention.output import softmax_to_real
from host.attention.ranges import check_ranges
from host.attention.reference import weights_of_differences
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan
from host.attention.sums import SoftmaxSums

from .accuracy import pruned_mass, score_error, sparse_bound
from .arguments import check_mask, check_queries_keys_and_values
from .nibbles import split_msb_lsb
from .scores import AnalogFormat, approximate_scores, recomputed_scores

__all__ = ["Recompute", "SparseAttention", "attend", "masked_softmax"]

Recompute = Literal["exact", "approximate"]
"""Scores in the softmax. exact: recomputed on the chip from both parts of K. approximate: those of the product in
memory, which the ablation takes to show what recomputing is good for."""

_INT8_MAX = 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseAttention:
    """Attention over the survivors, and how far it can be from attention over all tokens.

    sums: of the integer softmax, [..., queries]; weight_sum is 0 where no token is kept.
    outputs: float64 [..., queries, dim], in units of the integer values; 0 where no token is kept.
    pruned_mass: pi, float64 [..., queries]: share of all softmax weight, by exact scores, that pruned tokens have.
    bound: of |outputs - accuracy.dense_outputs|, float64 [..., queries, dim] (`accuracy.sparse_bound`).
    """

    sums: SoftmaxSums
    outputs: NDArray[np.float64]
    pruned_mass: NDArray[np.float64]
    bound: NDArray[np.float64]


def attend(
    queries: NDArray[np.int8],
    keys: NDArray[np.int8],
    values: NDArray[np.int8],
    keep: NDArray[np.bool_],
    *,
    logit_scale: ArrayLike,
    recompute: Recompute = "exact",
    analog: AnalogFormat | None = None,
    probability_bits: int = 24,
    exponential: Exponential = "lut256_lerp",
) -> SparseAttention:
    """Attention of queries [..., queries, dim] over the kept ones of keys and values [..., tokens, dim].

    keep: bool [..., queries, tokens]; all True is dense attention, bit for bit. logit_scale: c, real logit per unit of
    score, a number or one per leading axis (head). analog: format of the approximate scores. probability_bits,
    exponential: of the softmax plan.

    Raises TypeError and ValueError for operands that do not belong together or an unknown choice, AccumulatorOverflow
    where the kernel's accumulators could overflow.
    """
    if recompute not in get_args(Recompute):
        raise ValueError(f"recompute = {recompute!r}: choose one of {', '.join(get_args(Recompute))}.")
    check_queries_keys_and_values(queries, keys, values)
    _check_accumulators(values, probability_bits)
    exact = recomputed_scores(queries, split_msb_lsb(keys))
    check_mask("keep", keep, exact.shape)
    used = exact if recompute == "exact" else approximate_scores(queries, keys, analog)
    leading = exact.shape[:-2]
    rows = np.broadcast_to(values, (*leading, *values.shape[-2:]))
    scales = _scales(logit_scale, leading)
    sums = _sums_of_heads(used, rows, keep, scales, probability_bits, exponential)
    mass = pruned_mass(exact, keep, logit_scale=scales)
    return SparseAttention(
        sums=sums,
        outputs=softmax_to_real(sums, v_scale=1.0),
        pruned_mass=mass,
        bound=sparse_bound(
            sums,
            rows,
            pruned_mass=mass,
            score_error=score_error(used - exact, keep, logit_scale=scales),
            arithmetic=Arithmetic(probability_bits=probability_bits, exponential=exponential),
        ),
    )


def masked_softmax(
    scores: NDArray[np.int64], values: NDArray[np.int8], keep: NDArray[np.bool_], plan: SoftmaxPlan
) -> SoftmaxSums:
    """Sums of the integer softmax over kept tokens alone, [..., queries]; a query that keeps none has only zeros (K-9).

    scores [..., queries, tokens] as the plan's `score_bound` allows, values [..., tokens, dim], keep like the scores.
    """
    lowest = np.iinfo(np.int64).min
    top = np.where(keep, scores, lowest).max(axis=-1)
    maximum = np.where(keep.any(axis=-1), top, 0)
    difference = np.where(keep, maximum[..., None] - scores, 0)
    weights = np.where(keep, weights_of_differences(difference, plan, plan.probability_bits), 0)
    return SoftmaxSums(
        maximum=maximum,
        weight_sum=weights.sum(axis=-1).astype(np.uint64),
        weighted_values=matmul(weights, values),
    )


def _sums_of_heads(
    scores: NDArray[np.int64],
    values: NDArray[np.int8],
    keep: NDArray[np.bool_],
    scales: NDArray[np.float64],
    probability_bits: int,
    exponential: Exponential,
) -> SoftmaxSums:
    """Every head has a plan of its own, for its logit scale."""
    dim = values.shape[-1]
    found = SoftmaxSums(
        maximum=np.zeros(scores.shape[:-1], np.int64),
        weight_sum=np.zeros(scores.shape[:-1], np.uint64),
        weighted_values=np.zeros((*scores.shape[:-1], dim), np.int64),
    )
    for head in np.ndindex(scales.shape):
        plan = softmax_plan(
            logit_scale=float(scales[head]),
            score_bound=dim * _INT8_MAX**2,  # of approximate scores too, whose levels are int8
            probability_bits=probability_bits,
            exponential=exponential,
        )
        for whole, part in zip(found, masked_softmax(scores[head], values[head], keep[head], plan), strict=True):
            whole[head] = part
    return found


def _scales(logit_scale: ArrayLike, leading: tuple[int, ...]) -> NDArray[np.float64]:
    scales: NDArray[np.float64] = np.asarray(logit_scale, dtype=np.float64)
    try:
        return np.broadcast_to(scales, leading)
    except ValueError:
        raise ValueError(
            f"logit_scale has shape {scales.shape} for heads {leading}: give one, or one per leading axis."
        ) from None


def _check_accumulators(values: NDArray[np.int8], probability_bits: int) -> None:
    tokens, dim = values.shape[-2:]
    check_ranges(
        dtype="int8",
        norm="softmax",
        acc="wide",
        dim=dim,
        max_tokens=tokens,
        q_max=_INT8_MAX,
        k_max=_INT8_MAX,
        v_max=magnitude(values.astype(np.int64)),
        probability_bits=probability_bits,
    )
