"""Choosing the threshold: from a logit, or as the quantile of sampled scores that keeps a wanted fraction (S4-3)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Scope", "quantile_threshold", "threshold_from_logit"]

Scope = Literal["query", "head", "layer", "all"]
"""Who shares a threshold, of scores [..., layers, heads, queries, tokens]: nobody, the queries of a head, the heads of
a layer, or everybody."""

_SHARED_AXES: dict[Scope, int] = {"query": 1, "head": 2, "layer": 3}


def threshold_from_logit(logit: float, logit_scale: ArrayLike) -> NDArray[np.float64]:
    """The least whole score whose logit c s reaches `logit`: ceil(logit / c), exactly; float64, the shape of c.

    logit: real, such as one that training found; -inf keeps everything. logit_scale: c, real logit per unit of score.
    The result is a whole number or infinite. Raises ValueError for NaN, or scales that are not positive and finite.
    """
    scales: NDArray[np.float64] = np.asarray(logit_scale, dtype=np.float64)
    if math.isnan(logit) or not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"logit = {logit}, logit_scale = {logit_scale!r}: scales are positive and finite.")
    if math.isinf(logit):
        return np.full(scales.shape, logit)
    wanted = [float(math.ceil(Fraction(logit) / Fraction(scale))) for scale in scales.ravel().tolist()]
    return np.array(wanted, dtype=np.float64).reshape(scales.shape)


def quantile_threshold(
    scores: NDArray[Any], keep_fraction: float, *, scope: Scope = "head", valid: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The threshold that `keep_fraction` of sampled scores reach, and more only where scores are equal.

    scores: [..., queries, tokens], exact or approximate, whichever will be compared with it. valid: bool of the same
    shape, which of them count; None for all, otherwise some of every group. At least one score of a group is kept: n
    valid ones keep ceil(keep_fraction * n).

    The result broadcasts against [..., queries], as `Thresholder.prune` wants it: [..., queries] for scope "query",
    [..., 1] for "head", [..., 1, 1] for "layer", and one number for "all".

    Raises ValueError for a fraction outside 0 to 1 (0 excluded), too few axes, or groups without a valid score.
    """
    if not 0 < keep_fraction <= 1:
        raise ValueError(f"keep_fraction = {keep_fraction}: choose more than 0 to 1 (SPRINT keeps some 0.133).")
    if scope not in get_args(Scope):
        raise ValueError(f"scope = {scope!r}: choose one of {', '.join(get_args(Scope))}.")
    shared = _SHARED_AXES.get(scope, scores.ndim)
    if scores.ndim < max(2, shared) or scores.size == 0:
        raise ValueError(
            f"scores of shape {scores.shape} for a threshold per {scope}: they are [..., layers, heads, queries, "
            f"tokens], here with at least {max(2, shared)} axes, and none empty."
        )
    own = scores.shape[: scores.ndim - shared]
    groups = scores.astype(np.float64).reshape(-1, math.prod(scores.shape[scores.ndim - shared :]))
    counted = np.ones(groups.shape, np.bool_) if valid is None else np.broadcast_to(valid, scores.shape)
    thresholds = [
        _least_kept(*group, keep_fraction) for group in zip(groups, counted.reshape(groups.shape), strict=True)
    ]
    return np.array(thresholds, dtype=np.float64).reshape(own + (1,) * max(0, shared - 1) if scope != "all" else ())


def _least_kept(scores: NDArray[np.float64], valid: NDArray[np.bool_], keep_fraction: float) -> float:
    candidates = scores[valid]
    if not candidates.size:
        raise ValueError("a group of scores has no valid one to calibrate a threshold with: leave it out.")
    # The fraction as it is printed: 0.1 of 10 is 1, and not 2 for the float that is a little more than a tenth.
    kept = min(len(candidates), math.ceil(Fraction(str(keep_fraction)) * len(candidates)))
    return float(np.partition(candidates, len(candidates) - kept)[len(candidates) - kept])
