"""One part of what a command costs, and the rounding of exact time to the integer picoseconds of a part.

Knows no hardware. Everything before the rounding is integer or rational, and each part is rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Literal

__all__ = ["PS_PER_US", "Cost", "Reason", "exact_us", "rounded"]

PS_PER_US = 1_000_000

Reason = Literal["launch", "compute", "dma", "barrier", "transfer_setup", "transfer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Simulated time with its reason.

    launch: the host starts the DPUs and waits for them.  compute: the pipeline, of the slowest DPU.
    dma: the time by which DMA outlasts compute.          barrier: tasklets meet.
    transfer_setup: a transfer call before its first byte. transfer: its bytes.
    """

    reason: Reason
    duration_ps: int


def rounded(exact: Fraction) -> int:
    """The nearest integer; halves go up."""
    return floor(exact + Fraction(1, 2))


def exact_us(microseconds: Decimal) -> Fraction:
    """Picoseconds of a number of microseconds."""
    return Fraction(microseconds) * PS_PER_US
