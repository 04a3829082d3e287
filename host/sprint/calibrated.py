"""Thresholds for a stream of queries: SPRINT set up to keep a wanted fraction of its tokens (S4-3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration import Scope, quantile_threshold
from .inputs import QueryStream
from .pruning import InMemoryPruning
from .scores import approximate_scores, exact_scores
from .thresholding import Thresholder

__all__ = ["calibrated_pruning", "stream_threshold"]


def calibrated_pruning(
    stream: QueryStream, keep_fraction: float, *, thresholder: Thresholder | None = None, scope: Scope = "head"
) -> InMemoryPruning:
    """SPRINT, its thresholds quantiles of the scores that they are compared with. Padding is the caller's to take off.

    Conservative thresholds are quantiles of exact scores, because their promise is about these: then at least as many
    tokens are kept as asked for. Raises as `quantile_threshold`.
    """
    decides = Thresholder() if thresholder is None else thresholder
    compared: NDArray[Any]
    if decides.offset == "conservative":
        compared = exact_scores(stream.queries, stream.keys)
    else:
        approximate = approximate_scores(stream.queries, stream.keys, decides.analog)
        # A token stays when its approximate score and the offset reach the threshold together.
        compared = approximate + decides.offsets(stream.queries)[..., None]
    return InMemoryPruning(theta=stream_threshold(compared, stream, keep_fraction, scope=scope), thresholder=decides)


def stream_threshold(
    scores: NDArray[Any], stream: QueryStream, keep_fraction: float, *, scope: Scope = "head"
) -> NDArray[np.float64]:
    """`quantile_threshold` of scores [heads, queries, tokens], float64 [heads, queries] or [heads, 1].

    Raises as that does.
    """
    # Any scope has its axes when heads are told apart by layer.
    by_layer = scores.reshape(stream.layers, -1, *scores.shape[1:])
    theta = quantile_threshold(by_layer, keep_fraction, scope=scope)
    whole = np.broadcast_to(theta, (*by_layer.shape[:2], theta.shape[-1] if theta.ndim else 1))
    return whole.reshape(stream.heads, -1)
