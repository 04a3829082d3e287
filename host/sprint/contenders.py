"""SPRINT and the methods it is compared with, each set up to keep a wanted fraction of a stream's tokens.

Owns what is calibrated, and the choices that are assumed where papers tune or train: they are stated, not fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from .calibrated import calibrated_pruning, stream_threshold
from .calibration import Scope
from .comparators.a3 import A3
from .comparators.leopard import Leopard
from .comparators.spatten import SpAtten
from .inputs import QueryStream
from .nibbles import OPERAND_BITS
from .quality import Quality, dense_reference, measure
from .scores import exact_scores
from .selection import Selection
from .thresholding import Thresholder

__all__ = ["CONTENDERS", "Chosen", "Contender", "Point", "compare", "select_fraction"]

Contender = Literal["sprint", "leopard", "spatten", "a3"]
CONTENDERS: tuple[Contender, ...] = get_args(Contender)

A3_STEPS_PER_KEPT = 4  # so that a search has candidates to choose from


class Chosen(NamedTuple):
    """What a method selected, its name as tables print it, and in a few words how far it looked."""

    method: str
    selection: Selection
    looked_at: str


class Point(NamedTuple):
    """A method asked for a fraction, how far it looked, and how good what it kept is."""

    method: str
    asked_fraction: float
    looked_at: str
    quality: Quality


def select_fraction(
    contender: Contender,
    stream: QueryStream,
    keep_fraction: float,
    *,
    scope: Scope = "head",
    thresholder: Thresholder | None = None,
) -> Chosen:
    """What a method keeps of a stream when `keep_fraction` of the tokens are wanted, in (0, 1].

    sprint: the quantile of its scores, by `calibrated_pruning`. thresholder: 4 bits and no offset, unless given.
    leopard: the quantile of exact scores; bits one by one.
    spatten: so many rows of V for each query. Assumed: sqrt(keep_fraction) of the tokens are left for the last of
        several layers, all heads, and a query starts again below a probability of 0.1.
    a3: the quantile of its candidates' gaps is the margin; it cannot keep more than the candidates. Assumed: half as
        many steps as tokens, or 4 for each token that is wanted, if these are more.

    scope: who shares a threshold or margin. A query of sprint or leopard that loses everything keeps its best token.
    Padding is the caller's to take off. Raises ValueError for a fraction outside (0, 1], or an unknown method or scope.
    """
    if not 0 < keep_fraction <= 1:
        raise ValueError(f"keep_fraction = {keep_fraction}: choose more than 0, 1 at most.")
    queries, keys = stream.queries, stream.keys
    match contender:
        case "sprint":
            pruning = calibrated_pruning(stream, keep_fraction, thresholder=thresholder, scope=scope)
            analog = pruning.thresholder.analog
            looked_at = f"{analog.q_bits} x {analog.msb_bits} bits, in memory"
            return Chosen(pruning.name, pruning.select(queries, keys), looked_at)
        case "leopard":
            theta = stream_threshold(exact_scores(queries, keys), stream, keep_fraction, scope=scope)
            leopard = Leopard(theta=theta, when_all_pruned="keep_best")
            found = leopard.select(queries, keys)
            # One bit of K with all of q, for every plane that is read.
            planes = found.decision.bit_products.mean() / (OPERAND_BITS * stream.dim * stream.tokens)
            return Chosen(leopard.name, found, f"{planes:.2f} of {OPERAND_BITS} planes")
        case "spatten":
            spatten = SpAtten(
                logit_scales=stream.logit_scales,
                layers=stream.layers,
                value_keep=keep_fraction,
                token_keep=math.sqrt(keep_fraction),
            )
            found = spatten.select(queries, keys)
            last_layer = found.decision.comparisons[-1].max()  # one for each token that is left
            return Chosen(spatten.name, found, f"{last_layer} tokens at last")
        case "a3":
            return _select_by_a3(stream, keep_fraction, scope)
    raise ValueError(f"method {contender!r}: choose one of {', '.join(CONTENDERS)}.")


def compare(
    stream: QueryStream,
    contenders: Sequence[Contender],
    fractions: Sequence[float],
    *,
    scope: Scope = "head",
    thresholder: Thresholder | None = None,
    advance: Callable[[int], None],
) -> list[Point]:
    """Every method at every fraction, on the same queries; `advance(1)` is called after each.

    Raises as `select_fraction`, and ValueError for a stream with padding.
    """
    reference = dense_reference(stream)
    points = []
    for contender in contenders:
        for fraction in fractions:
            chosen = select_fraction(contender, stream, fraction, scope=scope, thresholder=thresholder)
            points.append(Point(chosen.method, fraction, chosen.looked_at, measure(chosen.selection, reference)))
            advance(1)
    return points


def _select_by_a3(stream: QueryStream, keep_fraction: float, scope: Scope) -> Chosen:
    """One search, whose candidates give the margin."""
    steps = max(-(-stream.tokens // 2), math.ceil(A3_STEPS_PER_KEPT * keep_fraction * stream.tokens))
    search = A3(steps=steps, margin=np.inf)
    found = search.candidates(stream.queries, stream.keys)
    gaps = found.gaps(exact_scores(stream.queries, stream.keys))
    margin = -stream_threshold(-gaps, stream, keep_fraction, scope=scope)
    selection = replace(search, margin=margin).selected(found, stream.queries, stream.keys)
    return Chosen(search.name, selection, f"{steps} steps, {found.are_candidates.sum(axis=-1).mean():.0f} candidates")
