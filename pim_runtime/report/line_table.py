"""Which lines of a kernel cost the cycles: slots, DMAs and multiplies of every source line, with its text."""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..counters import Counter
from ..hardware import TICKS_PER_CYCLE, Hardware
from ..lines import LineProfile
from ..timing.prices import occupancy_ticks, slot_prices

__all__ = ["LineCost", "line_costs"]

MULTIPLIES = (Counter.MUL16, Counter.MUL32, Counter.MUL64)
PACKAGES = Path(__file__).parents[2]  # where pim_runtime and its neighbours lie


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCost:
    """One source line, summed over DPUs and tasklets.

    place: "file:line". slots: issue slots; share: of the slots of all lines, 0 to 1.
    engine_cycles: for how long its DMAs occupy the DMA engines, rounded up.
    multiplies: of 16 bits and more; narrower ones are single instructions.
    """

    place: str
    text: str
    slots: int
    share: Fraction
    dmas: int
    dma_bytes: int
    engine_cycles: int
    multiplies: int


def line_costs(profile: LineProfile, hardware: Hardware, *, top: int) -> tuple[LineCost, ...]:
    """The `top` lines with the most slots, largest first; among equals, in the order of the source.

    Raises ValueError if `top` is below 1.
    """
    if top < 1:
        raise ValueError(f"top {top} lines: at least 1. Pass top >= 1.")
    slot, occupancy = slot_prices(hardware), occupancy_ticks(hardware)
    slots = [int(row.counts @ slot) for row in profile.rows]
    total = sum(slots)
    order = sorted(range(len(slots)), key=lambda index: -slots[index])
    costs = []
    for index in order[:top]:
        row = profile.rows[index]
        counts = row.counts
        costs.append(
            LineCost(
                place=f"{_relative(row.filename)}:{row.line}",
                text=linecache.getline(row.filename, row.line).strip(),
                slots=slots[index],
                share=Fraction(slots[index], total) if total else Fraction(0),
                dmas=int(counts[Counter.READS] + counts[Counter.WRITES]),
                dma_bytes=int(counts[Counter.READ_BYTES] + counts[Counter.WRITE_BYTES]),
                engine_cycles=-(-int(counts @ occupancy) // TICKS_PER_CYCLE),
                multiplies=int(counts[list(MULTIPLIES)].sum()),
            )
        )
    return tuple(costs)


def _relative(filename: str) -> str:
    """The path from the working folder, or from the installed packages; the bare name of a file elsewhere."""
    path = Path(filename)
    for folder in (Path.cwd(), PACKAGES):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return path.name
