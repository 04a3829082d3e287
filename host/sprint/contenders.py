"""SPRINT and the methods it is compared with, each set up to keep a wanted fraction of a stream's tokens.

Owns what is calibrated, and the choices that the methods' papers leave to training: they are stated, not tuned.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from .calibrated import calibrated_pruning, stream_threshold
from .comparators.a3 import A3
from .comparators.leopard import Leopard
from .comparators.spatten import SpAtten
from .inputs import QueryStream
from .scores import exact_scores
from .selection import Selection
from .thresholding import Thresholder

__all__ = ["CONTENDERS", "Contender", "check_contender", "select_fraction"]

Contender = Literal["sprint", "leopard", "spatten", "a3"]
CONTENDERS: tuple[Contender, ...] = get_args(Contender)

A3_STEPS_PER_KEPT = 4  # a search of as many steps has candidates to choose from


def check_contender(name: str) -> Contender:
    """The method itself. Raises ValueError, with the methods there are, for any other name."""
    for contender in CONTENDERS:
        if name == contender:
            return contender
    raise ValueError(f"method {name!r}: choose one of {', '.join(CONTENDERS)}.")


def select_fraction(
    contender: Contender, stream: QueryStream, keep_fraction: float, *, thresholder: Thresholder | None = None
) -> Selection:
    """What a method keeps of a stream when `keep_fraction` of the tokens are wanted, in (0, 1].

    sprint: a threshold per head, by `calibrated_pruning`. thresholder: 4 bits and no offset, unless given.
    leopard: a threshold per head, the quantile of its exact scores; bits one by one.
    spatten: so many rows of V for each query. sqrt(keep_fraction) of the tokens are left for the last layer: a
        choice, which the paper leaves to tuning. It keeps all heads and starts again below a probability of 0.1.
    a3: half as many steps as tokens, the paper's conservative choice, or 4 for each token that is wanted, if these are
        more; then a margin per head, the quantile of its candidates' gaps. It cannot keep more than the candidates.

    A query of sprint or leopard that loses everything keeps its best token. Padding is the caller's to take off.
    Raises ValueError for a fraction outside (0, 1] or an unknown method.
    """
    check_contender(contender)
    queries, keys = stream.queries, stream.keys
    match contender:
        case "sprint":
            return calibrated_pruning(stream, keep_fraction, thresholder=thresholder).select(queries, keys)
        case "leopard":
            theta = stream_threshold(exact_scores(queries, keys), stream, keep_fraction)
            return Leopard(theta=theta, when_all_pruned="keep_best").select(queries, keys)
        case "spatten":
            method = SpAtten(
                logit_scales=stream.logit_scales,
                layers=stream.layers,
                value_keep=keep_fraction,
                token_keep=math.sqrt(keep_fraction),
            )
            return method.select(queries, keys)
        case "a3":
            steps = max(-(-stream.tokens // 2), math.ceil(A3_STEPS_PER_KEPT * keep_fraction * stream.tokens))
            search = A3(steps=steps, margin=np.inf)
            found = search.candidates(queries, keys)
            margin = -stream_threshold(-found.gaps(exact_scores(queries, keys)), stream, keep_fraction)
            return replace(search, margin=margin).selected(found, queries, keys)
