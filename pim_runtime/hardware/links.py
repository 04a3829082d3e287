"""How the host reaches the DPUs: one of two kinds of link for each direction.

A table is for a machine whose calls were measured over many sizes and DPUs, a line for one of which a few bandwidths
are known. `timing.transfer` prices both.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, TypeAlias

from ..quantities import CallTimes, Number, TimesTable

__all__ = ["HostLink", "LinkLine", "LinkTable", "Transfer"]

Microseconds = Annotated[Decimal, Number("us", 6)]  # 1 ps
Bandwidth = Annotated[Decimal, Number("GB/s", 6)]  # 1 GB/s = 10^9 bytes per second
PositiveBandwidth = Annotated[Decimal, Number("GB/s", 6, "positive")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTable:
    """One direction of host transfers, as the time of one call by DPUs and bytes per DPU."""

    call_times: Annotated[CallTimes, TimesTable("ms")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLine:
    """One direction of host transfers, as a setup and a bandwidth.

    Setup of a call is setup_us + setup_us_per_rank * ranks. All DPUs together get base_gb_per_s + gb_per_s_per_rank *
    min(ranks, knee_ranks), but never more than one_dpu_gb_per_s each.
    """

    setup_us: Microseconds
    setup_us_per_rank: Microseconds
    base_gb_per_s: PositiveBandwidth
    gb_per_s_per_rank: Bandwidth
    knee_ranks: Annotated[Decimal, Number("ranks", 6)]
    one_dpu_gb_per_s: PositiveBandwidth


HostLink: TypeAlias = LinkTable | LinkLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Host to DPUs (push), DPUs to host (pull), one buffer to all DPUs (broadcast)."""

    push: HostLink
    pull: HostLink
    broadcast: HostLink
