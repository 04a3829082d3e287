"""The memory controller: where tokens are in ReRAM, in which order they are read, and when each one is there (S4-9).

Adjacent tokens are on different channels, then on different banks (document 4). K and V of a token are beside each
other in one row. Nothing is written here but the order of reads; `locality` says which tokens these are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.machines.sprint_chip import SprintChip

from .arguments import check_mask
from .thresholding import columns_needed

__all__ = ["MemoryController", "Places", "Reads", "WordlineReads", "wordline_reads"]

NO_ROW = -1


class Places(NamedTuple):
    """Where tokens are, int64 of their shape each: channel, bank of this channel, row of this bank."""

    channel: NDArray[np.int64]
    bank: NDArray[np.int64]
    row: NDArray[np.int64]


class Reads(NamedTuple):
    """What one query loads. tokens: int64 [n], rising. arrival: cycles from the first command on, int64 [n].

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
    """Reads tokens of `token_bytes`, K and V together. Raises ValueError for tokens of less than a byte."""

    chip: SprintChip
    token_bytes: int

    def __post_init__(self) -> None:
        if self.token_bytes < 1:
            raise ValueError(f"token_bytes = {self.token_bytes}: a row of K and of V have at least 1 byte.")

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

    def reads(self, load: NDArray[np.bool_]) -> Iterator[Reads]:
        """The reads of each query in turn, whose row buffers the next one finds; load is bool [queries, tokens].

        A bank first serves what its open row holds, then the other rows in order, each once: the most hits there can
        be. Banks open rows side by side, each as soon as the row before it is through; the bus of a channel takes one
        token after the other, in the order in which banks have them ready. A row that is opened takes `row_cycles`,
        every token `column_cycles` that follow upon one another without a gap, and its time on the bus.

        Raises TypeError for a mask that is not bool, ValueError for one that has not two axes.
        """
        check_mask("load", load)
        if load.ndim != 2:
            raise ValueError(f"load has shape {load.shape}: one sequence of queries is [queries, tokens].")
        memory = self.chip.memory
        open_rows = np.full((memory.channels, memory.banks), NO_ROW, np.int64)
        for wanted in load:
            yield self._served(np.flatnonzero(wanted), open_rows)

    def _served(self, tokens: NDArray[np.int64], open_rows: NDArray[np.int64]) -> Reads:
        """One query; `open_rows` [channels, banks] becomes what it leaves open."""
        if not tokens.size:
            return Reads(tokens, tokens, 0, 0)
        memory, bus_cycles = self.chip.memory, self.chip.bus_cycles(self.token_bytes)
        channel, bank, row = self.places(tokens)
        is_open = (row == open_rows[channel, bank]) & (self.rows_per_token == 1)
        unit = channel * memory.banks + bank
        order = np.lexsort((tokens, ~is_open, unit))
        channel, bank, row, is_open, unit = (of[order] for of in (channel, bank, row, is_open, unit))
        first_of_unit = np.r_[True, unit[1:] != unit[:-1]]
        misses = ~is_open & (first_of_unit | np.r_[True, row[1:] != row[:-1]])
        opened = _running_sum(misses * self.rows_per_token, first_of_unit)
        place = _running_sum(np.ones_like(row), first_of_unit) - 1
        ready = memory.row_cycles * opened + memory.column_cycles + bus_cycles * place
        arrival = np.empty_like(ready)
        arrival[order] = _on_bus(channel, ready, bus_cycles)
        last_of_unit = np.r_[first_of_unit[1:], True]
        # Of a token in several rows, its last one stays open, and no other token is in it.
        open_rows[channel[last_of_unit], bank[last_of_unit]] = row[last_of_unit]
        return Reads(tokens, arrival, int(misses.sum()) * self.rows_per_token, int((~misses).sum()))


def wordline_reads(load: NDArray[np.bool_], *, dim: int, chip: SprintChip) -> WordlineReads:
    """What the transposable ReRAM of document 4 saves; load is bool [..., queries, tokens]."""
    check_mask("load", load)
    columns = columns_needed(dim, chip.thresholding.crossbar_rows)
    return WordlineReads(
        transposed=columns * int(np.count_nonzero(load)), plain=dim * int(np.count_nonzero(load.any(axis=-1)))
    )


def _running_sum(values: NDArray[np.int64], starts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Sums of values up to each one, from anew where a group starts."""
    sums = np.cumsum(values)
    before = (sums - values)[starts]
    groups: NDArray[np.int64] = sums - before[np.cumsum(starts) - 1]
    return groups


def _on_bus(channel: NDArray[np.int64], ready: NDArray[np.int64], bus_cycles: int) -> NDArray[np.int64]:
    """When each token is through the bus of its channel, first ready first: max over those before of ready + bus."""
    order = np.lexsort((ready, channel))
    starts = np.r_[True, channel[order][1:] != channel[order][:-1]]
    place = _running_sum(np.ones_like(ready), starts) - 1
    # The k-th is through at max over i <= k of ready_i + (k - i + 1) bus; one row of the table for each channel.
    table = np.full((int(starts.sum()), int(place.max()) + 1), np.iinfo(np.int64).min)
    group = np.cumsum(starts) - 1
    table[group, place] = ready[order] - place * bus_cycles
    through = np.empty_like(ready)
    through[order] = np.maximum.accumulate(table, axis=1)[group, place] + (place + 1) * bus_cycles
    return through
