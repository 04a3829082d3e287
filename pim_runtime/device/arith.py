"""Integer arithmetic with C's meaning, for every width: `add(int32, a, b)`, `div(int16, a, b)`, `shr(uint8, a, n)`.

Operands are converted to the type first and the result wraps to it, as if the C program had variables of that type.
Plain `+ - *` in a kernel work on 64 bits and `// %` round down as in Python; these functions are for where that
differs. A zero divisor is fault 2. Shift counts are taken modulo 32, or 64 for 64-bit types, as the DPU's shifts do.
"""

from __future__ import annotations

from .bits import leading_zeros, ones
from .integers import IntegerType, int64
from .library import library

__all__ = ["add", "clz", "div", "less", "mul", "neg", "popcount", "rem", "shl", "shr", "sub"]

SMALLEST = -(1 << 63)


@library
def add(kind: IntegerType, a: int, b: int) -> int:
    """a + b, wrapped."""
    return kind(a + b)


@library
def sub(kind: IntegerType, a: int, b: int) -> int:
    """a - b, wrapped."""
    return kind(a - b)


@library
def mul(kind: IntegerType, a: int, b: int) -> int:
    """a * b, wrapped."""
    return kind(kind(a) * kind(b))


@library
def neg(kind: IntegerType, a: int) -> int:
    """-a, wrapped: the smallest number is its own negative."""
    return kind(0 - a)


@library
def less(kind: IntegerType, a: int, b: int) -> bool:
    """a < b in the order of the type: unsigned types compare their patterns."""
    x, y = kind(a), kind(b)
    if kind.unsigned_64:
        x, y = x ^ SMALLEST, y ^ SMALLEST
    return x < y


@library
def quotient_of_patterns(a: int, b: int) -> int:
    """Quotient of two unsigned 64-bit numbers that are carried as signed patterns."""
    if b < 0:
        return 1 if (a ^ SMALLEST) >= (b ^ SMALLEST) else 0
    if a >= 0:
        return a // b
    half = (((a >> 1) & (SMALLEST ^ -1)) // b) << 1  # quotient of the upper 63 bits, doubled: at most one too small
    rest = int64(a - int64(half * b))
    return int64(half + 1) if (rest ^ SMALLEST) >= (b ^ SMALLEST) else int64(half)


@library
def div(kind: IntegerType, a: int, b: int) -> int:
    """a / b rounded toward zero; the smallest number divided by -1 wraps to itself."""
    x, y = kind(a), kind(b)
    if kind.unsigned_64:
        return quotient_of_patterns(x, y)
    if y == -1:  # also keeps the one overflowing quotient away from the hardware's divide
        return kind(0 - x)
    quotient = x // y
    if (quotient < 0) & (quotient * y != x):
        quotient += 1
    return kind(quotient)


@library
def rem(kind: IntegerType, a: int, b: int) -> int:
    """Remainder of `div`: it has the sign of `a`."""
    x, y = kind(a), kind(b)
    return kind(x - kind(div(kind, x, y) * y))


@library
def shl(kind: IntegerType, a: int, n: int) -> int:
    """a << n, wrapped."""
    return kind(kind(a) << (n & kind.shift_mask))


@library
def shr(kind: IntegerType, a: int, n: int) -> int:
    """a >> n: arithmetic for signed types, logical for unsigned ones."""
    x, distance = kind(a), n & kind.shift_mask
    if kind.unsigned_64 & (distance > 0):
        return (x >> distance) & ((1 << (64 - distance)) - 1)
    return kind(x >> distance)


@library
def clz(kind: IntegerType, a: int) -> int:
    """Zero bits above the highest one, counted in the width of the type; the width itself for 0."""
    return leading_zeros(kind(a) & kind.pattern_mask) - (64 - kind.bits)


@library
def popcount(kind: IntegerType, a: int) -> int:
    """One bits in the width of the type."""
    return ones(kind(a) & kind.pattern_mask)
