"""What an allocation did and when, on the simulated clock: one row per command, in columns.

The clocks advance here only, in integer picoseconds: one of the host, and one of each rank, which says until when the
rank is busy. A row keeps the cost parts with their reasons; nothing in it was measured on this computer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .hardware import Hardware
from .timing import Clock, Cost, Work, price
from .timing.cost import Reason

__all__ = ["REASONS", "Operation", "Row", "Timeline", "TimelineState", "Waiting"]

Operation = Literal["load", "write", "read", "launch", "sync"]
Waiting = Literal["synchronous", "asynchronous"]
"""Whether the host waits for the end of a command, or goes on as soon as it has issued it."""
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One command. `nbytes` and `transfers` sum over its DPUs; `what` is a symbol or program; `costs` has its time,
    `work` what was priced, `ranks` whom it kept busy. `first_dpu` is the lowest of its DPUs, as its allocation numbers
    them. A sync takes no time; it starts when its ranks are done.
    """

    operation: Operation
    mode: str
    what: str
    start_ps: int
    duration_ps: int
    first_dpu: int
    nr_dpus: int
    nbytes: int
    transfers: int
    work: Work = field(compare=False, repr=False)
    costs: tuple[Cost, ...]
    ranks: tuple[int, ...]
    waiting: Waiting

    def cost_ps(self, reason: Reason) -> int:
        """Time for one reason."""
        return sum(cost.duration_ps for cost in self.costs if cost.reason == reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineState:
    """A timeline at one moment: its rows, the clock of the host, and until when each rank is busy."""

    rows: tuple[Row, ...]
    now_ps: int
    busy_until_ps: Mapping[int, int]


class Timeline:
    """The rows of one allocation in order, priced for one machine in one form of kernel time, and its clock."""

    def __init__(self, hardware: Hardware, clock: Clock = "closed") -> None:
        self.hardware = hardware
        self.clock = clock
        self.rows: list[Row] = []
        self.now_ps = 0  # of the host
        self._busy_until_ps: dict[int, int] = {}  # of every rank that has done something

    def append(
        self,
        operation: Operation,
        *,
        mode: str,
        what: str,
        nr_dpus: int,
        nbytes: int,
        transfers: int,
        work: Work,
        first_dpu: int = 0,
        ranks: Iterable[int],
        waiting: Waiting = "synchronous",
    ) -> Row:
        """Add a command that starts as soon as the host has come to it and its ranks are done with what they do.

        The host waits for the end of a synchronous one. To issue an asynchronous one takes it no time: no measurement
        of that is published.
        """
        costs = price(work, self.hardware, self.clock)
        ranks = tuple(ranks)
        row = Row(
            operation=operation,
            mode=mode,
            what=what,
            start_ps=max(self.now_ps, self._end_ps(ranks)),
            duration_ps=sum(cost.duration_ps for cost in costs),
            first_dpu=first_dpu,
            nr_dpus=nr_dpus,
            nbytes=nbytes,
            transfers=transfers,
            work=work,
            costs=costs,
            ranks=ranks,
            waiting=waiting,
        )
        self.rows.append(row)
        end_ps = row.start_ps + row.duration_ps
        self._busy_until_ps.update(dict.fromkeys(ranks, end_ps))
        if waiting == "synchronous":
            self.now_ps = end_ps
        return row

    def sync(self, ranks: Iterable[int]) -> Row:
        """The host waits until `ranks` are done with all that was issued to them."""
        return self.append(
            "sync", mode="synchronous", what="", nr_dpus=0, nbytes=0, transfers=0, work=None, ranks=ranks
        )

    def state(self) -> TimelineState:
        """Everything up to now; what comes later does not change it."""
        return TimelineState(rows=tuple(self.rows), now_ps=self.now_ps, busy_until_ps=dict(self._busy_until_ps))

    def resume(self, state: TimelineState) -> None:
        """Forget everything and go on from another moment."""
        self.rows, self.now_ps, self._busy_until_ps = list(state.rows), state.now_ps, dict(state.busy_until_ps)

    @property
    def end_ps(self) -> int:
        """When the host and all ranks are done."""
        return max(self.now_ps, self._end_ps(self._busy_until_ps))

    def _end_ps(self, ranks: Iterable[int]) -> int:
        return max((self._busy_until_ps.get(rank, 0) for rank in ranks), default=0)

    def duration_ps(self, operation: Operation | None = None) -> int:
        """Modelled time of all rows, or of one kind of operation; rows that overlap count in full."""
        return sum(row.duration_ps for row in self.rows if operation in (None, row.operation))

    def nbytes(self, operation: Operation) -> int:
        """Bytes that one kind of operation moved between host and DPUs."""
        return sum(row.nbytes for row in self.rows if row.operation == operation)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The rows as columns: all fields of Row but `costs`, `work` and `ranks`, and a `<reason>_ps` per reason."""
        fields = (
            "operation",
            "mode",
            "what",
            "start_ps",
            "duration_ps",
            "first_dpu",
            "nr_dpus",
            "nbytes",
            "transfers",
            "waiting",
        )
        columns = {field: np.array([getattr(row, field) for row in self.rows]) for field in fields}
        return columns | {
            f"{reason}_ps": np.array([row.cost_ps(reason) for row in self.rows], np.int64) for reason in REASONS
        }

    def __len__(self) -> int:
        return len(self.rows)
