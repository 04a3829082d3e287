"""The tasklet handle that a kernel receives, and what a tasklet may ask about itself (SDK `defs.h`)."""

from __future__ import annotations

from typing import NamedTuple

from ..counters import NR_COUNTERS, Counter
from .library import library
from .raw import peek, poke
from .run_record import COUNTERS, SITES

__all__ = ["Tasklet", "charge", "count", "me", "note_site", "nr_tasklets"]


class Tasklet(NamedTuple):
    """Identity of the running tasklet and the host addresses of its DPU's memories and run record."""

    me: int
    nr_tasklets: int
    mram: int
    wram: int
    run: int


@library
def me(t: Tasklet) -> int:
    """Number of this tasklet, 0 to nr_tasklets(t) - 1."""
    return t.me


@library
def nr_tasklets(t: Tasklet) -> int:
    """Number of tasklets that the program was built for (C: NR_TASKLETS)."""
    return t.nr_tasklets


@library
def count(t: Tasklet, counter: int, amount: int) -> None:
    """Add to one of this tasklet's counters."""
    cell = t.run + 8 * (COUNTERS + NR_COUNTERS * t.me + counter)
    poke(cell, peek(cell) + amount)


@library
def note_site(t: Tasklet, site: int) -> None:
    """Remember which source place the tasklet has reached; the compiler puts this before what can fault."""
    poke(t.run + 8 * (SITES + t.me), site)


@library
def charge(t: Tasklet, slots: int) -> None:
    """State that this tasklet issues `slots` instructions here; the clock prices them, results do not change."""
    count(t, Counter.SLOTS, slots)
