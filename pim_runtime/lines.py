"""What every source line of a kernel counted in a launch.

Owns the record and how records of several launches become one. Engines fill it, `report.line_table` shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .counters import NR_COUNTERS

__all__ = ["LineCounts", "LineProfile"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineCounts:
    """One source line. counts: int64 [NR_COUNTERS], summed over the DPUs, phases and tasklets that ran it.

    Raises ValueError for a line below 1 and for counts of another dtype or shape.
    """

    filename: str
    line: int
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.line < 1:
            raise ValueError(f"{self.filename}, line {self.line}: lines are numbered from 1. Pass line >= 1.")
        if self.counts.dtype != np.int64 or self.counts.shape != (NR_COUNTERS,):
            raise ValueError(
                f"counts of {self.filename}:{self.line} are {self.counts.dtype} {self.counts.shape}, "
                f"but must be int64 ({NR_COUNTERS},): one number per Counter"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineProfile:
    """The lines of a launch, each at most once, in the order of files and lines."""

    rows: tuple[LineCounts, ...] = ()

    @classmethod
    def merged(cls, profiles: Iterable[LineProfile]) -> LineProfile:
        """All lines of some profiles; counts of the same line are added. The order of the profiles does not matter."""
        sums: dict[tuple[str, int], NDArray[np.int64]] = {}
        for row in (row for profile in profiles for row in profile.rows):
            place = (row.filename, row.line)
            sums[place] = sums[place] + row.counts if place in sums else row.counts.copy()
        return cls(
            rows=tuple(
                LineCounts(filename=filename, line=line, counts=counts)
                for (filename, line), counts in sorted(sums.items(), key=lambda item: item[0])
            )
        )
