"""Where a DPU sits: rank, chip and DPU arithmetic (upmem-sdk 6.1 and 6.3). Pure; knows no memory and no allocation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Place", "Radix", "format_ranges", "numbered"]

SIMULATOR_BACKEND = 0  # top four bits of the 16-bit rank id in a DPU id: 0 simulator, 3 hardware (upmem-sdk 2.8)

Radix = Literal["d", "#x"]
"""How a number is written: decimal, or hexadecimal as addresses are."""
FEWEST_AT_A_DISTANCE = 4  # numbers that are shown as a range with a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Position of one DPU of a set: `rank` counts the ranks of the allocation, `index` the DPUs inside a rank."""

    rank: int
    chip: int
    dpu: int

    @classmethod
    def of(cls, index: int, *, dpus_per_rank: int, dpus_per_chip: int) -> Place:
        """Place of the DPU at `index` in a set of whole ranks; inside a rank, index = chip * dpus_per_chip + dpu."""
        rank, inside = divmod(index, dpus_per_rank)
        chip, dpu = divmod(inside, dpus_per_chip)
        return cls(rank=rank, chip=chip, dpu=dpu)

    @property
    def sdk_id(self) -> int:
        """The id that the SDK prints in log headers: rank_id << 16 | slice << 8 | dpu (upmem-sdk 2.8)."""
        return (SIMULATOR_BACKEND << 12 | self.rank) << 16 | self.chip << 8 | self.dpu

    def __str__(self) -> str:
        return f"{self.rank}.{self.chip}.{self.dpu}"


def format_ranges(numbers: Iterable[int], *, radix: Radix = "d", most: int | None = None) -> str:
    """`[0, 1, 2, 7]` as "0-2, 7" and `[0, 8, 16, 24]` as "0-24 by 8": thousands of DPUs fit in one line.

    radix: how a number is written. most: parts after which the rest is only counted; default: no limit.
    """
    ordered = sorted(set(numbers))
    parts: list[str] = []
    first = 0
    while first < len(ordered):
        if len(parts) == most:
            parts.append(f"and {len(ordered) - first} more up to {ordered[-1]:{radix}}")
            break
        last = _end_of_run(ordered, first)
        parts.append(
            _run_text(ordered[first], ordered[last], (last - first) and ordered[first + 1] - ordered[first], radix)
        )
        first = last + 1
    return ", ".join(parts)


def numbered(what: str, numbers: Iterable[int], *, most: int | None = None) -> str:
    """In words: "tasklet 3", "tasklets 0-2, 5". most: as for format_ranges."""
    different = set(numbers)
    return f"{what}{'s' * (len(different) > 1)} {format_ranges(different, most=most)}"


def _end_of_run(ordered: list[int], first: int) -> int:
    """Index of the last number at equal distances from `first` on: neighbours, or at least four numbers."""
    last = min(first + 1, len(ordered) - 1)
    step = ordered[last] - ordered[first]
    while last + 1 < len(ordered) and ordered[last + 1] - ordered[last] == step:
        last += 1
    return last if step == 1 or last - first >= FEWEST_AT_A_DISTANCE - 1 else first


def _run_text(first: int, last: int, step: int, radix: Radix) -> str:
    if first == last:
        return f"{first:{radix}}"
    dash = "-" if first >= 0 else " to "
    return f"{first:{radix}}{dash}{last:{radix}}" + (f" by {step}" if step > 1 else "")
