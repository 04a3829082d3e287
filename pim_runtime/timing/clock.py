"""The choice between the forms of kernel time: closed, for every launch; event, slower, for unequal tasklets."""

from __future__ import annotations

from typing import Literal

from ..counters import LaunchCounters
from ..hardware import Hardware
from .event import event_kernel_ticks
from .kernel import KernelTicks, kernel_ticks

__all__ = ["Clock", "ticks_by"]

Clock = Literal["closed", "event"]
"""closed: a phase takes the longest of three bounds. event: a phase is simulated, DMA by DMA."""


def ticks_by(clock: Clock, counters: LaunchCounters, hardware: Hardware) -> KernelTicks:
    """Kernel time of every pattern of counters in one form.

    Raises ValueError for an unknown form and for more tasklets than the hardware has.
    """
    match clock:
        case "closed":
            return kernel_ticks(counters, hardware)
        case "event":
            return event_kernel_ticks(counters, hardware)
        case _:
            raise ValueError(f"clock {clock!r} is not one of closed, event. Use one of them.")
