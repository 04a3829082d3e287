"""Checks of document 4's data movement: what adjacent queries load and reuse, what padding and pruning save."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from host.sprint.calibration import quantile_threshold
from host.sprint.inputs import QueryStream, real_stream, synthetic_stream
from host.sprint.locality import adjacent_step, movement, overlap
from host.sprint.padding import Padding, dense_bytes, sprint_bytes
from host.sprint.pruning import InMemoryPruning
from host.sprint.scores import approximate_scores

from .judging import Answer, Holds, Noted

__all__ = ["sprint_movement_checks"]

FIRST_SURVIVORS = frozenset({2, 4, 5, 6, 11, 13})  # of the document's example
EXAMPLE_TOKENS = 16
KEPT_TOKENS, ALL_TOKENS = 3325, 25_000  # 13.3 %
REPLACED_TOKENS = 532  # 16 % of what is kept
KEEP_FRACTION = 0.133
VALID_SHARE = 0.54  # of a sequence with 46 % padding
HEAD_STEP = 4  # every fourth head
BUFFER_SHARES = (8, 3, 2)  # the sequence is so many times as long as the buffer


def sprint_movement_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "C4-05": example_of_the_document,
        "C4-09": gain_without_padding,
        "C4-10": bytes_by_mode,
        "C4-13": loaded_fraction,
    }


def example_of_the_document() -> Answer:
    """C4-05: every next query that differs in exactly two of 16 keys."""
    before = _mask(FIRST_SURVIVORS)
    right = most = cases = 0
    for changed in combinations(range(EXAMPLE_TOKENS), 2):
        after = _mask(FIRST_SURVIVORS ^ set(changed))
        moved = movement(np.stack([before, after]))
        added = after & ~before
        step = adjacent_step(~before, ~after)
        cases += 1
        most = max(most, int(np.count_nonzero(added)))
        right += all(
            np.array_equal(ours, wanted)
            for ours, wanted in (
                (moved.load[1], added),
                (moved.reuse[1], after & before),
                (moved.evict[1], before & ~after),
                (step.load, added),
                (step.reuse, after & before),
                (step.evict, before & ~after),
            )
        )
    return Holds(
        passed=right == cases and most == 2,
        detail=f"in {right} of {cases} next queries the added keys, {most} at most, are loaded and the others reused",
    )


def gain_without_padding() -> Answer:
    """C4-09."""
    padding = Padding(valid=54, padded=100)
    return {"work_fraction": float(padding.work_fraction), "gain": float(padding.gain)}


def bytes_by_mode() -> Answer:
    """C4-10: shipped heads and drifting ones with 46 % of padding behind, buffers shorter than the sequence.

    A buffer that holds the whole sequence leaves pruning nothing to save: dense attention then loads every row once.
    """
    ordered, cases = 0, 0
    ratios: list[float] = []
    for stream in (real_stream(), synthetic_stream(10, heads=8, queries=192, tokens=192, dim=64, drift=0.95)):
        padding = Padding(valid=stream.tokens, padded=round(stream.tokens / VALID_SHARE))
        for keep in _pruned_heads(stream):
            for share in BUFFER_SHARES:
                capacity = stream.tokens // share
                baseline = dense_bytes(padding, "baseline", dim=stream.dim, capacity_tokens=capacity).total
                masked = dense_bytes(padding, "mask_only", dim=stream.dim, capacity_tokens=capacity).total
                pruned = sprint_bytes(keep, dim=stream.dim, capacity_tokens=capacity).total
                cases += 1
                ordered += baseline > masked > pruned
                ratios.append(baseline / pruned)
    return Holds(
        passed=ordered == cases,
        detail=f"{ordered} of {cases} pairs of a head and a buffer of 1/8 to 1/2 of the sequence; baseline / sprint "
        f"{min(ratios):.1f} to {max(ratios):.1f}",
        ours={"baseline / sprint": {"least": min(ratios), "most": max(ratios)}},
    )


def loaded_fraction() -> Answer:
    """C4-13: adjacent queries that keep 13.3 % of 25,000 tokens and share 84 % of them, through the engine."""
    rows = [np.zeros(ALL_TOKENS, np.bool_) for _ in range(4)]
    for number, row in enumerate(rows):
        row[number * REPLACED_TOKENS : number * REPLACED_TOKENS + KEPT_TOKENS] = True
    keep = np.stack(rows)
    loads = movement(keep).load[1:]
    return Noted(
        float(loads.mean()), f"{keep.mean():.3f} kept, overlap {float(overlap(keep)):.2f}, a window that moves"
    )


def _mask(tokens: frozenset[int]) -> NDArray[np.bool_]:
    return np.isin(np.arange(EXAMPLE_TOKENS), list(tokens))


def _pruned_heads(stream: QueryStream) -> Iterator[NDArray[np.bool_]]:
    """What a head keeps, [queries, tokens], with a threshold of its own."""
    queries, keys = stream.queries[::HEAD_STEP], stream.keys[::HEAD_STEP]
    theta = quantile_threshold(approximate_scores(queries, keys), KEEP_FRACTION)
    yield from InMemoryPruning(theta=theta).select(queries, keys).keep
