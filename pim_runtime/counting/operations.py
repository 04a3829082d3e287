"""Issue slots of arithmetic, by operation and width, as the DPU's compiler emits it.

Sources: LLVM is github.com/upmem/llvm-project (llvm/lib/Target/DPU); LUT and listings are those of
github.com/tud-ccc/cnm-cost-model; dpu-rt are the runtime's sources. What is assumed says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ..counters import Counter
from .values import Int

__all__ = ["Cost", "Routine", "divide", "multiply", "plain", "shift", "slots"]

# Published listings: a 64-bit add is `add` and `addc`; logic, negation and comparison likewise take one per word.
WORDS = {32: 1, 64: 2}
# Assumed, since no listing is public: the parts of two words that a 64-bit shift moves, and its test for 32 or more.
SHIFT_64_CONSTANT_SLOTS, SHIFT_64_VARIABLE_SLOTS = 3, 8
# LLVM DPUTargetLowering.cpp: a multiply by a constant is a chain of shift-and-adds when that is short, else a call.
LONGEST_CHAIN_SLOTS = 6
# cnm LUT and listings: sign, add, arithmetic shift; the remainder shifts back and subtracts.
SIGNED_POWER_OF_TWO_SLOTS, SIGNED_REMAINDER_SLOTS = 3, 5


class Routine(Enum):
    """A sequence whose slots depend on its operands: the counters of the operation and of its variable part, and the
    function of device.meters that gives the latter."""

    MUL16 = Counter.MUL16, Counter.MUL16_LONG, "mul16_long"
    MUL32 = Counter.MUL32, Counter.MUL32_STEPS, "mul32_steps"
    UDIV32 = Counter.UDIV32, Counter.DIV32_VARIABLE, "udiv32_variable"
    SDIV32 = Counter.SDIV32, Counter.DIV32_VARIABLE, "sdiv32_variable"
    UDIV64 = Counter.DIV64, Counter.DIV64_STEPS, "udiv64_steps"
    SDIV64 = Counter.DIV64, Counter.DIV64_STEPS, "sdiv64_steps"

    @property
    def operation(self) -> Counter:
        return self.value[0]

    @property
    def variable(self) -> Counter:
        return self.value[1]

    @property
    def measured_by(self) -> str:
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Cost:
    """Counted events, and the routine that runs if there is one. `calls`: operands must be moved into registers."""

    events: dict[Counter, int] = field(default_factory=dict)
    routine: Routine | None = None
    calls: int = 0


def slots(number: int) -> Cost:
    """Plain instructions."""
    return Cost({Counter.SLOTS: number} if number else {})


def plain(width: int) -> Cost:
    """An add, subtract, logic operation or comparison."""
    return slots(WORDS[width])


def shift(width: int, distance: Int) -> Cost:
    """A shift in either direction."""
    if width == 32:
        return slots(1)
    if distance.constant is not None:
        return slots(1 if distance.constant % 32 == 0 else SHIFT_64_CONSTANT_SLOTS)
    return slots(SHIFT_64_VARIABLE_SLOTS)


def multiply(width: int, a: Int, b: Int) -> Cost:
    """A product of `width` bits; operands that are visibly narrow take a narrower multiply."""
    narrow = max(_visible_bits(a), _visible_bits(b))
    chains = [_chain_slots(factor.constant) * WORDS[width] for factor in (a, b) if factor.constant is not None]
    if chains and min(chains) <= (1 if narrow <= 8 else LONGEST_CHAIN_SLOTS):
        return slots(min(chains))
    if narrow <= 8:
        return slots(1)
    if narrow <= 16:
        return Cost({Counter.MUL16: 1}, Routine.MUL16)
    if width == 32:
        return Cost({Counter.MUL32: 1}, Routine.MUL32, calls=1)
    return Cost({Counter.MUL64: 1}, calls=1)


def divide(width: int, a: Int, b: Int, *, operation: str) -> Cost:
    """A quotient ("div") or remainder ("rem") as in C; "floordiv" and "mod" round down, as Python's `//` and `%`."""
    power = b.constant is not None and b.constant > 0 and b.constant & (b.constant - 1) == 0
    if power and b.constant == 1 and operation in ("div", "floordiv"):
        return Cost()
    if power and (operation in ("floordiv", "mod") or not a.signed):
        return shift(width, b) if operation in ("floordiv", "div") else plain(width)  # a shift or a mask
    if power:
        return slots((SIGNED_POWER_OF_TWO_SLOTS if operation == "div" else SIGNED_REMAINDER_SLOTS) * WORDS[width])
    signed = a.signed or (b.signed and b.constant is None)
    if width == 64:
        return Cost({Counter.DIV64: 1}, Routine.SDIV64 if signed else Routine.UDIV64, calls=1)
    routine = Routine.SDIV32 if signed else Routine.UDIV32
    return Cost({routine.operation: 1}, routine, calls=1)


def _visible_bits(value: Int) -> int:
    """Width of an operand that the compiler can see: its C type, or what a constant needs."""
    if value.constant is not None:
        return 8 if -128 <= value.constant < 256 else 16 if -(1 << 15) <= value.constant < 1 << 16 else 32
    return value.bits


def _chain_slots(number: int) -> int:
    """Shift-and-adds (or -subtracts) for a product with a constant: one per non-zero digit of +-1 but the first."""
    if number == 0:
        return 1
    odd = abs(number) >> ((number & -number).bit_length() - 1)
    digits = ((3 * odd) ^ odd).bit_count()  # non-zero digits of the non-adjacent form
    return digits - 1 + (odd != abs(number)) + (number < 0)
