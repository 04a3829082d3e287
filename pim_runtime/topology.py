"""Where a DPU sits: rank, chip and DPU arithmetic (upmem-sdk 6.1 and 6.3). Pure; knows no memory and no allocation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Place", "format_ranges"]

SIMULATOR_BACKEND = 0  # top four bits of the 16-bit rank id in a DPU id: 0 simulator, 3 hardware (upmem-sdk 2.8)


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


def format_ranges(numbers: Iterable[int]) -> str:
    """`[0, 1, 2, 7]` as "0-2, 7": thousands of DPUs that fail alike fit in one line."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)
