"""From the totals of a program's meters to what its source lines counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..counters import VARIABLE_PARTS
from ..lines import LineCounts, LineProfile
from .meters import MeterTable

__all__ = ["line_profile"]


def line_profile(table: MeterTable, totals: NDArray[np.int64]) -> LineProfile:
    """Counters of every line that ran, summed over the DPUs of a launch.

    totals: int64 [2, nr_meters], of the DPUs that did not and of those that did count what depends on the data. That
    part of a line is scaled from the latter to all DPUs, rounded down.
    """
    others, measured = table.by_place(totals[0]), table.by_place(totals[1])
    rows = []
    for place in sorted(others):
        counts = others[place] + measured[place]
        for part, operations in VARIABLE_PARTS.items():
            seen = int(measured[place][list(operations)].sum())
            if seen:
                counts[part] += int(others[place][list(operations)].sum()) * int(measured[place][part]) // seen
        if counts.any():
            rows.append(LineCounts(filename=place.filename, line=place.line, counts=counts))
    return LineProfile(rows=tuple(rows))
