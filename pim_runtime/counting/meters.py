"""The meters of one kernel: what one unit of each stands for, by source line, and the table that a run reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..counters import NR_COUNTERS, Counter
from ..device.meters import FIRST_METER

__all__ = ["Block", "Events", "MeterTable", "Meters", "Place"]


class Place(NamedTuple):
    """A line of a kernel or of one of its helpers."""

    filename: str
    line: int


Events = dict[Place, dict[Counter, int]]


class Block:
    """What runs equally often: the events of one run, by line. `known` are the values that a register holds by now."""

    def __init__(self, outer: Block | None = None) -> None:
        self.events: Events = defaultdict(lambda: defaultdict(int))
        self.outer = outer
        self.known: set[str] = set()

    def add(self, place: Place, counter: Counter, amount: int) -> None:
        """Count events at a line."""
        if amount:
            self.events[place][counter] += amount

    def absorb(self, events: Events, times: int = 1) -> None:
        """Count what runs `times` times whenever this block runs."""
        for place, counts in events.items():
            for counter, amount in counts.items():
                self.add(place, counter, amount * times)

    def knows(self, key: str) -> bool:
        """Whether this block or one around it has computed a value already."""
        return key in self.known or (self.outer is not None and self.outer.knows(key))


@dataclass(frozen=True, slots=True, eq=False)
class MeterTable:
    """Meters FIRST_METER to nr_meters - 1 of a kernel; what is in front of them is no meter (device.meters).

    places, counters, units: one entry per meter, line and counter, int64 except places.
    meters: the meter of each entry. has_variable: some entry depends on the data.
    """

    nr_meters: int
    places: tuple[Place, ...]
    meters: NDArray[np.int64]
    counters: NDArray[np.int64]
    units: NDArray[np.int64]
    has_variable: bool

    def prices(self) -> NDArray[np.int64]:
        """What `scheduler.flush_counters` reads: where each meter's (counter, units) pairs start, then those."""
        merged = np.zeros((self.nr_meters, NR_COUNTERS), np.int64)
        np.add.at(merged, (self.meters, self.counters), self.units)
        pairs = [[(c, int(row[c])) for c in np.flatnonzero(row)] for row in merged]
        starts = self.nr_meters + 1 + np.cumsum([0, *(2 * len(of_meter) for of_meter in pairs)])
        flat = [number for of_meter in pairs for pair in of_meter for number in pair]
        return np.array([*starts, *flat], np.int64)

    def by_place(self, totals: NDArray[np.int64]) -> Mapping[Place, NDArray[np.int64]]:
        """Counters [NR_COUNTERS] of each line, for given totals of the meters, int64 [nr_meters]."""
        of_place: dict[Place, NDArray[np.int64]] = {}
        amounts = totals[self.meters] * self.units
        for place, counter, amount in zip(self.places, self.counters, amounts, strict=True):
            of_place.setdefault(place, np.zeros(NR_COUNTERS, np.int64))[counter] += amount
        return of_place


class Meters:
    """Meters under construction."""

    def __init__(self) -> None:
        self._events: list[Events] = [{} for _ in range(FIRST_METER)]
        self._variable = False

    def new(self, events: Events, *, variable: bool = False) -> int:
        """A meter whose unit stands for `events`; `variable` when it is an amount that depends on the data."""
        self._events.append(events)
        self._variable |= variable
        return len(self._events) - 1

    def table(self) -> MeterTable:
        """All of them."""
        entries = [
            (meter, place, counter, units)
            for meter, events in enumerate(self._events)
            for place, counts in events.items()
            for counter, units in counts.items()
        ]
        return MeterTable(
            nr_meters=len(self._events),
            places=tuple(place for _, place, _, _ in entries),
            meters=np.array([meter for meter, _, _, _ in entries], np.int64),
            counters=np.array([int(counter) for _, _, counter, _ in entries], np.int64),
            units=np.array([units for _, _, _, units in entries], np.int64),
            has_variable=self._variable,
        )
