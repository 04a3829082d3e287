"""Checks of document 4's chip: speed-ups of its three sizes, and how evenly corelets are loaded (S4-8, S4-9).

The document gives no pruning rate, length or padding for its speed-ups (E4-4), so nothing here derives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from host.attention.partition import Partition
from host.attention.samples import shipped_operands
from host.machines.sprint_chip import sprint_chips
from host.sprint.accelerator import Accelerator, gain
from host.sprint.calibrated import calibrated_pruning
from host.sprint.corelets import corelet_tokens, mean_balance
from host.sprint.inputs import QueryStream, real_stream, synthetic_stream
from host.sprint.timing import Timing

from .judging import Answer, Holds, Noted

__all__ = ["sprint_accelerator_checks"]

CHIPS = {"S": "sprint-s", "M": "sprint-m", "L": "sprint-l"}
KEEP = 0.133  # of all tokens: what 7.5 is the inverse of (E4-4)
KEPT_OF_FIFTEEN = 2
BERT_DIM = 64
HEADS_APART = 4  # of 24 real ones
RUNS_APART = 3  # of these heads, whole runs of every third: they take longer than to count
QUERIES_AHEAD = 8  # more change little
SEEDS = range(4)


def sprint_accelerator_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {"C4-06": ideal_gain, "C4-07": gains_of_the_three_chips, "C4-08": balance_of_both_mappings}


def ideal_gain() -> Answer:
    """C4-06: every query keeps a run of 2 of 15 tokens, which all corelets have equally many of."""
    queries = tokens = 16 * 15
    keep = (np.arange(tokens) - np.arange(queries)[:, None]) % tokens < tokens * KEPT_OF_FIFTEEN // 15
    chip = Accelerator(chip=sprint_chips().load(CHIPS["S"]), dim=BERT_DIM)
    found = gain(chip.run(keep), chip.dense(queries, tokens))
    return Noted(found.compute, f"{found.time:.2f} with thresholds and loads, which S4-9 adds up query by query")


def gains_of_the_three_chips() -> Answer:
    """C4-07: on the shipped tensors, of the arithmetic alone, and of time, with memory waiting or ahead."""
    stream = real_heads()
    keep = survivors(stream)
    found: dict[str, dict[str, float]] = {"compute": {}, "time": {}, "time_ahead": {}}
    for size, name in CHIPS.items():
        chip = Accelerator(chip=sprint_chips().load(name), dim=stream.dim)
        ahead = replace(chip, timing=Timing(ahead=QUERIES_AHEAD))
        found["compute"][size] = _gain_of_arithmetic(keep, chip.corelets)
        for used, gains in ((chip, found["time"]), (ahead, found["time_ahead"])):
            gains[size] = gain(used.run(keep[::RUNS_APART]), used.dense(stream.tokens, stream.tokens)).time
    falls = all(first >= second for gains in found.values() for first, second in pairwise(gains.values()))
    shown = {what: " >= ".join(f"{ratio:.2f}" for ratio in gains.values()) for what, gains in found.items()}
    return Holds(
        passed=falls,
        detail=f"{np.mean(keep):.1%} of real tokens kept: arithmetic {shown['compute']}; with thresholds and loads "
        f"{shown['time']} query by query, {shown['time_ahead']} with memory {QUERIES_AHEAD} queries ahead",
        ours=found,
    )


def balance_of_both_mappings() -> Answer:
    """C4-08: heads whose keys have a direction in common in runs of adjacent tokens."""
    found: dict[str, list[float]] = {"interleave": [], "block": []}
    for seed in SEEDS:
        stream = synthetic_stream(seed, heads=4, queries=64, tokens=512, dim=BERT_DIM, drift=0.95, structure="runs")
        keep = survivors(stream)
        for corelets in (2, 4):
            found["interleave"] += _balances(keep, Partition(corelets, "interleave"))
            found["block"] += _balances(keep, Partition(corelets, "block"))
    even, uneven = found.values()
    return Holds(
        passed=all(ours >= theirs for ours, theirs in zip(even, uneven, strict=True)),
        detail=f"{len(even)} heads on 2 or 4 corelets, on average {np.mean(even):.3f} against {np.mean(uneven):.3f}",
        ours={name: float(np.mean(balances)) for name, balances in found.items()},
    )


def real_heads() -> QueryStream:
    """Some of the shipped heads, of both layers, with all their positions as queries."""
    shipped = shipped_operands()
    return real_stream(replace(shipped, **{name: getattr(shipped, name)[::HEADS_APART] for name in ("q", "k", "v")}))


def survivors(stream: QueryStream) -> NDArray[np.bool_]:
    """What thresholds in memory keep, one threshold for each head."""
    return calibrated_pruning(stream, KEEP).select(stream.queries, stream.keys).keep


def _gain_of_arithmetic(keep: NDArray[np.bool_], corelets: Partition) -> float:
    dense, ours = (int(corelet_tokens(mask, corelets).max(axis=-1).sum()) for mask in (np.ones_like(keep), keep))
    return dense / ours


def _balances(keep: NDArray[np.bool_], corelets: Partition) -> list[float]:
    return [mean_balance(tokens) for tokens in corelet_tokens(keep, corelets)]
