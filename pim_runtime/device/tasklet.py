"""The tasklet handle that a kernel receives, and what a tasklet may ask about itself (SDK `defs.h`)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from .library import library
from .raw import poke
from .run_record import SITES

__all__ = ["Checks", "Tasklet", "UncheckedTasklet", "charge", "is_checked", "me", "note_site", "nr_tasklets", "stated"]


Checks = Literal["on", "off"]
"""Whether a kernel that breaks a rule of the machine stops in fault."""


class Tasklet(NamedTuple):
    """Identity of the running tasklet and the host addresses of its DPU's memories, run record, and its meters."""

    me: int
    nr_tasklets: int
    mram: int
    wram: int
    run: int
    meters: int


class UncheckedTasklet(Tasklet):
    """The tasklet of a kernel that is compiled without the rules of the machine (EngineOptions.checks)."""

    __slots__ = ()


def is_checked(t: Tasklet) -> bool:
    """Whether a broken rule stops the DPU in fault. To the compiler a constant, by the type of the tasklet."""
    return not isinstance(t, UncheckedTasklet)


@library
def me(t: Tasklet) -> int:
    """Number of this tasklet, 0 to nr_tasklets(t) - 1."""
    return t.me


@library
def nr_tasklets(t: Tasklet) -> int:
    """Number of tasklets that the program was built for (C: NR_TASKLETS)."""
    return t.nr_tasklets


@library
def note_site(t: Tasklet, site: int) -> None:
    """Remember which source place the tasklet has reached; the compiler puts this before what can fault."""
    poke(t.run + 8 * (SITES + t.me), site)


@library
def charge(t: Tasklet, slots: int) -> None:
    """State that this tasklet issues `slots` instructions here beyond those that are counted. Results do not change."""


@library
def stated(t: Tasklet, slots: int) -> None:
    """As the first statement of a block: state the issue slots of the block, since its compiled form is known.

    A block is the body of a function, a loop or a branch. What it and all blocks inside it would count is replaced,
    except DMA instructions, multiplies of more than 8 bits, divisions and synchronisation, which are always counted.
    The stated slots of a loop's body include closing the loop. Reports tell stated slots from counted ones.
    """
