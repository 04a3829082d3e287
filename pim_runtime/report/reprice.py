"""What-if: the commands of a finished run on another machine, without running them again."""

from __future__ import annotations

from ..hardware import Hardware
from ..timeline import Timeline

__all__ = ["reprice"]


def reprice(timeline: Timeline, hardware: Hardware) -> Timeline:
    """The same commands in the same order, each priced on `hardware`; `timeline` stays as it is.

    The counts are those of the run, so what would have changed them is not followed: the DPUs that a program asks for,
    the size of its blocks, how it was compiled.
    Raises ValueError where a command does not fit the machine, for want of tasklets or DPUs in a rank.
    """
    repriced = Timeline(hardware)
    for row in timeline.rows:
        repriced.append(
            row.operation,
            mode=row.mode,
            what=row.what,
            nr_dpus=row.nr_dpus,
            nbytes=row.nbytes,
            transfers=row.transfers,
            work=row.work,
            ranks=row.ranks,
            waiting=row.waiting,
        )
    return repriced
