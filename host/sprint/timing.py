"""When queries are done: thresholds, loads and exact scores, and what of this goes on at the same time (S4-9).

All times are whole cycles of the chip's clock. Owns how the parts of a query and of its neighbours overlap; the
controller says how long loads take, `corelets` how long the arithmetic does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from host.machines.sprint_chip import SprintChip

from .controller import Reads

__all__ = ["Misses", "Prefetch", "QueryCycles", "check_overlap", "end_cycles", "lag_cycles", "threshold_cycles"]

Misses = Literal["present first", "arrivals", "stall"]
"""What corelets do about tokens that are not there yet. present first: max(load, compute), as S4-9 states it: a token
that comes in is never late. arrivals: the same order, token by token: a corelet waits if none is left of those that are
there. stall: it begins when all are there."""

Prefetch = Literal["none", "next query"]
"""What memory does during the arithmetic of a query. none: nothing, as S4-9 adds it up. next query: thresholds and
loads of the next one, in a buffer that is taken to have room for them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueryCycles:
    """Parts of each query, int64 [..., queries] but for the thresholds, which every query takes the same time for.

    load: until the last token is there. compute: of the slowest corelet. lag: from the first load until the query is
    done, if corelets wait for nothing but tokens. end: of each query from the first one's start on.
    """

    threshold: int
    load: NDArray[np.int64]
    compute: NDArray[np.int64]
    lag: NDArray[np.int64]
    end: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Until the last query is done; sequences, such as heads, follow upon one another."""
        return int(self.end[..., -1].sum())


def check_overlap(misses: Misses, prefetch: Prefetch) -> None:
    """Raise ValueError for a choice that there is not."""
    for name, value, choices in (("misses", misses, get_args(Misses)), ("prefetch", prefetch, get_args(Prefetch))):
        if value not in choices:
            raise ValueError(f"{name} = {value!r}: choose one of {', '.join(choices)}.")


def threshold_cycles(chip: SprintChip, tokens: int) -> int:
    """CopyQ, thresholds of all tokens at once, and ReadP of a bit for each: tCL + tAxTh + ceil(tokens / width)."""
    memory = chip.thresholding
    return memory.copy_q_cycles + memory.threshold_cycles + -(-tokens // memory.read_p_bits)


def lag_cycles(reads: Reads, owner: NDArray[np.int64], *, compute: int, key_cycles: int, misses: Misses) -> int:
    """Cycles from the first load of a query until it is done, were it only for what it loads.

    owner: corelet of each token, int64 [tokens]. compute: cycles of the slowest corelet. key_cycles: of one token.
    """
    if not reads.tokens.size:
        return 0
    match misses:
        case "present first":
            return reads.cycles
        case "stall":
            return reads.cycles + compute
        case "arrivals":
            return max(
                _last_done(reads.arrival[owner[reads.tokens] == corelet], key_cycles)
                for corelet in np.unique(owner[reads.tokens])
            )


def end_cycles(
    *, threshold: int, load: Sequence[int], compute: Sequence[int], lag: Sequence[int], prefetch: Prefetch
) -> list[int]:
    """The cycle in which each query of one sequence is done.

    A query computes as soon as its thresholds are known and the corelets are free; it is done when it has computed for
    its time, and its loads allow it. Memory begins the next query when that is done, or, with prefetch, when memory and
    the corelets have both begun with the one before: it is never more than one query ahead.
    """
    ends: list[int] = []
    memory_free = begun = done = 0
    for load_cycles, compute_cycles, query_lag in zip(load, compute, lag, strict=True):
        known = threshold + (done if prefetch == "none" else max(memory_free, begun))
        memory_free = known + load_cycles
        begun = max(known, done)
        done = max(begun + compute_cycles, known + query_lag)
        ends.append(done)
    return ends


def _last_done(arrival: NDArray[np.int64], key_cycles: int) -> int:
    """When a corelet has done the tokens that come in at these cycles, in that order, each for `key_cycles`."""
    after = np.arange(len(arrival), 0, -1)
    return int((np.sort(arrival) + key_cycles * after).max())
