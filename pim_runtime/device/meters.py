"""Meters: what counted kernels add to while they run, and the data-dependent amounts that they add.

A meter counts how often a part of a kernel ran, or an amount that depends on the data. Its row of prices
(counting.meters) says what one unit stands for; the scheduler adds meters up into counters when a phase ends. The
calls are put into kernels by `counting`; nobody writes them.
"""

from __future__ import annotations

from .bits import leading_zeros
from .library import library
from .raw import peek, poke

__all__ = [
    "FIRST_METER",
    "ITERATIONS_IN_RESERVE",
    "ITERATIONS_LEFT",
    "MEASURES",
    "RUN",
    "add_meter",
    "measures",
    "mul16_long",
    "mul32_steps",
    "sdiv32_variable",
    "sdiv64_steps",
    "udiv32_variable",
    "udiv64_steps",
]

# Cells of a tasklet's row of meters. In front of the meters: whether data-dependent amounts are counted on this DPU,
# the loop iterations that it may still run (device.guards), and the address of the run record.
MEASURES, ITERATIONS_LEFT, ITERATIONS_IN_RESERVE, RUN, FIRST_METER = range(5)
LOW_WORD = 0xFFFF_FFFF
SHORT_DIVISION = -3  # slots: 6 when the dividend has fewer bits than the divisor, against 9 for one quotient bit


@library
def measures(meters: int) -> bool:
    """Whether this DPU counts what depends on the data."""
    return peek(meters + 8 * MEASURES) != 0


@library
def add_meter(meters: int, meter: int, amount: int) -> None:
    """Add to one meter of a tasklet."""
    cell = meters + 8 * meter
    poke(cell, peek(cell) + amount)


@library
def mul16_long(a: int, b: int) -> int:
    """1 for a 16-bit multiply that takes the long sequence: an operand is outside 0 to 255."""
    return 1 if ((a | b) & -256) != 0 else 0


@library
def mul32_steps(a: int, b: int) -> int:
    """Steps of a 32-bit multiply beyond the first: bits of the smaller unsigned operand, less one."""
    return max(0, 63 - leading_zeros(min(a & LOW_WORD, b & LOW_WORD)))


@library
def udiv32_variable(a: int, b: int) -> int:
    """Slots of an unsigned 32-bit division beyond those of one quotient bit."""
    spare = leading_zeros(b & LOW_WORD) - leading_zeros(a & LOW_WORD)
    return spare if spare >= 0 else SHORT_DIVISION


@library
def sdiv32_variable(a: int, b: int) -> int:
    """Slots of a signed 32-bit division beyond those of non-negative operands and one quotient bit."""
    sign = 3 if a < 0 else 2 if b < 0 else 0
    return udiv32_variable(magnitude(a), magnitude(b)) + sign


@library
def udiv64_steps(a: int, b: int) -> int:
    """Quotient bits of an unsigned 64-bit division beyond the first."""
    return max(0, leading_zeros(b) - leading_zeros(a))


@library
def sdiv64_steps(a: int, b: int) -> int:
    """Quotient bits of a signed 64-bit division beyond the first."""
    return udiv64_steps(magnitude(a), magnitude(b))


@library
def magnitude(number: int) -> int:
    """The absolute value in 64 bits: that of a loaded int8 would be an int8 in the compiled engine, and 128 is none."""
    return abs(number + 0)
