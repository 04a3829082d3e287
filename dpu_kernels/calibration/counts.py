"""Two ways to count the instructions of a calibration kernel: as the compiler counts any kernel, or as published.

Published: the DPU compiler's listings of the same loops (github.com/tud-ccc/cnm-cost-model, UPMEM/Vecadd, ReduceOp and
Scan), checked there against measured slopes. Owns those numbers and how a kernel states them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from pim_runtime.device import IntegerType, Tasklet, dpu_function, stated

__all__ = ["Counts", "Listing", "listing", "stater"]

Counts = Literal["automatic", "listing"]
Pass = Literal["vector_add", "reduction", "scan_sum", "scan_prefix"]


class Listing(NamedTuple):
    """Issue slots of a listing. block: of what surrounds the loop over the elements of a block, without its DMAs."""

    element: int
    block: int


def listing(loop: Pass, kind: IntegerType) -> Listing:
    """Slots of one pass over elements of type `kind`, uint16, uint32 or uint64.

    Per block, the listing's number less one slot for each DMA, which is counted by itself: vector_add 16 - 3,
    reduction 13 - 2, scan_sum 9 - 1, scan_prefix 13 - 2. A 64-bit add takes one slot more. The reduction of uint64 is
    the one that disagrees: its listing has 9 slots per element, the measured slopes at 1 and at 16 tasklets fit 10.0.
    """
    wide = kind.bits == 64
    return {
        "vector_add": Listing(10 if wide else 9, 13),
        "reduction": Listing(10 if wide else 7, 11),
        "scan_sum": Listing(5 if wide else 4, 8),
        "scan_prefix": Listing(7 if wide else 6, 11),
    }[loop]


@dpu_function
def leave_to_compiler(t: Tasklet, slots: int) -> None:
    """The compiler counts the block."""


def stater(counts: Counts) -> Callable[[Tasklet, int], None]:
    """What the first statement of a block does with the slots of its listing."""
    staters: dict[Counts, Callable[[Tasklet, int], None]] = {"listing": stated, "automatic": leave_to_compiler}
    return staters[counts]
