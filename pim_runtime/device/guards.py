"""Guards: what stops a tasklet that runs for ever, and a launch that the host interrupts.

Counting puts `spend` into the loops of kernels and helpers; nobody writes it. Cells in front of a tasklet's meters hold
what is left of its loop iterations. They are handed out in portions, so that a loop mostly counts down one cell.
"""

from __future__ import annotations

from .faults import FaultCode, raise_fault
from .library import library
from .meters import ITERATIONS_IN_RESERVE, ITERATIONS_LEFT, RUN
from .raw import peek, peek_shared, poke
from .run_record import FAULT_SITE, INTERRUPT, MAX_ITERATIONS, SITES, TASKLET

__all__ = ["UNLIMITED_ITERATIONS", "heed_interrupt", "note_site_by_meters", "spend"]

UNLIMITED_ITERATIONS = 1 << 62  # more than a launch can run
PORTION = 1 << 16  # iterations between two looks at the interrupt


@library
def spend(meters: int, iterations: int, site: int) -> None:
    """Take loop iterations from a tasklet's budget; `site` is the place of the loop, reported when there are none."""
    left = peek(meters + 8 * ITERATIONS_LEFT) - iterations
    poke(meters + 8 * ITERATIONS_LEFT, left)
    if left < 0:
        take_portion(meters, site)


@library
def take_portion(meters: int, site: int) -> None:
    """Move iterations from the reserve to what is left; faults when there are too few, or on an interrupt."""
    run = peek(meters + 8 * RUN)
    heed_interrupt(run)
    total = peek(meters + 8 * ITERATIONS_LEFT) + peek(meters + 8 * ITERATIONS_IN_RESERVE)
    if total < 0:
        limit = peek(run + 8 * MAX_ITERATIONS)
        poke(run + 8 * FAULT_SITE, site)
        raise_fault(run, FaultCode.RUNAWAY, limit - total, limit, 0, 0)
    portion = min(total, PORTION)
    poke(meters + 8 * ITERATIONS_LEFT, portion)
    poke(meters + 8 * ITERATIONS_IN_RESERVE, total - portion)


@library
def note_site_by_meters(meters: int, site: int) -> None:
    """What tasklet.note_site does, in a helper that gets no tasklet."""
    run = peek(meters + 8 * RUN)
    poke(run + 8 * (SITES + peek(run + 8 * TASKLET)), site)


@library
def heed_interrupt(run: int) -> None:
    """Stop the DPU when the host has interrupted the launch."""
    if peek_shared(peek(run + 8 * INTERRUPT)) != 0:
        raise_fault(run, FaultCode.INTERRUPTED, 0, 0, 0, 0)
