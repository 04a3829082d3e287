"""What a channel did: commands, rows opened, columns read. Counted while they happen, never computed from sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from .commands import Mnemonic, MultiplyMode

__all__ = ["Activity", "total_activity"]


class Activity(NamedTuple):
    """Counters; what is missing in a mapping has not happened.

    commands: executed, by mnemonic. multiplies, row_openings: MAC_AB, and those of them that opened a row first, by
    mode. columns_read: of all banks together.
    """

    commands: Counter[Mnemonic]
    multiplies: Counter[MultiplyMode]
    row_openings: Counter[MultiplyMode]
    columns_read: int


def total_activity(activities: Iterable[Activity]) -> Activity:
    """Of several channels, or of several runs of one."""
    total = Activity(Counter(), Counter(), Counter(), 0)
    for each in activities:
        total = Activity(
            total.commands + each.commands,
            total.multiplies + each.multiplies,
            total.row_openings + each.row_openings,
            total.columns_read + each.columns_read,
        )
    return total
