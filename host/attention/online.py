"""Online softmax in integers (K-8): one pass over the tokens, sums rescaled whenever a larger score appears.

Owns the exact meaning of norm "softmax_online", which depends on the number of workers: worker w takes the groups of
eight tokens g with g mod workers = w, in order; the master joins the workers' sums in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import GROUP

from .reference import exact_scores, weights_of_differences
from .softmax_plan import SoftmaxPlan
from .sums import OnlineSums

__all__ = ["ONE", "RESCALE_BITS", "attention_online", "join", "rescaled"]

Integers = NDArray[np.signedinteger[Any]]

RESCALE_BITS = 30
"""Sums are rescaled with weights in Q30."""
ONE = 2**RESCALE_BITS
_LOW = ONE - 1


def attention_online(
    q: Integers,
    k: Integers,
    v: Integers,
    plan: SoftmaxPlan,
    *,
    workers: int,
    first_token: int = 0,
    bias: Integers | None = None,
) -> OnlineSums:
    """Online softmax attention by `workers` workers; shapes and bias as in `reference`.

    `first_token` is the position on the DPU of the first row of k, as groups of eight start at multiples of eight.
    `plan` must reach 30 octaves: softmax_plan(..., octaves=30).

    Raises AccumulatorOverflow when scores or outputs cannot be proven to fit, TypeError and ValueError for operands
    that do not belong together, ValueError for no tokens, no worker, a negative position or a plan that reaches less.
    """
    if workers < 1 or first_token < 0:
        raise ValueError(f"{workers} workers from token {first_token} on: at least 1 worker, from token 0 or later.")
    if k.shape[-2:-1] == (0,):
        raise ValueError(f"softmax over keys of shape {k.shape}: at least one token is needed.")
    scores = exact_scores(q, k, v, norm="softmax_online", bias=bias, probability_bits=plan.probability_bits)
    owner = (first_token % GROUP + np.arange(k.shape[-2])) // GROUP % workers
    joined = _one_worker(scores[..., owner == 0].astype(np.int64), v[..., owner == 0, :], plan)
    for worker in range(1, int(owner.max()) + 1):
        own = owner == worker
        joined = join(joined, _one_worker(scores[..., own].astype(np.int64), v[..., own, :], plan), plan)
    return joined


def join(a: OnlineSums, b: OnlineSums, plan: SoftmaxPlan) -> OnlineSums:
    """Sums over the tokens of both: each side is rescaled to the larger maximum, then they are added.

    Both sides have tokens. A side that keeps its maximum, or whose rescaling weight rounds to 1, stays as it is.
    """
    maximum = np.maximum(a.maximum, b.maximum)
    sides = [_at_maximum(side, maximum, plan) for side in (a, b)]
    return OnlineSums(
        maximum=maximum,
        weight_sum=sides[0].weight_sum + sides[1].weight_sum,
        weighted_values=sides[0].weighted_values + sides[1].weighted_values,
        rescales=np.maximum(sides[0].rescales, sides[1].rescales),
    )


def rescaled(sums: NDArray[np.int64], weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """rsh(sums * weight, 30) for weights of 0 to 2**30, exact for every int64 though the product has 94 bits.

    With sums = high * 2**30 + low, high * weight + rsh(low * weight, 30) is the same number, and no term exceeds int64.
    """
    high, low = sums >> RESCALE_BITS, sums & _LOW
    result: NDArray[np.int64] = high * weight + ((low * weight + (ONE >> 1)) >> RESCALE_BITS)
    return result


def _one_worker(scores: NDArray[np.int64], v: Integers, plan: SoftmaxPlan) -> OnlineSums:
    """Sums over a worker's tokens, of which there is at least one; scores [..., tokens], v [..., tokens, dim]."""
    maximum = scores[..., 0].copy()
    shape = np.broadcast_shapes(scores.shape[:-1], v.shape[:-2])
    weight_sum, rescales = np.zeros_like(maximum), np.zeros_like(maximum)
    weighted_values = np.zeros((*shape, v.shape[-1]), dtype=np.int64)
    for token in range(scores.shape[-1]):
        score = scores[..., token]
        rise = np.maximum(score - maximum, 0)
        factor = _rescaling_weight(rise, plan)
        maximum += rise
        rescales += rise > 0
        weight = weights_of_differences(maximum - score, plan, plan.probability_bits)
        weight_sum = rescaled(weight_sum, factor) + weight
        weighted_values = rescaled(weighted_values, factor[..., None]) + weight[..., None] * v[..., token, :]
    return OnlineSums(maximum, weight_sum.astype(np.uint64), weighted_values, rescales)


def _at_maximum(sums: OnlineSums, maximum: NDArray[np.int64], plan: SoftmaxPlan) -> OnlineSums:
    weight = _rescaling_weight(maximum - sums.maximum, plan)
    return OnlineSums(
        maximum=maximum,
        weight_sum=rescaled(sums.weight_sum.astype(np.int64), weight).astype(np.uint64),
        weighted_values=rescaled(sums.weighted_values, weight[..., None]),
        rescales=sums.rescales + (weight != ONE),
    )


def _rescaling_weight(rise: NDArray[np.int64], plan: SoftmaxPlan) -> NDArray[np.int64]:
    """Weight in Q30 that takes sums to a maximum `rise` higher; exactly 1 for none, in every variant of K-7."""
    return np.where(rise > 0, weights_of_differences(rise, plan, RESCALE_BITS), ONE)
