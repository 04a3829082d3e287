"""The machine as data: what it is made of, how fast each part is, and where every number comes from.

Owns the records of a machine, and the reading, checking and overriding of profiles. Computes no time: `timing` does.
A new number is one annotated field in `records` or `links` and one entry in each profile that has no base.
"""

from __future__ import annotations

from ..quantities import Quantity
from .links import HostLink, LinkLine, LinkTable, Transfer
from .profiles import available_profiles, hardware_profiles, load_profile
from .records import (
    TICKS_PER_CYCLE,
    Dma,
    DmaLine,
    Dpu,
    Geometry,
    Hardware,
    Instructions,
    Launch,
    Pipeline,
    Power,
    Sync,
    known_keys,
)

__all__ = [
    "TICKS_PER_CYCLE",
    "Dma",
    "DmaLine",
    "Dpu",
    "Geometry",
    "Hardware",
    "HostLink",
    "Instructions",
    "Launch",
    "LinkLine",
    "LinkTable",
    "Pipeline",
    "Power",
    "Quantity",
    "Sync",
    "Transfer",
    "available_profiles",
    "hardware_profiles",
    "known_keys",
    "load_profile",
]
