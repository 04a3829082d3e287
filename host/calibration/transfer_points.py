"""Host transfers: the published calls, priced for the machine that each was measured on. Nothing is copied here.

A transfer costs the same whatever its bytes are, so it is priced without moving up to 16 GiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pim_runtime.hardware import Hardware
from pim_runtime.timing import TransferMode, TransferWork, price

from .errors import ComparedPoint
from .points import Point

__all__ = ["PROFILES", "compare_transfer", "profile_of"]

PS_PER_MS = 1_000_000_000
PS_PER_S = 1_000_000_000_000
BYTES_PER_GB = 1_000_000_000

PROFILES: Mapping[str, str] = MappingProxyType(
    {"tud-ccc/cnm-cost-model": "cnm-2025", "derf/prim-benchmarks": "derf-2025", "Gomez-Luna et al.": "prim-2021"}
)
"""The profile of the machine that a source measured, by how the source begins."""

_MODES: Mapping[str, TransferMode] = MappingProxyType(
    {"push_write": "push", "push_read": "pull", "broadcast": "broadcast"}
)


def profile_of(point: Point) -> str:
    """Name of the profile of the machine on which a point was measured. Raises ValueError for an unknown source."""
    for beginning, profile in PROFILES.items():
        if point.source.startswith(beginning):
            return profile
    raise ValueError(
        f"source {point.source!r}: no profile belongs to it, known are {', '.join(PROFILES)}. Add its machine."
    )


def compare_transfer(point: Point, hardware: Hardware) -> ComparedPoint:
    """Price a point of kernel "push_write", "push_read" or "broadcast", in its unit."""
    nr_bytes = point.size("block_bytes")
    work = TransferWork(
        mode=_MODES[point.kernel],
        nr_dpus=point.nr_dpus,
        nr_ranks=-(-point.nr_dpus // hardware.geometry.dpus_per_rank),
        bytes_per_dpu=nr_bytes,
    )
    duration_ps = sum(cost.duration_ps for cost in price(work, hardware))
    if point.unit == "ms":
        modelled = duration_ps / PS_PER_MS
    else:
        modelled = point.nr_dpus * nr_bytes / BYTES_PER_GB * PS_PER_S / duration_ps
    return ComparedPoint(point=point, model=hardware.name, modelled=modelled)
