"""The memory controller: where tokens are in ReRAM, in which order they are read, and when each one is there (S4-9).

Adjacent tokens are on different channels, then on different banks (document 4). K and V of a token are beside each
other in one row. Nothing is written here but the order of reads; `locality` says which tokens these are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.machines.sprint_chip import SprintChip

from .arguments import check_mask
from .thresholding import columns_needed

__all__ = ["MemoryController", "MemoryState", "Places", "Reads", "WordlineReads", "wordline_reads"]

NO_ROW = -1


class Places(NamedTuple):
    """Where tokens are, int64 of their shape each: channel, bank of this channel, row of this bank."""

    channel: NDArray[np.int64]
    bank: NDArray[np.int64]
    row: NDArray[np.int64]


@dataclass(slots=True, kw_only=True, eq=False)
class MemoryState:
    """What reads leave behind for the next ones, int64 [channels, banks], and [channels] for buses.

    open_row: of a bank, or NO_ROW. bank_free: the cycle from which on a bank can open another row. bus_free: the same
    of buses and tokens.
    """

    open_row: NDArray[np.int64]
    bank_free: NDArray[np.int64]
    bus_free: NDArray[np.int64]


class Reads(NamedTuple):
    """What one query loads. tokens: int64 [n], rising. arrival: cycles from the query's first command on, int64 [n].

    opened_rows: row misses. row_hits: tokens that opened none.
    """

    tokens: NDArray[np.int64]
    arrival: NDArray[np.int64]
    opened_rows: int
    row_hits: int

    @property
    def cycles(self) -> int:
        """Until the last token is there; 0 for none."""
        return int(self.arrival.max(initial=0))


class WordlineReads(NamedTuple):
    """Accesses to the array that multiplies the keys, to read those that are kept.

    transposed: along a key, one for each column that it is cut over. plain: along the wordlines, each of which has one
    element of all keys: all of them, for every query that loads something.
    """

    transposed: int
    plain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryController:
    """Reads tokens of `token_bytes`, K and V together, each of which occupies a bus for `bus_cycles`.

    Raises ValueError for tokens of less than a byte.
    """

    chip: SprintChip
    token_bytes: int
    bus_cycles: int = field(init=False)

    def __post_init__(self) -> None:
        if self.token_bytes < 1:
            raise ValueError(f"token_bytes = {self.token_bytes}: a row of K and of V have at least 1 byte.")
        object.__setattr__(self, "bus_cycles", self.chip.bus_cycles(self.token_bytes))

    @property
    def tokens_per_row(self) -> int:
        """Whole tokens in a row of a bank; 0 for tokens that are larger than a row."""
        return self.chip.memory.row_bytes // self.token_bytes

    @property
    def rows_per_token(self) -> int:
        """Rows that a token is in."""
        return max(1, -(-self.token_bytes // self.chip.memory.row_bytes))

    def places(self, tokens: NDArray[np.int64]) -> Places:
        """Token j is on channel j mod C, there in bank (j / C) mod B, and rows fill up in order (S4-9)."""
        memory = self.chip.memory
        in_channel = tokens // memory.channels
        slot = in_channel // memory.banks
        row = slot // self.tokens_per_row if self.tokens_per_row else slot * self.rows_per_token
        return Places(tokens % memory.channels, in_channel % memory.banks, row)

    def closed(self) -> MemoryState:
        """All rows closed, nothing under way, at cycle 0."""
        memory = self.chip.memory
        banks = (memory.channels, memory.banks)
        return MemoryState(
            open_row=np.full(banks, NO_ROW, np.int64),
            bank_free=np.zeros(banks, np.int64),
            bus_free=np.zeros(memory.channels, np.int64),
        )

    def read(self, wanted: NDArray[np.bool_], state: MemoryState, *, start: int) -> Reads:
        """Read the wanted tokens, bool [tokens], with commands from cycle `start` on; `state` is what follows.

        A bank first serves what its open row holds, then the other rows in order, each once: the most hits there can
        be. Banks open rows side by side, each as soon as the row before it is through; the bus of a channel takes one
        token after the other, in the order in which banks have them ready, queries in their order. A row that is
        opened takes `row_cycles`, every token `column_cycles` that follow upon one another without a gap, and its time
        on the bus.
        """
        tokens = np.flatnonzero(wanted)
        if not tokens.size:
            return Reads(tokens, tokens, 0, 0)
        memory, bus_cycles = self.chip.memory, self.bus_cycles
        channel, bank, row = self.places(tokens)
        is_open = (row == state.open_row[channel, bank]) & (self.rows_per_token == 1)
        unit = channel * memory.banks + bank
        order = np.lexsort((tokens, ~is_open, unit))
        channel, bank, row, is_open, unit = (of[order] for of in (channel, bank, row, is_open, unit))
        first = _starts(unit)
        last = np.roll(first, -1)
        misses = ~is_open & (first | _starts(row))
        opened = _running_sum(misses * self.rows_per_token, first)
        place = _running_sum(np.ones_like(row), first) - 1
        streamed = np.maximum(state.bank_free[channel, bank], start) + memory.row_cycles * opened + bus_cycles * place
        through = _on_bus(channel, streamed + memory.column_cycles, bus_cycles, state.bus_free)
        # Of a token in several rows, the last one stays open, and no other token is in it.
        state.open_row[channel[last], bank[last]] = row[last]
        state.bank_free[channel[last], bank[last]] = streamed[last] + bus_cycles
        np.maximum.at(state.bus_free, channel, through)
        arrival = np.empty_like(through)
        arrival[order] = through - start
        return Reads(tokens, arrival, int(misses.sum()) * self.rows_per_token, int((~misses).sum()))


def wordline_reads(load: NDArray[np.bool_], *, dim: int, chip: SprintChip) -> WordlineReads:
    """What the transposable ReRAM of document 4 saves; load is bool [..., queries, tokens]."""
    check_mask("load", load)
    columns = columns_needed(dim, chip.thresholding.crossbar_rows)
    return WordlineReads(
        transposed=columns * int(np.count_nonzero(load)), plain=dim * int(np.count_nonzero(load.any(axis=-1)))
    )


def _starts(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a group of equal neighbours starts."""
    starts = np.ones(len(groups), np.bool_)
    np.not_equal(groups[1:], groups[:-1], out=starts[1:])
    return starts


def _running_sum(values: NDArray[np.int64], starts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Sums of values up to each one, from anew where a group starts."""
    sums = np.cumsum(values)
    before = (sums - values)[starts]
    groups: NDArray[np.int64] = sums - before[np.cumsum(starts) - 1]
    return groups


def _on_bus(
    channel: NDArray[np.int64], ready: NDArray[np.int64], bus_cycles: int, bus_free: NDArray[np.int64]
) -> NDArray[np.int64]:
    """When each token is through the bus of its channel, first ready first: max over those before of ready + bus."""
    order = np.lexsort((ready, channel))
    starts = _starts(channel[order])
    place = _running_sum(np.ones_like(ready), starts) - 1
    # The k-th is through at max over i <= k of ready_i + (k - i + 1) bus; one row of the table for each channel.
    table = np.full((int(starts.sum()), int(place.max()) + 1), np.iinfo(np.int64).min)
    group = np.cumsum(starts) - 1
    table[group, place] = np.maximum(ready, bus_free[channel])[order] - place * bus_cycles
    through = np.empty_like(ready)
    through[order] = np.maximum.accumulate(table, axis=1)[group, place] + (place + 1) * bus_cycles
    return through
