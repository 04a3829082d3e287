"""What a command did, as far as its price depends on it: enough to price a finished run again, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..counters import LaunchCounters
from ..hardware import Hardware
from ..lines import LineProfile
from .clock import Clock
from .cost import Cost
from .launch import launch_costs
from .transfer import TransferMode, transfer_costs

__all__ = ["LaunchWork", "TransferWork", "Work", "price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferWork:
    """A transfer between the host and `nr_dpus` DPUs in `nr_ranks` ranks."""

    mode: TransferMode
    nr_dpus: int
    nr_ranks: int
    bytes_per_dpu: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaunchWork:
    """A launch on `nr_ranks` ranks: counters, and their sums by line, of each program that ran; all at one time."""

    counters: tuple[LaunchCounters, ...]
    lines: tuple[LineProfile, ...]
    nr_ranks: int


Work: TypeAlias = TransferWork | LaunchWork | None
"""None: a command whose time is not modelled."""


def price(work: Work, hardware: Hardware, clock: Clock = "closed") -> tuple[Cost, ...]:
    """Cost parts of a command on a machine; of a launch, those of the slowest program. Pure.

    clock: the form of kernel time.
    """
    if work is None:
        return ()
    if isinstance(work, TransferWork):
        return transfer_costs(
            mode=work.mode,
            nr_dpus=work.nr_dpus,
            nr_ranks=work.nr_ranks,
            bytes_per_dpu=work.bytes_per_dpu,
            hardware=hardware,
        )
    costs = [
        launch_costs(counters, nr_ranks=work.nr_ranks, hardware=hardware, clock=clock) for counters in work.counters
    ]
    return max(costs, key=lambda parts: sum(cost.duration_ps for cost in parts))
