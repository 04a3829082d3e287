"""When queries are done: thresholds, loads and exact scores, and what of this goes on at the same time (S4-9).

All times are whole cycles of the chip's clock. Owns how the parts of a query and of its neighbours overlap; the
controller says how long loads take, `corelets` how long the arithmetic does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import whole_number
from host.machines.sprint_chip import SprintChip

from .controller import MemoryController, Reads

__all__ = ["NO_THRESHOLDS", "Misses", "QueryTimes", "Thresholds", "Timing", "thresholds_of"]

Misses = Literal["present first", "arrivals", "stall"]
"""What corelets do about tokens that are not there yet. present first: max(load, compute), as S4-9 states it: a token
that comes in is never late. arrivals: the same order, token by token: a corelet waits if none is left of those that are
there. stall: it begins when all are there."""


class Thresholds(NamedTuple):
    """Of one query: cycles until its pruning vector is there, and how many later the next query's can be."""

    latency: int
    interval: int


NO_THRESHOLDS = Thresholds(0, 0)
"""All tokens are taken, or a selection that is known beforehand."""


def thresholds_of(chip: SprintChip, tokens: int) -> Thresholds:
    """CopyQ, thresholds of all tokens at once, and ReadP of a bit for each: tCL + tAxTh + ceil(tokens / width).

    These are three places, so that queries follow one another at the pace of the slowest.
    """
    stages = chip.thresholding
    parts = (stages.copy_q_cycles, stages.threshold_cycles, -(-tokens // stages.read_p_bits))
    return Thresholds(sum(parts), max(parts))


class QueryTimes(NamedTuple):
    """Of the queries of one head, int64 [queries] each.

    load: from the pruning vector until the last token is there. end: the cycle in which a query is done. opened_rows,
    row_hits: as of `Reads`.
    """

    load: NDArray[np.int64]
    end: NDArray[np.int64]
    opened_rows: NDArray[np.int64]
    row_hits: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How the parts of queries overlap.

    ahead: queries that memory may be ahead of the corelets. 0: it rests until a query is done, and the query takes its
    thresholds and then max(load, compute), as S4-9 adds them up. More: thresholds and loads of a query begin when the
    corelets begin the query so many before it, at the earliest, in buffers that are taken to have room.

    Raises ValueError for a choice that there is not, or a negative number; TypeError for what is no integer.
    """

    misses: Misses = "present first"
    ahead: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ahead", whole_number("ahead", self.ahead))
        if self.misses not in get_args(Misses):
            raise ValueError(f"misses = {self.misses!r}: choose one of {', '.join(get_args(Misses))}.")
        if self.ahead < 0:
            raise ValueError(f"ahead = {self.ahead}: memory is 0 queries ahead, or more.")

    def queries(
        self,
        load: NDArray[np.bool_],
        controller: MemoryController,
        *,
        thresholds: Thresholds,
        compute: NDArray[np.int64],
        owner: NDArray[np.int64],
        key_cycles: int,
    ) -> QueryTimes:
        """The queries of a head, from closed rows on. load: bool [queries, tokens]. compute: cycles, int64 [queries].

        owner: corelet of each token, int64 [tokens]. key_cycles: of one token in a corelet. A query computes as soon as
        its thresholds are known and the corelets are free; it is done when it has computed for its time, and its loads
        allow it.
        """
        memory, begun = controller.closed(), [0]
        known, done = -thresholds.interval, 0
        found = np.zeros((4, len(load)), np.int64)
        for query, wanted in enumerate(load):
            allowed = begun[max(0, query + 1 - self.ahead)] if self.ahead else done
            known = max(allowed + thresholds.latency, known + thresholds.interval)
            reads = controller.read(wanted, memory, start=known)
            cycles = int(compute[query])
            begun.append(max(known, done))
            done = max(begun[-1] + cycles, known + self._lag(reads, owner, cycles, key_cycles))
            found[:, query] = reads.cycles, done, reads.opened_rows, reads.row_hits
        return QueryTimes(*found)

    def _lag(self, reads: Reads, owner: NDArray[np.int64], compute: int, key_cycles: int) -> int:
        """Cycles from the first load of a query until it is done, were it only for what it loads."""
        if not reads.tokens.size:
            return 0
        match self.misses:
            case "present first":
                return reads.cycles
            case "stall":
                return reads.cycles + compute
            case "arrivals":
                corelet_of = owner[reads.tokens]
                return max(_last_done(reads.arrival[corelet_of == one], key_cycles) for one in np.unique(corelet_of))


def _last_done(arrival: NDArray[np.int64], key_cycles: int) -> int:
    """When a corelet has done the tokens that come in at these cycles, in that order, each for `key_cycles`."""
    after = np.arange(len(arrival), 0, -1)
    return int((np.sort(arrival) + key_cycles * after).max())
