"""What an allocation did and when, on the simulated clock: one row per command, in columns.

The clock advances here only, in integer picoseconds. A row keeps the cost parts with their reasons; nothing in it was
measured on this computer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .hardware import Hardware
from .timing import Clock, Cost, Work, price
from .timing.cost import Reason

__all__ = ["Operation", "Row", "Timeline"]

Operation = Literal["load", "write", "read", "launch"]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One command. `nbytes` and `transfers` sum over its DPUs; `what` is a symbol or program; `costs` has its time,
    `work` what was priced."""

    operation: Operation
    mode: str
    what: str
    start_ps: int
    duration_ps: int
    nr_dpus: int
    nbytes: int
    transfers: int
    work: Work
    costs: tuple[Cost, ...]

    def cost_ps(self, reason: Reason) -> int:
        """Time for one reason."""
        return sum(cost.duration_ps for cost in self.costs if cost.reason == reason)


class Timeline:
    """The rows of one allocation in order, priced for one machine in one form of kernel time, and its clock."""

    def __init__(self, hardware: Hardware, clock: Clock = "closed") -> None:
        self.hardware = hardware
        self.clock = clock
        self.rows: list[Row] = []
        self.now_ps = 0

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
    ) -> Row:
        """Add a command that starts now, and advance the clock by its cost."""
        costs = price(work, self.hardware, self.clock)
        row = Row(
            operation=operation,
            mode=mode,
            what=what,
            start_ps=self.now_ps,
            duration_ps=sum(cost.duration_ps for cost in costs),
            nr_dpus=nr_dpus,
            nbytes=nbytes,
            transfers=transfers,
            work=work,
            costs=costs,
        )
        self.rows.append(row)
        self.now_ps += row.duration_ps
        return row

    def duration_ps(self, operation: Operation | None = None) -> int:
        """Modelled time of all rows, or of one kind of operation."""
        return sum(row.duration_ps for row in self.rows if operation in (None, row.operation))

    def nbytes(self, operation: Operation) -> int:
        """Bytes that one kind of operation moved between host and DPUs."""
        return sum(row.nbytes for row in self.rows if row.operation == operation)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The rows as columns: every field of Row but `costs` and `work`, and one `<reason>_ps` column per reason."""
        fields = ("operation", "mode", "what", "start_ps", "duration_ps", "nr_dpus", "nbytes", "transfers")
        columns = {field: np.array([getattr(row, field) for row in self.rows]) for field in fields}
        return columns | {
            f"{reason}_ps": np.array([row.cost_ps(reason) for row in self.rows], np.int64) for reason in REASONS
        }

    def __len__(self) -> int:
        return len(self.rows)
